"""Children: what runs the frames that a break's instruction enters, compiled callables of their own.

While the instruction at a break is performed, every Python frame that it enters, however that came about,
is asked about here: ``decide`` says what becomes of frames of a function, once for each code, and
``Children.find`` gives the compiled callable that drives one. A child knows code, not functions: the function
of each frame, and so what it closes over, is an argument of its entries, and nothing that belongs to one call
is kept.

Whose child it is decides which calls share its entries. Those of one code do: layers that are alike in what
was looked at are one case. Once the entries of a code are at their limit, each object that its calls begin
with has children of its own, so that the entries of one layer don't fill up those of another. Objects that
die after one call show that others like them had better share.
"""

from __future__ import annotations

import enum
import inspect
import sys
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

from framelift import _native, rules, torch_internals
from framelift.config import config
from framelift.rules import RuleKind
from framelift.rules.markers import MARKERS

SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
"""Flags of code whose frames are suspended: of generator functions and coroutines."""


class FrameDecision(enum.IntEnum):
    """What becomes of a fresh frame that comes while a break's instruction is performed. The same numbers as
    in ``csrc/decide.h``."""

    PASSES = 1
    """CPython runs it, and what it calls is asked about."""
    DISARMS = 2
    """CPython runs it, and everything it calls."""
    WANTED = 3
    """It is compiled."""
    WANTED_IF_NAMED = 4
    """It is compiled where capture met the break inside of it, and else passes: libraries call much of their
    own that has nothing to do with tensors."""


LIBRARIES = sys.stdlib_module_names | {"torch"}


def decide(function: types.FunctionType) -> FrameDecision:
    """What becomes of a function's frames."""
    if torch_internals.is_compiled_code(function):
        return FrameDecision.DISARMS  # autograd's engine runs it, where a break calls backward()
    rule = rules.lookup(function)
    if rule.kind is RuleKind.SKIP and rule.recursive:
        return FrameDecision.DISARMS
    if rule.kind is not RuleKind.INLINE or rule.target is not None:
        return FrameDecision.PASSES
    if function.__code__.co_name == "__del__":
        return FrameDecision.PASSES  # a finaliser runs when it happens to, for objects that are on their way
    package, _, _ = str(function.__globals__.get("__name__", "")).partition(".")
    if package == "framelift":
        return FrameDecision.DISARMS  # what stands for a builtin has escaped and is called: as the builtin is
    return FrameDecision.WANTED_IF_NAMED if package in LIBRARIES else FrameDecision.WANTED


def is_driven(function: types.FunctionType) -> bool:
    """Whether a break inside a call of a function is met again in a frame of its own."""
    return decide(function) in (FrameDecision.WANTED, FrameDecision.WANTED_IF_NAMED)


_native.set_frame_decisions(decide, MARKERS)

LEVELS = 8
"""Frames of one code inside one another which have children of their own."""

Key = tuple[int, int]
"""The identities of a code and of its globals, both held by the child."""

Made = dict[Key, _native.CompiledCallable]


@dataclass(slots=True)
class Children:
    """The children of one compilation; ``make`` gives that of a function's code.

    ``lineage`` are those whose child it is, outermost first, and itself.
    """

    make: Callable[[types.FunctionType], _native.CompiledCallable]
    lineage: tuple[tuple[Key, _native.CompiledCallable], ...] = ()
    of_code: Made = field(default_factory=dict)
    of_objects: dict[int, tuple[weakref.ref, Made]] = field(default_factory=dict)
    with_owners: dict[Key, int] = field(default_factory=dict)
    short_lived: set[Key] = field(default_factory=set)

    def find(self, function: types.FunctionType, first: object) -> _native.CompiledCallable | None:
        """What drives a frame of ``function`` whose first argument is ``first``; None for CPython."""
        if not is_driven(function):
            return None
        key = key_of(function)
        shared = self.of_code.get(key) or self.find_above(key)
        if shared is not None and shared.on_miss.__self__.limited:
            child = self.find_owned(key, function, first, shared)
            if child is not None:
                return child
        if shared is None:
            if len(self.of_code) >= config.accumulated_cache_size_limit:
                self.of_code.clear()
            shared = self.of_code[key] = self.make(template(function))
        return shared

    def find_above(self, key: Key) -> _native.CompiledCallable | None:
        """The child that is to drive its own callees of the same code. Those of modules inside one another
        are different cases, level by level; what goes deeper than they do is a recursion."""
        alike = [child for other, child in self.lineage if other == key]
        return alike[-1] if len(alike) >= LEVELS else None

    def find_owned(
        self, key: Key, function: types.FunctionType, owner: object, shared: _native.CompiledCallable
    ) -> _native.CompiledCallable | None:
        """The child of an object; None if it is to share, as there are too many like it.

        It goes on where the shared child has stopped: with the sizes and numbers that were seen to change,
        and with the same children.
        """
        known = self.of_objects.get(id(owner)) or self.new_owner(owner)
        child = None if known is None else known[1].get(key)
        if known is not None and child is None:
            made = self.with_owners.get(key, 0)
            if key in self.short_lived or made >= config.accumulated_cache_size_limit:
                return None
            self.with_owners[key] = made + 1
            child = known[1][key] = self.make(template(function))
            child.on_miss.__self__.continue_from(shared.on_miss.__self__)
            child.of_one_object = True
        return child

    def new_owner(self, owner: object) -> tuple[weakref.ref, Made] | None:
        """Room for the children of an object; None if nobody is told when it dies."""
        identity, of_objects, short_lived = id(owner), self.of_objects, self.short_lived

        def forget(_: weakref.ref) -> None:
            _, made = of_objects.pop(identity, (None, {}))
            if made:
                _native.forget_children()
            for key, child in made.items():
                if sum(entry.hits for entry in child.entries) <= 1:
                    short_lived.add(key)

        try:
            reference = weakref.ref(owner, forget)
        except TypeError:
            return None
        known = of_objects[identity] = (reference, {})
        return known

    def clear(self) -> None:
        """Forget all."""
        _native.forget_children()
        for table in (self.of_code, self.of_objects, self.with_owners, self.short_lived):
            table.clear()


def key_of(function: types.FunctionType) -> Key:
    """Functions with the same key share a child."""
    return id(function.__code__), id(function.__globals__)


def template(function: types.FunctionType) -> types.FunctionType:
    """A function of the same code that closes over nothing and has no defaults: it stands for all of them."""
    code = function.__code__
    cells = tuple(types.CellType() for _ in code.co_freevars)
    same = types.FunctionType(code, function.__globals__, function.__name__, None, cells)
    same.__qualname__, same.__module__ = function.__qualname__, function.__module__
    return same
