"""Starting a capture at a resume point, stopping it, and collecting what it gives."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any

import torch

from framelift import _native, torch_internals
from framelift.capture import outside
from framelift.capture.datamodel import halfway
from framelift.capture.decode import UndecodableCode, decode
from framelift.capture.decode.instruction import RaiseVarargs, Reraise
from framelift.capture.effects import DeferredCall
from framelift.capture.exceptions import Raised, arguments_of
from framelift.capture.exits import ExitWriter, Operand
from framelift.capture.frame import Frame
from framelift.capture.interpreter import Interpreter, Stopped, Yielded
from framelift.capture.policy import Policy
from framelift.capture.tables import TABLES
from framelift.capture.torch_calls.state import leave_inference_modes
from framelift.capture.values import EMPTY, Constant, FunctionObject, Lazy, Tensor, TupleObject, Value
from framelift.graph import GraphBuilder, preserved_torch_state
from framelift.graph.errors import CallFailed
from framelift.graph.finished import FinishedGraph
from framelift.graph.torch_state import STATE_ITEMS, read_state
from framelift.guards import GuardSet, kinds
from framelift.guards.sources import Argument, Held, InstanceDict, Source
from framelift.observe import reasons
from framelift.observe.errors import Break


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a segment ends that does not return: before the instruction at ``offset``.

    Its exit program gives a tuple of ``slot_count`` local slots (CPython's localsplus) and ``depth`` stack
    items. ``callees`` are the codes inside which the instruction can't be captured: they are compiled when it
    is performed.
    """

    offset: int
    slot_count: int
    depth: int
    callees: tuple[types.CodeType, ...]


