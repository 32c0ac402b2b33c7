"""The graph that autograd records: what is behind a tensor, and the node that a compiled graph is.

Used of torch: the nodes behind ``grad_fn``, and the class that AOTAutograd makes for a graph, whose backward
gets its gradients as one list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any

import torch


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


def inputs_behind(outputs: Sequence[torch.Tensor], inputs: Sequence[Any]) -> list[int]:
    """Which of these inputs an engine started at each of the outputs reaches: sets of bits by position."""
    reached: dict[Any, int] = {}
    for place, tensor in enumerate(inputs):
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
            node = torch.autograd.graph.get_gradient_edge(tensor).node
            reached[node] = reached.get(node, 0) | 1 << place
    found = []
    for output in outputs:
        if output.grad_fn is None:
            places = (1 << place for place, tensor in enumerate(inputs) if tensor is output)
            found.append(sum(places))
            continue
        pending = [output.grad_fn]
        while pending:
            node = pending[-1]
            following = [other for other, _ in node.next_functions if other is not None]
            new = [] if node in reached else [other for other in following if other not in reached]
            if new:
                pending += new
                continue
            if pending.pop() not in reached:
                reached[node] = reduce(or_, map(reached.__getitem__, following), 0)
        found.append(reached[output.grad_fn])
    return found


def notices_no_gradient(tensor: torch.Tensor) -> bool:
    """Whether it makes a difference that the engine comes to a tensor with no gradient for it: its hooks are
    called, and functions written in Python behind it are given zeros."""
    if tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
        return True
    classes = history_of([tensor])[1] if tensor.grad_fn is not None else ()
    return any(issubclass(cls, torch.autograd.function.BackwardCFunction) for cls in classes)


def compiled_nodes_behind(output: torch.Tensor, inputs: Sequence[Any]) -> dict[Any, set[int]]:
    """The nodes of autograd that AOTAutograd made of graphs, between ``inputs`` and ``output``, and which of
    their results are behind it. Not those behind such nodes."""
    stops = {
        torch.autograd.graph.get_gradient_edge(tensor).node
        for tensor in inputs
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad
    }
    found: dict[Any, set[int]] = {}
    pending = [(output.grad_fn, output.output_nr)]
    seen = set(pending)
    while pending:
        node, number = pending.pop()
        if node is None or node in stops:
            continue
        if hasattr(getattr(type(node), "_forward_cls", None), "_aot_id"):
            found.setdefault(node, set()).add(number)
            continue
        new = [edge for edge in node.next_functions if edge not in seen]
        seen.update(new)
        pending += new
    return found


def edges_to(node: Any, inputs: Sequence[Any]) -> dict[int, int]:
    """Of the edges of a node, by position: which of these inputs it leads to."""
    places = {}
    for place, tensor in enumerate(inputs):
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
            edge = torch.autograd.graph.get_gradient_edge(tensor)
            places[edge.node, edge.output_nr] = place
    return {number: places[edge] for number, edge in enumerate(node.next_functions) if edge in places}


def watch_backward(
    node: Any, numbers: frozenset[int], unreached: Callable[[frozenset[int]], Sequence[int]]
) -> None:
    """From now on the backward of the graph that this node of AOTAutograd stands for gives nothing along the
    edges that ``unreached`` names, where gradients of these of its results are missing."""
    function = type(node)._forward_cls
    forward, backward = function.forward, function.backward

    def without_zeros(context: Any, *tensors: torch.Tensor) -> Any:
        context.set_materialize_grads(False)
        return forward(context, *tensors)

    boxed = getattr(function, "boxed_grads_call", False)  # from some torch on: as one list, which is emptied

    def watched(context: Any, *given: Any) -> Any:
        gradients = given[0] if boxed else list(given)
        missing = frozenset(number for number in numbers if gradients[number] is None)
        if not missing:
            return backward(context, *given)
        for number in missing:
            facts = context._input_metadata[number]
            gradients[number] = torch.zeros(facts.shape, dtype=facts.dtype, device=facts.device)
        found = list(backward(context, gradients) if boxed else backward(context, *gradients))
        for edge in unreached(missing):
            found[edge] = None
        return tuple(found)

    function.forward, function.backward = staticmethod(without_zeros), staticmethod(watched)
    node.set_materialize_grads(False)
