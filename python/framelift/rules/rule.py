"""What a rule is: how calls of one callable are treated, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import final

from framelift.observe.reasons import Reason


class RuleKind(Enum):
    """How a call of a callable is treated during capture."""

    IN_GRAPH = "in graph"
    """One node of the graph, with the callable itself as target."""
    INLINE = "inline"
    """Python code: its frame is interpreted too. For a class: the call of a type, step by step."""
    SKIP = "skip"
    """Python code that is never interpreted: the call is left to CPython."""
    DISALLOWED = "disallowed"
    """Must not be in a graph: the call is left to CPython."""
    NONSTRICT = "nonstrict"
    """One node of the graph; what it does inside is not checked."""
    BUILTIN = "builtin"
    """Capture has a handler for it, or folds it when its arguments are constants; a Python function of this
    kind without a handler may be inlined.
    """
    POLYFILLED = "polyfilled"
    """A C function with the same meaning written in Python, which is inlined."""
    NUMPY = "numpy"
    """A function, method or class of NumPy."""
    UNKNOWN = "unknown"
    """A C callable nobody has described: the call is left to CPython."""


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """How calls of one callable are treated.

    ``reason`` is a sentence without its final stop, shown to the user where the rule makes a graph break.
    ``origin`` says where it was decided: a table, a predicate, a list, a marker, or the user's call.
    """

    kind: RuleKind
    reason: str
    origin: str
    state_setter: bool = False
    """The call changes torch's state for this thread: kept as a node with an effect, also recorded by
    capture.
    """
    recursive: bool = False
    """For SKIP: what the callable calls is not compiled either."""
    constant_result: bool = False
    """For BUILTIN: capture may call it when its arguments are constants, and its result is a constant of the
    graph. What such a result depends on is guarded, or does not change while a process runs.
    """
    reads_setting: bool = False
    """For BUILTIN: a C function that tells a setting of the process and does nothing else; an entry holds
    while it tells the same.
    """
    target: object | None = None
    """A wrapper's own callable, to be treated in its place."""
    breaks_with: Reason | None = None
    """The row that a break at its calls carries; None is the one for its kind. For BUILTIN: where capture has
    no handler.
    """

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.reason} [{self.origin}]"
