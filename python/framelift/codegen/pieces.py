"""Graphs that run autograd's engine, compiled in pieces around it.

A compiler can't trace ``backward()`` inside a graph, nor what reads and stores gradients or sets torch's
state. Such nodes run one by one, in the program's order, and what stands between two of them is a graph of
its own. Each piece is made when it runs for the first time, from the tensors that it is given then: they are
leaves, have a history, or share memory as they do in every run, since the guards of the whole graph hold. A
piece of a forward is one node of autograd, through which the engine goes into its inputs.

A piece runs node by node where only that is right: where it writes to a tensor with a history, or where its
results depend on different inputs, as an engine started at one of them would give the others zeros in the
place of no gradient.

Graphs of which single results are differentiated (``codegen/partial_use.py``) are divided in another way: a
piece is what depends on the same inputs of the graph.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from framelift import torch_internals
from framelift.graph import GraphBuilder
from framelift.graph.autograd import run_engine
from framelift.graph.errors import CallFailed
from framelift.graph.failing import Undone, place_of
from framelift.graph.metadata import has_history, tensors_in
from framelift.graph.nodes import (
    EFFECT,
    EXAMPLE,
    changes_tensor_state,
    enter_inference_mode,
    runs_autograd,
    why_not_traced,
)
from framelift.graph.shapes import is_symbolic
from framelift.guards.sources import Argument

if TYPE_CHECKING:
    from framelift.graph.finished import FinishedGraph

Runner = Callable[..., Any]
Compile = Callable[["FinishedGraph"], Runner]

FEWEST = 3
"""Pieces of fewer operators run node by node: entering compiled code costs as much as one or two of them."""

_building = threading.Lock()
"""One piece is made at a time; a thread that comes meanwhile runs its piece node by node."""


def why_not_in_pieces(graph: FinishedGraph) -> str:
    """Why a graph can't be compiled in pieces, "" if it can."""
    if not graph.runs_autograd or graph.keeps_history:
        return "it does not run autograd's engine"
    if graph.changes_metadata:
        return "an input changes more than its data"
    if open_numbers(graph):
        return "a size or another number is open"
    for node in graph.module.graph.nodes:
        if node.target is enter_inference_mode or changes_tensor_state(node):
            return "it changes tensors or modes in the middle"
        if runs_autograd(node) and (node.target is not run_engine or node.args[3]):
            return "the engine makes a graph for another backward, or what runs it is not known"
        if isinstance(node.meta.get(EXAMPLE), torch.SymInt | torch.SymBool):
            return "a size is open"
    return ""


def open_numbers(graph: FinishedGraph) -> bool:
    """Whether a graph takes numbers, or sizes, that are not known."""
    for item in graph.fake_inputs:
        numbers = (*item.size(), *item.stride()) if isinstance(item, torch.Tensor) else (item,)
        if any(map(is_symbolic, numbers)):
            return True
    return False


def in_pieces(graph: FinishedGraph, compile_piece: Compile) -> Runner:
    """The graph with its pieces compiled by ``compile_piece``."""
    nodes = list(graph.module.graph.nodes)
    twice = any(node.target is run_engine and node.args[2] for node in nodes)
    return joined(parts(nodes), lambda part: piece_runner(part, compile_piece, twice))


def by_inputs(graph: FinishedGraph, compile_piece: Compile) -> Runner | None:
    """The graph in pieces of what depends on the same of its inputs, None if its nodes can't be moved."""
    nodes = list(graph.module.graph.nodes)[:-1]
    if open_numbers(graph) or any(map(is_bound, nodes)):
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
        home = first if node.target is operator.getitem else next(fits, len(runs))
        if home == len(runs):
            runs.append((behind[node], []))
        runs[home][1].append(node)
        place[node] = home
        drawn = home if draws else drawn
    outputs = list(graph.module.graph.nodes)[-1]
    found = [*placeholders, *pieces_of([run for _, run in runs], alike=True), outputs]
    return joined(found, lambda part: piece_runner(part, compile_piece, twice=False))


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


