"""Graphs that fail half-way: what is left behind, and where in the program it happened.

An operator that raises when the graph runs raises in eager, too, at its own line and with all that the
program has done before. A graph that has changed nothing is simply repeated by CPython. One that has written
to an input must not be: what it has written to is put back first (``codegen/undo.py``), where that is cheap;
or it turns out that nothing had been written when it failed, because it ran node by node and the node that
raised stands before all that leave something. Else the exception is raised as one of the instruction that the
node came from. What the program had done to Python's objects by then is lost; the exception says so.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import fx

from framelift import _native, torch_internals
from framelift.graph.nodes import PLACE

if TYPE_CHECKING:
    from framelift.graph.finished import FinishedGraph

Line = tuple[types.CodeType, int]
"""A code object and the offset of one of its instructions."""

SMALL = 1 << 20
"""Bytes: so much of the memory of inputs is copied at every call, if the graph may fail when it has written
to it. Statistics and counters are less, caches and parameters are more."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the program a call comes from, and what it may do.

    ``frames`` are the instructions of the program's frames, outermost first; ``written`` the storages of its
    arguments that it writes to. ``refuses``: it may raise for some data; ``covered``: then there is a
    handler in one of the frames. ``draws``: it draws random numbers. ``leaves``: it leaves something that
    can't be put back, such as a gradient.
    """

    frames: tuple[Line, ...]
    written: frozenset[int] = frozenset()
    refuses: bool = False
    covered: bool = False
    draws: bool = False
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Risk:
    """What there is to fear of a graph.

    ``leaving`` are the positions of its nodes that leave something behind. ``refuses``: a node may raise for
    some data; ``too_late``: one that does not stand before all that leave something; ``covered``: one in a
    block whose exceptions the program handles. ``undoable``: all that is left behind can be put back.
    """

    leaving: tuple[int, ...]
    refuses: bool
    too_late: bool
    covered: bool
    undoable: bool

    @property
    def beyond_repair(self) -> bool:
        """Whether it may fail with something left behind that is not put back."""
        return self.refuses and bool(self.leaving) and not self.undoable


class Undone(Exception):
    """Carries what a graph raised, after all that it had written was put back."""


def place_of(node: fx.Node) -> Place | None:
    """The place of a node that stands for a call of the program."""
    return node.meta.get(PLACE)


def leaves_something(node: fx.Node) -> None:
    """Note that a call leaves something that can't be put back."""
    node.meta[PLACE] = replace(node.meta[PLACE], leaves=True)


def leaves(node: fx.Node, storages: frozenset[int]) -> bool:
    """Whether a call leaves something behind in a graph whose inputs have these storages."""
    place = place_of(node)
    return place is not None and (place.leaves or not storages.isdisjoint(place.written))


def risk_of(nodes: Iterable[fx.Node], storages: frozenset[int], *, undoable: bool) -> Risk:
    """The risk of a graph whose inputs have these storages; ``undoable`` if all writes to them are."""
    leaving: list[int] = []
    refuses = too_late = covered = False
    for position, node in enumerate(nodes):
        place = place_of(node)
        if place is None:
            continue
        if leaves(node, storages):
            leaving.append(position)
            undoable = undoable and not place.leaves
        refuses |= place.refuses
        too_late |= place.refuses and bool(leaving)
        covered |= place.covered
    return Risk(tuple(leaving), refuses, too_late, covered, undoable)


class FailedGraph:
    """What becomes of a call whose graph has raised, for a graph that leaves something behind."""

    __slots__ = ("_draws", "_module", "_risk")

    def __init__(self, graph: FinishedGraph) -> None:
        self._module = graph.module
        self._risk = graph.risk
        # Random numbers that CPython would not draw once more.
        self._draws = graph.uses_rng and not graph.risk.refuses

    def __call__(self, error: Exception) -> tuple[int, types.FrameType | None] | None:
        """None: nothing is left behind, and CPython repeats the segment. Else the offset in the outermost
        code at which ``error`` is to be raised, -1 if nobody knows, and a frame object that stands there.

        The traceback is then that of the program's calls below the outermost frame.
        """
        if isinstance(error, Undone):
            return None
        position = torch_internals.failing_node(self._module, error)
        if position is None:
            error.add_note(LOST.format("its inputs may have been written to"))
            return -1, None
        if not self._draws and all(position < other for other in self._risk.leaving):
            return None
        nodes = list(self._module.graph.nodes)
        place = next((known for node in nodes[position::-1] if (known := place_of(node))), None)
        if place is None or not place.frames:
            return -1, None
        error.add_note(LOST.format("its inputs have been written to"))
        (code, offset), *inner = place.frames
        error.__traceback__ = traceback_of(inner, torch_internals.traceback_below(self._module, error))
        return offset, _native.frame_at(code, offset)


LOST = (
    "framelift: raised inside of a graph when {}. What the program did to other objects in this part is lost."
)


def traceback_of(lines: Sequence[Line], last: types.TracebackType | None) -> types.TracebackType | None:
    """The traceback of an exception that passed through these lines, outermost first, and then ``last``."""
    for code, offset in reversed(lines):
        frame = _native.frame_at(code, offset)
        last = types.TracebackType(last, frame, frame.f_lasti, frame.f_lineno)
    return last
