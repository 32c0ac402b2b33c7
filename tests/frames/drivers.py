"""Segments that do nothing, written by hand: a whole function, one instruction at a time.

An entry that stops where it starts leaves the frame as it is, so each break performs one instruction and the
next resume point follows. After a number of such breaks ``on_miss`` gives no more, and CPython has the rest.
"""

from __future__ import annotations

import contextlib
import dis
import inspect
import traceback
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

from framelift._native import (
    UNBOUND,
    CompiledCallable,
    Entry,
    ExitProgram,
    GuardTree,
    set_frame_decisions,
)
from tests.frames import corpus

PROLOGUE = {"COPY_FREE_VARS", "MAKE_CELL"}
SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def instructions(code: CodeType) -> list[dis.Instruction]:
    return list(dis.get_instructions(code))


def offset_of(code: CodeType, name: str, number: int = 0) -> int:
    """Where an instruction of that name stands."""
    found = [inst.offset for inst in instructions(code) if inst.opname == name]
    return found[number]


def call_offset(code: CodeType, number: int = 0) -> int:
    """Where a call starts: at KW_NAMES or PRECALL, where there are such."""
    found = []
    start = None
    for inst in instructions(code):
        if inst.opname in ("KW_NAMES", "PRECALL"):
            start = inst.offset if start is None else start
        elif inst.opname in ("CALL", "CALL_KW"):
            found.append(inst.offset if start is None else start)
            start = None
    return found[number]


def callee_and_null(callee: Any) -> list[Any]:
    """The operands of a call below its arguments, in the order of this Python."""
    after = dis.opmap.get("CALL_KW") is not None
    return [callee, UNBOUND] if after else [UNBOUND, callee]


def slot_names(code: CodeType) -> list[str]:
    cells = [name for name in code.co_cellvars if name not in code.co_varnames]
    return [*code.co_varnames, *cells, *code.co_freevars]


def slot_count(code: CodeType) -> int:
    return len(slot_names(code))


def everything(count: int) -> GuardTree:
    """Guards nothing and collects each of ``count`` arguments."""
    nodes = [(-1, ("argument", index), [], index) for index in range(count)]
    return GuardTree(nodes, [], [], [], None, count)


def state(*values: Any) -> ExitProgram:
    """A program whose result is a state of these objects."""
    return ExitProgram([("tuple", [("const", value) for value in values])], 1, ("result", 0))


def returns(value: Any, arguments: int) -> Entry:
    """An entry for any arguments that returns the value."""
    return Entry(everything(arguments), None, [], ExitProgram([], 0, ("const", value)), False, None)


def stops(code: CodeType, offset: int, slots: list[Any], stack: list[Any], arguments: int) -> Entry:
    """An entry for any arguments that stops with these objects."""
    stop = (offset, slot_count(code), len(stack))
    slots = slots + [UNBOUND] * (slot_count(code) - len(slots))
    return Entry(everything(arguments), None, [], state(*slots, *stack), False, None, stop=stop)


def unchanged(code: CodeType, offset: int, count: int) -> Entry:
    """An entry of a resume point with ``count`` objects that stops there at once."""
    operations = [("tuple", [("slot", index) for index in range(count)])]
    program = ExitProgram(operations, 1, ("result", 0))
    slots = slot_count(code)
    return Entry(everything(count), None, [], program, False, None, stop=(offset, slots, count - slots))


def at_start(function: FunctionType, *, of_frame: bool = False) -> Entry:
    """The entry of offset 0 that does what makes the cells and stops behind that.

    With ``of_frame`` it is that of a frame's child, which finds the function behind the arguments.
    """
    code = function.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 4) + bool(code.co_flags & 8)
    names = slot_names(code)
    nodes: list[tuple] = [(-1, ("argument", index), [], index) for index in range(count)]
    slots: list[tuple[str, Any]] = [("slot", index) for index in range(count)]
    slots += [("const", UNBOUND)] * (len(names) - count)
    operations: list[tuple] = []
    if code.co_freevars:
        nodes.append((-1, ("argument", count) if of_frame else ("held", function), [], -1))
        nodes.append((count, ("function_field", "closure"), [], -1))
        for index in range(len(code.co_freevars)):
            nodes.append((count + 1, ("tuple_item", index), [], count + index))
            slots[len(names) - len(code.co_freevars) + index] = ("slot", count + index)
    offset = 0
    for inst in instructions(code):
        if inst.opname not in PROLOGUE:
            offset = inst.offset
            break
        if inst.opname == "MAKE_CELL":
            given = [slots[inst.arg]] if inst.arg < count else []
            slots[inst.arg] = ("result", len(operations))
            operations.append(("call", ("const", CellType), given, ()))
    operations.append(("tuple", slots))
    program = ExitProgram(operations, len(operations), ("result", len(operations) - 1))
    tree = GuardTree(nodes, [], [], [], None, count + of_frame)
    return Entry(tree, None, [], program, False, None, stop=(offset, len(names), 0))


