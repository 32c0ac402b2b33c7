"""Children: what the calls at graph breaks run, compiled callables of their own.

Whose child it is decides how long it lives, and which calls share its entries:

- A method's belong to the object it is bound to, as long as that lives: the entries of one layer don't
  fill up those of another.
- A function without closure and defaults does what its code does: those of the same code share one, and
  it doesn't matter that a nested one, or a comprehension, is made anew in each call.
- Any other function has its own, which keeps it alive, and so what it closes over. That is for functions
  that stay anyway, as their module has them under their names, and for those that close over functions,
  classes and constants only, as decorators do. One that closes over data, such as the locals of a call,
  is run by CPython. When too many of one code have come, all of theirs are let go.
"""

from __future__ import annotations

import inspect
import sys
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from framelift import _native, rules
from framelift.config import config
from framelift.observe.counters import count
from framelift.rules import RuleKind

SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
"""Flags of code whose frames are suspended: they are not driven."""

Made = tuple[types.FunctionType, _native.CompiledCallable]


@dataclass(slots=True)
class Children:
    """The children of one compilation; ``make`` gives a function's."""

    make: Callable[[types.FunctionType], _native.CompiledCallable]
    of_objects: dict[int, tuple[weakref.ref, dict[types.FunctionType, _native.CompiledCallable]]] = field(
        default_factory=dict
    )
    of_code: dict[tuple[int, int], Made] = field(default_factory=dict)
    of_functions: dict[int, Made] = field(default_factory=dict)
    made_of_code: dict[types.CodeType, list[int]] = field(default_factory=dict)

    def find(self, callee: object) -> Callable | None:
        """What runs instead of ``callee``; None for plain CPython."""
        owner, function = None, callee
        if isinstance(callee, torch.nn.Module):
            owner, function = callee, type(callee).__call__
        elif isinstance(callee, types.MethodType):
            owner, function = callee.__self__, callee.__func__
        if not isinstance(function, types.FunctionType) or function.__code__.co_flags & SUSPENDED:
            return None
        if rules.lookup(function).kind is not RuleKind.INLINE:
            return None
        if function is callee:
            return self.find_function(function)
        family = self.family(owner)
        if family is None:
            child = self.find_function(function)
        elif (child := family.get(function)) is None:
            child = family[function] = self.make(function)
        return None if child is None else types.MethodType(child, owner)

    def family(self, owner: object) -> dict[types.FunctionType, _native.CompiledCallable] | None:
        """The children of an object's methods; None if nobody is told when the object dies."""
        identity, of_objects = id(owner), self.of_objects
        known = of_objects.get(identity)
        if known is None:
            try:
                reference = weakref.ref(owner, lambda _: of_objects.pop(identity, None))
            except TypeError:
                return None
            known = of_objects[identity] = (reference, {})
        return known[1]

    def find_function(self, function: types.FunctionType) -> _native.CompiledCallable | None:
        """The child of a function that is called as such."""
        key, table = (id(function.__code__), id(function.__globals__)), self.of_code
        if not is_all_code(function):
            key, table = id(function), self.of_functions
        known = table.get(key)
        if known is not None and (known[0] is function or same_code(known[0], function)):
            return known[1]
        if table is self.of_functions and not (may_be_kept(function) and self.may_stay(function)):
            return None
        known = table[key] = (function, self.make(function))
        return known[1]

    def may_stay(self, function: types.FunctionType) -> bool:
        """Whether not too many functions of this code have been seen; if so, they are forgotten."""
        seen = self.made_of_code.setdefault(function.__code__, [])
        if len(seen) < config.cache_size_limit:
            seen.append(id(function))
            return True
        forgotten = [self.of_functions.pop(identity, None) for identity in seen]
        if any(forgotten):
            count("limits", function.__qualname__)
        return False

    def clear(self) -> None:
        """Forget all."""
        for table in (self.of_objects, self.of_code, self.of_functions, self.made_of_code):
            table.clear()


PLAIN = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type, str, int, float, type(None))
"""What decorators close over: nothing that belongs to one call."""


def may_be_kept(function: types.FunctionType) -> bool:
    """Whether keeping a function alive keeps nothing that belongs to one call."""
    return is_all_code(function) or is_named(function) or not keeps_data(function, set())


def keeps_data(function: types.FunctionType, seen: set[int]) -> bool:
    """Whether a function, or one that it closes over, closes over objects such as the locals of a call."""
    seen.add(id(function))
    held: list[object] = list(function.__defaults__ or ())
    held += (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:
            return True
    if not all(isinstance(item, PLAIN) for item in held):
        return True
    inner = [item for item in held if isinstance(item, types.FunctionType) and id(item) not in seen]
    return any(keeps_data(item, seen) for item in inner)


def is_named(function: types.FunctionType) -> bool:
    """Whether a module, or a class in it, has the function under its name."""
    first, *rest = function.__qualname__.split(".")
    module = sys.modules.get(function.__module__ or "")
    for namespace in (getattr(module, "__dict__", {}), function.__globals__):
        found = namespace.get(first)
        for name in rest:
            found = found.__dict__.get(name) if isinstance(found, type) else None
        if found is function or getattr(found, "__func__", None) is function:
            return True
    return False


def is_all_code(function: types.FunctionType) -> bool:
    """Whether nothing but its code and globals decides what a call of a function does."""
    return not (function.__closure__ or function.__defaults__ or function.__kwdefaults__)


def same_code(known: types.FunctionType, function: types.FunctionType) -> bool:
    """Whether two functions, of which the second is all code, are still exchangeable."""
    return known.__code__ is function.__code__ and is_all_code(known)
