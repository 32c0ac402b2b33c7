"""Two worlds of one program, made in the same way, with a compiler watching one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.harness.compiler import Compiler, Counts, Recorder
from tests.harness.inputs import arguments, from_factory
from tests.harness.program import Globals, instantiate
from tests.harness.subject import Framelift
from tests.harness.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Both worlds, ready for their first call."""

    eager: World
    compiled: World
    recorder: Recorder | None
    compiler: Compiler
    start: Counts

    def runs(self) -> int:
        """Graphs run so far, as far as a recorder sees them."""
        return self.recorder.runs if self.recorder else 0

    def counts(self) -> Counts:
        """What the compiler has counted since the worlds were made."""
        return self.compiler.counts().since(self.start)


def set_up(
    program: object,
    parts: tuple,
    *,
    keywords: dict[str, object] | None = None,
    inputs: Callable[[int], object] | None = None,
    backend: object = "eager",
    fullgraph: bool,
    dynamic: bool | None = None,
    globals: tuple[str, ...] = (),
    context: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    backward: bool = False,
    compiler: Compiler | None = None,
) -> Setup:
    """Make the two worlds of ``program``; the parameters are those of ``check``."""
    compiler = compiler or Framelift()
    compiler.reset()
    start = compiler.counts()
    recorder = Recorder() if backend == "eager" else None
    here, there = instantiate(program), instantiate(program)
    compiled = compiler.compile(there.call, backend=recorder or backend, fullgraph=fullgraph, dynamic=dynamic)
    factory = from_factory(inputs) if inputs else arguments(parts, keywords)
    return Setup(
        eager=World(here, here.call, factory, Globals.of(here, globals), context, backward),
        compiled=World(there, compiled, factory, Globals.of(there, globals), context, backward),
        recorder=recorder,
        compiler=compiler,
        start=start,
    )
