"""One piece of a graph, compiled when it runs for the first time.

It is made from the tensors that it is given then: they are leaves, have a history, or share memory as they
do in every run, since the guards of the whole graph hold. It runs node by node where only that is right:
where it writes to a tensor with a history, or where its results depend on different inputs, as an engine
started at one of them would give the others zeros in the place of no gradient.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from framelift import torch_internals
from framelift.codegen.floats import Float, Floats
from framelift.codegen.stages import is_float
from framelift.graph import GraphBuilder
from framelift.graph.errors import CallFailed
from framelift.graph.failing import Undone
from framelift.graph.metadata import has_history
from framelift.graph.nodes import EXAMPLE, rebuild
from framelift.guards.sources import Argument

if TYPE_CHECKING:
    from framelift.graph.finished import FinishedGraph

Runner = Callable[..., Any]
Compile = Callable[["FinishedGraph"], Runner]

_building = threading.Lock()
"""One piece is made at a time; a thread that comes meanwhile runs its piece node by node."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Nodes that stand together, what they take from outside, and what is taken from them, in order.

    ``alike``: all its results are known to depend on the same inputs of the whole graph.
    """

    nodes: list[fx.Node]
    inputs: list[fx.Node]
    outputs: list[fx.Node]
    alike: bool = False


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
                given = packing(piece)
                made = captured(piece, given(inputs))
                with torch_internals.buffers_kept() if twice else nullcontext():
                    run = by_nodes if made is None else taking(given, compile_piece(made), piece)
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


def packing(piece: Piece) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """What makes a compiled piece's inputs of those of the piece: its floats, if any, become one tensor."""
    floats = [place for place, node in enumerate(piece.inputs) if is_float(node)]
    tensors = [place for place, node in enumerate(piece.inputs) if not is_float(node)]

    def packed(inputs: Sequence[Any]) -> Sequence[Any]:
        given = [inputs[place] for place in tensors]
        device = next((tensor.device for tensor in given if tensor.device.type != "cpu"), None)
        numbers = [inputs[place] for place in floats]
        return [*given, torch.tensor(numbers, dtype=torch.float64, device=device)]

    return packed if floats else lambda inputs: inputs


def taking(given: Callable[[Sequence[Any]], Sequence[Any]], run: Runner, piece: Piece) -> Runner:
    """``run`` with the inputs of the piece."""
    return (lambda *inputs: run(*given(inputs))) if any(map(is_float, piece.inputs)) else run


def captured(piece: Piece, inputs: Sequence[torch.Tensor]) -> FinishedGraph | None:
    """A piece as a graph for these inputs, under the thread's state of now; None if it is to run by nodes.

    Results of in-place calls are inputs, or results of other nodes, themselves.
    """
    if any(real is earlier for place, real in enumerate(inputs) for earlier in inputs[:place]):
        return None
    builder = GraphBuilder()
    with torch_internals.without_saved_tensors_hooks():
        try:
            takes = [
                builder.tensor_input(real, Argument(place, f"input_{place}"))
                for place, real in enumerate(inputs)
            ]
            starts = [(node.meta[EXAMPLE], has_history(node.meta[EXAMPLE])) for node in takes]
            values = recorded(piece, builder, takes)
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


def recorded(piece: Piece, builder: GraphBuilder, inputs: Sequence[fx.Node]) -> dict[fx.Node, Any]:
    """The nodes that ``builder`` makes of a piece whose inputs are these: all tensors, then those of
    floats."""
    values: dict[fx.Node, Any] = {}
    floats = [node for node in piece.inputs if is_float(node)]
    values.update(zip((node for node in piece.inputs if not is_float(node)), inputs, strict=False))
    values.update((node, Float(place)) for place, node in enumerate(floats))
    of_floats = Floats(builder, inputs[-1]) if floats else None
    for node in piece.nodes:
        args, kwargs = filled((node.args, node.kwargs), values)
        if of_floats is not None and any(is_float(item) for item in node.all_input_nodes):
            made = of_floats.call(node, args, kwargs)
        elif node.target is operator.getitem and isinstance(args[0], list):
            made = args[0][args[1]]
        else:
            call = builder.call_method if node.op == "call_method" else builder.call_function
            made = call(node.target, args, kwargs)
        is_tensor = isinstance(made, fx.Node) and isinstance(made.meta[EXAMPLE], torch.Tensor)
        values[node] = (builder.node_of(made.meta[EXAMPLE]) if is_tensor else None) or made
    return values


def filled(argument: Any, values: Mapping[fx.Node, Any]) -> Any:
    """Arguments with ``values`` in the place of their nodes, in lists and dictionaries that are Python's
    own."""
    if isinstance(argument, fx.Node):
        return values[argument]
    if isinstance(argument, list):
        return [filled(part, values) for part in argument]
    if isinstance(argument, dict):
        return {name: filled(part, values) for name, part in argument.items()}
    return rebuild(argument, lambda part: filled(part, values))


def keeps_gradients(inputs: list[tuple[torch.Tensor, bool]], outputs: list[torch.Tensor]) -> bool:
    """Whether the engine finds the same gradients if these outputs are those of one node.

    No input may get a history, and all outputs must depend on the same inputs.
    """
    if any(has_history(tensor) is not had for tensor, had in inputs):
        return False
    trained = [tensor for tensor in outputs if tensor.requires_grad]
    return len(set(torch_internals.inputs_behind(trained, [tensor for tensor, _ in inputs]))) <= 1
