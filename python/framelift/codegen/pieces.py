"""Graphs that a compiler can't take as a whole, in pieces.

A compiler can't trace ``backward()`` inside a graph, nor what reads and stores gradients, sets torch's
state, or gives numbers to Python. Such nodes run one by one, in the program's order, and what stands between
two of them is a graph of its own (``codegen/piece.py``). Python's floats may move (``codegen/stages.py``):
what needs none of them is one piece, what does is the next. A piece of a forward is one node of autograd,
through which the engine goes into its inputs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import fx

from framelift import torch_internals
from framelift.codegen.floats import FOREACH
from framelift.codegen.piece import Compile, Piece, Runner, piece_runner
from framelift.codegen.stages import in_stages, is_float
from framelift.codegen.undo import putting_back
from framelift.graph.autograd import run_engine
from framelift.graph.failing import place_of
from framelift.graph.inputs import can_be_put_back
from framelift.graph.nodes import (
    EFFECT,
    EXAMPLE,
    changes_tensor_state,
    enter_inference_mode,
    is_item,
    refuses_data,
    runs_autograd,
    target_name,
    why_not_traced,
)

if TYPE_CHECKING:
    from framelift.graph.finished import FinishedGraph

PART = "framelift_part"
"""The key of ``fx.Node.meta`` of the number of the part that a node runs."""

FEWEST = 3
"""Pieces of fewer operators run node by node: entering compiled code costs as much as one or two of them."""


def why_not_in_pieces(graph: FinishedGraph) -> str:
    """Why a graph can't be compiled in pieces, "" if it can."""
    if graph.keeps_history:
        return "the program looks at its nodes of autograd"
    if graph.changes_metadata:
        return "an input changes more than its data"
    if open_sizes(graph):
        return "a size or a whole number is open"
    if graph.risk.covered and graph.risk.beyond_repair:
        return "it may fail in a block that handles it, and writes to a large input"
    for node in graph.module.graph.nodes:
        if node.target is enter_inference_mode or changes_tensor_state(node):
            return "it changes tensors or modes in the middle"
        if runs_autograd(node) and (node.target is not run_engine or node.args[3]):
            return "the engine makes a graph for another backward, or what runs it is not known"
        if isinstance(node.meta.get(EXAMPLE), torch.SymInt | torch.SymBool):
            return "a size is open"
    return ""


def open_sizes(graph: FinishedGraph) -> bool:
    """Whether a graph takes whole numbers, or sizes, that are not known."""
    for item in graph.fake_inputs:
        numbers = (*item.size(), *item.stride()) if isinstance(item, torch.Tensor) else (item,)
        if any(isinstance(number, torch.SymInt | torch.SymBool) for number in numbers):
            return True
    return False


def in_pieces(graph: FinishedGraph, compile_piece: Compile) -> Runner | None:
    """The graph with its pieces compiled by ``compile_piece``; None if no piece is worth it."""
    nodes = list(graph.module.graph.nodes)
    twice = any(node.target is run_engine and node.args[2] for node in nodes)
    found = parts(nodes)
    if not any(isinstance(part, Piece) for part in found):
        return None
    return undoing_the_first(
        graph, found, joined(found, lambda part: piece_runner(part, compile_piece, twice))
    )


def joined(parts: Sequence[fx.Node | Piece], runner: Callable[[Piece], Runner]) -> fx.GraphModule:
    """What runs these parts one after the other, pieces by their runners."""
    whole = fx.Graph()
    values: dict[fx.Node, fx.Node] = {}
    for number, part in enumerate(parts):
        if isinstance(part, fx.Node):
            values[part] = whole.node_copy(part, values.__getitem__)
            values[part].meta[PART] = number
            continue
        arguments = [values[node] for node in part.inputs]
        result = whole.call_function(runner(part), tuple(arguments))
        result.meta[PART] = number
        for place, node in enumerate(part.outputs):
            values[node] = whole.call_function(operator.getitem, (result, place))
    module = torch_internals.graph_module(whole, "FrameliftPieces")
    torch_internals.generate_code(module)
    return module


