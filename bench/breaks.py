"""What a graph break costs: ``python bench/breaks.py``.

Three questions, a table for each:

- What does a break add to a call? The programs call an empty Python function at which every compiler breaks;
  the work around it is nothing, or one addition on a small tensor.
- Does a loop of 1,000 breaks leave anything behind?
- What do Python calls cost that are not compiled, after a break, inside one, and while a compiled generator
  is suspended? Does CPython still give its frames to somebody? It does inside a function that is skipped at a
  break: what that calls may be compiled.

The minimum of many rounds in which the candidates take turns, one thread, no gradients. Both compilers run
their graphs as they are. ``torch.compile`` leaves a frame without tensor work, and a loop with a break in
it, to CPython: in these rows its column is eager and a look at its cache.
"""

from __future__ import annotations

import array
import ctypes
import gc
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table

import framelift
from framelift import rules

BREAKS = 1000
ROUNDS = 30
SECONDS_A_ROUND = 0.02

graph_break = torch._dynamo.graph_break
"""An empty Python function at which both compilers break."""


@dataclass(frozen=True, slots=True)
class Row:
    """A program with ``breaks`` graph breaks."""

    name: str
    call: Callable[..., object]
    arguments: tuple
    breaks: int


def one_break() -> None:
    graph_break()


def ten_breaks() -> None:
    graph_break()
    graph_break()
    graph_break()
    graph_break()
    graph_break()
    graph_break()
    graph_break()
    graph_break()
    graph_break()
    graph_break()


def loop_of_breaks(count: int) -> None:
    for _ in range(count):
        graph_break()


def add_break_add(x: torch.Tensor) -> torch.Tensor:
    x = x + 1
    graph_break()
    return x + 1


def loop_of_additions(x: torch.Tensor, count: int) -> torch.Tensor:
    for _ in range(count):
        x = x + 1
        graph_break()
    return x


def callee() -> None:
    graph_break()


def break_in_a_callee() -> None:
    callee()


class Holder:
    @property
    def attribute(self) -> None:
        graph_break()


def break_in_a_property(holder: Holder) -> None:
    holder.attribute  # noqa: B018


def rows() -> tuple[Row, ...]:
    x = torch.randn(8)
    return (
        Row("1 break", one_break, (), 1),
        Row("10 breaks", ten_breaks, (), 10),
        Row(f"loop of {BREAKS:,} breaks", loop_of_breaks, (BREAKS,), BREAKS),
        Row("a break in a callee", break_in_a_callee, (), 1),
        Row("a break in a property", break_in_a_property, (Holder(),), 1),
        Row("x + 1, break, x + 1", add_break_add, (x,), 1),
        Row("loop of 100: x + 1, break", loop_of_additions, (x, 100), 100),
    )


def compile_row(row: Row) -> framelift._native.CompiledCallable:
    """``row``'s program, warm, with the proof that it runs in segments and not in CPython."""
    call = framelift.compile(row.call, backend="eager")
    for _ in range(5):
        call(*row.arguments)
    if call.fallbacks or not call.resume_points:
        raise SystemExit(f"{row.name}: the program is run by CPython, there is nothing to measure")
    return call


def fastest(candidates: Sequence[Callable[..., object]], arguments: tuple) -> list[float]:
    """Microseconds a call of each candidate: minimum over rounds in which they take turns."""
    counts = []
    for call in candidates:
        start = time.perf_counter()
        call(*arguments)
        once = max(time.perf_counter() - start, 1e-7)
        counts.append(max(1, int(SECONDS_A_ROUND / once)))
    best = [float("inf")] * len(candidates)
    for _ in range(ROUNDS):
        for index, call in enumerate(candidates):
            repeat = range(counts[index])
            start = time.perf_counter()
            for _ in repeat:
                call(*arguments)
            best[index] = min(best[index], (time.perf_counter() - start) / counts[index])
    return [seconds * 1e6 for seconds in best]


