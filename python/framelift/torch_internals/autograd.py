"""Autograd: its engine, the contexts of its functions, checkpoints, and the graph that it records.

Used of torch: the function through which ``backward`` runs the engine, ``_FunctionBase``, the stack of hooks
for saved tensors, and the nodes behind ``grad_fn``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch


def engine_function() -> Callable[..., Any]:
    """The Python function through which ``backward`` and ``autograd.grad`` run the engine."""
    return torch.autograd.graph._engine_run_backward


def run_engine(
    outputs: Sequence[torch.Tensor],
    gradients: Sequence[torch.Tensor | None],
    retain_graph: bool,
    create_graph: bool,
    inputs: Sequence[torch.Tensor],
    allow_unreachable: bool,
    accumulate: bool,
) -> tuple[torch.Tensor | None, ...] | None:
    """Run autograd's engine: the gradients of ``inputs``; None if they are accumulated in the leaves."""
    found = torch.autograd.Variable._execution_engine.run_backward(
        tuple(outputs),
        tuple(gradients),
        retain_graph,
        create_graph,
        tuple(inputs),
        allow_unreachable=allow_unreachable,
        accumulate_grad=accumulate,
    )
    return None if accumulate else tuple(found)


def context_members() -> Mapping[str, Any]:
    """What the contexts of autograd functions have in C, by name, and how functions are applied."""
    return vars(torch._C._FunctionBase)


def context_class(cls: type) -> type:
    """The class of the contexts of an autograd function."""
    return cls._backward_cls


def function_with(cls: type, forward: Callable[..., Any]) -> Any:
    """An autograd function like ``cls`` but for its forward: contexts and backward are those of ``cls``."""
    parts = {name: getattr(cls, name) for name in ("clear_saved_tensors_on_access", "boxed_grads_call")}
    parts["forward"] = staticmethod(forward)
    made: Any = type(torch.autograd.Function)(cls.__name__, (torch.autograd.Function,), parts)
    made._backward_cls = cls._backward_cls
    return made


def checkpoint_function() -> Callable[..., Any]:
    """``torch.utils.checkpoint.checkpoint``."""
    return torch.utils.checkpoint.checkpoint


def run_checkpoint(function: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """A checkpointed call, without the wrapper that keeps it from torch's own compiler."""
    return checkpoint_function().__wrapped__(function, *arguments, **options)


def reentrant_context() -> type:
    """The class of the nodes of autograd that reentrant checkpoints leave."""
    return torch.utils.checkpoint.CheckpointFunction._backward_cls


def no_saved_tensors_hooks() -> bool:
    """Whether the program has no hooks for what autograd saves: they have seen a graph that raised, or raised
    themselves, as those of a checkpoint do when they have seen enough."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is None


@contextmanager
def without_saved_tensors_hooks() -> Iterator[None]:
    """Autograd's hooks for what it saves, which belong to the program, are off: they would be given fakes."""
    autograd = torch._C._autograd
    hooks = []
    while (top := autograd._top_saved_tensors_default_hooks(True)) is not None:
        hooks.append(top)
        autograd._pop_saved_tensors_default_hooks()
    try:
        yield
    finally:
        for pack, unpack in reversed(hooks):
            autograd._push_saved_tensors_default_hooks(pack, unpack)


def history_of(outputs: Iterable[torch.Tensor]) -> tuple[list[torch.Tensor], set[type]]:
    """The leaves that running the engine from these tensors reaches, and the classes of its nodes."""
    found: dict[int, torch.Tensor] = {}
    pending: list[Any] = []
    for output in outputs:
        if output.grad_fn is not None:
            pending.append(output.grad_fn)
        elif output.requires_grad:
            found[id(output)] = output
    seen = set(pending)
    while pending:
        node = pending.pop()
        if type(node).__name__ == "AccumulateGrad":
            found[id(node.variable)] = node.variable
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                pending.append(following)
    return list(found.values()), {type(node) for node in seen}


def inputs_reached(output: torch.Tensor, inputs: Sequence[torch.Tensor]) -> frozenset[int]:
    """Which of these tensors an engine started at ``output`` reaches, by position."""
    nodes = {}
    for place, tensor in enumerate(inputs):
        if tensor.requires_grad:
            node = tensor.grad_fn
            if node is None:
                node = torch.autograd.graph.get_gradient_edge(tensor).node
            nodes[node] = place
    if output.grad_fn is None:
        return frozenset(place for place, tensor in enumerate(inputs) if tensor is output)
    pending, seen = [output.grad_fn], {output.grad_fn}
    while pending:
        node = pending.pop()
        if node in nodes:
            continue
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                pending.append(following)
    return frozenset(place for node, place in nodes.items() if node in seen)
