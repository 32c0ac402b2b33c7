"""Tensor methods that answer from metadata, and those that leave the graph."""

from __future__ import annotations

import torch

from framelift.capture.datamodel import arrays, calls, constants, items, numbers, operators, tensors
from framelift.capture.natives.registry import native
from framelift.capture.polyfills.registry import owns_storage
from framelift.capture.values import Constant, HostArray, ListObject, Symbol, Tensor
from framelift.observe import reasons
from framelift.observe.errors import Break


def tensor_of(vm, value) -> Tensor:
    """The tensor a method is called on."""
    value = vm.look(value)
    if not isinstance(value, Tensor):
        raise Break(reasons.UNSUPPORTED_CALL, f"a tensor method on {value!r}")
    return value


@native(torch.Tensor.size)
def size(vm, arguments, keywords):
    shape = tensors.size(tensor_of(vm, arguments[0]))
    dimension = keywords.get("dim", arguments[1] if len(arguments) > 1 else None)
    if dimension is None or (isinstance(vm.look(dimension), Constant) and vm.look(dimension).value is None):
        return shape
    index = items.index_of(vm, dimension)
    if not -len(shape.items) <= index < len(shape.items):
        raise Break(reasons.OPERATOR_RAISED, f"size({index}) of a {len(shape.items)}-d tensor")
    return shape.items[index]


@native(torch.Tensor.item)
def item(vm, arguments, keywords):
    """A float is a number of the graph, which the program may compute with; others are a break."""
    tensor = tensor_of(vm, arguments[0])
    example = tensor.example
    scalar = example.is_floating_point() and example.dim() == 0 and vm.graph.parent is None
    if scalar and len(arguments) == 1 and not keywords:
        node = vm.graph.data_number(tensor.node)
        return Symbol(node.meta["example_value"], node=node)
    return tensors.graph_method(vm, "item", arguments, keywords)


METADATA_METHODS = [
    "dim",
    "ndimension",
    "numel",
    "nelement",
    "element_size",
    "is_floating_point",
    "is_complex",
    "is_signed",
    "get_device",
    "stride",
    "storage_offset",
    "is_contiguous",
    "is_conj",
    "is_neg",
    "is_inference",
]


def metadata_methods():
    """``(C method, handler)`` of methods whose answer is metadata."""
    for name in METADATA_METHODS:
        yield getattr(torch.Tensor, name), metadata_method(name)
    yield torch.is_floating_point, metadata_method("is_floating_point")
    yield torch.is_complex, metadata_method("is_complex")
    yield torch.numel, metadata_method("numel")


def metadata_method(name: str):
    """A handler that asks the fake tensor."""

    def answer(vm, arguments, keywords):
        tensor = tensor_of(vm, arguments[0] if arguments else keywords.pop("input"))
        if name == "storage_offset":
            vm.graph.depend_on_storage_offsets()
        host = [constants.required(vm, item, f"an argument of {name}") for item in arguments[1:]]
        named = {key: constants.required(vm, item, f"{key} of {name}") for key, item in keywords.items()}
        return tensors.node_value(vm, None, getattr(tensor.example, name)(*host, **named))

    return answer


@native(torch.tensor)
def new_tensor(vm, arguments, keywords):
    """``torch.tensor(data)``: the numbers of an array that was made during capture are in the graph."""
    data = vm.look(arguments[0]) if arguments else None
    if isinstance(data, HostArray):
        arguments = [arrays.numbers(data), *arguments[1:]]
        if "dtype" not in keywords:
            keywords = {**keywords, "dtype": Constant(arrays.tensor_dtype(data))}
    return tensors.graph_call(vm, torch.tensor, arguments, keywords)


@native(owns_storage)
def tensor_owns_storage(vm, arguments, keywords):
    tensor = tensor_of(vm, arguments[0])
    example = tensor.example if tensor.real is None else tensor.real
    return Constant(example.layout is torch.strided and bool(owns_storage(example)))


@native(torch.Tensor.__bool__)
def tensor_bool(vm, arguments, keywords):
    return Constant(operators.truth(vm, arguments[0]))


@native(torch.Tensor.__len__)
def tensor_len(vm, arguments, keywords):
    return operators.length(vm, arguments[0])


@native(torch.Tensor.__iter__)
def tensor_iter(vm, arguments, keywords):
    found = tensors.unbind(vm, tensor_of(vm, arguments[0]))
    return calls.call(vm, Constant(iter), [ListObject(found)], {})


def symbolic_functions():
    """``(function, handler)`` of torch's functions on symbolic numbers."""
    for real in (torch.sym_int, torch.sym_float, torch.sym_max, torch.sym_min, torch.sym_not):
        yield real, host_symbolic(real)


def host_symbolic(real):
    """A handler that runs ``real`` on symbolic numbers."""

    def run(vm, arguments, keywords):
        operands = [vm.look(item) for item in arguments]
        if real is torch.sym_float and isinstance(operands[0], Symbol) and operands[0].cls is float:
            return operands[0]
        known = (
            item if isinstance(item, Symbol) else Constant(constants.required(vm, item, "a number"))
            for item in operands
        )
        return numbers.apply(vm, real, *known)

    return run
