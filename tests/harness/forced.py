"""Forced breaks: a program that was checked is checked again, with a graph break before one instruction.

``config.break_at`` puts the break before an instruction of the captured function, ``config.break_inlined``
also before those of the functions it calls. Whatever the instruction, a user sees what CPython shows, the
break is counted, and the work around it is still compiled.

One program in six is given one break, chosen by names. With ``FRAMELIFT_STRESS=1`` (``make stress``) each
is given one at each of the instructions that CPython executes in its calls, one after another.
"""

from __future__ import annotations

import dis
import inspect
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
PROLOGUE = ("COPY_FREE_VARS", "MAKE_CELL")
"""What CPython does on its own at the start of a frame."""
_TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep


@dataclass(slots=True)
class Executed:
    """The offsets that CPython executes, by code object of the program; ``own`` are those of the frames that
    were called from outside, ``outermost`` the last of them."""

    offsets: dict[CodeType, set[int]] = field(default_factory=dict)
    own: set[int] = field(default_factory=set)
    outermost: FrameType | None = None

    def watch(self, call: Callable) -> Callable:
        """``call``, watched."""

        def watched(*arguments: object, **keywords: object) -> object:
            before = sys.gettrace()
            sys.settrace(self._trace)
            try:
                return call(*arguments, **keywords)
            finally:
                sys.settrace(before)
                self.outermost = None

        return watched

    def _trace(self, frame: FrameType, event: str, _: object) -> Callable | None:
        code = frame.f_code
        if event == "call":
            if not _is_programs(code):
                return None
            self.outermost = self.outermost or frame
            names = {inst.opname: inst.offset for inst in dis.get_instructions(code)}
            self._note(frame, names["RESUME"])  # it isn't traced
        frame.f_trace_opcodes = True
        if event == "opcode":
            self._note(frame, frame.f_lasti)
        return self._trace

    def _note(self, frame: FrameType, offset: int) -> None:
        self.offsets.setdefault(frame.f_code, set()).add(offset)
        if frame is self.outermost:
            self.own.add(offset)

    def breaks(self, called: object) -> list[tuple[int, bool]]:
        """``(offset, whether inlined functions break there, too)`` for each break that can be forced."""
        own = getattr(called, "__code__", None)
        found = set()
        for code, inst in self.instructions():
            if inst.offset in decode(code).index_at and inst.opname not in PROLOGUE:
                if code is not own:
                    found.add((inst.offset, True))
                elif inst.offset in self.own:
                    found.add((inst.offset, False))
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


@dataclass(frozen=True, slots=True)
class Forced:
    """A check under a forced break: its report, or the difference. Unless ``counted``, CPython may have
    finished calls, and the report says nothing."""

    where: str
    inlined: bool
    counted: bool
    found: Report | Mismatch


def force_breaks(watched: World, calls: int, check: Callable[[Framelift], Report]) -> list[Forced]:
    """``check`` the program under forced breaks.

    ``watched`` is a world of its own, called in CPython to see what is executed.
    """
    program = watched.call
    executed = Executed()
    watched.call = executed.watch(program)
    for index in range(calls):
        watched.step(index, watched.inputs(index))
    counted = not executed.is_finished_by_cpython()
    done = []
    for offset, inlined in chosen(executed.breaks(program), executed):
        places = [(inst, code) for code, inst in executed.instructions() if inst.offset == offset]
        where = ", ".join(f"{inst.opname} of {code.co_qualname}" for inst, code in places)
        try:
            found: Report | Mismatch = check(Framelift(break_at=offset, break_inlined=inlined))
        except Mismatch as error:
            found = error
        done.append(Forced(f"a break before offset {offset}, {where}", inlined, counted, found))
    return done


def compare_forced(plain: Report, done: list[Forced]) -> None:
    """Raise Mismatch if anything differed, or was not compiled that is without the breaks."""
    wrong = []
    for one in done:
        if isinstance(one.found, Mismatch):
            wrong.append(f"with {one.where}; inlined: {one.inlined}\n{one.found}")
        elif one.counted and (lost := compare_reports(plain, one.found, one.inlined)):
            wrong.append("\n  ".join([f"with {one.where}; inlined: {one.inlined}; over all calls:", *lost]))
    if wrong:
        raise Mismatch("\n".join(wrong))


def chosen(breaks: list[tuple[int, bool]], executed: Executed) -> list[tuple[int, bool]]:
    """One break, or all."""
    if STRESS or not breaks:
        return breaks
    number = zlib.crc32(",".join(code.co_qualname for code in executed.offsets).encode())
    return [] if number % 6 else [breaks[number // 3 % len(breaks)]]


def compare_reports(plain: Report, forced: Report, inlined: bool) -> list[str]:
    """What contradicts this: the break was met, and CPython does no more than without it.

    What the instruction itself computes is no longer compiled; that is one operator. How much of a function
    that isn't inlined any more is compiled depends on how it is called.
    """
    wrong = []
    if not plain.counts.breaks and not forced.counts.breaks.get(reasons.FORCED_BREAK.title):
        wrong.append(f"the break was not met: {dict(forced.counts.breaks)}")
    if forced.counts.fallbacks > plain.counts.fallbacks:
        wrong.append(f"fallbacks: {plain.counts.fallbacks} without it, {forced.counts.fallbacks} with it")
    missing = set(plain.calls) - set(forced.calls) - {"getitem"}  # taking an output apart is no operator
    if len(missing) > 1 and not inlined:
        wrong.append(f"operators that are not in graphs any more: {sorted(missing)}")
    return wrong
