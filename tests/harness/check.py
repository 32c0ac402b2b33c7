"""``check``: one program in CPython and compiled, several calls, everything compared, graphs and breaks
counted."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable

from tests.harness.comparison import compare_steps, prepared, untouched
from tests.harness.compiler import Compiler, Counts, Recorder
from tests.harness.forced import Forced, compare_forced, force_breaks
from tests.harness.leaks import stay_level
from tests.harness.pairing import Mismatch
from tests.harness.report import Report
from tests.harness.setup import Setup, set_up
from tests.harness.subject import Framelift

LOOK_FOR_LEAKS = bool(os.environ.get("FRAMELIFT_REFLEAKS"))
"""Set ``FRAMELIFT_REFLEAKS=1`` and every checked program is also called often, and must stay level."""


def check(
    program: object,
    *parts: object,
    keywords: dict[str, object] | None = None,
    inputs: Callable[[int], object] | None = None,
    graphs: int | None = 1,
    breaks: int | None = 0,
    reason: str | None = None,
    recompiles: int | None = 0,
    runs: int | None = None,
    calls: int = 3,
    backend: object = "eager",
    fullgraph: bool | None = None,
    dynamic: bool | None = None,
    globals: tuple[str, ...] = (),
    context: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    backward: bool = False,
    tolerance: float | None = None,
    references: bool = True,
    frames: tuple[str, ...] = (),
    forced: bool = True,
    compiler: Compiler | None = None,
) -> Report:
    """Run ``program`` ``calls`` times in CPython and compiled, and raise Mismatch on any difference.

    program     a function, a module, or ``fresh(build)`` where a call changes the program itself
    parts       the arguments' recipes (see inputs.py); ``inputs(k)`` instead returns them for call ``k``
    graphs      graphs compiled over all calls; ``breaks`` the breaks met, one of them titled ``reason``;
                ``recompiles`` how often a guard's failure led to a new entry; None: not compared
    runs        graphs run in each call; by default one where the program has graphs and no breaks
    fullgraph   by default on where no break is expected, so that a break says where it is
    globals     names of module globals the program rebinds or changes
    context     a context manager made anew around every call
    backward    sums what is differentiable in the result, runs backward and compares gradients
    tolerance   relative, for backends that are not bitwise equal to eager
    references  reference counts of the arguments change as in eager (not compared in the compiling call)
    frames      functions of the program that CPython may enter although nothing breaks (backward of an
                autograd function, finalisers)
    forced      also with forced breaks; off only for what docs/limits.md says of values that cross a break
    """
    fullgraph = breaks == 0 if fullgraph is None else fullgraph
    given = {
        "keywords": keywords,
        "inputs": inputs,
        "dynamic": dynamic,
        "globals": globals,
        "context": context,
        "backward": backward,
    }
    forced: list[Forced] = []
    if forced and compiler is None and backend == "eager":

        def again(compiler: Framelift) -> Report:
            options = {"tolerance": tolerance, "references": references, "frames": frames, "calls": calls}
            uncounted = {"graphs": None, "breaks": None, "recompiles": None}
            return check(program, *parts, compiler=compiler, **given, **options, **uncounted)

        # First, so that the counters a test may look at afterwards are those of the calls without.
        forced = force_breaks(set_up(program, parts, fullgraph=False, **given).eager, calls, again)
    setup = set_up(program, parts, backend=backend, fullgraph=fullgraph, compiler=compiler, **given)
    runs = (1 if graphs and not breaks else None) if runs is None else runs
    oddities: list[str] = []
    with setup.compiler.strict():
        for index in range(calls):
            last = 0 < index == calls - 1
            ran, entered = _one_call(setup, index, tolerance, references, last)
            if setup.recorder and runs is not None and ran != runs:
                oddities.append(f"call {index}: {ran} graphs ran, {runs} expected")
            strangers = dict.fromkeys(name for name in entered if name not in frames)
            if strangers and breaks == 0:
                oddities.append(f"call {index}: CPython entered {', '.join(strangers)}")
    counts = setup.counts()
    _compare_counts(counts, setup.recorder, graphs, breaks, reason, recompiles, oddities)
    _compare_lifetimes(setup)
    if LOOK_FOR_LEAKS:
        stay_level(setup, reuse_arguments=False)
    recorder = setup.recorder
    operators, ran = (recorder.operators(), recorder.runs) if recorder else ([], None)
    report = Report(setup.compiled.call, counts, operators, ran)
    compare_forced(report, forced)
    return report


def _one_call(
    setup: Setup, index: int, tolerance: float | None, references: bool, last: bool
) -> tuple[int, tuple[str, ...]]:
    """How many graphs ran, and, in the last call, which functions of the program CPython entered."""
    make = untouched if last else prepared
    expected, actual, pairing = make(setup.eager, setup.compiled, index, tolerance)
    left = setup.eager.step(index, expected, last)
    runs, counts = setup.runs(), setup.counts()
    right = setup.compiled.step(index, actual, last)
    compiling = setup.counts() != counts
    compare_steps(index, left, right, pairing, references=references and not compiling)
    return setup.runs() - runs, right.outcome.entered


def _compare_counts(
    counts: Counts,
    recorder: Recorder | None,
    graphs: int | None,
    breaks: int | None,
    reason: str | None,
    recompiles: int | None,
    oddities: list[str],
) -> None:
    wrong = []
    if graphs is not None and counts.graphs != graphs:
        wrong.append(f"graphs: {graphs} expected, {counts.graphs} counted")
    if recorder and len(recorder.graphs) != counts.graphs:
        wrong.append(f"graphs: {counts.graphs} counted, {len(recorder.graphs)} given to the backend")
    if breaks is not None and sum(counts.breaks.values()) != breaks:
        wrong.append(f"breaks: {breaks} expected, counted {dict(counts.breaks)}")
    if reason is not None and not any(reason in title for title in counts.breaks):
        wrong.append(f"break reason: {reason!r} expected, counted {dict(counts.breaks)}")
    if recompiles is not None and sum(counts.recompiles.values()) != recompiles:
        wrong.append(f"recompiles: {recompiles} expected, counted {dict(counts.recompiles)}")
    if breaks == 0 and counts.fallbacks:
        wrong.append(f"fallbacks: none expected, {counts.fallbacks} counted")
    wrong += oddities
    if wrong:
        raise Mismatch("\n  ".join(["over all calls:", *wrong]))


YOUNG_AND_ALL = (1, 2)
"""Generations to collect: what a call leaves is mostly young."""


def _compare_lifetimes(setup: Setup) -> None:
    """Argument tensors live on after the calls exactly where they do in eager."""
    left, right = setup.eager.still_alive(), setup.compiled.still_alive()
    for generation in YOUNG_AND_ALL:
        if left == right:
            return
        gc.collect(generation)
        left, right = setup.eager.still_alive(), setup.compiled.still_alive()
    if left != right:
        raise Mismatch(f"argument tensors still alive after all calls: eager {left}, compiled {right}")