def joined(parts: Sequence[fx.Node | Piece], runner: Callable[[Piece], Runner]) -> Runner:
    """What runs these parts one after the other, pieces by their runners."""
    whole = fx.Graph()
    values: dict[fx.Node, fx.Node] = {}
    for part in parts:
        if isinstance(part, fx.Node):
            values[part] = whole.node_copy(part, values.__getitem__)
            continue
        arguments = [values[node] for node in part.inputs]
        result = whole.call_function(runner(part), tuple(arguments))
        for place, node in enumerate(part.outputs):
            values[node] = whole.call_function(operator.getitem, (result, place))
    module = torch_internals.graph_module(whole, "FrameliftPieces")
    torch_internals.generate_code(module)
    return module.forward


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Nodes that stand together, what they take from outside, and what is taken from them, in order.

    ``alike``: all its results are known to depend on the same inputs of the whole graph.
    """

    nodes: list[fx.Node]
    inputs: list[fx.Node]
    outputs: list[fx.Node]
    alike: bool = False


def parts(nodes: list[fx.Node]) -> list[fx.Node | Piece]:
    """The nodes that run by themselves and the pieces between them, in order."""
    ends = {node for one in nodes if one.target is run_engine for node in one.args[4]}
    runs: list[list[fx.Node]] = [[]]
    place: dict[fx.Node, list[fx.Node]] = {}
    for node in nodes:
        home = place.get(node.args[0]) if node.target is operator.getitem else None
        if home is not None:
            home.append(node)  # an item of a result belongs to what made it
        elif runs_alone(node):
            runs += [[node], []]
        else:
            runs[-1].append(node)
            home = runs[-1]
        if home is not None:
            place[node] = home
        if node in ends:
            runs.append([])  # the engine stops at what another piece takes
    return pieces_of(runs)


def pieces_of(runs: list[list[fx.Node]], alike: bool = False) -> list[fx.Node | Piece]:
    """What is worth compiling of these nodes, and can be, as pieces."""
    found: list[fx.Node | Piece] = []
    for run in runs:
        piece = piece_of(run, alike)
        if len(run) < FEWEST or not all(
            isinstance(node.meta[EXAMPLE], torch.Tensor) for node in piece.inputs
        ):
            found += run
        else:
            found.append(piece)
    return found


def runs_alone(node: fx.Node) -> bool:
    """Whether a node is not for a compiler."""
    if node.op not in ("call_function", "call_method"):
        return True
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


def piece_runner(piece: Piece, compile_piece: Compile, twice: bool) -> Runner:
    """What computes a piece: compiled when it is first called, on the tensors that it is given.

    ``twice``: the engine may come to it more than once.
    """
    by_nodes = run_by_nodes(piece)
    run: Runner | None = None

    def run_piece(*inputs: Any) -> Any:
        nonlocal run
        if run is None:
            if not _building.acquire(blocking=False):
                return by_nodes(*inputs)
            try:
                made = captured(piece, inputs)
                with torch_internals.buffers_kept() if twice else nullcontext():
                    run = by_nodes if made is None else compile_piece(made)
            finally:
                _building.release()
        try:
            return run(*inputs)
        except Undone as error:  # of this piece: what ran before it stands
            raise error.__cause__ or error from None

    run_piece.__module__ = __name__
    return run_piece


def run_by_nodes(piece: Piece) -> Runner:
    """A piece as it stands."""
    graph = fx.Graph()
    values = {node: graph.placeholder(node.name) for node in piece.inputs}
    for node in piece.nodes:
        values[node] = graph.node_copy(node, values.__getitem__)
    graph.output(tuple(values[node] for node in piece.outputs))
    module = torch_internals.graph_module(graph, "FrameliftPiece")
    torch_internals.generate_code(module)
    return module.forward


def captured(piece: Piece, inputs: Sequence[Any]) -> FinishedGraph | None:
    """A piece as a graph for these inputs, under the thread's state of now; None if it is to run by nodes.

    Results of in-place calls are inputs, or results of other nodes, themselves.
    """
    builder = GraphBuilder()
    values: dict[fx.Node, Any] = {}
    with torch_internals.without_saved_tensors_hooks():
        try:
            for place, (node, real) in enumerate(zip(piece.inputs, inputs, strict=True)):
                if not isinstance(real, torch.Tensor):
                    return None
                if any(real is earlier for earlier in inputs[:place]):
                    return None
                values[node] = builder.tensor_input(real, Argument(place, node.name))
            starts = [
                (tensor, has_history(tensor)) for tensor in (values[n].meta[EXAMPLE] for n in piece.inputs)
            ]
            for node in piece.nodes:
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
                call = builder.call_method if node.op == "call_method" else builder.call_function
                made = call(node.target, args, kwargs)
                old = (
                    builder.node_of(made.meta[EXAMPLE])
                    if isinstance(made.meta[EXAMPLE], torch.Tensor)
                    else None
                )
                values[node] = old or made
            outputs = [values[node] for node in piece.outputs]
            if not piece.alike and not keeps_gradients(starts, [node.meta[EXAMPLE] for node in outputs]):
                return None
            graph = builder.finish(outputs)
        except CallFailed:
            return None
        finally:
            builder.close()
    # A placeholder that nothing reads is dropped, and the caller gives all.
    if len(graph.inputs) != len(inputs) or graph.overlap:
        return None
    return None if any(has_history(inputs[place]) for place in graph.written) else graph


def keeps_gradients(inputs: list[tuple[torch.Tensor, bool]], outputs: list[torch.Tensor]) -> bool:
    """Whether the engine finds the same gradients if these outputs are those of one node.

    No input may get a history, and all outputs must depend on the same inputs.
    """
    if any(has_history(tensor) is not had for tensor, had in inputs):
        return False
    trained = [tensor for tensor in outputs if tensor.requires_grad]
    return len(set(torch_internals.inputs_behind(trained, [tensor for tensor, _ in inputs]))) <= 1
