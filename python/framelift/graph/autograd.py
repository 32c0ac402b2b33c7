"""Running autograd's engine inside a graph, and storing gradients.

The graph holds ``backward()`` as one call, in the program's order: the engine accumulates into the leaves as
it does in eager, with the same new tensors, layouts and hooks. Reading ``.grad`` behind it is a call too.
Such a graph is run node by node: whoever traces through it would see neither the engine's work nor the
gradients it leaves on the leaves.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch

from framelift import torch_internals


def run_engine(*arguments: Any) -> tuple[torch.Tensor | None, ...] | None:
    """Differentiate, as ``torch_internals.run_engine`` does with these arguments."""
    refuse_tracing("backward()")
    return torch_internals.run_engine(*arguments)


def store_gradient(tensor: torch.Tensor, gradient: torch.Tensor | None) -> None:
    """``tensor.grad = gradient``."""
    refuse_tracing("a store to .grad")
    tensor.grad = gradient


def refuse_tracing(what: str) -> None:
    """A tracer would lose what the call does to the leaves."""
    if torch_internals.modes_active():
        raise RuntimeError(f"a graph with {what} inside can be run, not traced")


def run_engine_on_fakes(*arguments: Any) -> Any:
    """What the engine warns of it says when the graph runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch_internals.run_engine(*arguments)


ON_FAKES = {
    run_engine: run_engine_on_fakes,
    store_gradient: lambda tensor, gradient: setattr(tensor, "grad", gradient),
}
"""What asks for the metadata of these calls, on the graph's own fake tensors."""
