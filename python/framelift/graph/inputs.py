"""The inputs of a graph: their placeholders, and what a call of the graph changes of them.

Placeholders stand in front of everything else, in the order in which the inputs were met. What an input's
fake was when it came in is written down, because calls change it; compared with what it is in the end, it
says what the graph does to the user's tensor besides writing to its memory.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from framelift import torch_internals
from framelift.graph.failing import SMALL
from framelift.graph.metadata import has_history
from framelift.graph.nodes import EXAMPLE
from framelift.graph.shapes import is_symbolic

if TYPE_CHECKING:
    from framelift.guards.sources import Source


@dataclass(frozen=True, slots=True)
class InputState:
    """What a call of the graph may change of an input's fake."""

    storage: int
    shape: tuple[Any, ...]
    requires_grad: bool
    is_leaf: bool

    @classmethod
    def of(cls, fake: torch.Tensor) -> InputState:
        """The state of ``fake`` now."""
        numbers: tuple[Any, ...] = tuple(fake.size())
        if fake.layout is torch.strided:
            numbers = (*numbers, *fake.stride(), fake.storage_offset())
        shape = tuple(
            torch_internals.symbolic_expression(number) if is_symbolic(number) else number
            for number in numbers
        )
        return cls(torch_internals.storage_key(fake), shape, fake.requires_grad, not has_history(fake))


@dataclass(frozen=True, slots=True)
class GraphInput:
    """An input: its placeholder, where it comes from, the object met at capture, and how its fake came in.

    ``real`` is None once the graph has been made.
    """

    node: fx.Node
    source: Source
    real: Any
    fake: Any
    before: InputState | None
    """What the fake was before any call of the graph; None for numbers."""


class GraphInputs:
    """The placeholders at the head of ``graph``, those of inputs and those that bodies have for arguments."""

    __slots__ = ("_entries", "_graph", "_last", "_names")

    def __init__(self, graph: fx.Graph) -> None:
        self._graph = graph
        self._entries: list[GraphInput] = []
        self._names: set[str] = set()
        self._last: fx.Node | None = None

    def __iter__(self) -> Iterator[GraphInput]:
        return iter(self._entries)

    def forget(self) -> None:
        """Let go of the objects met at capture; their fakes stay, and where they come from."""
        self._entries = [replace(entry, real=None) for entry in self._entries]

    def add(self, entry: GraphInput) -> None:
        """Another input, the placeholder of which is there."""
        self._entries.append(entry)

    def placeholder(self, name: str, example: Any) -> fx.Node:
        """A placeholder behind those that are there, and in front of all else."""
        graph = self._graph
        first = next(iter(graph.nodes), None)
        if self._last is not None:
            with graph.inserting_after(self._last):
                node = graph.create_node("placeholder", name, name=name)
        elif first is not None:
            with graph.inserting_before(first):
                node = graph.create_node("placeholder", name, name=name)
        else:
            node = graph.create_node("placeholder", name, name=name)
        node.meta[EXAMPLE] = example
        self._last = node
        return node

    def unique_name(self, spelling: str) -> str:
        """An argument name for the generated code that reminds of the user's spelling."""
        stem = re.sub(r"\W+", "_", spelling).strip("_") or "input"
        if stem[0].isdigit() or keyword.iskeyword(stem) or stem == "self":
            stem = f"input_{stem}"
        name = stem
        count = 0
        while name in self._names:
            count += 1
            name = f"{stem}_{count}"
        self._names.add(name)
        return name

    def storages(self) -> frozenset[int]:
        """The memory of the tensors among them."""
        return frozenset(entry.before.storage for entry in self if entry.before is not None)

    def drop_unused(self) -> list[GraphInput]:
        """Remove the placeholders that no node reads; those that stay."""
        for entry in self:
            if not entry.node.users:
                self._graph.erase_node(entry.node)
        return [entry for entry in self if entry.node.users]


def is_written(entry: GraphInput, written: Collection[int]) -> bool:
    """Whether a graph that writes to the storages in ``written`` writes to the memory of an input."""
    return entry.before is not None and entry.before.storage in written


def changes_metadata(entry: GraphInput, written: Collection[int], shape_env: Any) -> bool:
    """Whether the graph changes an input in another way than writing to it does.

    What is written into a tensor brings its gradient along; then the tensor is no leaf.
    """
    if entry.before is None:
        return False
    before, after = entry.before, InputState.of(entry.fake)
    # A size that was found to be a number meanwhile has not changed.
    shape = torch_internals.with_what_is_known(shape_env, before.shape)
    if (before.storage, shape) != (after.storage, after.shape):
        return True
    gains = is_written(entry, written) and after.requires_grad and not after.is_leaf
    return before.requires_grad != after.requires_grad and not gains


def as_before(entry: GraphInput) -> torch.Tensor:
    """A fake of an input that the graph writes to, as its fake was before."""
    assert entry.before is not None
    return torch_internals.fake_without_history(
        entry.fake, requires_grad=entry.before.requires_grad, is_leaf=entry.before.is_leaf
    )


def can_be_put_back(fakes: Sequence[torch.Tensor], reals: Sequence[torch.Tensor] | None = None) -> bool:
    """Whether inputs that a graph writes to are so small that they may be copied before, and could be written
    back after it: autograd does not know that they were written to. ``reals`` tell sizes that are open."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in reals or fakes)
    return size <= SMALL and not any(map(has_history, fakes))


def overlapping_inputs(
    inputs: Sequence[GraphInput], written: Collection[fx.Node]
) -> tuple[tuple[int, int], ...]:
    """The positions of pairs of inputs that share memory one of them is written to in."""
    tensors = [place for place, entry in enumerate(inputs) if entry.before is not None]
    pairs = torch_internals.overlapping(
        [inputs[place].real for place in tensors], [inputs[place].node in written for place in tensors]
    )
    return tuple((tensors[first], tensors[second]) for first, second in pairs)
