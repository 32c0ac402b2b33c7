"""Forced breaks: a program that was checked is checked again, with a graph break before one instruction.

``config.break_at`` puts the break before an instruction of the captured function, ``config.break_inlined``
also before those of the functions it calls. Whatever the instruction, a user sees what CPython shows, the
break is counted, and the work around it is still compiled.

One program in three is given one break, chosen by names. With ``FRAMELIFT_STRESS=1`` (``make stress``) each
is given one at each of the instructions that CPython executes in its calls, one after another.
"""

from __future__ import annotations

import dis
import inspect
import itertools
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType

import torch

from framelift.capture.decode import decode
from framelift.observe import reasons
from tests.harness.outcome import is_users
from tests.harness.pairing import Mismatch
from tests.harness.report import Report
from tests.harness.subject import Framelift
from tests.harness.world import World

STRESS = bool(os.environ.get("FRAMELIFT_STRESS"))
PROLOGUE = ("RESUME", "COPY_FREE_VARS", "MAKE_CELL")
_TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep


@dataclass(slots=True)
class Executed:
    """The offsets that CPython executes, by code object of the program."""

    offsets: dict[CodeType, set[int]] = field(default_factory=dict)

    def watch(self, call: Callable) -> Callable:
        """``call``, watched."""

        def watched(*arguments: object, **keywords: object) -> object:
            before = sys.gettrace()
            sys.settrace(self._trace)
            try:
                return call(*arguments, **keywords)
            finally:
                sys.settrace(before)

        return watched

    def _trace(self, frame: FrameType, event: str, _: object) -> Callable | None:
        code = frame.f_code
        if event == "call" and code not in self.offsets:
            if not _is_programs(code):
                return None
            # A call begins with instructions that aren't traced.
            known = itertools.takewhile(lambda inst: inst.opname in PROLOGUE, dis.get_instructions(code))
            self.offsets[code] = {inst.offset for inst in known}
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.offsets[code].add(frame.f_lasti)
        return self._trace

    def breaks(self, called: object) -> list[tuple[int, bool]]:
        """``(offset, whether inlined functions break there, too)`` for each break that can be forced."""
        own = getattr(called, "__code__", None)
        found = set()
        for code, inst in self.instructions():
            if inst.offset in decode(code).index_at and (code is own or inst.opname not in PROLOGUE):
                found.add((inst.offset, code is not own))
        return sorted(found)

    def instructions(self) -> Iterator[tuple[CodeType, dis.Instruction]]:
        """What is executed."""
        for code, offsets in self.offsets.items():
            yield from ((code, inst) for inst in dis.get_instructions(code) if inst.offset in offsets)

    def is_finished_by_cpython(self) -> bool:
        """Whether some break may leave the rest of the call to CPython: see docs/limits.md."""
        handles = any(inst.opname == "PUSH_EXC_INFO" for _, inst in self.instructions())
        return handles or any(code.co_flags & inspect.CO_GENERATOR for code in self.offsets)


def _is_programs(code: CodeType) -> bool:
    """Whether a function is the program's own, or of a library that the test is about."""
    library = "site-packages" in code.co_filename and not code.co_filename.startswith(_TORCH)
    return library or is_users(code.co_filename)


def force_breaks(watched: World, calls: int, plain: Report, check: Callable[[Framelift], Report]) -> None:
    """``check`` the program under forced breaks.

    ``watched`` is a world of its own, called in CPython to see what is executed; ``plain`` is the report
    without a forced break.
    """
    program = watched.call
    executed = Executed()
    watched.call = executed.watch(program)
    for index in range(calls):
        watched.step(index, watched.inputs(index))
    failed = []
    for offset, inlined in chosen(executed.breaks(program), executed):
        try:
            forced = check(Framelift(break_at=offset, break_inlined=inlined))
            if not executed.is_finished_by_cpython():
                compare_reports(plain, forced, inlined)
        except Mismatch as error:
            found = [pair for pair in executed.instructions() if pair[1].offset == offset]
            places = ", ".join(f"{inst.opname} of {code.co_qualname}" for code, inst in found)
            failed.append(f"with a break before offset {offset}, {places}; inlined: {inlined}\n{error}")
    if failed:
        raise Mismatch("\n".join(failed))


def chosen(breaks: list[tuple[int, bool]], executed: Executed) -> list[tuple[int, bool]]:
    """One break, or all."""
    if STRESS or not breaks:
        return breaks
    number = zlib.crc32(",".join(code.co_qualname for code in executed.offsets).encode())
    return [] if number % 3 else [breaks[number // 3 % len(breaks)]]


def compare_reports(plain: Report, forced: Report, inlined: bool) -> None:
    """The break was met, and neither it nor anything else made CPython do what is compiled without it.

    What the instruction itself computes is no longer compiled; that is one operator. How much of a function
    that isn't inlined any more is compiled depends on how it is called.
    """
    wrong = []
    if not plain.counts.breaks and not forced.counts.breaks.get(reasons.FORCED_BREAK.title):
        wrong.append(f"the break was not met: {dict(forced.counts.breaks)}")
    if forced.counts.fallbacks > plain.counts.fallbacks:
        wrong.append(f"fallbacks: {plain.counts.fallbacks} without it, {forced.counts.fallbacks} with it")
    missing = kinds(plain.operators) - kinds(forced.operators)
    if len(missing) > 1 and not inlined:
        wrong.append(f"operators that are not in graphs any more: {sorted(missing)}")
    if wrong:
        raise Mismatch("\n  ".join(["over all calls:", *wrong]))


def kinds(operators: list[str]) -> set[str]:
    """Names of operators without the numbers that graphs give them."""
    return {name.rstrip("0123456789").rstrip("_") for name in operators}
