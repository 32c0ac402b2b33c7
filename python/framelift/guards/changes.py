"""What changed since an entry was made: all sizes and numbers that differ in a call, not only the first.

A guard tree stops at the first fact that fails. Before the next capture decides which sizes are symbols, all
guarded tensors and numbers of the entry are compared: two tensors that grow together cost one capture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from framelift import torch_internals
from framelift.guards import kinds, sources
from framelift.guards.collect import GuardSet
from framelift.guards.kinds import Guard
from framelift.guards.reference import FetchError, holds, reach
from framelift.guards.sources import Source
from framelift.marks import has_fixed_numbers

SAME_PROGRAM = ("dtype", "device", "layout", "requires_grad", "key_set")
"""Facts of a tensor that must agree for its sizes to be what changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """A source whose tensor has other sizes in ``dimensions``, or whose number of type ``number`` differs.

    ``fixed``: the number is an attribute of an object whose class says that its numbers are fixed.
    """

    source: Source
    dimensions: tuple[int, ...] = ()
    number: type | None = None
    fixed: bool = False


def find_changes(guards: GuardSet, arguments: tuple[object, ...]) -> list[Change]:
    """All changed sizes and numbers among the guarded objects that can still be fetched."""
    found: list[Change] = []
    for source, guard in guards.guards:
        if not isinstance(guard, kinds.TensorMatch | kinds.Equals):
            continue
        try:
            value = reach(source, arguments)
        except FetchError:
            continue
        number = changed_number(guard, value)
        fixed = number is not None and is_fixed_attribute(source, arguments)
        change = Change(source, changed_dimensions(guard, value), number, fixed)
        if change.dimensions or change.number is not None:
            found.append(change)
    return found


def is_elsewhere(guards: GuardSet, arguments: tuple[object, ...]) -> bool:
    """Whether an iterator is in another round of its loop than an entry is for."""
    for source, guard in guards.guards:
        if isinstance(guard, kinds.ItemsLeft):
            try:
                if not holds(guard, reach(source, arguments), lambda other: reach(other, arguments)):
                    return True
            except FetchError:
                return True
    return False


def is_fixed_attribute(source: Source, arguments: tuple[object, ...]) -> bool:
    """Whether a source is an attribute of a module of a class that is marked with ``mark_static``."""
    if not (isinstance(source, sources.DictItem) and isinstance(source.base, sources.InstanceDict)):
        return False
    return has_fixed_numbers(reach(source.base.base, arguments))


def changed_dimensions(guard: Guard, found: object) -> tuple[int, ...]:
    """The dimensions in which a tensor that is alike in everything but sizes and strides has other sizes."""
    if not isinstance(guard, kinds.TensorMatch) or type(found) is not guard.cls:
        return ()
    assert isinstance(found, torch.Tensor)
    facts = torch_internals.tensor_facts(found)
    if found.ndim != len(guard.sizes) or any(facts[name] != guard.facts[name] for name in SAME_PROGRAM):
        return ()
    return tuple(i for i, size in enumerate(guard.sizes) if size is not None and found.shape[i] != size)


def changed_number(guard: Guard, found: object) -> type | None:
    """int or float where a number has another value of its type."""
    if not isinstance(guard, kinds.Equals) or type(guard.expected) not in (int, float):
        return None
    same_type = type(found) is type(guard.expected)
    return type(found) if same_type and found != guard.expected else None
