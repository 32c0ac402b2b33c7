"""What is assumed of symbols, and where in the program each assumption was made.

The shape environment keeps what it assumed in order; nobody tells when something is added, so whoever has
asked it a question calls ``note``, and what is new since then belongs to the place where the program is.

Sizes that the program has promised to be open (``mark_dynamic``) are held against the assumptions at the
end: an assumption that leaves one number for such a size, or that some size in a promised range does not
meet, is a ``Violation``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy

from framelift import torch_internals

if TYPE_CHECKING:
    import torch

    from framelift.graph.shapes import OpenSizes
    from framelift.guards.sources import Source

Place = list[tuple]
"""Frames of the program, outermost first, as ``Break.stack`` has them."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A size that the program says is open; ``limits`` are the bounds it gives, None for none."""

    symbol: sympy.Symbol
    source: Source
    dimension: int
    limits: torch_internals.Range | None

    def __str__(self) -> str:
        return f"{self.source}.size({self.dimension})"


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that the graph does not keep: the ``condition`` that breaks it, and where it was assumed."""

    promise: Promise
    condition: sympy.Basic
    place: Place


class Assumptions:
    """The conditions of one shape environment with the places where they were made.

    ``where`` tells the place where the program is at this moment.
    """

    __slots__ = ("_counts", "_places", "_promises", "_shape_env", "where")

    def __init__(self, shape_env: Any) -> None:
        self._shape_env = shape_env
        self._counts = (0, 0)
        self._places: dict[sympy.Basic, Place] = {}
        self._promises: list[Promise] = []
        self.where: Callable[[], Place] = list

    def note(self) -> None:
        """What has been assumed since the last time was assumed here."""
        counts = torch_internals.assumption_counts(self._shape_env)
        if counts != self._counts:
            self._counts = counts
            place = self.where()
            for condition in self._all():
                self._places.setdefault(condition, place)

    def _all(self) -> Iterator[sympy.Basic]:
        yield from torch_internals.shape_guards(self._shape_env)
        yield from torch_internals.runtime_asserts(self._shape_env)

    def promise(self, fake: torch.Tensor, source: Source, open_sizes: OpenSizes) -> None:
        """Remember which sizes of an input must stay open."""
        for dimension in sorted(open_sizes.required):
            size = fake.size(dimension)
            if not isinstance(size, int):
                symbol = torch_internals.symbolic_expression(size)
                limits = open_sizes.ranges.get(dimension)
                self._promises.append(Promise(symbol, source, dimension, limits))

    def of_data(self) -> Iterator[tuple[sympy.Basic, str]]:
        """What is assumed of numbers from data, with the line of the program in words."""
        for condition in dict.fromkeys(torch_internals.runtime_asserts(self._shape_env)):
            place = self._places.get(condition)
            yield condition, f" in {place[-1][0]}:{place[-1][1]}" if place else ""

    def violations(self) -> Iterator[Violation]:
        """The promises that are not kept, as known at this moment."""
        conditions = torch_internals.shape_guards(self._shape_env)
        for promise in self._promises:
            for condition in conditions:
                if promise.symbol in condition.free_symbols and self._breaks(promise, condition):
                    yield Violation(promise, condition, self._places.get(condition, []))
                    break

    def _breaks(self, promise: Promise, condition: sympy.Basic) -> bool:
        if promise.limits is not None and condition.free_symbols == {promise.symbol}:
            return not torch_internals.holds_in_range(condition, promise.symbol, promise.limits)
        fixed = torch_internals.known_number(self._shape_env, promise.symbol)
        return fixed is not None and isinstance(condition, sympy.Eq)
