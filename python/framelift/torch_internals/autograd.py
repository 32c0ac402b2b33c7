"""Autograd: its engine, the contexts of its functions, and checkpoints.

Used of torch: the function through which ``backward`` runs the engine, ``_FunctionBase``, and the stack of
hooks for saved tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """An autograd function like ``cls`` but for its forward: contexts and backward are those of ``cls``.

    Of the class attributes that the engine reads, the second is new in torch 2.12 or later.
    """
    read = ("clear_saved_tensors_on_access", "boxed_grads_call")
    parts = {name: getattr(cls, name) for name in read if hasattr(cls, name)}
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
