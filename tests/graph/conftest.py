"""Recording small graphs: what the tests of this room share."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from framelift.graph import GraphBuilder
from framelift.graph.shapes import OpenSizes
from framelift.guards.sources import Argument


@dataclass(frozen=True)
class Input:
    """Stands for the input with this number among the arguments of a call."""

    index: int


def replace(argument, values):
    """``argument`` with inputs replaced by values."""
    if isinstance(argument, Input):
        return values[argument.index]
    if isinstance(argument, tuple):
        return tuple(replace(item, values) for item in argument)
    if isinstance(argument, list):
        return [replace(item, values) for item in argument]
    if isinstance(argument, dict):
        return {key: replace(item, values) for key, item in argument.items()}
    if isinstance(argument, slice):
        return slice(*(replace(part, values) for part in (argument.start, argument.stop, argument.step)))
    return argument


class Recorder:
    """A builder with inputs named x, y, z ... for the given tensors."""

    def __init__(self, *tensors, dynamic=()):
        self.builder = GraphBuilder(check=True)
        self.tensors = tensors
        self.nodes = [
            self.builder.tensor_input(
                tensor, Argument(i, "xyzwvu"[i]), OpenSizes(frozenset(dynamic[i] if i < len(dynamic) else ()))
            )
            for i, tensor in enumerate(tensors)
        ]

    def call(self, target, *args, **kwargs):
        """Record a function, or a method by name; ``Input(i)`` among the arguments is an input."""
        args, kwargs = replace(args, self.nodes), replace(kwargs, self.nodes)
        if isinstance(target, str):
            return self.builder.call_method(target, args, kwargs)
        return self.builder.call_function(target, args, kwargs)

    def finish(self, *outputs):
        return self.builder.finish(outputs)


@pytest.fixture
def recorder():
    """``recorder(*tensors, dynamic=...)`` makes a ``Recorder``; torch's random numbers are seeded."""
    torch.manual_seed(0)
    made = []

    def make(*tensors, dynamic=()):
        made.append(Recorder(*tensors, dynamic=dynamic))
        return made[-1]

    yield make
    for one in made:
        one.builder.close()


@pytest.fixture
def value():
    """``value(node)``: the fake result of a node."""
    return lambda node: node.meta["example_value"]
