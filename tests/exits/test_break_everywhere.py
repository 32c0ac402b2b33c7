"""A forced break before each instruction in turn changes nothing that a user could see.

Of the offsets of each program a sample is taken; ``FRAMELIFT_STRESS=1`` (``make stress``) takes all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType

import pytest

import framelift
from framelift.capture.decode import decode
from framelift.observe import reasons
from tests.exits.everyday import PROGRAMS, Everyday
from tests.harness import check
from tests.harness.inputs import arguments
from tests.harness.program import instantiate

CALLS = 3
STRESS = bool(os.environ.get("FRAMELIFT_STRESS"))
STEP = 1 if STRESS else 7
PROLOGUE = ("RESUME", "RETURN_GENERATOR", "COPY_FREE_VARS", "MAKE_CELL")


def sampled() -> Iterator[object]:
    """Each program with the offsets where CPython may go on: all of them, or a sample that differs by program."""
    number = 0
    for program in PROGRAMS:
        for offset in decode(program.function.__code__).index_at:
            number += 1
            if number % STEP == 0:
                yield pytest.param(program, offset, id=f"{program}-{offset}")


def executed(program: Everyday) -> frozenset[int]:
    """The offsets that CPython executes in the calls that are compared."""
    function = instantiate(program.program).call
    found: set[int] = set()

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
            function(*given.positional)
        except Exception:
            pass
        finally:
            sys.settrace(before)
    return frozenset(found)
