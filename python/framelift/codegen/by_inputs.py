"""Graphs in pieces of what depends on the same of their inputs (``codegen/partial_use.py`` says what for).

A node goes into the first piece with the inputs that it depends on that stands behind all it needs. What
needs no gradient goes anywhere. Random numbers are drawn in the program's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import fx

from framelift import torch_internals
from framelift.codegen.piece import Compile, Runner, piece_runner
from framelift.codegen.pieces import joined, open_sizes, pieces_of, runs_alone
from framelift.codegen.stages import is_float
from framelift.graph.failing import place_of
from framelift.graph.metadata import has_history
from framelift.graph.nodes import EFFECT, EXAMPLE, is_item, tensors_in

if TYPE_CHECKING:
    from framelift.graph.finished import FinishedGraph


def by_inputs(graph: FinishedGraph, compile_piece: Compile) -> Runner | None:
    """The graph in pieces of what depends on the same of its inputs, None if its nodes can't be moved."""
    nodes = list(graph.module.graph.nodes)[:-1]
    if open_sizes(graph) or any(is_bound(node) or is_float(node) for node in nodes):
        return None
    placeholders = nodes[: len(graph.inputs)]
    behind = inputs_behind(nodes, placeholders)
    runs: list[tuple[int, list[fx.Node]]] = []
    place: dict[fx.Node, int] = {}
    drawn = 0
    for node in nodes[len(placeholders) :]:
        draws = EFFECT in node.meta
        first = max([drawn if draws else 0, *(place.get(item, 0) for item in node.all_input_nodes)])
        fits = (at for at in range(first, len(runs)) if behind[node] in (0, runs[at][0]))
        home = first if is_item(node) else next(fits, len(runs))
        if home == len(runs):
            runs.append((behind[node], []))
        runs[home][1].append(node)
        place[node] = home
        drawn = home if draws else drawn
    outputs = list(graph.module.graph.nodes)[-1]
    found = [*placeholders, *pieces_of([run for _, run in runs], alike=True), outputs]
    return joined(found, lambda part: piece_runner(part, compile_piece, twice=False)).forward


def is_bound(node: fx.Node) -> bool:
    """Whether a node must stay where it is: it changes more than the generators of random numbers."""
    known = place_of(node)
    effect = node.meta.get(EFFECT)
    return (node.op != "placeholder" and runs_alone(node)) or (
        effect is not None and (known is None or bool(known.written) or known.leaves)
    )


def inputs_behind(nodes: Sequence[fx.Node], inputs: Sequence[fx.Node]) -> dict[fx.Node, int]:
    """Which of these inputs the engine reaches from the results of each node, as sets of bits."""
    trained = [
        (node, value)
        for node in nodes
        for value in tensors_in(node.meta.get(EXAMPLE))
        if value.requires_grad and has_history(value)
    ]
    found = torch_internals.inputs_behind(
        [value for _, value in trained], [node.meta[EXAMPLE] for node in inputs]
    )
    behind = dict.fromkeys(nodes, 0)
    for (node, _), reached in zip(trained, found, strict=True):
        behind[node] |= reached
    return behind
