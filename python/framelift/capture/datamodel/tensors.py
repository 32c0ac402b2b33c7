"""Tensors: calls that become nodes of the graph, and the attributes of tensors."""

from __future__ import annotations

import collections
import types
from typing import Any

import torch

from framelift import torch_internals
from framelift.capture.datamodel import arrays, constants, gradients, mapping
from framelift.capture.exceptions import raised
from framelift.capture.values import (
    Constant,
    DictObject,
    ListObject,
    Opaque,
    SliceObject,
    Symbol,
    Tensor,
    TupleObject,
    Value,
)
from framelift.capture.values.objects import type_of
from framelift.graph.errors import DataDependent, OperatorError, UnsupportedOperator
from framelift.observe import reasons
from framelift.observe.errors import Break

METADATA = frozenset(
    [
        "dtype",
        "device",
        "layout",
        "ndim",
        "itemsize",
        "nbytes",
        "is_cuda",
        "is_cpu",
        "is_meta",
        "is_sparse",
        "is_sparse_csr",
        "is_quantized",
        "is_nested",
        "is_mkldnn",
        "is_mps",
        "is_xpu",
        "is_xla",
        "is_ipu",
        "is_maia",
        "is_vulkan",
        "is_mtia",
        "requires_grad",
        "is_leaf",
        "names",
    ]
)
"""Attributes that the fake tensor answers as a constant (or symbol)."""

VIEWS = frozenset(["T", "mT", "H", "mH", "real", "imag", "data"])
"""Attributes that are an operation on the tensor."""

METHOD_TYPES = (types.MethodDescriptorType, types.WrapperDescriptorType)


