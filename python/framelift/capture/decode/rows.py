"""The words that the tables of the versions are written in.

A row turns one CPython instruction into one or more of ours::

    "LOAD_FAST": row(LoadFast, name=slot_name, slot=argument)
    "RETURN_CONST": both(row(LoadConst, value=constant), row(ReturnValue))

A field is given as a function of the CPython instruction and the code's tables, or as a plain value. Targets
of jumps are byte offsets here; ``decode`` turns them into indices when all instructions are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from framelift.capture.decode.instruction import Instruction
from framelift.capture.decode.raw import CODE_UNIT, CodeTables, RawInstruction, UndecodableCode

Row: TypeAlias = Callable[[RawInstruction, CodeTables], tuple[Instruction, ...]]
Field: TypeAlias = Callable[[RawInstruction, CodeTables], object]

BINARY_OPERATORS = (
    *("+", "&", "//", "<<", "@", "*", "%", "|", "**", ">>", "-", "/", "^"),
    *("+=", "&=", "//=", "<<=", "@=", "*=", "%=", "|=", "**=", ">>=", "-=", "/=", "^="),
)
COMPARISONS = ("<", "<=", "==", "!=", ">", ">=")
CONVERSIONS = ("", "s", "r", "a")


def row(cls: type[Instruction], **fields: Field | str | int | tuple[str, ...] | None) -> Row:
    """One instruction of class ``cls``."""
    computed = [(name, value) for name, value in fields.items() if callable(value)]
    constant_fields = {name: value for name, value in fields.items() if not callable(value)}

    def make(raw: RawInstruction, tables: CodeTables) -> tuple[Instruction, ...]:
        values = {name: value(raw, tables) for name, value in computed}
        return (cls(offset=raw.offset, line=raw.position.line, **constant_fields, **values),)

    return make


def both(first: Row, second: Row) -> Row:
    """Two instructions for one of CPython's, which can be started at the first only."""

    def make(raw: RawInstruction, tables: CodeTables) -> tuple[Instruction, ...]:
        later = (replace(part, resumable=False) for part in second(raw, tables))
        return (*first(raw, tables), *later)

    return make


def if_bit(bit: int, then: Row, otherwise: Row) -> Row:
    """One row or the other, as a bit of the argument says."""

    def make(raw: RawInstruction, tables: CodeTables) -> tuple[Instruction, ...]:
        return then(raw, tables) if raw.argument & bit else otherwise(raw, tables)

    return make


def by_argument(*rows: Row | None) -> Row:
    """The row at the argument's place in ``rows``."""

    def make(raw: RawInstruction, tables: CodeTables) -> tuple[Instruction, ...]:
        chosen = rows[raw.argument] if raw.argument < len(rows) else None
        if chosen is None:
            raise UndecodableCode(f"{raw.opcode} {raw.argument} at offset {raw.offset}")
        return chosen(raw, tables)

    return make


# Fields of rows, from here on.


def argument(raw: RawInstruction, tables: CodeTables) -> int:
    """The argument itself."""
    return raw.argument


def has_bit(bit: int) -> Field:
    """Whether a bit of the argument is set."""
    return lambda raw, tables: bool(raw.argument & bit)


def bits(shift: int, mask: int = -1) -> Field:
    """Some bits of the argument."""
    return lambda raw, tables: raw.argument >> shift & mask


def constant(raw: RawInstruction, tables: CodeTables) -> object:
    """The constant the argument names."""
    return tables.constants[raw.argument]


def keywords(raw: RawInstruction, tables: CodeTables) -> object:
    """The keyword names of a call."""
    return () if raw.keywords is None else tables.constants[raw.keywords]


def name(raw: RawInstruction, tables: CodeTables) -> str:
    """The name (of ``co_names``) the argument names."""
    return tables.names[raw.argument]


def shifted_name(shift: int) -> Field:
    """The name that the argument without its low bits names."""
    return lambda raw, tables: tables.names[raw.argument >> shift]


def slot_name(raw: RawInstruction, tables: CodeTables) -> str:
    """The name of the slot the argument is."""
    return tables.slots[raw.argument]


def one_of(words: tuple[str, ...], shift: int = 0, mask: int = -1) -> Field:
    """The word at the place that some bits of the argument say."""
    return lambda raw, tables: words[raw.argument >> shift & mask]


def forward(raw: RawInstruction, tables: CodeTables) -> int:
    """Offset of a jump forward."""
    return raw.following + raw.argument * CODE_UNIT


def forward_and_over(skipped: int) -> Field:
    """Offset of a jump forward and then over ``skipped`` instructions that have no caches."""
    return lambda raw, tables: raw.following + (raw.argument + skipped) * CODE_UNIT


def backward(raw: RawInstruction, tables: CodeTables) -> int:
    """Offset of a jump backward."""
    return raw.following - raw.argument * CODE_UNIT
