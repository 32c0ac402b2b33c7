"""Nodes of a graph in another order, such that Python's floats stand together.

An optimizer that asks each parameter's counter for its number would be cut at every parameter. What must
stay in order is little: a node comes after what it takes, after the writes to the memory it reads or writes,
before later writes to memory it reads, and draws of random numbers after each other. Everything else is
free.

Floats come as early as they can, and in front of them only what they need: all else is then one piece, and
little has been written when Python's arithmetic refuses a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import fx

from framelift import torch_internals
from framelift.graph.failing import place_of
from framelift.graph.nodes import EFFECT, EXAMPLE, is_item, tensors_in


def is_float(node: fx.Node) -> bool:
    """Whether a node gives a float to Python."""
    return isinstance(node.meta.get(EXAMPLE), torch.SymFloat)


def in_stages(nodes: Sequence[fx.Node]) -> list[list[fx.Node]]:
    """The nodes in turns: floats, others, floats, ... Each turn of floats has all that what came before
    allows, each turn of others only what the next floats need, but for the last one."""
    if not any(map(is_float, nodes)):
        return [list(nodes)]
    order = Order()
    inside = set(nodes)
    before = {node: [earlier for earlier in order.before(node) if earlier in inside] for node in nodes}
    stage: dict[fx.Node, int] = {}
    for node, all_before in before.items():
        steps = (stage[earlier] + (is_float(node) and not is_float(earlier)) for earlier in all_before)
        stage[node] = max(steps, default=0)
    last = max(stage.values())
    latest = {node: stage[node] if is_float(node) else last for node in nodes}
    for node in reversed(nodes):
        for earlier in before[node]:
            if not is_float(earlier):
                latest[earlier] = min(latest[earlier], latest[node] - is_float(node))
    turns: list[list[fx.Node]] = [[] for _ in range(2 * last + 2)]
    for node in nodes:
        turns[2 * latest[node] + (not is_float(node))].append(node)
    return turns


class Order:
    """Who has read, written and drawn so far."""

    __slots__ = ("_drawn", "_readers", "_writer")

    def __init__(self) -> None:
        self._writer: dict[int, fx.Node] = {}
        self._readers: dict[int, list[fx.Node]] = {}
        self._drawn: fx.Node | None = None

    def before(self, node: fx.Node) -> list[fx.Node]:
        """The nodes that must come before this one, which is the next in the program's order."""
        if is_item(node):
            return list(node.all_input_nodes)
        place = place_of(node)
        written = place.written if place is not None else frozenset()
        tensors = (tensor for item in node.all_input_nodes for tensor in tensors_in(item.meta.get(EXAMPLE)))
        read = {torch_internals.storage_key(tensor) for tensor in tensors}
        found = list(node.all_input_nodes)
        found += [self._writer[storage] for storage in read | written if storage in self._writer]
        for storage in written:
            found += self._readers.pop(storage, ())
            self._writer[storage] = node
        for storage in read - written:
            self._readers.setdefault(storage, []).append(node)
        if EFFECT in node.meta and (place is None or place.draws or not written):
            found += [] if self._drawn is None else [self._drawn]
            self._drawn = node
        return found
