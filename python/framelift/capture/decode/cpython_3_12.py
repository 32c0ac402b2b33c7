"""CPython 3.12: the rows that differ from 3.11.

New: comprehensions are inlined and save the locals they hide; methods and ``super()`` are loaded by
attribute opcodes with bits; rare opcodes became numbered intrinsics; conditional jumps only go forward. An
exhausted loop goes on behind END_FOR, which is there for generators run in place and nothing else leads to.
"""

from __future__ import annotations

from collections.abc import Mapping

from framelift.capture.decode import cpython_3_11
from framelift.capture.decode import instruction as to
from framelift.capture.decode.rows import (
    COMPARISONS,
    Row,
    argument,
    both,
    by_argument,
    constant,
    forward,
    forward_and_over,
    has_bit,
    if_bit,
    name,
    one_of,
    row,
    shifted_name,
    slot_name,
)

ABSORBED = frozenset({"CACHE", "EXTENDED_ARG", "KW_NAMES"})

# The interpreter's own: no code object that Python can see has them.
INTERNAL = frozenset({"INTERPRETER_EXIT", "RESERVED"})

_GONE = frozenset(
    {
        *("ASYNC_GEN_WRAP", "IMPORT_STAR", "LIST_TO_TUPLE", "PREP_RERAISE_STAR", "PRINT_EXPR"),
        *("UNARY_POSITIVE", "LOAD_CLASSDEREF", "LOAD_METHOD"),
        *("JUMP_IF_TRUE_OR_POP", "JUMP_IF_FALSE_OR_POP"),
        *("POP_JUMP_FORWARD_IF_TRUE", "POP_JUMP_FORWARD_IF_FALSE"),
        *("POP_JUMP_FORWARD_IF_NONE", "POP_JUMP_FORWARD_IF_NOT_NONE"),
        *("POP_JUMP_BACKWARD_IF_TRUE", "POP_JUMP_BACKWARD_IF_FALSE"),
        *("POP_JUMP_BACKWARD_IF_NONE", "POP_JUMP_BACKWARD_IF_NOT_NONE"),
    }
)

_NONE = row(to.LoadConst, value=None)

INTRINSICS_OF_ONE: tuple[Row | None, ...] = (
    None,  # 0 is invalid
    both(row(to.PrintExpression), _NONE),
    both(row(to.ImportStar), _NONE),
    row(to.StopIterationError),
    row(to.AsyncGeneratorWrap),
    row(to.UnaryOp, operator="+"),
    row(to.ListToTuple),
    row(to.TypeParameterOp, operation="typevar", count=1),
    row(to.TypeParameterOp, operation="paramspec", count=1),
    row(to.TypeParameterOp, operation="typevartuple", count=1),
    row(to.TypeParameterOp, operation="subscript generic", count=1),
    row(to.TypeParameterOp, operation="type alias", count=1),
)
INTRINSICS_OF_TWO: tuple[Row | None, ...] = (
    None,  # 0 is invalid
    row(to.PrepareReraiseStar),
    row(to.TypeParameterOp, operation="typevar with bound", count=2),
    row(to.TypeParameterOp, operation="typevar with constraints", count=2),
    row(to.TypeParameterOp, operation="set function type params", count=2),
)


def attribute_rows(null_first: bool) -> Mapping[str, Row]:
    """Attributes and ``super()``; the bits of the argument say what is pushed."""
    super_method = row(to.LoadSuperMethod, name=shifted_name(2), explicit=has_bit(2), null_first=null_first)
    super_attribute = row(to.LoadSuperAttr, name=shifted_name(2), explicit=has_bit(2))
    method = row(to.LoadMethod, name=shifted_name(1), null_first=null_first)
    attribute = row(to.LoadAttr, name=shifted_name(1))
    return {
        "LOAD_ATTR": if_bit(1, method, attribute),
        "LOAD_SUPER_ATTR": if_bit(1, super_method, super_attribute),
    }


ROWS: Mapping[str, Row] = {
    **{opcode: kept for opcode, kept in cpython_3_11.ROWS.items() if opcode not in _GONE},
    # locals, cells, namespaces
    "LOAD_FAST_CHECK": row(to.LoadFast, name=slot_name, slot=argument),
    "LOAD_FAST_AND_CLEAR": row(to.LoadFastAndClear, name=slot_name, slot=argument),
    "LOAD_LOCALS": row(to.LoadLocals),
    "LOAD_FROM_DICT_OR_DEREF": row(to.LoadFromDictOrDeref, name=slot_name, slot=argument),
    "LOAD_FROM_DICT_OR_GLOBALS": row(to.LoadFromDictOrGlobals, name=name),
    # attributes and operators
    **attribute_rows(null_first=True),
    "COMPARE_OP": row(to.CompareOp, operator=one_of(COMPARISONS, shift=4)),
    "BINARY_SLICE": row(to.BinarySlice),
    "STORE_SLICE": row(to.StoreSlice),
    # jumps and loops
    "POP_JUMP_IF_TRUE": row(to.PopJumpIf, condition="true", target=forward),
    "POP_JUMP_IF_FALSE": row(to.PopJumpIf, condition="false", target=forward),
    "POP_JUMP_IF_NONE": row(to.PopJumpIf, condition="none", target=forward),
    "POP_JUMP_IF_NOT_NONE": row(to.PopJumpIf, condition="not none", target=forward),
    "FOR_ITER": row(to.ForIter, target=forward_and_over(1), pops_at_end=True),
    "END_FOR": row(to.EndFor),
    # functions and generators
    "RETURN_CONST": both(row(to.LoadConst, value=constant), row(to.ReturnValue)),
    "SEND": row(to.Send, target=forward, pops_at_end=False),
    "END_SEND": row(to.EndSend),
    "CLEANUP_THROW": row(to.CleanupThrow),
    # intrinsics
    "CALL_INTRINSIC_1": by_argument(*INTRINSICS_OF_ONE),
    "CALL_INTRINSIC_2": by_argument(*INTRINSICS_OF_TWO),
}

join = cpython_3_11.join
