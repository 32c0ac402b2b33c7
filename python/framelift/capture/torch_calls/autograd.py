"""Running autograd's engine, and what optimizers and profilers ask of it."""

from __future__ import annotations

import torch

from framelift import torch_internals
from framelift.capture.datamodel import calls, constants, gradients, mapping, tensors
from framelift.capture.effects import DeferredCall
from framelift.capture.natives.registry import native
from framelift.capture.values import Constant, ConstructedObject, Lazy, ListObject, Tensor, TupleObject
from framelift.guards.sources import Held
from framelift.observe import reasons
from framelift.observe.errors import Break

ENGINE_PARAMETERS = (
    "outputs",
    "gradients",
    "retain_graph",
    "create_graph",
    "inputs",
    "allow_unreachable",
    "accumulate_grad",
)


def inlined(real):
    """A handler that captures a Python function which the rules leave to CPython where that fails."""

    def run(vm, arguments, keywords):
        function = vm.look(Lazy(real, Held(real, real.__qualname__)))
        return calls.inline(vm, function, arguments, keywords)

    return run


def captured_functions():
    """``(function, handler)`` of what runs the engine."""
    for real in (torch.Tensor.backward, torch.autograd.backward, torch.autograd.grad):
        yield real, inlined(real)


@native(torch_internals.engine_function())
def run_engine(vm, arguments, keywords):
    """``backward`` and ``autograd.grad`` end here, with their arguments checked and completed."""
    given = dict(zip(ENGINE_PARAMETERS, arguments, strict=False)) | keywords
    outputs, inputs = (differentiable(vm, given[name], name) for name in ("outputs", "inputs"))
    accumulate = bool(constants.required(vm, given["accumulate_grad"], "accumulate_grad"))
    if accumulate and any(not item.example.is_leaf for item in inputs):
        raise Break(reasons.BACKWARD, "inputs= holds a tensor with a history")
    flags = [
        bool(constants.required(vm, given[name], name))
        for name in ("retain_graph", "create_graph", "allow_unreachable")
    ]
    call = (
        tuple(item.node for item in outputs),
        tensors.graph_argument(vm, given["gradients"]),
        *flags[:2],
        tuple(item.node for item in inputs),
        flags[2],
        accumulate,
    )
    return gradients.run_engine(vm, outputs, call, accumulate=accumulate)


def differentiable(vm, value, what: str) -> list[Tensor]:
    """The tensors of an argument; edges of the autograd graph are not captured."""
    items = [vm.look(item) for item in vm.unpack(vm.look(value))]
    if not all(isinstance(item, Tensor) for item in items):
        raise Break(reasons.BACKWARD, f"{what} holds something that is not a tensor")
    return items


@native(torch_internals.record_operators().enter)
def enter_record(vm, arguments, keywords):
    """A name for profilers: nothing, unless a break or the result needs the record, which then begins."""
    enter = torch_internals.record_operators().enter
    return ConstructedObject(torch.ScriptObject, list(arguments), keywords, enter)


@native(torch_internals.record_operators().exit)
def exit_record(vm, arguments, keywords):
    record = vm.look(arguments[0])
    if record.real is not None:
        vm.effects.add(DeferredCall(torch_internals.record_operators().exit, (record,), ()))
    return Constant(None)


@native(torch.optim.Optimizer.zero_grad)
def zero_grad(vm, arguments, keywords):
    """Kept from torch's own compiler by a wrapper; what is wrapped is plain Python."""
    wrapped = torch.optim.Optimizer.zero_grad.__wrapped__
    return calls.call(vm, Lazy(wrapped, Held(wrapped, "Optimizer.zero_grad")), arguments, keywords)


@native(torch_internals.optimizer_functions().value_of_step)
def value_of_step(vm, arguments, keywords):
    """What eager does, in floats of 64 bits: for its own compiler torch computes in tensors."""
    step = vm.look(arguments[0])
    return calls.call(vm, Constant(torch.Tensor.item), [step], {}) if isinstance(step, Tensor) else step


@native(torch_internals.optimizer_functions().stack_if_compiling)
def stack_if_compiling(vm, arguments, keywords):
    return vm.look(arguments[0])


@native(torch_internals.group_tensors())
def group_tensors(vm, arguments, keywords):
    """Tensors by device and type, in the order of the C function, which knows nothing else of them."""
    lists = [vm.unpack(item) for item in vm.unpack(arguments[0])]
    examples = [[tensors.example_of(vm, item) for item in items] for items in lists]
    groups = torch_internals.group_tensors()(examples, True)
    indices_too = len(arguments) > 1 and constants.required(vm, arguments[1], "with_indices")
    pairs = []
    for key, (parts, indices) in groups.items():
        chosen = [
            ListObject([items[i] for i in indices] if part else [])
            for items, part in zip(lists, parts, strict=True)
        ]
        numbers = [Constant(i) for i in indices] if indices_too else []
        value = TupleObject([ListObject(chosen), ListObject(numbers)])
        pairs.append((TupleObject([Constant(item) for item in key]), value))
    return mapping.from_pairs(vm, pairs)


@native(torch_internals.transforms_active)
def transforms_active(vm, arguments, keywords):
    """Captures begin outside function transforms, and none is entered."""
    return Constant(False)


@native(torch_internals.unwrap_if_dead)
def unwrap_if_dead(vm, arguments, keywords):
    """For the same reason no tensor belongs to one that has ended: it would not be an input of a graph."""
    return vm.look(arguments[0])
