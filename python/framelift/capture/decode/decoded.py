"""What decoding makes of a code object, and its printed form."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import CodeType
from typing import final

from framelift.capture.decode.depths import UNREACHABLE
from framelift.capture.decode.exception_table import Handler, find_handler
from framelift.capture.decode.instruction import (
    CheckExcMatch,
    Instruction,
    LoadConst,
    PopExcept,
    PushExcInfo,
    RaiseVarargs,
    Reraise,
    ReturnValue,
    WithExceptStart,
)
from framelift.capture.decode.raw import Position

_ENDS_OTHERWISE = (CheckExcMatch, PopExcept, RaiseVarargs, ReturnValue)
_PLAIN_FIELDS = frozenset({"name", "operator", "condition", "operation"})
_COMMON_FIELDS = frozenset(field.name for field in fields(Instruction))


@final
@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Decoded:
    """A code object in our instruction set.

    ``instructions``, ``positions`` and ``depths`` run in parallel: an instruction's index is its address, and
    jumps and handlers name indices. ``depths`` is the number of stack items before each instruction, -1 where
    CPython never comes. ``index_at`` leads from each offset at which CPython can start to the index of what
    it does there; every instruction that is ``resumable`` is in it. ``slots`` names localsplus.
    """

    code_reference: weakref.ref[CodeType]
    instructions: tuple[Instruction, ...]
    index_at: Mapping[int, int]
    handlers: tuple[Handler, ...]
    positions: tuple[Position, ...]
    depths: tuple[int, ...]
    slots: tuple[str, ...]

    @property
    def code(self) -> CodeType:
        """The code object. It is not kept alive from here, or nothing once decoded could ever die."""
        code = self.code_reference()
        if code is None:
            raise ReferenceError("the code object has died")
        return code

    @property
    def slot_count(self) -> int:
        """The size of localsplus."""
        return len(self.slots)

    def handler_for(self, index: int) -> Handler | None:
        """The handler of an exception raised at ``index``; None if that leaves the frame."""
        return find_handler(self.handlers, index)

    def is_handled(
        self, index: int, swallows: Callable[[Handler], bool], *, only_caught: bool = False
    ) -> bool:
        """Whether an exception raised at ``index`` comes to a handler of the program's own, an ``except`` or
        ``finally``, or that of a ``with`` of which ``swallows`` says so: others tidy up, and raise it again.
        With ``only_caught`` a ``finally`` that raises it again in any case does not count."""
        seen: set[int] = set()
        while (handler := self.handler_for(index)) is not None and handler.target_index not in seen:
            index = handler.target_index
            seen.add(index)
            if isinstance(self.instructions[index], PushExcInfo):
                index += 1
                if isinstance(self.instructions[index], WithExceptStart):
                    found = swallows(handler)
                else:
                    found = not (only_caught and self._raises_again(index))
                if found:
                    return True
        return False

    @property
    def returns_false(self) -> bool:
        """Whether each ``return`` gives None, or another constant that is false."""
        pairs = zip((None, *self.instructions), self.instructions, strict=False)
        return all(
            isinstance(before, LoadConst) and not before.value
            for before, inst in pairs
            if isinstance(inst, ReturnValue)
        )

    def _raises_again(self, index: int) -> bool:
        """Whether a handler goes straight on to raise its exception again."""
        for inst in self.instructions[index:]:
            if isinstance(inst, Reraise):
                return True
            if isinstance(inst, _ENDS_OTHERWISE) or hasattr(inst, "target"):
                return False
        return False

    def __str__(self) -> str:
        """One line per instruction: index, stack depth before it, offset, meaning. ``+`` in place of an
        offset is a later part of the CPython instruction above; lines count from the code's first."""
        lines = [f"{self.code.co_qualname}({', '.join(self.slots)})"]
        printed_line: int | None = None
        for index, inst in enumerate(self.instructions):
            if inst.line is not None and inst.line != printed_line:
                printed_line = inst.line
                lines.append(f"line {inst.line - self.code.co_firstlineno}")
            depth = "-" if self.depths[index] == UNREACHABLE else str(self.depths[index])
            place = f"@{inst.offset}" if inst.resumable else "+"
            lines.append(f"{index:4} {depth:>3} {place:>6}  {describe(inst)}")
        for handler in self.handlers:
            lasti = ", lasti" if handler.lasti else ""
            covered = f"{handler.start_index}..{handler.end_index - 1}"
            lines.append(f"handler of {covered}: depth {handler.depth}{lasti} -> {handler.target_index}")
        return "\n".join(lines)


def describe(inst: Instruction) -> str:
    """``PopJumpIf false -> 7``: the class, then its fields."""
    words = [type(inst).__name__]
    for field in fields(inst):
        if field.name in _COMMON_FIELDS:
            continue
        value = getattr(inst, field.name)
        if field.name == "target":
            words.append(f"-> {value}")
        elif field.name in _PLAIN_FIELDS:
            words.append(str(value))
        elif isinstance(value, bool) and field.name != "value":
            if value:
                words.append(field.name)
        elif isinstance(value, CodeType):
            words.append(f"<code {value.co_qualname}>")
        elif field.name == "value":
            words.append(repr(value))
        elif field.name == "keywords":
            words.extend(f"{keyword}=" for keyword in value)
        else:
            words.append(f"{field.name}={value!r}")
    return " ".join(words)
