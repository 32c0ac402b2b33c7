"""CPython 3.11: one row per opcode.

Peculiar to it: a call is spelled KW_NAMES, PRECALL, CALL (the first only with keywords), and may be started
at whichever comes first; NULL lies below the callable; conditional jumps name their direction; SEND pops the
receiver when that has returned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from framelift.capture.decode import instruction as to
from framelift.capture.decode.raw import RawInstruction, UndecodableCode
from framelift.capture.decode.rows import (
    BINARY_OPERATORS,
    COMPARISONS,
    CONVERSIONS,
    Row,
    argument,
    backward,
    bits,
    both,
    constant,
    forward,
    has_bit,
    if_bit,
    keywords,
    name,
    one_of,
    row,
    shifted_name,
    slot_name,
)

# Known to dis, but never an instruction of its own: read away in raw.py or joined by ``join``.
ABSORBED = frozenset({"CACHE", "EXTENDED_ARG", "KW_NAMES", "PRECALL"})

# The interpreter's own: no code object that Python can see has them.
INTERNAL: frozenset[str] = frozenset()

ROWS: Mapping[str, Row] = {
    # the stack
    "NOP": row(to.Nop),
    "RESUME": row(to.Resume),
    "POP_TOP": row(to.Pop),
    "COPY": row(to.Copy, depth=argument),
    "SWAP": row(to.Swap, depth=argument),
    "PUSH_NULL": row(to.PushNull),
    "LOAD_CONST": row(to.LoadConst, value=constant),
    # locals and cells
    "LOAD_FAST": row(to.LoadFast, name=slot_name, slot=argument),
    "STORE_FAST": row(to.StoreFast, name=slot_name, slot=argument),
    "DELETE_FAST": row(to.DeleteFast, name=slot_name, slot=argument),
    "MAKE_CELL": row(to.MakeCell, name=slot_name, slot=argument),
    "COPY_FREE_VARS": row(to.CopyFreeVars, count=argument),
    "LOAD_CLOSURE": row(to.LoadClosure, name=slot_name, slot=argument),
    "LOAD_DEREF": row(to.LoadDeref, name=slot_name, slot=argument),
    "LOAD_CLASSDEREF": row(to.LoadClassDeref, name=slot_name, slot=argument),
    "STORE_DEREF": row(to.StoreDeref, name=slot_name, slot=argument),
    "DELETE_DEREF": row(to.DeleteDeref, name=slot_name, slot=argument),
    # globals and namespaces
    "LOAD_GLOBAL": if_bit(
        1,
        both(row(to.PushNull), row(to.LoadGlobal, name=shifted_name(1))),
        row(to.LoadGlobal, name=shifted_name(1)),
    ),
    "STORE_GLOBAL": row(to.StoreGlobal, name=name),
    "DELETE_GLOBAL": row(to.DeleteGlobal, name=name),
    "LOAD_NAME": row(to.LoadName, name=name),
    "STORE_NAME": row(to.StoreName, name=name),
    "DELETE_NAME": row(to.DeleteName, name=name),
    "SETUP_ANNOTATIONS": row(to.SetupAnnotations),
    # attributes
    "LOAD_ATTR": row(to.LoadAttr, name=name),
    "LOAD_METHOD": row(to.LoadMethod, name=name, null_first=True),
    "STORE_ATTR": row(to.StoreAttr, name=name),
    "DELETE_ATTR": row(to.DeleteAttr, name=name),
    # operators
    "UNARY_POSITIVE": row(to.UnaryOp, operator="+"),
    "UNARY_NEGATIVE": row(to.UnaryOp, operator="-"),
    "UNARY_INVERT": row(to.UnaryOp, operator="~"),
    "UNARY_NOT": row(to.UnaryOp, operator="not"),
    "BINARY_OP": row(to.BinaryOp, operator=one_of(BINARY_OPERATORS)),
    "BINARY_SUBSCR": row(to.BinaryOp, operator="[]"),
    "COMPARE_OP": row(to.CompareOp, operator=one_of(COMPARISONS)),
    "IS_OP": row(to.IsOp, invert=has_bit(1)),
    "CONTAINS_OP": row(to.ContainsOp, invert=has_bit(1)),
    "STORE_SUBSCR": row(to.StoreSubscr),
    "DELETE_SUBSCR": row(to.DeleteSubscr),
    "GET_LEN": row(to.GetLen),
    # displays, comprehensions, unpacking, strings
    "BUILD_SLICE": row(to.BuildSlice, count=argument),
    "BUILD_TUPLE": row(to.BuildTuple, count=argument),
    "BUILD_LIST": row(to.BuildList, count=argument),
    "BUILD_SET": row(to.BuildSet, count=argument),
    "BUILD_MAP": row(to.BuildMap, count=argument),
    "BUILD_CONST_KEY_MAP": row(to.BuildConstKeyMap, count=argument),
    "BUILD_STRING": row(to.BuildString, count=argument),
    "LIST_APPEND": row(to.ListAppend, depth=argument),
    "SET_ADD": row(to.SetAdd, depth=argument),
    "MAP_ADD": row(to.MapAdd, depth=argument),
    "LIST_EXTEND": row(to.ListExtend, depth=argument),
    "SET_UPDATE": row(to.SetUpdate, depth=argument),
    "DICT_UPDATE": row(to.DictUpdate, depth=argument),
    "DICT_MERGE": row(to.DictMerge, depth=argument),
    "LIST_TO_TUPLE": row(to.ListToTuple),
    "UNPACK_SEQUENCE": row(to.UnpackSequence, count=argument),
    "UNPACK_EX": row(to.UnpackEx, before=bits(0, 0xFF), after=bits(8)),
    "FORMAT_VALUE": row(to.FormatValue, conversion=one_of(CONVERSIONS, mask=3), has_spec=has_bit(4)),
    # jumps and loops
    "JUMP_FORWARD": row(to.Jump, target=forward),
    "JUMP_BACKWARD": row(to.Jump, target=backward),
    "JUMP_BACKWARD_NO_INTERRUPT": row(to.Jump, target=backward),
    "POP_JUMP_FORWARD_IF_TRUE": row(to.PopJumpIf, condition="true", target=forward),
    "POP_JUMP_FORWARD_IF_FALSE": row(to.PopJumpIf, condition="false", target=forward),
    "POP_JUMP_FORWARD_IF_NONE": row(to.PopJumpIf, condition="none", target=forward),
    "POP_JUMP_FORWARD_IF_NOT_NONE": row(to.PopJumpIf, condition="not none", target=forward),
    "POP_JUMP_BACKWARD_IF_TRUE": row(to.PopJumpIf, condition="true", target=backward),
    "POP_JUMP_BACKWARD_IF_FALSE": row(to.PopJumpIf, condition="false", target=backward),
    "POP_JUMP_BACKWARD_IF_NONE": row(to.PopJumpIf, condition="none", target=backward),
    "POP_JUMP_BACKWARD_IF_NOT_NONE": row(to.PopJumpIf, condition="not none", target=backward),
    "JUMP_IF_TRUE_OR_POP": row(to.JumpIfOrPop, condition="true", target=forward),
    "JUMP_IF_FALSE_OR_POP": row(to.JumpIfOrPop, condition="false", target=forward),
    "GET_ITER": row(to.GetIter),
    "FOR_ITER": row(to.ForIter, target=forward, pops_at_end=True),
    # calls and functions
    "CALL": row(to.Call, count=argument, keywords=keywords, null_first=True),
    "CALL_FUNCTION_EX": row(to.CallFunctionEx, has_kwargs=has_bit(1), null_first=True),
    "MAKE_FUNCTION": row(to.MakeFunction, flags=argument),
    "RETURN_VALUE": row(to.ReturnValue),
    "LOAD_BUILD_CLASS": row(to.LoadBuildClass),
    # imports
    "IMPORT_NAME": row(to.ImportName, name=name),
    "IMPORT_FROM": row(to.ImportFrom, name=name),
    "IMPORT_STAR": row(to.ImportStar),
    # exceptions and context managers
    "LOAD_ASSERTION_ERROR": row(to.LoadAssertionError),
    "RAISE_VARARGS": row(to.RaiseVarargs, count=argument),
    "RERAISE": row(to.Reraise, keep=argument),
    "PUSH_EXC_INFO": row(to.PushExcInfo),
    "POP_EXCEPT": row(to.PopExcept),
    "CHECK_EXC_MATCH": row(to.CheckExcMatch),
    "CHECK_EG_MATCH": row(to.CheckExceptionGroupMatch),
    "PREP_RERAISE_STAR": row(to.PrepareReraiseStar),
    "BEFORE_WITH": row(to.BeforeWith),
    "BEFORE_ASYNC_WITH": row(to.BeforeAsyncWith),
    "WITH_EXCEPT_START": row(to.WithExceptStart),
    # generators and coroutines
    "RETURN_GENERATOR": row(to.ReturnGenerator),
    "YIELD_VALUE": row(to.YieldValue),
    "GET_YIELD_FROM_ITER": row(to.GetYieldFromIter),
    "SEND": row(to.Send, target=forward, pops_at_end=True),
    "GET_AWAITABLE": row(to.GetAwaitable, where=argument),
    "GET_AITER": row(to.GetAsyncIter),
    "GET_ANEXT": row(to.GetAsyncNext),
    "END_ASYNC_FOR": row(to.EndAsyncFor),
    "ASYNC_GEN_WRAP": row(to.AsyncGeneratorWrap),
    # patterns
    "MATCH_CLASS": row(to.MatchClass, count=argument),
    "MATCH_MAPPING": row(to.MatchMapping),
    "MATCH_SEQUENCE": row(to.MatchSequence),
    "MATCH_KEYS": row(to.MatchKeys),
    # the interactive prompt
    "PRINT_EXPR": row(to.PrintExpression),
}


def join(instructions: Iterable[RawInstruction]) -> list[RawInstruction]:
    """KW_NAMES and PRECALL become part of the CALL behind them, which is then found at their offset."""
    joined: list[RawInstruction] = []
    start: int | None = None
    names: int | None = None
    for raw in instructions:
        match raw.opcode:
            case "KW_NAMES":
                start, names = raw.offset, raw.argument
            case "PRECALL":
                start = raw.offset if start is None else start
            case "CALL" if start is not None:
                joined.append(replace(raw, offset=start, keywords=names))
                start = names = None
            case _ if start is not None:
                raise UndecodableCode(f"KW_NAMES or PRECALL at offset {start} is not followed by CALL")
            case _:
                joined.append(raw)
    return joined
