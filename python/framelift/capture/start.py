"""Starting a capture from the bound arguments of a call, and collecting what it gives."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any

from framelift import torch_internals
from framelift.capture import outside
from framelift.capture.decode import UndecodableCode, decode
from framelift.capture.exceptions import Raised, arguments_of
from framelift.capture.exits import ExitWriter, Operand
from framelift.capture.frame import Frame
from framelift.capture.interpreter import Interpreter
from framelift.capture.policy import Policy
from framelift.capture.tables import TABLES
from framelift.capture.values import Constant, FunctionObject, Lazy, Value
from framelift.graph import GraphBuilder, preserved_torch_state
from framelift.graph.builder import FinishedGraph
from framelift.graph.errors import CallFailed
from framelift.guards import GuardSet
from framelift.guards.sources import Argument, Held
from framelift.observe import reasons
from framelift.observe.errors import Break


@dataclass(frozen=True, slots=True)
class Captured:
    """A call captured to its end.

    ``graph`` is None if the call computes nothing on tensors. ``operations``, ``commit_at`` and ``result`` are
    the exit program (``exits.py``); ``builder`` gives the shape conditions once the backend has compiled.
    """

    graph: FinishedGraph | None
    builder: GraphBuilder
    guards: GuardSet
    operations: list[tuple]
    commit_at: int
    result: Operand


class CaptureFailed(Exception):
    """A call that can't be captured to its end: the break, and the guards of what was looked at until then."""

    def __init__(self, error: Break, guards: GuardSet) -> None:
        super().__init__(error)
        self.error = error
        self.guards = guards


def capture_call(function: types.FunctionType, arguments: tuple[object, ...], policy: Policy, *, check: bool) -> Captured:
    """Capture one call of a Python function.

    ``arguments`` are its bound arguments in the order of the code's first local variables. With ``check`` the
    finished graph is verified. Raises ``CaptureFailed``. The thread's torch state is as before, whatever happens.
    """
    guards = GuardSet()
    guards.require_state()
    if torch_internals.modes_active():
        modes = Break(reasons.GLOBAL_STATE, "a torch function mode or dispatch mode is active")
        raise CaptureFailed(modes, guards)
    builder = GraphBuilder(check=check)
    vm = Interpreter(builder, guards, policy, TABLES)
    try:
        with preserved_torch_state():
            try:
                result = run_call(vm, function, arguments)
                return finish(vm, result)
            finally:
                builder.close()
    except Break as error:
        guard_identities(vm)
        raise CaptureFailed(error, guards) from error


def run_call(vm: Interpreter, function: types.FunctionType, arguments: tuple[object, ...]) -> Value:
    """Interpret the call; gives its result."""
    value = outside.look(vm, Lazy(function, Held(function, function.__qualname__)))
    assert isinstance(value, FunctionObject)
    try:
        frame = Frame(decode(value.code), value)
    except UndecodableCode as error:
        raise Break(reasons.UNSUPPORTED_INSTRUCTION, str(error)) from error
    names = value.code.co_varnames
    frame.slots[: len(arguments)] = [
        Lazy(argument, Argument(i, names[i])) for i, argument in enumerate(arguments)
    ]
    try:
        result = vm.run(frame)
    except Raised as error:
        texts = ", ".join(repr(item.value) if isinstance(item, Constant) else "…" for item in arguments_of(error.value))
        escaped = Break(reasons.ESCAPING_EXCEPTION, f"{error.value.cls.__name__}({texts})")
        escaped.stack = error.stack
        raise escaped from None
    except RecursionError as error:
        raise Break(reasons.TOO_DEEP, str(error)) from error
    return result


def finish(vm: Interpreter, result: Value) -> Captured:
    """Write the exit, close the graph, complete the guards."""
    writer = ExitWriter(vm)
    operations, commit_at, operand = writer.write(result)
    guard_identities(vm)
    try:
        graph: Any = vm.graph.finish(writer.graph_outputs)
    except CallFailed as error:
        raise Break(reasons.UNSUPPORTED_OPERATOR, str(error)) from error
    if not graph.operator_count and not writer.graph_outputs:
        graph = None
    return Captured(graph, vm.graph, vm.guards, operations, commit_at, operand)


def guard_identities(vm: Interpreter) -> None:
    """Objects whose identity mattered must stay different from each other.

    These are the objects compared with ``is`` or used as keys; and an object that was written to against all
    others of its class, as a write through one name must not be missed through another.
    """
    groups: list[list] = [list(vm.identities.values())]
    opened = [value for value in vm.seen.values() if getattr(value, "real", None) is not None]
    for target in vm.effects.targets():
        cls = type(target.real)
        if isinstance(target.source, Held):
            continue
        groups.append([target, *(v for v in opened if v is not target and type(v.real) is cls)])
    for group in groups:
        sources = [value.source for value in group if value.source is not None and not isinstance(value.source, Held)]
        if len(sources) > 1:
            vm.guards.distinct(sources)
