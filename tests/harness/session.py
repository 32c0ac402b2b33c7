"""``warm``: a compiled program under mutation of what its guards depend on.

After warm-up a test changes the program behind the compiler's back, in both worlds, and states whether the
next call must still be answered by the entry it has. Whatever happens, the answer must be eager's: stale
answers fail first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.harness.comparison import compare_steps, prepared
from tests.harness.compiler import Compiler, Counts
from tests.harness.outcome import seed
from tests.harness.pairing import Mismatch, Pairing
from tests.harness.setup import Setup, set_up
from tests.harness.world import Step

CANNOT_FAIL = "the test can't fail: eager gives the same answer before and after the change"


@dataclass(slots=True)
class Session:
    """A warmed-up program; ``setup`` holds both worlds."""

    setup: Setup
    tolerance: float | None = None
    calls: int = 0
    _last: Step | None = field(default=None)

    def call(self, index: int | None = None) -> Counts:
        """One call in both worlds, compared; returns what the compiler counted during it.

        ``index`` chooses the arguments; by default they have values never used before.
        """
        number = self.calls if index is None else index
        self.calls += 1
        setup = self.setup
        before = setup.counts()
        with setup.compiler.strict():
            expected, actual, pairing = prepared(setup.eager, setup.compiled, number, self.tolerance)
            left = setup.eager.step(number, expected)
            right = setup.compiled.step(number, actual)
            compare_steps(number, left, right, pairing, references=False)
        self._last = left
        return setup.counts().since(before)

    def mutate(self, change: Callable[[object], object]) -> None:
        """Apply ``change`` to the state of each world's program (to its callable where it has no state)."""
        for world in (self.setup.eager, self.setup.compiled):
            with world.globals:
                state = world.program.current_state()
                seed(self.calls)
                change(world.program.call if state is None else state)

    def must_hit(self, change: Callable[[object], object] | None = None) -> None:
        """After ``change`` the next call is answered by an entry that exists."""
        if change is not None:
            self.mutate(change)
        runs = self.setup.runs()
        counts = self.call()
        if _missed(counts):
            raise Mismatch(f"the call should have hit an entry, but: {_describe(counts)}")
        if self.setup.recorder and self.setup.recorder.graphs and self.setup.runs() == runs:
            raise Mismatch("the call should have run a graph, but ran none")

    def must_miss(self, change: Callable[[object], object], visible: bool = True) -> None:
        """After ``change`` no entry fits the next call: it recompiles or runs in CPython, and is right.

        With ``visible`` the same arguments must give another answer in eager than before the change, so that
        a stale answer would have been noticed.
        """
        missed, same = self._around(change)
        if not missed:
            raise Mismatch("the call should have missed, but an old entry answered")
        if visible and same:
            raise Mismatch(CANNOT_FAIL)

    def must_follow(self, change: Callable[[object], object]) -> None:
        """After ``change`` the next call gives the new answer, which must differ from the old one; an entry
        that holds for both may give it, one in which a number or a tensor is open."""
        _, same = self._around(change)
        if same:
            raise Mismatch(CANNOT_FAIL)

    def _around(self, change: Callable[[object], object]) -> tuple[bool, bool]:
        """A call before and one after ``change``, with the same arguments: whether the second one missed,
        and whether eager gave the same answer."""
        index = self.calls
        self.call(index)
        before = self._last
        self.mutate(change)
        missed = _missed(self.call(index))
        return missed, _same_answer(before, self._last)


def warm(
    program: object,
    *parts: object,
    keywords: dict[str, object] | None = None,
    inputs: Callable[[int], object] | None = None,
    graphs: int = 1,
    calls: int = 2,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    globals: tuple[str, ...] = (),
    context: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    tolerance: float | None = None,
    compiler: Compiler | None = None,
) -> Session:
    """Compile and call ``program`` ``calls`` times; ``graphs`` must have been compiled and nothing broken."""
    setup = set_up(
        program,
        parts,
        keywords=keywords,
        inputs=inputs,
        fullgraph=fullgraph,
        dynamic=dynamic,
        globals=globals,
        context=context,
        compiler=compiler,
    )
    session = Session(setup, tolerance)
    for _ in range(calls):
        session.call()
    counts = setup.counts()
    if counts.graphs != graphs or counts.breaks:
        raise Mismatch(f"warm-up: {graphs} graphs and no breaks expected, {_describe(counts)}")
    return session


def _missed(counts: Counts) -> bool:
    return bool(counts.graphs or counts.breaks or counts.recompiles or counts.fallbacks)


def _describe(counts: Counts) -> str:
    parts = (
        f"{counts.graphs} graphs compiled",
        f"breaks {dict(counts.breaks)}",
        f"recompiles {dict(counts.recompiles)}",
        f"{counts.fallbacks} fallbacks",
    )
    return ", ".join(parts)


def _same_answer(before: Step, after: Step) -> bool:
    if (before.outcome.raised is None) != (after.outcome.raised is None):
        return False
    if before.outcome.printed != after.outcome.printed:
        return False
    if before.outcome.raised is not None:
        one, other = before.outcome.raised.error, after.outcome.raised.error
        return type(one) is type(other) and str(one) == str(other)
    pairing = Pairing()
    pairing.compare(before.outcome.result, after.outcome.result, "result")
    pairing.compare(before.arguments.positional, after.arguments.positional, "arguments")
    return not [
        difference for difference in pairing.differences if not difference.endswith("different tensors")
    ]
