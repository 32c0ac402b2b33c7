"""Explanation: a report of what framelift made of a call, to be printed.

It holds the records of the captures that the call caused, and says in order: how much was captured, each
graph with its operators and its backend and why that one, each break with its reason and where it is in the
user's program, and what was assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from framelift.observe.records import BreakRecord, CaptureRecord, GraphRecord

MOST_GUARDS = 40
"""Guards printed before the rest is counted only; ``out_guards`` has them all."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What ``framelift.explain(function)(*arguments)`` returns. ``result`` is what the call returned."""

    function: str
    records: Sequence[CaptureRecord]
    result: Any = field(default=None, repr=False)

    @property
    def graph_records(self) -> list[GraphRecord]:
        return [graph for record in self.records for graph in record.graphs]

    @property
    def graphs(self) -> list[Any]:
        """The graph modules, as the backend got them."""
        return [graph.module for graph in self.graph_records]

    @property
    def break_reasons(self) -> list[BreakRecord]:
        return [one for record in self.records for one in record.breaks]

    @property
    def graph_count(self) -> int:
        return len(self.graph_records)

    @property
    def graph_break_count(self) -> int:
        return len(self.break_reasons)

    @property
    def ops_per_graph(self) -> list[dict[str, int]]:
        """Number of calls by operator, for each graph."""
        return [dict(graph.operators) for graph in self.graph_records]

    @property
    def op_count(self) -> int:
        return sum(sum(operators.values()) for operators in self.ops_per_graph)

    @property
    def out_guards(self) -> list[str]:
        return [line for record in self.records for line in record.guard_lines]

    @property
    def capture_seconds(self) -> float:
        return sum(record.capture_seconds for record in self.records)

    @property
    def compile_seconds(self) -> float:
        return sum(record.compile_seconds for record in self.records)

    def __str__(self) -> str:
        totals = ", ".join(
            [
                _number(self.graph_count, "graph"),
                _number(self.graph_break_count, "break"),
                _number(self.op_count, "operator"),
                _number(len(self.out_guards), "guard"),
            ]
        )
        times = f"capture {self.capture_seconds:.3f} s, compile {self.compile_seconds:.3f} s"
        lines = [f"{self.function}: {totals}; {times}"]
        if not self.records:
            lines.append("Nothing was captured: the call was served from the cache or run by CPython.")
        for record in self.records:
            lines += ["", *_record(record)]
        return "\n".join(lines)


def _record(record: CaptureRecord) -> list[str]:
    lines = [f"{record.function} ({record.place})" if record.place else record.function]
    if record.recompiled_because:
        lines.append(f"  compiled again because of: {record.recompiled_because}")
    if record.in_cpython:
        lines.append(f"  run by CPython: {record.in_cpython}")
    for number, graph in enumerate(record.graphs, 1):
        lines += _graph(number, graph)
    for number, one in enumerate(record.breaks, 1):
        lines.append(f"  break {number}:")
        lines += [f"    {line}".rstrip() for line in one.message.splitlines()]
    guards = record.guard_lines
    if guards:
        lines.append(f"  {_number(len(guards), 'guard')}:")
        lines += [f"    {line}" for line in guards[:MOST_GUARDS]]
        if len(guards) > MOST_GUARDS:
            lines.append(f"    ... and {len(guards) - MOST_GUARDS} more (`out_guards` has them all)")
    return lines


def _graph(number: int, graph: GraphRecord) -> list[str]:
    operators = graph.operators
    why = f" ({graph.why})" if graph.why else ""
    count = _number(sum(operators.values()), "operator")
    head = f"  graph {number}: {count}, {_number(graph.inputs, 'input')}, backend {graph.backend}{why}"
    listed = ", ".join(
        f"{name} x{times}" if times > 1 else name
        for name, times in sorted(operators.items(), key=_most_first)
    )
    return [head, f"    {listed}"] if listed else [head]


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _number(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
