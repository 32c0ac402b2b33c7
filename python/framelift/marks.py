"""Marks: what a program says about the sizes of a tensor before it calls a compiled function.

The marks are attributes of the tensor under the names that TorchDynamo gives them, so that a tensor marked by
``torch._dynamo.mark_dynamic`` is marked here too, and the other way round. They are read when a call is
compiled and are no part of the guards: a call that an entry fits needs no other one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from framelift.observe import reasons
from framelift.observe.errors import Misuse

Index = int | Sequence[int]

DYNAMIC, WEAK, STATIC = "_dynamo_dynamic_indices", "_dynamo_weak_dynamic_indices", "_dynamo_static_indices"
UNBACKED, STRICT_UNBACKED = "_dynamo_unbacked_indices", "_dynamo_strict_unbacked_indices"
RANGES, UNBACKED_BOUNDS = "_dynamo_dynamic_range", "_dynamo_unbacked_bounds"
MARKED = "_has_dynamo_dim_marking"
STATIC_CLASS = "_dynamo_marked_static"


@dataclass(frozen=True, slots=True)
class DimensionRange:
    """The sizes that a dimension is said to have, ``min`` and ``max`` included."""

    dim: int
    min: int | None
    max: int | None


@dataclass(frozen=True, slots=True)
class Marks:
    """The marked dimensions of a tensor by kind, and the promised ranges."""

    dynamic: Collection[int] = ()
    weak: Collection[int] = ()
    static: Collection[int] = ()
    unbacked: Collection[int] = ()
    ranges: dict[int, tuple[int | None, int | None]] = field(default_factory=dict)


def mark_dynamic(
    t: torch.Tensor,
    index: Index,
    *,
    min: int | None = None,  # noqa: A002
    max: int | None = None,  # noqa: A002
) -> None:
    """The size of a dimension changes: it is open from the first call on, from ``min`` to ``max``.

    A compiled function that turns out to need one fixed size, or a part of the range, raises.
    """
    for dimension in _dimensions(t, index):
        _unmark(t, WEAK, dimension)
        _mark(t, DYNAMIC, dimension)
        _set_range(t, dimension, min, max)


def maybe_mark_dynamic(
    t: torch.Tensor,
    index: Index,
    *,
    min: int | None = None,  # noqa: A002
    max: int | None = None,  # noqa: A002
) -> None:
    """As ``mark_dynamic``, but a function that needs a fixed size is compiled for that size."""
    for dimension in _dimensions(t, index):
        if dimension not in getattr(t, DYNAMIC, ()):
            _mark(t, WEAK, dimension)
            _set_range(t, dimension, min, max)


def mark_unbacked(
    t: torch.Tensor,
    index: Index,
    *,
    min: int | None = None,  # noqa: A002
    max: int | None = None,  # noqa: A002
) -> None:
    """The size of a dimension is as unknown as if it came from data: nothing is decided by it, 0 and 1 are
    ordinary sizes, and what the function assumes of it is checked when the graph runs."""
    for dimension in _dimensions(t, index):
        _mark(t, UNBACKED, dimension)
        if min is not None or max is not None:
            setattr(t, UNBACKED_BOUNDS, getattr(t, UNBACKED_BOUNDS, {}) | {dimension: (min, max)})


def mark_static(t: Any, index: Index | None = None) -> Any:
    """The sizes of these dimensions (by default all) are fixed: another size is compiled anew.

    Of a class of modules: the numbers among the attributes of its instances are fixed. The class is returned.
    """
    if isinstance(t, type) and issubclass(t, torch.nn.Module):
        setattr(t, STATIC_CLASS, True)
        return t
    for dimension in _dimensions(t, range(t.dim()) if index is None and _is_tensor(t) else index):
        _mark(t, STATIC, dimension)
    return None


def marks_of(tensor: torch.Tensor) -> Marks:
    """The marks that a tensor carries."""
    found = tensor.__dict__
    if not found:
        return NO_MARKS
    ranges = {one.dim: (one.min, one.max) for one in found.get(RANGES, ())}
    return Marks(
        found.get(DYNAMIC, ()),
        found.get(WEAK, ()),
        found.get(STATIC, ()),
        {*found.get(UNBACKED, ()), *found.get(STRICT_UNBACKED, ())},
        ranges | found.get(UNBACKED_BOUNDS, {}),
    )


NO_MARKS = Marks()


def has_fixed_numbers(owner: object) -> bool:
    """Whether the numbers among an object's attributes are fixed, as ``mark_static`` says of its class."""
    return bool(getattr(type(owner), STATIC_CLASS, False))


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def _dimensions(t: object, index: Any) -> list[int]:
    if not _is_tensor(t):
        raise Misuse(reasons.WRONG_ARGUMENT_TYPE, f"a mark on {t!r}", allowed="a tensor")
    found = [index] if type(index) is int else index
    if not isinstance(found, Sequence) or not all(type(one) is int for one in found):
        raise Misuse(reasons.WRONG_ARGUMENT_TYPE, f"index={index!r}", allowed="an int, or a list of ints")
    return list(found)


def _mark(t: torch.Tensor, name: str, dimension: int) -> None:
    setattr(t, name, {*getattr(t, name, ()), dimension})
    setattr(t, MARKED, True)


def _unmark(t: torch.Tensor, name: str, dimension: int) -> None:
    if dimension in getattr(t, name, ()):
        setattr(t, name, getattr(t, name) - {dimension})


def _set_range(t: torch.Tensor, dimension: int, least: int | None, greatest: int | None) -> None:
    others = {one for one in getattr(t, RANGES, ()) if one.dim != dimension}
    if least is not None or greatest is not None:
        others.add(DimensionRange(dimension, least, greatest))
    if others or hasattr(t, RANGES):
        setattr(t, RANGES, others)
