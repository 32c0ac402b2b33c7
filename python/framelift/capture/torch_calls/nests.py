"""Nests of containers with holes for their tensors: what a body of a graph takes and gives.

A pattern is plain data: containers, constants, and a ``Hole`` in the place of each tensor, and of each number
that is a symbol where the user of the pattern takes these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from framelift.capture.datamodel import constants, mapping
from framelift.capture.values import Constant, DictObject, ListObject, Symbol, Tensor, TupleObject, Value
from framelift.capture.values.objects import type_of
from framelift.observe import reasons
from framelift.observe.errors import Break
from framelift.observe.reasons import Reason


@dataclass(frozen=True, slots=True)
class Hole:
    """The place of a tensor in a nest of containers: its number."""

    index: int


@dataclass(frozen=True, slots=True)
class SizeOf:
    """The place of a ``torch.Size``, which holds no holes."""

    items: tuple[Any, ...]


def pattern_of(
    vm,
    value: Value,
    found: list[Any],
    reason: Reason = reasons.FUNCTION_TRANSFORM,
    *,
    symbols: bool = False,
) -> Any:
    """The pattern of a nest, whose tensors are put behind ``found``; with ``symbols`` its symbols too.

    A nest that holds other values is a break, for ``reason``.
    """

    def inner(item: Value) -> Any:
        return pattern_of(vm, item, found, reason, symbols=symbols)

    value = vm.look(value)
    match value:
        case Tensor():
            found.append(value)
            return Hole(len(found) - 1)
        case TupleObject() if value.cls is tuple:
            return tuple(map(inner, value.items))
        case TupleObject() if value.cls is torch.Size:
            return SizeOf(tuple(map(inner, value.items)))
        case ListObject() if value.cls is list:
            return list(map(inner, value.items))
        case DictObject() if value.cls is dict:
            pairs = mapping.items(vm, value)
            return {constants.required(vm, key, "a key"): inner(item) for key, item in pairs}
        case Constant():
            return value.value
        case Symbol() if symbols:
            found.append(value)
            return Hole(len(found) - 1)
        case Symbol():
            return vm.specialize(value)
    raise Break(reason, f"a {type_of(value).__qualname__} as argument or result")


def filled(pattern: Any, tensors: list) -> Any:
    """A pattern with tensors in its holes."""
    match pattern:
        case Hole():
            return tensors[pattern.index]
        case tuple() | list():
            return type(pattern)(filled(item, tensors) for item in pattern)
        case dict():
            return {key: filled(item, tensors) for key, item in pattern.items()}
        case SizeOf():
            return torch.Size(filled(pattern.items, tensors))
    return pattern


def without_tensors(value: Any, found: list[torch.Tensor]) -> Any:
    """The pattern of a nest of real containers, whose tensors are put behind ``found``."""
    if isinstance(value, torch.Tensor):
        found.append(value)
        return Hole(len(found) - 1)
    if type(value) in (tuple, list):
        return type(value)(without_tensors(item, found) for item in value)
    if type(value) is dict:
        return {key: without_tensors(item, found) for key, item in value.items()}
    return value


def value_of(vm, pattern: Any, values: list[Value]) -> Value:
    """The value of a pattern."""
    match pattern:
        case Hole():
            return values[pattern.index]
        case tuple():
            return TupleObject([value_of(vm, item, values) for item in pattern])
        case list():
            return ListObject([value_of(vm, item, values) for item in pattern])
        case SizeOf():
            return TupleObject([value_of(vm, item, values) for item in pattern.items], torch.Size)
        case dict():
            return mapping.from_pairs(
                vm,
                [(constants.from_host(vm, key), value_of(vm, item, values)) for key, item in pattern.items()],
            )
    return constants.from_host(vm, pattern)
