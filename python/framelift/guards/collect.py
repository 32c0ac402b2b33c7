"""Collecting guards: what capture looked at, in the order in which it looked.

A ``GuardSet`` is the noun of this room before it becomes a tree. Capture adds facts about sources, asks for
objects to be collected (they become the inputs of the graph and of the exit), and binds the symbols of
shapes. ``build`` then turns it into the native tree; ``ReferenceTree`` checks the same set in plain Python.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields

import sympy
import torch

from framelift import _native, torch_internals
from framelift.guards import torch_state
from framelift.guards.kinds import Equals, Guard, TensorMatch
from framelift.guards.sources import Held, Reading, Source
from framelift.guards.spelling import spell_condition, spell_guard

EVERY_INPUT = ("size", "stride", "storage_offset", "int", "float")
"""What a symbol can be read from."""
NEVER = -1
"""No token of ``abc`` is negative."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a symbol's value is read at a call."""

    symbol: sympy.Symbol
    source: Source
    what: str
    dimension: int

    def __str__(self) -> str:
        match self.what:
            case "size" | "stride":
                return f"{self.source}.{self.what}({self.dimension})"
            case "storage_offset":
                return f"{self.source}.storage_offset()"
            case _:
                return str(self.source)


@dataclass(frozen=True, slots=True)
class Memory:
    """Tensors of a graph that writes to some of them.

    The memory of those in ``written`` is no other one's, except for the pairs in ``overlap``, positions in
    order, which were met at capture. ``item_sizes`` are the sizes of their elements in bytes.
    """

    sources: tuple[Source, ...]
    written: tuple[bool, ...]
    item_sizes: tuple[int, ...]
    overlap: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        names = [
            str(source) for source, is_written in zip(self.sources, self.written, strict=True) if is_written
        ]
        text = f"{', '.join(names)}: memory apart from that of {', '.join(map(str, self.sources))}"
        pairs = [f"{self.sources[first]} and {self.sources[second]}" for first, second in self.overlap]
        return f"{text}, but {', '.join(pairs)} overlap" if pairs else text


def same_guard(left: Guard, right: Guard) -> bool:
    """Whether two guards on one source demand the same.

    Objects are compared by identity or, where they are literals of one type, by their representation: 0.0 and
    -0.0 are different demands, and two nans are the same one.
    """
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if isinstance(left, TensorMatch):
        return (left.cls, left.facts, left.sizes, left.strides) == (
            right.cls,
            right.facts,
            right.sizes,
            right.strides,
        )
    return all(same_demand(getattr(left, name), getattr(right, name)) for name in demands_of(type(left)))


@functools.cache
def demands_of(kind: type[Guard]) -> tuple[str, ...]:
    """The names of what guards of a kind demand."""
    return tuple(item.name for item in fields(kind))


_LITERALS = (bool, int, float, complex, str, bytes)


def same_demand(left: object, right: object) -> bool:
    """Identity, or equality of type and value for literals and tuples and frozensets of literals."""
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if type(left) in _LITERALS:
        return repr(left) == repr(right)
    if type(left) is tuple:
        return len(left) == len(right) and all(map(same_demand, left, right))
    if type(left) is frozenset:
        return len(left) == len(right) and all(
            any(same_demand(one, other) for other in right) for one in left
        )
    return isinstance(left, Source) and left == right


class GuardSet:
    """Facts about sources, the sources whose objects are collected, symbols and conditions over them."""

    __slots__ = (
        "_by_source",
        "bindings",
        "collected",
        "conditions",
        "distinct_groups",
        "guards",
        "memory_groups",
        "registrations",
        "state",
    )

    def __init__(self) -> None:
        self.guards: list[tuple[Source, Guard]] = []
        """In the order of discovery, without duplicates."""
        self.collected: dict[Source, int] = {}
        """Slot of the object at a source."""
        self.distinct_groups: list[tuple[Source, ...]] = []
        self.memory_groups: list[Memory] = []
        self.bindings: dict[sympy.Symbol, Binding] = {}
        self.conditions: dict[sympy.Basic, None] = {}
        self.state: _native.TorchState | None = None
        self.registrations: dict[tuple[type, type], bool] = {}
        """Whether the first class is one of the second, where that one says so itself."""
        self._by_source: dict[Source, list[Guard]] = {}

    def add(self, source: Source, guard: Guard) -> None:
        """The object at ``source`` must meet ``guard``. Adding the same again changes nothing."""
        known = self._by_source.setdefault(source, [])
        if not any(same_guard(guard, other) for other in known):
            known.append(guard)
            self.guards.append((source, guard))

    def collect(self, source: Source) -> int:
        """The slot in which every call finds the object at ``source``; one slot per source."""
        return self.collected.setdefault(source, len(self.collected))

    def distinct(self, sources: Sequence[Source]) -> None:
        """The objects at these sources must be pairwise different."""
        group = tuple(dict.fromkeys(sources))
        if len(group) > 1 and group not in self.distinct_groups:
            self.distinct_groups.append(group)

    def memory(
        self,
        sources: Sequence[Source],
        written: Sequence[bool],
        item_sizes: Sequence[int],
        overlap: Sequence[tuple[int, int]] = (),
    ) -> None:
        """Which tensors in ``written`` share memory with another one must stay as it is."""
        if len(sources) > 1:
            self.memory_groups.append(
                Memory(tuple(sources), tuple(written), tuple(item_sizes), tuple(overlap))
            )

    def bind(self, symbol: sympy.Symbol, source: Source, what: str, dimension: int = 0) -> None:
        """``symbol`` is read at ``source``: a "size" or "stride" of a dimension, the "storage_offset", or the
        object itself, an "int" or a "float". The first binding of a symbol stays."""
        if what not in EVERY_INPUT:
            raise ValueError(f"a symbol is read from one of {EVERY_INPUT}, not {what!r}")
        self.bindings.setdefault(symbol, Binding(symbol, source, what, dimension))

    def condition(self, expression: sympy.Basic | torch.SymBool | bool) -> None:
        """``expression``, over bound symbols, must hold."""
        if isinstance(expression, torch.SymBool):
            expression = torch_internals.symbolic_expression(expression)
        expression = sympy.sympify(expression)
        if expression is not sympy.true:
            self.conditions.setdefault(expression)

    def subclass(self, cls: type, abstract: type, expected: bool) -> None:
        """``issubclass(cls, abstract)`` must be what it is now, whatever is registered with ``abstract``."""
        self.registrations[cls, abstract] = expected

    def settle(self) -> None:
        """State what must not be stated before the last import of a compilation: that no class has been
        registered with an abstract one since."""
        if self.registrations:
            kept = all(issubclass(*pair) is expected for pair, expected in self.registrations.items())
            self.registrations.clear()
            source = Reading(Held(abc.get_cache_token, "abc.get_cache_token"))
            self.add(source, Equals(abc.get_cache_token() if kept else NEVER))

    def require_state(self) -> None:
        """Torch's state of this thread must be at every call what it is now."""
        self.state = torch_state.capture_state()

    def __str__(self) -> str:
        lines = ["torch state as at capture"] if self.state is not None else []
        lines += [spell_guard(source, guard) for source, guard in self.guards]
        lines += [f"{', '.join(map(str, group))}: pairwise different" for group in self.distinct_groups]
        lines += map(str, self.memory_groups)
        lines += [f"{bound.symbol} = {bound}" for bound in self.bindings.values()]
        lines += [spell_condition(condition, self.bindings) for condition in self.conditions]
        return "\n".join(lines)
