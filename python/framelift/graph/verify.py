"""The laws of a finished graph, and the check of them.

1.  It ends in its one output node, whose argument is a tuple of nodes (possibly empty).
2.  Placeholders come first. There are as many as inputs, in the same order, and each is read by a node.
3.  Every other node is a call of a function object or of a method by name: no submodules, no attributes.
4.  Every node but the output has an example of its result, and every tensor in the examples is a fake of the
    graph's own mode.
5.  Arguments are nodes that stand earlier, plain data, or containers of both: never a tensor, never a
    symbolic number, never a generator.
6.  A call that nobody uses has an effect, or may refuse its data.
7.  Every symbol in an example is read from an input (or from one that was dropped because only its metadata
    mattered), is a number from a tensor's data, or follows from such symbols.
8.  ``operator_count`` counts the calls.

A broken law is a mistake of this package, never of the user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from framelift import torch_internals
from framelift.graph.nodes import EFFECT, EXAMPLE, rebuild, refuses_data

if TYPE_CHECKING:
    import sympy

    from framelift.graph.finished import FinishedGraph


class BrokenGraph(Exception):
    """A finished graph breaks one of its laws."""


def verify(finished: FinishedGraph, fake_mode: Any, bound: frozenset[sympy.Symbol]) -> None:
    """Raise ``BrokenGraph`` unless ``finished`` keeps all laws; ``bound`` are the symbols of its inputs
    and of numbers from data."""
    nodes = list(finished.module.graph.nodes)
    _check_output(nodes)
    _check_placeholders(nodes, finished)
    seen: set[fx.Node] = set()
    for node in nodes:
        _check_arguments(node, seen)
        seen.add(node)
        if node.op != "output":
            _check_node(node, fake_mode, bound)
    calls = sum(node.op in ("call_function", "call_method") for node in nodes)
    _require(calls == finished.operator_count, 8, f"{finished.operator_count} calls promised, {calls} found")


def _require(holds: bool, law: int, found: str) -> None:
    if not holds:
        raise BrokenGraph(f"law {law} of a graph is broken: {found}")


def _check_output(nodes: list[fx.Node]) -> None:
    outputs = [node for node in nodes if node.op == "output"]
    _require(len(outputs) == 1 and nodes[-1] is outputs[0], 1, f"{len(outputs)} outputs, or not at the end")
    results = outputs[0].args[0]
    _require(
        isinstance(results, tuple | list) and all(isinstance(result, fx.Node) for result in results),
        1,
        f"the output is {results!r}",
    )


def _check_placeholders(nodes: list[fx.Node], finished: FinishedGraph) -> None:
    count = len(finished.inputs)
    leading = [node for node in nodes[:count] if node.op == "placeholder"]
    _require(len(leading) == count, 2, f"{count} inputs, {len(leading)} leading placeholders")
    _require(all(node.op != "placeholder" for node in nodes[count:]), 2, "a placeholder after a call")
    _require(
        len(finished.example_inputs) == count, 2, f"{len(finished.example_inputs)} examples of {count} inputs"
    )
    for node in leading:
        _require(bool(node.users), 2, f"nobody reads {node}")


def _check_node(node: fx.Node, fake_mode: Any, bound: frozenset[sympy.Symbol]) -> None:
    match node.op:
        case "call_function":
            _require(callable(node.target), 3, f"{node} calls {node.target!r}")
        case "call_method":
            _require(isinstance(node.target, str), 3, f"{node} calls the method {node.target!r}")
        case "placeholder":
            pass
        case _:
            _require(False, 3, f"{node} is a {node.op}")
    _require(EXAMPLE in node.meta, 4, f"{node} has no example")
    _check_example(node, node.meta[EXAMPLE], fake_mode, bound)
    unused = node.op != "placeholder" and not node.users
    _require(not unused or EFFECT in node.meta or refuses_data(node), 6, f"nobody uses {node}")


def _check_example(node: fx.Node, value: Any, fake_mode: Any, bound: frozenset[sympy.Symbol]) -> None:
    if isinstance(value, torch.Tensor):
        _require(torch_internals.is_fake_of(fake_mode, value), 4, f"{node} gives a tensor that is not ours")
        for size in value.size():
            _check_example(node, size, fake_mode, bound)
    elif isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        free = torch_internals.symbolic_expression(value).free_symbols - bound
        _require(not free, 7, f"{node} depends on {free}")
    elif isinstance(value, tuple | list):
        for item in value:
            _check_example(node, item, fake_mode, bound)


def _check_arguments(node: fx.Node, seen: set[fx.Node]) -> None:
    def check(argument: Any) -> Any:
        if isinstance(argument, fx.Node):
            _require(argument in seen, 5, f"{node} uses {argument} before it is there")
        else:
            foreign = (torch.Tensor, torch.SymInt, torch.SymFloat, torch.SymBool, torch.Generator)
            _require(not isinstance(argument, foreign), 5, f"{node} has the argument {argument!r}")
        return rebuild(argument, check)

    rebuild(tuple(node.args), check)
    rebuild(dict(node.kwargs), check)