def undoing_the_first(
    graph: FinishedGraph, found: Sequence[fx.Node | Piece], module: fx.GraphModule
) -> Runner:
    """What runs the parts of ``module``, and puts back what is written up to the last one that may refuse its
    data, when one of these raises: CPython then repeats the segment.

    That is little, as floats come early. Where it is not, the inputs stay as they are.
    """
    turns = [part.nodes if isinstance(part, Piece) else [part] for part in found]
    last = max((number for number, nodes in enumerate(turns) if any(map(refuses_data, nodes))), default=-1)
    places = [place for nodes in turns[: last + 1] for node in nodes if (place := place_of(node)) is not None]
    storages = frozenset().union(*(place.written for place in places))
    inputs = {place: list(graph.module.graph.nodes)[place].meta[EXAMPLE] for place in graph.written}
    written = [place for place, fake in inputs.items() if torch_internals.storage_key(fake) in storages]
    undoable = can_be_put_back([inputs[place] for place in written])
    if last < 0 or not undoable or any(place.leaves for place in places):
        return module.forward
    nodes = list(module.graph.nodes)

    def is_all(error: Exception) -> bool:
        position = torch_internals.failing_node(module, error)
        return position is not None and nodes[position].meta.get(PART, last + 1) <= last

    return putting_back(module.forward, written, is_all)


def parts(nodes: list[fx.Node]) -> list[fx.Node | Piece]:
    """The nodes that run by themselves and the pieces between them, in order."""
    ends = {node for one in nodes if one.target is run_engine for node in one.args[4]}
    runs: list[list[fx.Node]] = [[]]
    place: dict[fx.Node, list[fx.Node]] = {}
    for node in nodes:
        home = place.get(node.args[0]) if is_item(node) else None
        if home is not None:
            home.append(node)
        elif runs_alone(node):
            runs += [[node], []]
        else:
            runs[-1].append(node)
            home = runs[-1]
        if home is not None:
            place[node] = home
        if node in ends:
            runs.append([])  # the engine stops at what another piece takes
    return pieces_of(
        [turn for run in runs for turn in (in_stages(run) if any(map(is_float, run)) else [run])]
    )


def pieces_of(runs: list[list[fx.Node]], alike: bool = False) -> list[fx.Node | Piece]:
    """What is worth compiling of these nodes, and can be, as pieces."""
    found: list[fx.Node | Piece] = []
    for run in runs:
        piece = piece_of(run, alike)
        examples = [node.meta[EXAMPLE] for node in piece.inputs]
        known = all(isinstance(example, torch.Tensor | torch.SymFloat) for example in examples)
        if sum(map(work, run)) < FEWEST or not known or all(map(is_float, run)):
            found += run
        else:
            found.append(piece)
    return found


def work(node: fx.Node) -> int:
    """How many operators a node stands for: one for each tensor, where it takes lists of them."""
    if runs_alone(node):
        return 0
    if not target_name(node.target).startswith(FOREACH):
        return 1
    arguments = (*node.args, *node.kwargs.values())
    return max((len(part) for part in arguments if isinstance(part, tuple | list)), default=1)


def runs_alone(node: fx.Node) -> bool:
    """Whether a node is not for a compiler, and keeps its place."""
    if node.op not in ("call_function", "call_method"):
        return True
    if is_float(node):
        return False
    if why_not_traced(node) or node.meta.get(EFFECT) in ("state", "check"):
        return True
    if node.target is getattr and node.args[1] == "grad":
        return True
    value = node.meta.get(EXAMPLE)
    return value is not None and not isinstance(value, torch.Tensor | tuple | list)


def piece_of(nodes: list[fx.Node], alike: bool) -> Piece:
    """The piece that these nodes are."""
    inside = set(nodes)
    inputs = dict.fromkeys(item for node in nodes for item in node.all_input_nodes if item not in inside)
    outputs = [
        node
        for node in nodes
        if isinstance(node.meta.get(EXAMPLE), torch.Tensor) and any(user not in inside for user in node.users)
    ]
    return Piece(nodes, list(inputs), outputs, alike)
