"""CPython 3.13: the rows that differ from 3.12.

New: NULL lies above the callable; keyword names are a constant pushed before CALL_KW; some pairs of loads
and stores are one opcode; comparisons and conditions are made a bool by an instruction or bit of their own; a
closure cell is loaded as any local is. END_FOR pops one item and is followed by a POP_TOP; an exhausted loop
goes on behind both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from framelift.capture.decode import cpython_3_12
from framelift.capture.decode import instruction as to
from framelift.capture.decode.instruction import Instruction
from framelift.capture.decode.raw import CodeTables, RawInstruction, UndecodableCode
from framelift.capture.decode.rows import (
    COMPARISONS,
    CONVERSIONS,
    Row,
    argument,
    both,
    by_argument,
    forward_and_over,
    has_bit,
    if_bit,
    keywords,
    one_of,
    row,
    shifted_name,
)

ABSORBED = frozenset({"CACHE", "EXTENDED_ARG"})

# The interpreter's own: no code object that Python can see has them.
INTERNAL = frozenset({"INTERPRETER_EXIT", "RESERVED", "EXIT_INIT_CHECK", "ENTER_EXECUTOR"})

_GONE = frozenset({"FORMAT_VALUE", "LOAD_CLOSURE"})

# Of a pair of slots, the argument's upper four bits are the first.
_FIRST, _SECOND = (4, 15), (0, 15)
_ONLY = (0, -1)


def load(shift: int, mask: int) -> Row:
    """Push a local: its cell where it is a variable that has one, as only the making of closures does."""

    def make(raw: RawInstruction, tables: CodeTables) -> tuple[Instruction, ...]:
        slot = raw.argument >> shift & mask
        cls = to.LoadClosure if slot in tables.cells else to.LoadFast
        return (cls(offset=raw.offset, line=raw.position.line, name=tables.slots[slot], slot=slot),)

    return make


def store(shift: int, mask: int) -> Row:
    """Bind a local."""

    def make(raw: RawInstruction, tables: CodeTables) -> tuple[Instruction, ...]:
        slot = raw.argument >> shift & mask
        return (to.StoreFast(offset=raw.offset, line=raw.position.line, name=tables.slots[slot], slot=slot),)

    return make


_LOAD_GLOBAL = row(to.LoadGlobal, name=shifted_name(1))
_COMPARE = row(to.CompareOp, operator=one_of(COMPARISONS, shift=5))

ROWS: Mapping[str, Row] = {
    **{opcode: kept for opcode, kept in cpython_3_12.ROWS.items() if opcode not in _GONE},
    # locals
    "LOAD_FAST": load(*_ONLY),
    "LOAD_FAST_LOAD_FAST": both(load(*_FIRST), load(*_SECOND)),
    "STORE_FAST_LOAD_FAST": both(store(*_FIRST), load(*_SECOND)),
    "STORE_FAST_STORE_FAST": both(store(*_FIRST), store(*_SECOND)),
    # globals and attributes
    "LOAD_GLOBAL": if_bit(1, both(_LOAD_GLOBAL, row(to.PushNull)), _LOAD_GLOBAL),
    **cpython_3_12.attribute_rows(null_first=False),
    # operators
    "COMPARE_OP": if_bit(16, both(_COMPARE, row(to.ToBool)), _COMPARE),
    "TO_BOOL": row(to.ToBool),
    # strings
    "CONVERT_VALUE": row(to.ConvertValue, conversion=one_of(CONVERSIONS)),
    "FORMAT_SIMPLE": row(to.FormatValue, conversion="", has_spec=False),
    "FORMAT_WITH_SPEC": row(to.FormatValue, conversion="", has_spec=True),
    # loops
    "FOR_ITER": row(to.ForIter, target=forward_and_over(2), pops_at_end=True),
    "END_FOR": row(to.Pop),
    # calls and functions
    "CALL": row(to.Call, count=argument, keywords=keywords, null_first=False),
    "CALL_KW": row(to.Call, count=argument, keywords=keywords, null_first=False),
    "CALL_FUNCTION_EX": row(to.CallFunctionEx, has_kwargs=has_bit(1), null_first=False),
    "MAKE_FUNCTION": row(to.MakeFunction, flags=0),
    "SET_FUNCTION_ATTRIBUTE": row(to.SetFunctionAttribute, flag=argument),
    # intrinsics
    "CALL_INTRINSIC_2": by_argument(
        *cpython_3_12.INTRINSICS_OF_TWO, row(to.TypeParameterOp, operation="set default", count=2)
    ),
}


def join(instructions: Iterable[RawInstruction]) -> list[RawInstruction]:
    """The LOAD_CONST of the keyword names becomes part of the CALL_KW behind it, which is then found at its
    offset."""
    joined: list[RawInstruction] = []
    for raw in instructions:
        if raw.opcode != "CALL_KW":
            joined.append(raw)
            continue
        if not joined or joined[-1].opcode != "LOAD_CONST":
            raise UndecodableCode(
                f"CALL_KW at offset {raw.offset} doesn't follow the constant with its names"
            )
        names = joined.pop()
        joined.append(replace(raw, offset=names.offset, keywords=names.argument))
    return joined