@dataclass(frozen=True, slots=True)
class End:
    """Where a capture is to end: after a number of instructions of the frame, before one that fails inside
    ``callees``."""

    instructions: int
    callees: tuple[types.CodeType, ...]


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a segment begins: a function's code at a byte offset; 0 is its call.

    With ``takes_function`` the function itself is the last of the arguments, and ``function`` only has the
    same code and globals: entries then hold for all functions that do.
    """

    function: types.FunctionType
    offset: int = 0
    takes_function: bool = False


@dataclass(frozen=True, slots=True)
class Captured:
    """A segment captured to its end.

    ``graph`` is None if it computes nothing on tensors. ``operations``, ``commit_at`` and ``result`` are the
    exit program (``exits.py``); ``builder`` gives the shape conditions once the backend has compiled.
    ``stop`` is None where the segment ends with the function's return; ``outdated`` are then the local slots
    of a continued frame which don't hold what they did at the segment's beginning.
    """

    graph: FinishedGraph | None
    builder: GraphBuilder
    guards: GuardSet
    operations: list[tuple]
    commit_at: int
    result: Operand
    stop: Stop | None
    outdated: tuple[int, ...]


class CaptureFailed(Exception):
    """A segment that can't be captured to its end.

    ``error`` is the break, ``guards`` what was looked at until then. ``stops`` is where a shorter segment may
    end, the longest first: before the instruction that can't be done; before one that raised, as an exception
    that has been raised can't be made again; before the one that made a generator which is half-way; before
    text of data was made, as the exit can't make it. With ``counted_elsewhere`` the break is inside a callee
    that will meet it again in a frame of its own; or an exception goes on whose raising was a break.
    ``looks_at_history``: the program has asked a tensor for its node of autograd.
    """

    def __init__(
        self,
        error: Break,
        guards: GuardSet,
        stops: tuple[End, ...] = (),
        counted_elsewhere: bool = False,
        looks_at_history: bool = False,
    ) -> None:
        super().__init__(error)
        self.looks_at_history = looks_at_history
        self.counted_elsewhere = counted_elsewhere
        self.error = error
        self.guards = guards
        self.stops = stops


def capture_segment(
    start: ResumePoint,
    arguments: tuple[object, ...],
    policy: Policy,
    *,
    check: bool,
    end: End | None = None,
) -> Captured:
    """Capture a segment of one call.

    ``arguments`` are, at offset 0, the bound arguments in the order of the code's first local variables,
    else the frame's slots and stack (``UNBOUND`` where there is NULL). With an ``end`` the segment stops
    there. With ``check`` the finished graph is verified. Raises ``CaptureFailed``. The thread's torch state
    is as before, whatever happens.
    """
    guards = GuardSet()
    guards.require_state()
    if torch_internals.modes_active():
        modes = Break(reasons.GLOBAL_STATE, "a torch function mode or dispatch mode is active")
        raise CaptureFailed(modes, guards)
    builder = GraphBuilder(
        check=check, scalar_outputs=policy.scalar_outputs, dynamic_outputs=policy.dynamic_outputs
    )
    TABLES.add_late()
    vm = Interpreter(builder, guards, policy, TABLES)
    if end is not None:
        vm.stop_at = end.instructions
    try:
        with preserved_torch_state() as before:
            try:
                frame = start_frame(vm, start, arguments)
                before_it = list(frame.slots)
                result, stop = run_segment(vm, frame, end)
                replay_state(vm, before)
                replay_handled(vm)
                leave_inference_modes(vm)
                pairs = zip(before_it, frame.slots, strict=True)
                outdated = tuple(i for i, (old, new) in enumerate(pairs) if new is not old)
                return finish(vm, frame, result, stop, outdated if start.offset and stop is None else ())
            finally:
                builder.close()
    except Break as error:
        complete_guards(vm)
        elsewhere = is_inner(error) or goes_on(vm, error)
        stops = places_to_stop(vm, error)
        raise CaptureFailed(error, guards, stops, elsewhere, vm.looks_at_history) from error
    finally:
        vm.close()


def places_to_stop(vm: Interpreter, error: Break) -> tuple[End, ...]:
    """Where a shorter segment than the one that ``error`` ended may end."""
    ends = [End(vm.done, error.callees)]
    ends += [End(*place) for place in (*vm.raises[:-3:-1], *vm.raises[:1])]
    if (done := vm.before_open_generators()) is not None:
        ends.append(End(done, error.callees))
    ends += [End(text.done, text.error.callees) for text in reversed(vm.postponed)]
    for text in vm.postponed:
        if text.error is error:
            ends = [end for end in ends if end.instructions <= text.done]
    first: dict[int, End] = {}
    for end in ends:
        first.setdefault(end.instructions, end)
    return tuple(first.values())


def is_inner(error: Break) -> bool:
    """Whether a callee will meet the break again in a frame of its own."""
    return bool(error.callees) and error.reason is not reasons.TOO_DEEP


def goes_on(vm: Interpreter, error: Break) -> bool:
    """Whether the break is an exception that is raised once more after its handler, by the captured frame."""
    again = isinstance(vm.last, RaiseVarargs | Reraise) and getattr(vm.last, "count", 0) == 0
    return again and error.reason is reasons.EXCEPTION_FROM_OUTSIDE and len(error.stack) == 1


def start_frame(vm: Interpreter, start: ResumePoint, arguments: tuple[object, ...]) -> Frame:
    """The frame in the state that ``arguments`` describe."""
    function = start.function
    if start.takes_function:
        *arguments, given = arguments
        value = outside.open_function_of_frame(vm, given, Argument(len(arguments), function.__qualname__))
    else:
        value = outside.look(vm, Lazy(function, Held(function, function.__qualname__)))
    assert isinstance(value, FunctionObject)
    try:
        frame = Frame(decode(value.code), value)
    except UndecodableCode as error:
        raise Break(reasons.UNSUPPORTED_INSTRUCTION, str(error)) from error
    names = frame.decoded.slots
    if start.offset == 0:
        frame.slots[: len(arguments)] = [
            Lazy(item, Argument(i, names[i])) for i, item in enumerate(arguments)
        ]
        return frame
    frame.index = frame.decoded.index_at[start.offset]
    slot_count = len(names)
    cells = len(names) - len(function.__code__.co_cellvars) - len(function.__code__.co_freevars)
    for i, item in enumerate(arguments):
        source = Argument(i, names[i] if i < slot_count else f"stack[{i - slot_count}]")
        state = open_state(vm, item, source, is_cell=i >= cells or isinstance(item, types.CellType))
        if i < slot_count:
            frame.slots[i] = state
        else:
            frame.stack.append(EMPTY if state is None else state)
    return frame


def open_state(vm: Interpreter, item: object, source: Argument, *, is_cell: bool) -> Value | None:
    """The value of a slot or stack item of a frame that is continued, None for NULL."""
    if item is _native.UNBOUND:
        vm.guards.add(source, kinds.Is(item))
        return None
    vm.guards.add(source, kinds.IsNot(_native.UNBOUND))
    lazy = Lazy(item, source)
    return outside.look(vm, lazy) if is_cell else lazy


def run_segment(vm: Interpreter, frame: Frame, end: End | None) -> tuple[Value, Stop | None]:
    """Interpret until the function returns or the segment stops; gives the result or the frame's state.

    A segment stops before the instruction that suspends the frame: CPython does that.
    """
    try:
        result = vm.run(frame)
        check_generators(vm)
        if isinstance(result, Yielded):
            frame.stack.append(result.value)
            frame.index -= 1
            return stopped_state(vm, frame, ())
        return result, None
    except Stopped:
        check_generators(vm)
        return stopped_state(vm, frame, end.callees if end else ())
    except Raised as error:
        texts = ", ".join(
            repr(item.value) if isinstance(item, Constant) else "…" for item in arguments_of(error.value)
        )
        escaped = Break(reasons.ESCAPING_EXCEPTION, f"{error.value.cls.__name__}({texts})")
        escaped.stack, escaped.callees = error.stack, error.callees
        raise escaped from None
    except RecursionError as error:
        raise Break(reasons.TOO_DEEP, str(error)) from error


def check_generators(vm: Interpreter) -> None:
    """What a segment leaves half-way, CPython would close, now or later, and so run its handlers."""
    left = vm.to_be_closed()
    if left is not None:
        what = f"{left.frame.function.qualname} is left half-way inside `try` or `with`"
        raise Break(reasons.GENERATOR_ESCAPES, what)


def stopped_state(vm: Interpreter, frame: Frame, callees: tuple[types.CodeType, ...]) -> tuple[Value, Stop]:
    """The state of a frame that stops before its next instruction."""
    inst = frame.decoded.instructions[frame.index]
    if not inst.resumable:
        raise Break(reasons.NOT_REBUILDABLE, "a frame inside an instruction")
    unbound = Constant(_native.UNBOUND)
    slots = [unbound if value is None else value for value in frame.slots]
    stack = [unbound if value is EMPTY else value for value in frame.stack]
    return TupleObject([*slots, *stack]), Stop(inst.offset, len(slots), len(stack), callees)


def replay_state(vm: Interpreter, before: tuple) -> None:
    """Torch state that the segment leaves changed is set at the exit, whatever the backend did with it."""
    for item, old, new in zip(STATE_ITEMS, before, read_state(), strict=True):
        if old != new:
            vm.effects.add(DeferredCall(item.write, (Constant(new),), ()))


def replay_handled(vm: Interpreter) -> None:
    """A segment that ends in another handler than it began in leaves another exception as handled."""
    if vm.handled is not vm.handled_at_start:
        vm.effects.add(DeferredCall(_native.set_handled_exception, (vm.handled,), ()))


def finish(
    vm: Interpreter, frame: Frame, result: Value, stop: Stop | None, outdated: tuple[int, ...]
) -> Captured:
    """Write the exit, close the graph, complete the guards."""
    writer = ExitWriter(vm)
    try:
        operations, commit_at, operand = writer.write(result)
    except Break as error:
        error.stack = error.stack or [frame.position()]
        raise
    complete_guards(vm)
    try:
        graph: Any = vm.graph.finish(writer.graph_outputs, keeps_history=vm.policy.keeps_history)
    except CallFailed as error:
        raise Break(reasons.UNSUPPORTED_OPERATOR, str(error)) from error
    guard_written_inputs(vm, graph)
    if not graph.operator_count and not writer.graph_outputs:
        graph = None
    return Captured(graph, vm.graph, vm.guards, operations, commit_at, operand, stop, outdated)


def complete_guards(vm: Interpreter) -> None:
    """What is known only at the end of a segment."""
    halfway.guard_advanced(vm)
    guard_identities(vm)


def guard_identities(vm: Interpreter) -> None:
    """Objects whose identity mattered must stay different from each other.

    One that was looked up among the keys of an outside container must stay the object itself. The others are
    those compared with ``is`` or used as keys; and an object that was written to against all
    others of its class, as a write through one name must not be missed through another.
    """
    for value in vm.identities.values():
        if type(value.real) in vm.key_types and not isinstance(value.source, Held):
            vm.guards.add(value.source, kinds.Is(value.real))
    groups: list[list[Source]] = [[value.source for value in vm.identities.values()]]
    opened = [value for value in vm.seen.values() if getattr(value, "real", None) is not None]
    targets = vm.effects.targets()
    if any(isinstance(target, Tensor) for target in targets):
        groups.append([value.source for value in opened if isinstance(value, Tensor)])
    for target in targets:
        if not isinstance(target, Tensor) and not isinstance(target.source, Held):
            alike = [other for other in opened if other is not target and could_be_one(target, other)]
            groups.append([owner_source(value) for value in (target, *alike)])
    for _, container in vm.iterated.values():
        if container is None:
            continue
        alike = [target for target in targets if type(getattr(target, "real", None)) is type(container.real)]
        others = [target.source for target in alike if target.real is not container.real]
        groups += [[container.source, source] for source in others]
    for group in groups:
        sources = [source for source in group if not isinstance(source, Held)]
        if len(sources) > 1:
            vm.guards.distinct(sources)


def could_be_one(left: Value, right: Value) -> bool:
    """Whether another call could bring one object for both: of one class, dictionaries of one owner class."""
    owners = (getattr(left, "owner_class", None), getattr(right, "owner_class", None))
    return type(left.real) is type(right.real) and owners[0] is owners[1]


def owner_source(value: Value) -> Source:
    """Where to compare identities: an object's ``__dict__`` is its own, and may not be made yet."""
    source = value.source
    return source.base if isinstance(source, InstanceDict) else source


def graph_overlap(graph: FinishedGraph, tensors: list[int]) -> list[tuple[int, int]]:
    """The pairs of inputs that overlap, as positions among those that are tensors."""
    return [(tensors.index(first), tensors.index(second)) for first, second in graph.overlap]


def guard_written_inputs(vm: Interpreter, graph: FinishedGraph) -> None:
    """A graph that changes an input was captured for inputs that are different tensors, and a write to one
    was seen, or not seen, in others: a call must bring the same relation."""
    tensors = [
        place for place, example in enumerate(graph.example_inputs) if isinstance(example, torch.Tensor)
    ]
    if graph.written:
        vm.guards.memory(
            [graph.inputs[place] for place in tensors],
            [place in graph.written for place in tensors],
            [graph.example_inputs[place].element_size() for place in tensors],
            graph_overlap(graph, tensors),
        )
    if graph.mutated_inputs:
        sources = [graph.inputs[place] for place in tensors]
        vm.guards.distinct([source for source in sources if not isinstance(source, Held)])