def graph_call(vm, target: object, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """Put a call of a torch function into the graph; a method of tensors becomes a call by name."""
    if isinstance(target, METHOD_TYPES) and arguments and isinstance(vm.look(arguments[0]), Tensor):
        return graph_method(vm, target.__name__, arguments, keywords)
    args = tuple(graph_argument(vm, value) for value in arguments)
    kwargs = {name: graph_argument(vm, value) for name, value in keywords.items()}
    return run_node(vm, target, lambda: vm.graph.call_function(target, args, kwargs))


def graph_method(vm, name: str, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """Put a call of a tensor method into the graph."""
    args = tuple(graph_argument(vm, value) for value in arguments)
    kwargs = {key: graph_argument(vm, value) for key, value in keywords.items()}
    return run_node(vm, name, lambda: vm.graph.call_method(name, args, kwargs))


def run_node(vm, target: object, make) -> Value:
    """Make a node and the value of its result; what the graph room refuses becomes a break."""
    try:
        node = make()
    except DataDependent as error:
        is_shape = isinstance(error.original, torch_internals.dynamic_shape_errors())
        reason = reasons.DYNAMIC_OUTPUT_SHAPE if is_shape else reasons.DATA_DEPENDENT_VALUE
        raise Break(reason, f"{describe(target)}: {error.description}") from None
    except OperatorError as error:
        original = error.original
        raise Break(
            reasons.OPERATOR_RAISED, f"{describe(target)}: {type(original).__name__}: {original}"
        ) from original
    except UnsupportedOperator as error:
        raise Break(reasons.UNSUPPORTED_OPERATOR, f"{describe(target)}: {error.description}") from error
    refuse_late_failure(vm, node, target)
    return node_value(vm, node, node.meta["example_value"])


def refuse_late_failure(vm, node: Any, target: object) -> None:
    """Break before a call that may raise where the program handles it and the graph could not be repeated."""
    if vm.policy.before_failures and vm.graph.fails_too_late(node):
        raise Break(reasons.FAILS_TOO_LATE, describe(target))


def describe(target: object) -> str:
    """A short name for a graph target."""
    if isinstance(target, str):
        return f"Tensor.{target}"
    return getattr(target, "__qualname__", None) or getattr(target, "__name__", None) or str(target)


def node_value(vm, node: Any, example: object) -> Value:
    """The value of a node's result."""
    if isinstance(example, torch.Tensor):
        known = vm.tensors.get(id(example))
        if known is None:
            known = Tensor(node, example)
            vm.tensors[id(example)] = known
        return known
    if isinstance(example, (torch.SymInt, torch.SymFloat, torch.SymBool)):
        return Symbol(example)
    if isinstance(example, (tuple, list)) and any_graph_leaf(example):
        nodes = [None if node is None else vm.graph.item(node, i) for i in range(len(example))]
        items = [node_value(vm, part, item) for part, item in zip(nodes, example, strict=True)]
        if isinstance(example, list):
            return ListObject(items)
        return TupleObject(items, type(example))
    return constants.from_host(vm, example)


def example_of(vm, value: Value) -> torch.Tensor | None:
    """The fake of a tensor, None for None."""
    value = vm.look(value)
    if isinstance(value, Tensor):
        return value.example
    if isinstance(value, Constant) and value.value is None:
        return None
    raise Break(reasons.UNSUPPORTED_ARGUMENT, f"a {type_of(value).__qualname__} in place of a tensor")


def any_graph_leaf(example: object) -> bool:
    """Whether a nested result holds a tensor or a symbol."""
    if isinstance(example, (tuple, list)):
        return any(any_graph_leaf(item) for item in example)
    return isinstance(example, (torch.Tensor, torch.SymInt, torch.SymFloat, torch.SymBool))


def graph_argument(vm, value: Value) -> Any:
    """What stands for a value among a node's arguments."""
    value = vm.look(value)
    match value:
        case Constant():
            return arrays.plain(value.value)
        case Tensor():
            return value.node
        case Symbol():
            return scalar_node(vm, value)
        case TupleObject():
            items = [graph_argument(vm, item) for item in value.items]
            if value.cls in (tuple, torch.Size) or not hasattr(value.cls, "_make"):
                return tuple(items)
            return value.cls._make(items)
        case ListObject() if value.cls in (list, collections.deque):
            return [graph_argument(vm, item) for item in value.items]
        case DictObject():
            pairs = mapping.items(vm, value)
            return {constants.required(vm, k, "a key"): graph_argument(vm, v) for k, v in pairs}
        case SliceObject():
            return slice(*(graph_argument(vm, part) for part in (value.start, value.stop, value.step)))
    raise Break(reasons.UNSUPPORTED_ARGUMENT, f"a {type_of(value).__qualname__} as argument of an operator")


def scalar_node(vm, value: Symbol) -> Any:
    """The node that computes a symbolic number, or the number where it has become known."""
    if value.node is not None:
        return value.node
    try:
        return vm.graph.scalar(value.symbolic)
    except UnsupportedOperator as error:
        raise Break(reasons.SYMBOLIC_VALUE, f"{value.symbolic}: {error.description}") from error


def find_attribute(vm, tensor: Tensor, name: str) -> Value | None:
    """Attributes of tensors that capture answers itself; None leaves it to the data model."""
    example = tensor.example
    if name == "shape":
        return size(tensor)
    if name in METADATA:
        if name == "is_leaf":
            gradients.guard_leaf(vm, tensor)
        return node_value(vm, None, getattr(example, name))
    if name in VIEWS:
        return run_node(vm, name, lambda: vm.graph.call_function(getattr, (tensor.node, name), {}))
    if name == "__class__":
        return Constant(tensor.cls)
    if name == "grad_fn":
        gradients.guard_leaf(vm, tensor)
        if example.grad_fn is None:
            return Constant(None)
        vm.looks_at_history = True
        return Opaque(torch.autograd.graph.Node, "Tensor.grad_fn")
    if name == "grad":
        return gradients.read(vm, tensor)
    raw = getattr(torch.Tensor, name, None)
    if isinstance(raw, types.GetSetDescriptorType) and name not in ("__dict__",):
        raise Break(reasons.UNSUPPORTED_ATTRIBUTE, f"Tensor.{name}")
    return None


def set_attribute(vm, tensor: Tensor, name: str, value: Value) -> bool:
    """Stores that are not plain ones into the tensor's ``__dict__``; True if done."""
    raw = getattr(torch.Tensor, name, None)
    if raw is None or not hasattr(type(raw), "__set__"):
        return False
    if name == "grad":
        gradients.store(vm, tensor, value)
        return True
    if name == "requires_grad":
        value = vm.look(value)
        if isinstance(value, Constant) and isinstance(value.value, bool):
            graph_method(vm, "requires_grad_", [tensor, value], {})
            return True
    raise Break(reasons.TENSOR_STATE, f"Tensor.{name} = ...")


def size(tensor: Tensor) -> TupleObject:
    """``tensor.shape`` with symbols for dynamic sizes."""
    return TupleObject(
        [Symbol(item) if isinstance(item, torch.SymInt) else Constant(item) for item in tensor.example.shape],
        torch.Size,
    )


def unbind(vm, tensor: Tensor) -> list[Value]:
    """The tensors that iterating over ``tensor`` gives."""
    if tensor.example.dim() == 0:
        raise raised(TypeError, "iteration over a 0-d tensor")
    result = vm.look(graph_method(vm, "unbind", [tensor, Constant(0)], {}))
    return result.items
