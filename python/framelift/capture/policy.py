"""Which sizes and numbers are symbols, and which tensor classes are taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from framelift.graph.shapes import NO_OPEN_SIZES, OpenSizes
from framelift.marks import marks_of
from framelift.observe.errors import ConstraintViolated

if TYPE_CHECKING:
    from framelift.guards.sources import Source


@dataclass(frozen=True)
class Policy:
    """Decided before a capture from options, marks and what changed since the last one.

    ``dynamic_sizes`` holds ``(source text, dimension)`` and ``dynamic_scalars`` source texts: the symbols.
    ``all_sizes`` makes symbols of all sizes but those of parameters. ``scalar_outputs`` and
    ``dynamic_outputs`` keep numbers and sizes that depend on data in the graph. ``break_at`` and
    ``break_inlined`` are those of ``config``. ``keeps_history``: what follows the segment looks at the nodes
    of autograd that it leaves. With ``before_failures`` a call that may refuse its data ends
    the graph where the program would handle that and the graph could not be repeated. Where the value
    of a changing float is needed, the entry is for that value; for those in ``open_floats`` it is a break.
    With ``round_by_round`` a segment takes one item of an iterator that came from outside.
    """

    dynamic_sizes: frozenset[tuple[str, int]] = frozenset()
    dynamic_scalars: frozenset[str] = frozenset()
    all_sizes: bool = False
    scalar_outputs: bool = False
    dynamic_outputs: bool = False
    break_at: int = -1
    break_inlined: bool = False
    keeps_history: bool = False
    before_failures: bool = False
    round_by_round: bool = False
    open_floats: frozenset[str] = frozenset()
    tensor_types: tuple[type, ...] = field(default=(torch.Tensor, torch.nn.Parameter, torch.nn.Buffer))

    def symbolic_scalar(self, source: Source, real: int | float) -> bool:
        """Whether an outside number becomes a symbol."""
        return str(source) in self.dynamic_scalars

    def open_sizes(self, source: Source, real: torch.Tensor) -> OpenSizes:
        """The sizes of an outside tensor that become symbols (0 and 1 are specialized).

        What the program has marked counts first: ``mark_dynamic``, then ``mark_unbacked``, ``mark_static``,
        ``maybe_mark_dynamic``; then what was seen to change.
        """
        marks = marks_of(real)
        name, many = str(source), self.all_sizes and not is_parameter(real)
        required, dynamic, unbacked = set(), set(), set()
        for i, size in enumerate(real.shape):
            if i in marks.dynamic:
                required.add(i)
            elif i in marks.unbacked:
                unbacked.add(i)
            elif i in marks.static or not (i in marks.weak or many or (name, i) in self.dynamic_sizes):
                continue
            if size > 1 or i in unbacked:
                dynamic.add(i)
        if not dynamic:
            return NO_OPEN_SIZES
        ranges = {i: limits for i, limits in marks.ranges.items() if i in dynamic}
        for i, limits in ranges.items():
            if not lies_in(real.shape[i], limits):
                raise ConstraintViolated(f"{source}.size({i})", f"is {real.shape[i]} in this call", limits)
        return OpenSizes(frozenset(dynamic), frozenset(unbacked), frozenset(required & dynamic), ranges)


def lies_in(size: int, limits: tuple[int | None, int | None]) -> bool:
    """Whether a size is one of those that were promised."""
    least, greatest = limits
    return (least is None or size >= least) and (greatest is None or size <= greatest)


def is_parameter(real: torch.Tensor) -> bool:
    """Parameters keep their sizes."""
    return isinstance(real, torch.nn.Parameter)
