"""CPython's instructions as they stand in ``co_code``, before they get a meaning.

What is the same for every version is done here: EXTENDED_ARG is joined to the instruction it belongs to,
inline caches are counted and forgotten, and the tables that arguments index (constants, names, slots) are
laid out. ``co_code`` never shows specialised or instrumented opcodes; CPython puts the base ones back.
"""

from __future__ import annotations

import dis
from dataclasses import dataclass
from types import CodeType
from typing import NamedTuple, final

CODE_UNIT = 2
CACHE: int = dis.opmap["CACHE"]


class UndecodableCode(Exception):
    """A code object that CPython's own compiler doesn't make; its frames are left to CPython."""


class Position(NamedTuple):
    """Where an instruction comes from in the source; None where the compiler doesn't say."""

    line: int | None
    end_line: int | None
    column: int | None
    end_column: int | None


# Line tables of code objects that tools have edited may end early.
NO_POSITION = Position(None, None, None, None)


@final
@dataclass(frozen=True, slots=True)
class RawInstruction:
    """One CPython instruction. ``offset`` is that of its first prefix, ``following`` that of what comes
    after its caches; ``keywords`` is the index of the constant with a call's keyword names, or None."""

    opcode: str
    argument: int
    offset: int
    following: int
    position: Position
    keywords: int | None = None


@final
@dataclass(frozen=True, slots=True)
class CodeTables:
    """What arguments index. ``slots`` are the names of localsplus: ``co_varnames``, the cells that are not
    among them, ``co_freevars``. ``cells`` are the slots that hold a cell once the prologue has run."""

    constants: tuple[object, ...]
    names: tuple[str, ...]
    slots: tuple[str, ...]
    cells: frozenset[int]


def read_tables(code: CodeType) -> CodeTables:
    """The tables of ``code``."""
    varnames = code.co_varnames
    bound = (*varnames, *(name for name in code.co_cellvars if name not in varnames))
    slots = (*bound, *code.co_freevars)
    cells = {bound.index(name) for name in code.co_cellvars}
    cells.update(range(len(bound), len(slots)))
    return CodeTables(code.co_consts, code.co_names, slots, frozenset(cells))


def read_instructions(code: CodeType) -> list[RawInstruction]:
    """The instructions of ``code`` in order."""
    units = code.co_code
    positions = [Position(*position) for position in code.co_positions()]
    instructions: list[RawInstruction] = []
    offset = 0
    while offset < len(units):
        start = offset
        argument = units[offset + 1]
        while units[offset] == dis.EXTENDED_ARG:
            offset += CODE_UNIT
            argument = argument << 8 | units[offset + 1]
        opcode = dis.opname[units[offset]]
        unit = offset // CODE_UNIT
        position = positions[unit] if unit < len(positions) else NO_POSITION
        offset += CODE_UNIT
        while offset < len(units) and units[offset] == CACHE:
            offset += CODE_UNIT
        instructions.append(RawInstruction(opcode, argument, start, offset, position))
    return instructions
