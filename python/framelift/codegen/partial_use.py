"""Results that the program differentiates without the others.

A compiled graph is one node of autograd, and whoever differentiates one of its results goes through that node
into all inputs: eager leaves the gradient of an input alone that no used result depends on, the node gives it
zeros. From capture it is known which inputs each result depends on. Where that is not the same for all of
them, the node's backward is watched: when it gets no gradient for a result, the inputs that only this one
depends on get none.

That is all a program sees in most cases, but the engine still comes to those inputs: it calls hooks, and what
stands behind an input may make zeros of nothing. So once results have been used apart, or where such hooks
are there from the beginning, the following calls run in pieces, each with one set of inputs behind all that
it computes. Then the engine comes where it comes in eager, and does not compute what is not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from framelift import torch_internals
from framelift.graph.metadata import has_history
from framelift.graph.nodes import EXAMPLE

if TYPE_CHECKING:
    from framelift.graph.builder import FinishedGraph

Runner = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Reach:
    """Which inputs the engine reaches from each result that needs a gradient, as sets of bits by position."""

    inputs: dict[int, int]

    @classmethod
    def of(cls, graph: FinishedGraph) -> Reach:
        """What capture knows of a graph."""
        nodes = list(graph.module.graph.nodes)
        fakes = [node.meta[EXAMPLE] for node in nodes[: len(graph.inputs)]]
        results = [node.meta[EXAMPLE] for node in nodes[-1].args[0]]
        trained = [
            place
            for place, value in enumerate(results)
            if isinstance(value, torch.Tensor) and value.requires_grad and has_history(value)
        ]
        found = torch_internals.inputs_behind([results[place] for place in trained], fakes)
        return cls(dict(zip(trained, found, strict=True)))

    @property
    def partial(self) -> int:
        """The inputs that some results depend on and others do not."""
        sets = self.inputs.values()
        return reduce(or_, sets, 0) & ~reduce(and_, sets) if sets else 0


def used_apart(graph: FinishedGraph, run: Runner, apart: Callable[[], Runner]) -> Runner:
    """``run``, whose backward gives no gradients to inputs that no used result depends on.

    ``apart`` makes what runs from the second such backward on.
    """
    gains = any(has_history(node.meta[EXAMPLE]) for node in written_inputs(graph))
    if not graph.trains or graph.runs_autograd or gains:
        return run
    reach = Reach.of(graph)
    if not reach.partial:
        return run
    split = any(
        torch_internals.notices_no_gradient(real)
        for place, real in enumerate(graph.example_inputs)
        if reach.partial >> place & 1
    )
    watched = False

    def run_one_or_apart(*inputs: Any) -> Any:
        nonlocal run, split, watched
        if split:
            run, split, watched = apart(), False, True
        results = run(*inputs)
        if not watched:
            watched = True
            watch(reach, inputs, results, note)
        return results

    def note() -> None:
        nonlocal split
        split = True

    return run_one_or_apart


def written_inputs(graph: FinishedGraph) -> list[fx.Node]:
    """The placeholders of the inputs that a graph writes to; their fakes are as it leaves them."""
    nodes = list(graph.module.graph.nodes)
    return [nodes[place] for place in graph.written]


def watch(reach: Reach, inputs: Sequence[Any], results: Sequence[Any], note: Callable[[], None]) -> None:
    """Have the node behind ``results`` give no gradients where there are none, and say so by ``note``."""
    nodes = set()
    behind: dict[int, int] = {}
    for place, reached in reach.inputs.items():
        for node, numbers in torch_internals.compiled_nodes_behind(results[place], inputs).items():
            nodes.add(node)
            for number in numbers:
                behind[number] = behind.get(number, 0) | reached
    if len(nodes) != 1:
        return  # autograd sees more of the graph than one node
    (node,) = nodes
    edges = torch_internals.edges_to(node, inputs)

    def unreached(missing: frozenset[int]) -> list[int]:
        """The edges of the node that get nothing if these of its results have no gradient."""
        used = reduce(or_, (reached for number, reached in behind.items() if number not in missing), 0)
        note()
        return [edge for edge, place in edges.items() if not used >> place & 1]

    torch_internals.watch_backward(node, frozenset(behind), unreached)
