"""Bodies of nodes whose tensors are those of the graph around them.

What calls a body (an autograd function, a checkpoint) hands the tensors of the program through as they are.
So the body uses the nodes of the graph around it, each of which becomes one of its inputs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx

from framelift.capture.datamodel import tensors
from framelift.capture.values import Tensor, Value
from framelift.graph import GraphBuilder
from framelift.graph.nodes import changes_tensor_state, enter_inference_mode, why_not_traced


class Handover(threading.local):
    """Inputs on their way through a call that can't take them as arguments, to what it calls first."""

    inputs: tuple[Any, ...] = ()

    def put(self, inputs: tuple[Any, ...]) -> None:
        """Leave them for ``take`` on this thread."""
        self.inputs = inputs

    def take(self) -> tuple[Any, ...]:
        """What was left last; nothing is kept."""
        inputs, self.inputs = self.inputs, ()
        return inputs


@contextmanager
def body_arguments(vm, body: GraphBuilder, arguments: list[Value]) -> Iterator[list[Value]]:
    """Values of a body for its arguments: of tensors, its first inputs. One tensor is one value.

    While the body is captured, their fakes stand for these; behind it, for the values outside again.
    """
    inside: dict[int, Tensor] = {}
    values = []
    before = {}
    for item in arguments:
        if isinstance(item, Tensor):
            node = body.body_input(item.example)
            value = inside.get(id(item)) or Tensor(node, item.example, item.source, item.real)
            inside[id(item)] = value
            before[id(item.example)] = vm.tensors.get(id(item.example))
            vm.tensors[id(item.example)] = value
            values.append(value)
        else:
            values.append(item)
    try:
        yield values
    finally:
        for key, value in before.items():
            if value is None:
                vm.tensors.pop(key, None)
            else:
                vm.tensors[key] = value


def forget_body(vm, body: GraphBuilder) -> None:
    """Behind a body its tensors are results of the node, of which the graph around it knows."""
    for key in [key for key, value in vm.tensors.items() if value.node.graph is body.graph]:
        del vm.tensors[key]


def graph_value(vm, node: fx.Node, place: int, example: object) -> Value:
    """The value of one of a node's results."""
    if isinstance(example, torch.Tensor | tuple | list):
        return tensors.node_value(vm, vm.graph.item(node, place), example)
    return tensors.node_value(vm, None, example)


def trouble_of(graph: fx.Graph) -> str:
    """Why a compiler that traces through a body would not compute it rightly, "" if it would."""
    for node in graph.nodes:
        if trouble := why_not_traced(node):
            return trouble
        if node.target is enter_inference_mode or changes_tensor_state(node):
            return "it changes more than the data of tensors"
    return ""
