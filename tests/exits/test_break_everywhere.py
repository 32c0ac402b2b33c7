"""A forced break before each instruction in turn changes nothing that a user could see.

Of the offsets of each program a sample is taken; ``FRAMELIFT_STRESS=1`` (``make stress``) takes all.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType

import pytest

from framelift.capture.decode import decode
from framelift.observe import reasons
from tests.exits.everyday import PROGRAMS, Everyday
from tests.harness import check
from tests.harness.inputs import arguments
from tests.harness.program import instantiate
from tests.harness.subject import Framelift

CALLS = 3
STRESS = bool(os.environ.get("FRAMELIFT_STRESS"))
STEP = 1 if STRESS else 7
PROLOGUE = ("RESUME", "COPY_FREE_VARS", "MAKE_CELL")


def sampled() -> Iterator[object]:
    """Each program with the offsets where CPython may go on: all, or a few that differ by program."""
    number = 0
    for program in PROGRAMS:
        inside = (decode(code).index_at for code in codes(program.function.__code__))
        for offset in sorted(set(itertools.chain.from_iterable(inside))):
            number += 1
            if number % STEP == 0:
                yield pytest.param(program, offset, id=f"{program}-{offset}")


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and those inside it: the break is in every frame that is captured by itself."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


@functools.cache
def executed(program: Everyday) -> frozenset[int]:
    """The offsets that CPython executes in the calls that are compared; it doesn't trace the first few."""
    function = instantiate(program.program).call
    known = dis.get_instructions(function)
    found = {inst.offset for inst in itertools.takewhile(lambda inst: inst.opname in PROLOGUE, known)}

    def trace(frame: FrameType, event: str, _: object) -> Callable | None:
        if frame.f_code is not function.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            found.add(frame.f_lasti)
        return trace

    before = sys.gettrace()
    for call in range(CALLS):
        given = arguments(program.parts, None)(call)
        sys.settrace(trace)
        try:
            with contextlib.suppress(Exception):
                function(*given.positional)
        finally:
            sys.settrace(before)
    return frozenset(found & decode(function.__code__).index_at.keys() - on_the_way(function.__code__))


def on_the_way(code: CodeType) -> set[int]:
    """Offsets that an exception passes on its way to a handler of the program: no segment begins there."""
    known = list(dis.get_instructions(code))
    found = set()
    for handler in decode(code).handlers:
        target = decode(code).instructions[handler.target_index].offset
        for inst in itertools.dropwhile(lambda inst: inst.offset < target, known):
            found.add(inst.offset)
            if inst.opname in ("PUSH_EXC_INFO", "RERAISE"):
                break
    return found


@pytest.mark.stress
@pytest.mark.parametrize(("program", "offset"), list(sampled()))
def test_a_break_changes_nothing(program: Everyday, offset: int) -> None:
    uncounted = {"graphs": None, "breaks": None, "recompiles": None}
    counts = check(
        program.program, *program.parts, compiler=Framelift(break_at=offset), calls=CALLS, **uncounted
    ).counts
    assert counts.breaks.get(reasons.FORCED_BREAK.title) or offset not in executed(program)
    assert not counts.fallbacks
