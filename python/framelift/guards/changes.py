"""What changed since an entry was made: all sizes and numbers that differ in a call, not only the first.

A guard tree stops at the first fact that fails. Before the next capture decides which sizes are symbols, all
guarded tensors and numbers of the entry are compared: two tensors that grow together cost one capture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from framelift import torch_internals
from framelift.guards import kinds
from framelift.guards.collect import GuardSet
from framelift.guards.kinds import Guard
from framelift.guards.reference import FetchError, reach
from framelift.guards.sources import Source

SAME_PROGRAM = ("dtype", "device", "layout", "requires_grad", "key_set")
"""Facts of a tensor that must agree for its sizes to be what changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """A source whose tensor has other sizes in ``dimensions``, or whose number of type ``number`` differs."""

    source: Source
    dimensions: tuple[int, ...] = ()
    number: type | None = None


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
        change = Change(source, changed_dimensions(guard, value), changed_number(guard, value))
        if change.dimensions or change.number is not None:
            found.append(change)
    return found


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
