"""Torch's global state: read during capture as a constant (the snapshot is guarded), set in the graph.

Also the flags by which code asks whether it is being compiled.
"""

from __future__ import annotations

from framelift import torch_internals
from framelift.capture.datamodel import attributes, constants
from framelift.capture.effects import DeferredCall
from framelift.capture.natives.registry import native
from framelift.capture.values import Constant, ConstructedObject, Tensor, Value
from framelift.capture.values.objects import Object
from framelift.observe import reasons
from framelift.observe.errors import Break


def state_readers():
    """``(C function, handler)`` of the functions that read guarded state."""
    for real in torch_internals.state_readers():
        yield real, lambda vm, a, k, real=real: constants.fold(vm, real, a, k)


def nothing(vm, arguments, keywords):
    """A call without an effect on the program."""
    return Constant(None)


def always_true(vm, arguments, keywords):
    """``is_compiling()`` and its kin."""
    return Constant(True)


def always_false(vm, arguments, keywords):
    """``torch.jit.is_tracing()`` and its kin."""
    return Constant(False)


def compiling_flags():
    """``(function, handler)`` of the questions whose answer is fixed during capture."""
    for real in torch_internals.compiling_questions():
        yield real, always_true
    for real in torch_internals.tracing_questions():
        yield real, always_false


@native(torch_internals.InferenceModeGuard)
def new_inference_mode(vm, arguments, keywords):
    """The C guard object: entering and leaving it are nodes."""
    return ConstructedObject(torch_internals.InferenceModeGuard, arguments, keywords)


@native(vars(torch_internals.InferenceModeGuard)["__enter__"])
def enter_inference_mode(vm, arguments, keywords):
    guard = vm.look(arguments[0])
    if not isinstance(guard, ConstructedObject):
        raise Break(reasons.GLOBAL_STATE, "entering an inference mode that was made outside")
    mode = constants.required(vm, guard.arguments[0], "an inference mode")
    guard.slots = {ENTERED: vm.graph.call_function(torch_internals.enter_inference_mode, (mode,))}
    vm.effects.add(DeferredCall(ENTER, (guard,), ()))
    return Constant(None)


@native(vars(torch_internals.InferenceModeGuard)["__exit__"])
def exit_inference_mode(vm, arguments, keywords):
    guard = vm.look(arguments[0])
    if not guard.slots:
        raise Break(reasons.GLOBAL_STATE, "leaving an inference mode that was entered before a break")
    vm.graph.call_function(torch_internals.exit_inference_mode, (guard.slots.pop(ENTERED),))
    vm.effects.drop([entering(vm)[guard]])
    return Constant(None)


@native(torch_internals.TorchFunctionGuard)
def new_torch_function_guard(vm, arguments, keywords):
    """Subclasses of tensors are not captured, so that nothing depends on it."""
    return ConstructedObject(torch_internals.TorchFunctionGuard, arguments, keywords)


@native(torch_internals.TorchFunctionGuard.__enter__)
def enter_torch_function_guard(vm, arguments, keywords):
    """A guard that is needed at a break is made there and entered."""
    guard = vm.look(arguments[0])
    if not isinstance(guard, ConstructedObject):
        raise Break(reasons.GLOBAL_STATE, "a guard that was made outside")
    guard.maker = torch_internals.entered_torch_function_guard
    return Constant(None)


@native(torch_internals.TorchFunctionGuard.__exit__)
def exit_torch_function_guard(vm, arguments, keywords):
    guard = vm.look(arguments[0])
    if isinstance(guard, ConstructedObject):
        guard.maker = guard.cls
    else:
        vm.effects.add(DeferredCall(torch_internals.TorchFunctionGuard.__exit__, tuple(arguments), ()))
    return Constant(None)


ENTERED = "entered"
"""Where a guard object of inference mode keeps the node that entered it."""

ENTER = vars(torch_internals.InferenceModeGuard)["__enter__"]


def entering(vm) -> dict[ConstructedObject, DeferredCall]:
    """The guard objects that are entered, each with the record that enters it at the exit."""
    records = [one for one in vm.effects.records if isinstance(one, DeferredCall) and one.function is ENTER]
    return {record.arguments[0]: record for record in records}


def leave_inference_modes(vm) -> None:
    """The graph ends: it leaves what it has entered, and the exit enters that again."""
    for guard in reversed(entering(vm)):
        vm.graph.call_function(torch_internals.exit_inference_mode, (guard.slots[ENTERED],))


@native(torch_internals.log_api_usage)
def log_api_usage(vm, arguments, keywords):
    """Usage statistics have no effect on the program."""
    return Constant(None)


@native(torch_internals.dispatch_mode_count)
def dispatch_modes(vm, arguments, keywords):
    """Captures begin without a mode; the one that makes the graph is not the program's."""
    return Constant(0)


@native(torch_internals.tracing_state)
def tracing_state(vm, arguments, keywords):
    return Constant(None)


def is_overriding(vm, value: Value) -> bool:
    """Whether an object that is not a plain tensor has a ``__torch_function__`` of its own."""
    if not isinstance(value, Object) or isinstance(value, Tensor):
        return False
    return attributes.lookup(vm, value.cls, "__torch_function__") is not attributes.ABSENT


@native(*torch_internals.override_questions())
def has_torch_function(vm, arguments, keywords):
    """Whether an argument overrides torch functions: plain tensors don't."""
    pending = list(arguments)
    while pending:
        value = vm.look(pending.pop())
        if hasattr(value, "items") and isinstance(value.items, list):
            pending.extend(value.items)
        elif is_overriding(vm, value):
            raise Break(reasons.TENSOR_SUBCLASS, value.cls.__qualname__)
    return Constant(False)
