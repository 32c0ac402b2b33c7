"""Single instructions for the tests of tables: every row of every version can be asked on any Python."""

from __future__ import annotations

from framelift.capture.decode import UndecodableCode, cpython_3_11, cpython_3_12, cpython_3_13
from framelift.capture.decode.instruction import Instruction
from framelift.capture.decode.raw import CodeTables, Position, RawInstruction

VERSIONS = {(3, 11): cpython_3_11, (3, 12): cpython_3_12, (3, 13): cpython_3_13}

TABLES = CodeTables(
    constants=tuple(("keyword",) for _ in range(256)),
    names=tuple(f"name{index}" for index in range(256)),
    slots=tuple(f"slot{index}" for index in range(256)),
    cells=frozenset({250}),
)


def parts(version: tuple[int, int], opcode: str, argument: int) -> tuple[Instruction, ...] | None:
    """What one CPython instruction becomes; None if it can't have this argument."""
    raw = RawInstruction(opcode, argument, 1000, 1002, Position(1, 1, 0, 0))
    try:
        return VERSIONS[version].ROWS[opcode](raw, TABLES)
    except (UndecodableCode, IndexError):
        return None
