"""Stack depths by static analysis, from the stack effects that the instructions state.

The depth before an instruction is the same on every path to it; CPython's compiler sees to that, and code in
which it isn't so is refused. Instructions nothing leads to have no depth: ``UNREACHABLE``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from framelift.capture.decode import instruction as vocabulary
from framelift.capture.decode.exception_table import Handler, find_handler
from framelift.capture.decode.instruction import Instruction
from framelift.capture.decode.raw import UndecodableCode

UNREACHABLE = -1

_LEAVE = (vocabulary.ReturnValue, vocabulary.RaiseVarargs, vocabulary.Reraise)


class _Effect(NamedTuple):
    """A stated effect in numbers: items added whatever the instance says, and how often the items that vary
    (``name...``) and the one that may be missing (``name?``) are added."""

    fixed: int
    variable: int
    optional: int


_NO_ITEM = _Effect(0, 0, 0)


def depth_change(inst: Instruction, jumps: bool = False) -> int:
    """How many items the stack grows by at ``inst``, when it goes on to the next or when it ``jumps``."""
    match inst:
        case vocabulary.ForIter() if jumps:
            return -1 if inst.pops_at_end else 1
        case vocabulary.Send() if jumps:
            return -1 if inst.pops_at_end else 0
        case vocabulary.JumpIfOrPop():
            return 0 if jumps else -1
    effect = _stated(type(inst))
    change = effect.fixed
    if effect.variable:
        change += effect.variable * variable_items(inst)
    if effect.optional:
        change += effect.optional * _optional_item(inst)
    return change


def variable_items(inst: Instruction) -> int:
    """How many items the ``name...`` in the effect of ``inst`` stands for."""
    match inst:
        case vocabulary.BuildMap():
            return 2 * inst.count
        case vocabulary.UnpackEx():
            return inst.before + 1 + inst.after
        case vocabulary.MakeFunction():
            return inst.flags.bit_count()
        case vocabulary.Reraise():
            return inst.keep
        case _:
            return inst.count  # type: ignore[attr-defined]


def successors(index: int, inst: Instruction) -> Iterator[tuple[int, bool]]:
    """Where control goes from ``inst`` at ``index`` when it doesn't raise, and whether that is a jump."""
    target = getattr(inst, "target", None)
    if target is not None:
        yield target, True
    if not isinstance(inst, (*_LEAVE, vocabulary.Jump)):
        yield index + 1, False


def stack_depths(instructions: Sequence[Instruction], handlers: Sequence[Handler]) -> tuple[int, ...]:
    """The depth before each instruction."""
    depths = [UNREACHABLE] * len(instructions)
    waiting = [(0, 0)]
    while waiting:
        index, depth = waiting.pop()
        if index >= len(instructions):
            raise UndecodableCode("control runs off the end")
        if depths[index] != UNREACHABLE:
            if depths[index] != depth:
                offset = instructions[index].offset
                raise UndecodableCode(f"stack depth {depths[index]} or {depth} at offset {offset}")
            continue
        depths[index] = depth
        inst = instructions[index]
        for successor, jumps in successors(index, inst):
            after = depth + depth_change(inst, jumps)
            if after < 0:
                raise UndecodableCode(f"nothing to pop at offset {inst.offset}")
            waiting.append((successor, after))
        handler = find_handler(handlers, index)
        if handler is not None:
            waiting.append((handler.target_index, handler.depth + handler.lasti + 1))
    return tuple(depths)


def effect_sides(stack_effect: str) -> tuple[list[str], list[str]]:
    """The items before and after, of a stack effect in words."""
    before, after = stack_effect.removeprefix("(").removesuffix(")").split("--")
    return _items(before), _items(after)


@cache
def _stated(cls: type[Instruction]) -> _Effect:
    """The stated effect of a class in numbers."""
    before, after = effect_sides(cls.stack_effect)
    added = zip(_NO_ITEM, *map(_count, after), strict=True)
    removed = zip(_NO_ITEM, *map(_count, before), strict=True)
    return _Effect(*(sum(more) - sum(fewer) for more, fewer in zip(added, removed, strict=True)))


def _count(item: str) -> _Effect:
    """One word of a stack effect."""
    if item == "...":
        return _NO_ITEM
    if item.endswith("..."):
        return _Effect(0, 1, 0)
    if item.endswith("?"):
        return _Effect(0, 0, 1)
    return _Effect(1, 0, 0)


def _items(side: str) -> list[str]:
    return [item.strip() for item in side.split(",") if item.strip()]


def _optional_item(inst: Instruction) -> bool:
    """Whether the ``name?`` in the effect of ``inst`` is there."""
    match inst:
        case vocabulary.CallFunctionEx():
            return inst.has_kwargs
        case vocabulary.FormatValue():
            return inst.has_spec
    raise AssertionError(f"{type(inst).__name__} doesn't say whether its optional item is there")