def cost_of_breaks(chosen: Sequence[Row]) -> Table:
    """The first table."""
    table = Table(title="Microseconds a call", caption="added: by framelift, over eager")
    table.add_column("program")
    for head in ("eager", "torch.compile", "framelift", "added", "added a break"):
        table.add_column(head, justify="right")
    for row in chosen:
        peer = torch.compile(row.call, backend="eager")
        for _ in range(5):
            peer(*row.arguments)
        eager, theirs, ours = fastest((row.call, peer, compile_row(row)), row.arguments)
        cells = (eager, theirs, ours, ours - eager, (ours - eager) / row.breaks)
        table.add_row(row.name, *[f"{cell:.2f}" for cell in cells])
    return table


def what_stays(row: Row, calls: int) -> Table:
    """Objects and memory before and after ``calls`` calls."""
    compiled = compile_row(row)
    heads = ("objects of the collector", "allocated blocks", "traced bytes")
    table = Table(title=f"{calls} calls of a {row.name}: what there is before and after")
    table.add_column("")
    for head in heads:
        table.add_column(head, justify="right")
    before, after = array.array("q", [0, 0, 0]), array.array("q", [0, 0, 0])

    def look(state: array.array) -> None:
        gc.collect()
        state[0] = len(gc.get_objects())
        state[1] = sys.getallocatedblocks()
        state[2] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    look(before)  # what the first look allocates is not the loop's
    look(before)
    for _ in range(calls):
        compiled(*row.arguments)
    look(after)
    tracemalloc.stop()
    table.add_row("before", *[f"{value:,}" for value in before])
    table.add_row("after", *[f"{value:,}" for value in after])
    table.add_section()
    stays = [new - old for old, new in zip(before, after, strict=True)]
    table.add_row(f"stays of {calls * row.breaks:,} breaks", *[f"{value:+,}" for value in stays])
    return table


def empty() -> None:
    pass


def yields(count: int) -> Iterator[int]:
    yield from range(count)


def thousand_calls() -> None:
    for _ in range(1000):
        empty()


def frames_go_to_cpython() -> bool:
    """Whether the interpreter has no function set that is given every frame (PEP 523)."""
    api = ctypes.pythonapi
    api.PyInterpreterState_Get.restype = api._PyInterpreterState_GetEvalFrameFunc.restype = ctypes.c_void_p
    api._PyInterpreterState_GetEvalFrameFunc.argtypes = (ctypes.c_void_p,)
    default = ctypes.cast(api._PyEval_EvalFrameDefault, ctypes.c_void_p).value
    return api._PyInterpreterState_GetEvalFrameFunc(api.PyInterpreterState_Get()) == default


def other_calls() -> Table:
    """1,000 calls of an empty function that is not compiled, in several situations."""
    table = Table(title="An empty Python function that is not compiled")
    for head in ("situation", "ns a call", "CPython alone gets its frame"):
        table.add_column(head, justify="left" if head == "situation" else "right")

    @torch.compiler.disable
    def note(situation: str) -> None:
        (microseconds,) = fastest((thousand_calls,), ())  # of a thousand calls: nanoseconds of one
        table.add_row(situation, f"{microseconds:.1f}", "yes" if frames_go_to_cpython() else "no")

    def at_a_break(situation: str) -> None:
        note(situation)

    note("before anything is compiled")
    compile_row(rows()[5])
    note("after compiled calls with breaks")
    generator = framelift.compile(yields, backend="eager")(2)
    next(generator)
    note("while a compiled generator is suspended")
    generator.close()
    note("after it has ended")
    framelift.compile(at_a_break, backend="eager")("at a break, in a function disabled with what it calls")
    passed_on = torch.compiler.disable(note.__wrapped__, recursive=False)

    def at_another(situation: str) -> None:
        passed_on(situation)

    for function in (empty, thousand_calls, fastest, frames_go_to_cpython):
        rules.skip(function, "it belongs to the benchmark")
    framelift.compile(at_another, backend="eager")("at a break, where each frame passes the shim")
    return table


def main() -> int:
    torch.set_num_threads(1)
    console = Console()
    with torch.no_grad():
        console.print(other_calls())
        console.print(what_stays(rows()[2], 20))
        console.print(cost_of_breaks(rows()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
