"""Graphs that write to inputs and may fail: what they wrote is put back, so that CPython can repeat them.

A compiler does not keep the program's order: when an operator of a compiled graph refuses its data, writes
that the program makes before it may be missing, and later ones may be done. Putting the inputs back and
repeating the segment is right in any case. It costs a copy of what the graph writes to, at every call, so it
is done for small inputs only (``failing.SMALL``), and only where an operator may refuse its data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from framelift import torch_internals
from framelift.graph.failing import Undone

if TYPE_CHECKING:
    from framelift.graph.finished import FinishedGraph


def undoing(graph: FinishedGraph, run: Callable[..., Any], *, in_order: bool) -> Callable[..., Any]:
    """``run``, which raises ``Undone`` if what it had written to inputs has been put back.

    ``in_order``: it runs node by node, so that a failure before the first write leaves nothing behind anyway.
    """
    risk = graph.risk
    needed = risk.too_late if in_order else risk.refuses and bool(risk.leaving)
    if not (needed and risk.undoable):
        return run
    return putting_back(run, graph.written)


def putting_back(
    run: Callable[..., Any], written: Sequence[int], is_all: Callable[[Exception], bool] | None = None
) -> Callable[..., Any]:
    """``run``, which puts these inputs back when it raises. ``is_all`` tells of what it raised whether they
    are all that was written by then; else they stay as they are."""

    def run_and_undo(*inputs: Any) -> Any:
        before = [torch_internals.contents_of(inputs[place]) for place in written]
        try:
            return run(*inputs)
        except Exception as error:
            if is_all is not None and not is_all(error):
                raise
            for place, contents in zip(written, before, strict=True):
                torch_internals.put_back(inputs[place], contents)
            raise Undone(str(error)) from error

    return run_and_undo
