"""Floats that a piece takes, as tensors.

A compiler would take a float for a fact, or refuse it. So a piece takes all its floats as one tensor of
doubles, and each stands in its computation as a tensor without dimensions, of the type of what it is
combined with: single precision is what eager rounds a float to when it meets such a tensor. Lists of tensors
with one float each become one call for each tensor, and factors like ``alpha`` become products.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from framelift.graph import GraphBuilder
from framelift.graph.errors import CallFailed
from framelift.graph.nodes import EXAMPLE, nodes_in, rebuild, target_name, tensors_in

FOREACH = "_foreach_"
TYPES = (torch.float32, torch.float64)
"""Types of tensors in which eager computes with a float rounded to that type."""


@dataclass(frozen=True, slots=True)
class Float:
    """A float among the arguments of a call, by its place in the tensor of floats."""

    place: int


class NotATensor(CallFailed):
    """A float stands where a tensor can't."""

    def __init__(self, target: str) -> None:
        super().__init__(TypeError(target), target, "this float can't be a tensor")


class Floats:
    """The floats of one piece, in the graph that ``builder`` makes of it."""

    __slots__ = ("_builder", "_made", "_packed")

    def __init__(self, builder: GraphBuilder, packed: fx.Node) -> None:
        self._builder = builder
        self._packed = packed
        self._made: dict[tuple[int, torch.dtype], fx.Node] = {}

    def call(self, node: fx.Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Record what ``node`` does with these arguments, some of them ``Float``s: the node of the result,
        or a list of them. Raises ``CallFailed`` if tensors can't say it, or with another result."""
        name = target_name(node.target)
        if name.startswith(FOREACH):
            return self._each(name.removeprefix(FOREACH), args, kwargs, node.meta[EXAMPLE])
        made = self._one(node.op, node.target, args, kwargs)
        if not alike(made.meta[EXAMPLE], node.meta[EXAMPLE]):
            raise NotATensor(name)
        return made

    def _each(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], expected: Any) -> Any:
        """A call for every item of its lists, the first of which has the tensors whose method it is."""
        named = dict(kwargs)
        args = list(args)
        if not args or not isinstance(args[0], tuple | list):
            raise NotATensor(name)
        if name.rstrip("_") in ("addcmul", "addcdiv") and len(args) == 4:
            named["value"] = args.pop()
        made = [
            self._one("call_method", name, [item(arg, place) for arg in args], item_of_each(named, place))
            for place in range(len(args[0]))
        ]
        if expected is None:
            return None
        found = [node.meta[EXAMPLE] for node in made]
        if len(found) != len(expected) or not all(map(alike, found, expected)):
            raise NotATensor(name)
        return made

    def _one(self, kind: str, target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> fx.Node:
        """One call on tensors."""
        types = {value.dtype for value in tensors_among((args, kwargs))}
        if len(types) != 1 or not types <= set(TYPES):
            raise NotATensor(target_name(target))
        (dtype,) = types
        for name in ("alpha", "value"):
            factor = kwargs.get(name)
            if isinstance(factor, Float):
                return self._with_factor(target_name(target), args, self._tensor(factor, dtype), len(kwargs))
        arguments, named = self._as_tensors(tuple(args), dtype), self._as_tensors(dict(kwargs), dtype)
        call = self._builder.call_method if kind == "call_method" else self._builder.call_function
        return call(target, arguments, named)

    def _with_factor(self, name: str, args: Sequence[Any], factor: fx.Node, keywords: int) -> fx.Node:
        """``x + alpha * y``, ``x + value * (a / b)``."""
        base = name.rstrip("_")
        multiply, method = self._builder.call_function, self._builder.call_method
        if keywords != 1 or not all(isinstance(arg, fx.Node) for arg in args):
            raise NotATensor(name)
        match base, *args:
            case "add" | "sub", tensor, term:
                operation = base
            case "addcmul", tensor, first, second:
                operation, term = "add", multiply(operator.mul, (first, second))
            case "addcdiv", tensor, first, second:
                operation, term = "add", multiply(operator.truediv, (first, second))
            case _:
                raise NotATensor(name)
        return method(operation + name[len(base) :], (tensor, multiply(operator.mul, (term, factor))))

    def _as_tensors(self, argument: Any, dtype: torch.dtype) -> Any:
        if isinstance(argument, Float):
            return self._tensor(argument, dtype)
        return rebuild(argument, lambda part: self._as_tensors(part, dtype))

    def _tensor(self, number: Float, dtype: torch.dtype) -> fx.Node:
        key = (number.place, dtype)
        if key not in self._made:
            node = self._builder.call_function(operator.getitem, (self._packed, number.place))
            self._made[key] = self._builder.call_method("to", (node, dtype))
        return self._made[key]


def alike(found: Any, expected: Any) -> bool:
    """Whether a result is the tensor that was expected, as far as type and sizes go."""
    return (
        isinstance(found, torch.Tensor)
        and isinstance(expected, torch.Tensor)
        and (found.dtype, found.shape) == (expected.dtype, expected.shape)
    )


def tensors_among(argument: Any) -> Iterator[torch.Tensor]:
    """The tensors of the nodes in a nest of arguments."""
    for node in nodes_in(argument):
        yield from tensors_in(node.meta[EXAMPLE])


def item(argument: Any, place: int) -> Any:
    """What an item of a list is combined with: an item of another list, or what is the same for all."""
    return argument[place] if isinstance(argument, tuple | list) else argument


def item_of_each(named: Mapping[str, Any], place: int) -> dict[str, Any]:
    """Keywords for an item."""
    return {name: item(value, place) for name, value in named.items()}
