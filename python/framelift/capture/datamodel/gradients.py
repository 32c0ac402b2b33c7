"""The ``.grad`` of tensors while a frame runs symbolically.

What the program stores there is noted like any other effect and read back from the note. Where the graph
runs ``backward`` the engine reads and writes the attribute itself: stores made before become calls in front
of it, and a gradient that is new behind it is read by a call. So identity, layout and accumulation are the
engine's own.
"""

from __future__ import annotations

from typing import Any

import torch

from framelift.capture import outside
from framelift.capture.datamodel import mapping, tensors
from framelift.capture.effects import SlotStore
from framelift.capture.values import Constant, DictObject, Lazy, Tensor, Value
from framelift.guards import kinds
from framelift.guards.sources import Descriptor
from framelift.observe import reasons
from framelift.observe.errors import Break

GRAD = torch.Tensor.grad
IS_LEAF = torch.Tensor.is_leaf
HOOKS = {name: getattr(torch.Tensor, name) for name in ("_backward_hooks", "_post_accumulate_grad_hooks")}
"""Where a tensor keeps hooks that the engine calls; None or an empty dictionary without any."""


def read(vm, tensor: Tensor) -> Value:
    """``tensor.grad``."""
    known = vm.gradients.get(id(tensor))
    if known is not None:
        return known
    if tensor.real is not None:
        guard_leaf(vm, tensor)
        if not tensor.real.is_leaf:
            raise Break(reasons.UNSUPPORTED_ATTRIBUTE, "Tensor.grad of a tensor with a history")
        known = Lazy(tensor.real.grad, Descriptor(tensor.source, GRAD, "grad"))
    elif tensor.example.is_leaf:
        known = Constant(None)
    else:
        raise Break(reasons.UNSUPPORTED_ATTRIBUTE, "Tensor.grad of a tensor with a history")
    note(vm, tensor, known)
    return known


def note(vm, tensor: Tensor, gradient: Value) -> None:
    """What ``tensor.grad`` is from now on. The tensor is kept, as it is known by its identity."""
    vm.keep_alive.append(tensor)
    vm.gradients[id(tensor)] = gradient


def store(vm, tensor: Tensor, value: Value) -> None:
    """``tensor.grad = value``."""
    refuse_in_transform(vm, "a store to .grad")
    value = vm.look(value)
    if isinstance(value, Constant) and value.value is None:
        example = None
    elif isinstance(value, Tensor):
        example = value.example
    else:
        raise Break(reasons.TENSOR_STATE, "Tensor.grad = ... (neither a tensor nor None)")
    if tensor.real is None:
        make_store(vm, tensor, value)
    else:
        guard_leaf(vm, tensor)
        try:
            tensor.example.grad = example
        except (RuntimeError, TypeError) as error:
            raise Break(reasons.OPERATOR_RAISED, f"Tensor.grad = ...: {error}") from error
        earlier = vm.gradient_stores.pop(id(tensor), None)
        if earlier is not None:
            vm.effects.drop([earlier])
        record = vm.gradient_stores[id(tensor)] = SlotStore(tensor, GRAD, value)
        vm.effects.add(record)
    note(vm, tensor, value)


def make_store(vm, tensor: Tensor, value: Value) -> None:
    """A store as a call of the graph."""
    node = value.node if isinstance(value, Tensor) else None
    tensors.run_node(vm, "grad", lambda: vm.graph.store_gradient(tensor.node, node))


def run_engine(vm, outputs: list[Tensor], arguments: tuple[Any, ...], *, accumulate: bool) -> Value:
    """A run of the engine from ``outputs``; ``arguments`` are those of the graph's call."""
    refuse_in_transform(vm, "autograd's engine")
    examples, passed = vm.graph.history_of([item.node for item in outputs])
    for context in passed & vm.untraced_contexts.keys():
        raise Break(reasons.BACKWARD, vm.untraced_contexts[context])
    leaves = [leaf_of(vm, example) for example in examples]
    for leaf in leaves:
        require_no_hooks(vm, leaf)
    if not accumulate:
        return tensors.run_node(vm, "autograd.grad", lambda: vm.graph.run_engine(arguments, ()))
    before = [vm.look(read(vm, leaf)) for leaf in leaves]
    stores = [vm.gradient_stores.pop(id(leaf)) for leaf in leaves if id(leaf) in vm.gradient_stores]
    for record in stores:
        make_store(vm, record.target, record.value)
    vm.effects.drop(stores)
    for leaf, gradient in zip(leaves, before, strict=True):
        leaf.example.grad = gradient.example if isinstance(gradient, Tensor) else None
    written = [gradient.node for gradient in before if isinstance(gradient, Tensor)]
    tensors.run_node(vm, "backward", lambda: vm.graph.run_engine(arguments, written))
    for leaf, gradient in zip(leaves, before, strict=True):
        example = leaf.example.grad
        if example is not None and not (isinstance(gradient, Tensor) and gradient.example is example):
            note(vm, leaf, read_back(vm, leaf))
    return Constant(None)


def refuse_in_transform(vm, what: str) -> None:
    """The tensors in a function transform are not those of the program."""
    if vm.graph.parent is not None:
        raise Break(reasons.FUNCTION_TRANSFORM, f"{what} inside it")


def read_back(vm, leaf: Tensor) -> Tensor:
    """The gradient that the engine has stored."""
    node = vm.graph.call_function(getattr, (leaf.node, "grad"))
    value = vm.tensors[id(leaf.example.grad)] = Tensor(node, leaf.example.grad)
    return value


def leaf_of(vm, example: torch.Tensor) -> Tensor:
    """The value of a leaf that the engine reaches."""
    leaf = vm.tensors.get(id(example))
    if leaf is None:
        raise Break(reasons.BACKWARD, "it goes on into the history of a tensor from outside")
    guard_leaf(vm, leaf)
    return leaf


def guard_leaf(vm, tensor: Tensor) -> None:
    """An outside tensor that requires a gradient is a leaf or not, as in this call. Parameters are leaves."""
    if tensor.real is not None and tensor.real.requires_grad and tensor.cls is not torch.nn.Parameter:
        vm.guards.add(Descriptor(tensor.source, IS_LEAF, "is_leaf"), kinds.Equals(tensor.real.is_leaf))


def require_no_hooks(vm, leaf: Tensor) -> None:
    """Nobody has registered a hook on an outside leaf."""
    if leaf.real is None:
        return
    for name, descriptor in HOOKS.items():
        hooks = outside.look(vm, Lazy(getattr(leaf.real, name), Descriptor(leaf.source, descriptor, name)))
        empty = isinstance(hooks, DictObject) and mapping.length(vm, hooks) == 0
        if not empty and not (isinstance(hooks, Constant) and hooks.value is None):
            raise Break(reasons.TENSOR_STATE, f"a hook on {leaf.source}")