class Stepping:
    """Compiles ``function`` to break at ``limit`` instructions, one after the other.

    A call of a generator function or coroutine is not among them. With ``keeps``, an instruction that was met
    once needs no ``on_miss`` again.
    """

    def __init__(self, function: FunctionType, limit: int, *, keeps: bool = False) -> None:
        self.function = function
        self.left = limit
        self.keeps = keeps
        self.offsets: list[int] = []
        self.compiled = CompiledCallable(function, None, self.miss)

    def miss(
        self, callable_: CompiledCallable, arguments: tuple, failures: Callable, offset: int
    ) -> Entry | None:
        if offset == 0 and self.function.__code__.co_flags & SUSPENDED:
            entry = Entry.cpython(everything(len(arguments)), None)
            callable_.add(entry)
            return entry
        if self.left == 0:
            return None
        self.left -= 1
        self.offsets.append(offset)
        if offset == 0:
            entry = at_start(self.function)
        else:
            entry = unchanged(self.function.__code__, offset, len(arguments))
        if self.keeps:
            callable_.add(entry, offset)
        return entry


class Everywhere:
    """Compiles ``function`` and every frame that its breaks enter, to break at each of their instructions.

    ``decide`` is what ``set_frame_decisions`` is given; ``entered`` are the names of the frames that came.
    """

    def __init__(self, function: FunctionType, decide: Callable[[FunctionType], int]) -> None:
        self.stepping = Stepping(function, 10**9)
        self.decide = decide
        self.entered: list[str] = []
        self.children: dict[CodeType, CompiledCallable] = {}
        self.stepping.compiled.child_for = self.child_for

    def miss(self, callable_: CompiledCallable, arguments: tuple, failures: Callable, offset: int) -> Entry:
        if offset == 0:
            self.entered.append(callable_.function.__code__.co_name)
        return step_in_frame(callable_, arguments, failures, offset)

    def child_for(self, function: FunctionType, first: Any) -> CompiledCallable:
        child = self.children.get(function.__code__)
        if child is None:
            child = self.children[function.__code__] = CompiledCallable(function, None, self.miss)
            child.takes_function = True
            child.child_for = self.child_for
        return child

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        with deciding(self.decide):
            return self.stepping.compiled(*arguments, **keywords)


@contextlib.contextmanager
def deciding(decide: Callable[[FunctionType], int]) -> Iterator[None]:
    """With ``decide`` for the frames that breaks enter."""
    before = set_frame_decisions(decide, ("disabled",))
    try:
        yield
    finally:
        set_frame_decisions(*before)


def step_in_frame(callable_: CompiledCallable, arguments: tuple, failures: Callable, offset: int) -> Entry:
    """The entry that stops where it starts, for the child of a frame: the function is the last argument."""
    if offset == 0:
        return at_start(callable_.function, of_frame=True)
    count, slots = len(arguments) - 1, slot_count(callable_.function.__code__)
    nodes = [(-1, ("argument", index), [], index) for index in range(count)]
    tree = GuardTree(nodes, [], [], [], None, count + 1)
    program = ExitProgram([("tuple", [("slot", index) for index in range(count)])], 1, ("result", 0))
    return Entry(tree, None, [], program, False, None, stop=(offset, slots, count - slots))


def plain(value: Any) -> Any:
    """Something that two calls can be compared by."""
    if isinstance(value, tuple | list):
        return type(value)(map(plain, value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, FunctionType):
        return plain(value())
    if isinstance(value, int | float | str | type | None):
        return value
    return repr(value) if isinstance(value, corpus.Odd | slice) else type(value).__name__


def outcome(function: Callable, arguments: tuple, keywords: dict[str, Any]) -> tuple:
    """What one call did: its value or exception with its places in the source, and the log."""
    corpus.LOG.clear()
    try:
        result: tuple = ("returned", plain(function(*arguments, **keywords)))
    except Exception as error:
        places = traceback.extract_tb(error.__traceback__)[1:]
        columns = [(place.name, place.lineno, place.colno, place.end_colno) for place in places]
        context = [repr(error.__cause__), repr(error.__context__)]
        result = ("raised", type(error), str(error), columns, context)
    return result, list(corpus.LOG)
