"""Each function of the corpus, started by CPython in the middle: at every instruction, in the state of a run.

A run is watched, and at its k-th instruction the state is taken out of the frame. A fresh call of a copy of
the function starts there with it, and must do what the rest of the run does: the same value or exception at
the same line, the same log.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType

import pytest

from framelift._native import testing_start_at as start_at
from framelift._native import testing_state as state_of
from framelift.capture.decode import decode
from tests.frames import corpus
from tests.frames.corpus import CASES, Case
from tests.frames.drivers import PROLOGUE, instructions, plain

# A generator's frame is not the call's. Up to 3.12, KW_NAMES leaves the names outside the frame: a call with
# keywords starts there and nowhere behind.
NO_START = PROLOGUE | {"RETURN_GENERATOR"}


def starts(code: CodeType) -> dict[int, int]:
    """The depth of the stack at each offset where CPython may go on."""
    decoded = decode(code)
    known = {offset: decoded.depths[index] for offset, index in decoded.index_at.items()}
    names = {inst.offset: inst.opname for inst in instructions(code)}
    return {offset: depth for offset, depth in known.items() if names[offset] not in NO_START}


class Watch:
    """Calls ``at(frame, offset)`` before each instruction of ``code``."""

    def __init__(self, code: CodeType, at: Callable[[FrameType, int], None]) -> None:
        self.code = code
        self.at = at
        self.before = sys.gettrace()

    def trace(self, frame: FrameType, event: str, argument: object) -> Callable | None:
        if frame.f_code is not self.code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.at(frame, frame.f_lasti)
        return self.trace

    def instruction(self, code: CodeType, offset: int) -> None:
        self.at(sys._getframe(1), offset)

    def __enter__(self) -> Watch:
        if sys.version_info < (3, 12):
            sys.settrace(self.trace)
        else:
            tool, events = sys.monitoring.DEBUGGER_ID, sys.monitoring.events
            sys.monitoring.use_tool_id(tool, "framelift tests")
            sys.monitoring.register_callback(tool, events.INSTRUCTION, self.instruction)
            sys.monitoring.set_local_events(tool, self.code, events.INSTRUCTION)
        return self

    def __exit__(self, *raised: object) -> None:
        if sys.version_info < (3, 12):
            sys.settrace(self.before)
        else:
            tool, events = sys.monitoring.DEBUGGER_ID, sys.monitoring.events
            sys.monitoring.set_local_events(tool, self.code, 0)
            sys.monitoring.register_callback(tool, events.INSTRUCTION, None)
            sys.monitoring.free_tool_id(tool)


def result_of(call: Callable, skipped: int) -> tuple:
    try:
        return "returned", plain(call())
    except Exception as error:
        places = traceback.extract_tb(error.__traceback__)[skipped:]
        return (
            "raised",
            type(error),
            str(error),
            [(place.name, place.lineno, place.colno) for place in places],
        )


def run_from(case: Case, number: int, depths: dict[int, int]) -> tuple[tuple, list, int] | None:
    """What starting at the ``number``-th instruction of a run does; None when the run has fewer.

    With the log of the whole, and the offset.
    """
    function = case.fresh()
    code = function.__code__
    copy = FunctionType(
        code.replace(co_name=code.co_name), function.__globals__, code.co_name, None, function.__closure__
    )
    found: list[tuple] = []
    passed = 0

    def at(frame: FrameType, offset: int) -> None:
        nonlocal passed
        if offset not in depths or found:
            return
        if passed == number:
            slots, stack, _ = state_of(frame, depths[offset])
            log = len(corpus.LOG)
            result = result_of(lambda: start_at(copy, offset, list(slots), list(stack)), 2)
            found.append((result, list(corpus.LOG), offset))
            del corpus.LOG[log:]
        passed += 1

    corpus.LOG.clear()
    with Watch(code, at):
        result_of(lambda: function(*case.arguments(), **case.keywords), 2)
    return found[0] if found else None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_start(case):
    corpus.LOG.clear()
    function = case.fresh()
    depths = starts(function.__code__)
    result = result_of(lambda: function(*case.arguments(), **case.keywords), 2)
    expected = result, normal(list(corpus.LOG))
    number = 0
    while (found := run_from(case, number, depths)) is not None:
        assert (found[0], normal(found[1])) == expected, f"started at offset {found[2]}"
        number += 1
    assert number > 5


def normal(log: list) -> list:
    """The log without the caller's name, which here is the tool that watches or starts."""
    return [entry[:4] if isinstance(entry, tuple) and len(entry) == 5 else entry for entry in log]
