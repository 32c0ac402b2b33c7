"""Outputs that a compiler made one tensor, although the program made several.

Inductor drops a copy whose original is not needed any more, and computes what is equal only once: of
``return y, y.clone()`` it may return one tensor twice, and of ``x[0] = w; return x.clone()`` the input
itself. Numbers are right, but a program that goes on to write to one of them changes both. Which tensors of a
graph share memory is known from capture, and which of a compiled graph's results do shows at its first call:
from then on those that must not are copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from framelift import torch_internals
from framelift.graph.nodes import EXAMPLE

if TYPE_CHECKING:
    from framelift.graph.finished import FinishedGraph


@dataclass(frozen=True, slots=True)
class Sharing:
    """Of a list of values: the position of the first one with the same memory, and of the first that is it.

    Anything but a tensor is only itself.
    """

    memory: list[int]
    identity: list[int]

    @classmethod
    def of(cls, values: Sequence[Any]) -> Sharing:
        """The sharing among these values."""
        memory: dict[int, int] = {}
        identity: dict[int, int] = {}
        sharing = cls([], [])
        for place, value in enumerate(values):
            is_tensor = isinstance(value, torch.Tensor)
            key = torch_internals.storage_key(value) if is_tensor else -place
            sharing.memory.append(memory.setdefault(key, place))
            sharing.identity.append(identity.setdefault(id(value) if is_tensor else -place, place))
        return sharing


@dataclass(frozen=True, slots=True)
class Repair:
    """What is done to the output at ``place``.

    It is copied; or it becomes a view of ``owner``, an output that was copied; or, with itself as owner, only
    another object of the same memory.
    """

    place: int
    copied: bool
    owner: int = -1


def keeping_tensors_apart(graph: FinishedGraph, run: Callable[..., Any]) -> Callable[..., Any]:
    """``run``, whose results share memory with each other and with inputs only where the graph's do."""
    nodes = list(graph.module.graph.nodes)
    placeholders = nodes[: len(graph.inputs)]
    examples = [node.meta[EXAMPLE] for node in (*placeholders, *nodes[-1].args[0])]
    expected = Sharing.of(examples)
    repairs: list[Repair] | None = None

    def run_apart(*inputs: Any) -> Any:
        nonlocal repairs
        outputs = run(*inputs)
        if repairs is None:
            repairs = needed_repairs(expected, Sharing.of([*inputs, *outputs]), len(inputs))
        return repair(outputs, repairs) if repairs else outputs

    return run_apart


def needed_repairs(expected: Sharing, found: Sharing, input_count: int) -> list[Repair]:
    """What to do to the outputs behind the first ``input_count`` values.

    Inputs that share memory at this call did so at capture, or were not written to; so sharing with any of
    them is sharing with all.
    """
    repairs = []
    copied: set[int] = set()
    for place in range(input_count, len(expected.memory)):
        owner = expected.memory[place]
        if owner == place and found.memory[place] != place:
            copied.add(place)
            repairs.append(Repair(place - input_count, copied=True))
        elif owner in copied:
            repairs.append(Repair(place - input_count, copied=False, owner=owner - input_count))
        elif found.identity[place] != place and expected.identity[place] == place:
            repairs.append(Repair(place - input_count, copied=False, owner=place - input_count))
    return repairs


def repair(outputs: Sequence[Any], repairs: list[Repair]) -> list[Any]:
    """The outputs with their own tensors in the places that need it."""
    result = list(outputs)
    for each in repairs:
        tensor = outputs[each.place]
        if each.copied:
            result[each.place] = tensor.clone()
        elif each.owner == each.place:
            result[each.place] = tensor.view_as(tensor)
        else:
            offset = tensor.storage_offset() - outputs[each.owner].storage_offset()
            result[each.place] = result[each.owner].as_strided(tensor.size(), tensor.stride(), offset)
    return result
