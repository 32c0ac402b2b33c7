"""Iterators of C that came from outside, half-way: a loop that goes on behind a break.

What they give is read ahead of the place where they stand, of which is guarded that there are so many items;
the exit advances them. The number that an enumeration has come to, and the item that an iterator brings, are
sources like any other: rounds of a loop that are alike are one case.
"""

from __future__ import annotations

from framelift import _native
from framelift.capture.datamodel import calls, iteration, operators
from framelift.capture.exceptions import Raised
from framelift.capture.values import Constant, Lazy, OutsideIterator, TupleObject, Value
from framelift.guards import kinds
from framelift.guards.sources import Descriptor, NextItem
from framelift.observe import reasons
from framelift.observe.errors import Break

KEYS, VALUES, PAIRS = (type(iter(view)) for view in ({}, {}.values(), {}.items()))
PARTS = {KEYS: ("key",), VALUES: ("value",), PAIRS: ("key", "value")}
"""What is read of an item; of others it is the whole."""

STEPWISE = (*PARTS, type(iter(set())))
"""Their items are found one after the other, so that reading far ahead is slow."""
FAR = 32

IMMUTABLE = (str, bytes, tuple)


def next_of(vm, iterator: OutsideIterator) -> Value | None:
    """``next(iterator)``, or None when it is exhausted."""
    cls = iterator.cls
    try:
        if cls is zip:
            return next_row(vm, iterator)
        if cls is map:
            items = next_items(vm, vm.look(member(iterator, "iterators")).items)
            return None if items is None else calls.call(vm, member(iterator, "function"), items, {})
        if cls is filter:
            return next_passed(vm, iterator)
    except Raised as error:
        if issubclass(error.value.cls, StopIteration):
            return None
        raise
    if cls is enumerate:
        item = iteration.next_of(vm, member(iterator, "iterator"))
        return None if item is None else TupleObject([taken(vm, iterator)[0], item])
    return next_stored(vm, iterator)


def next_items(vm, iterators: list[Value]) -> list[Value] | None:
    """One item of each, None when one is exhausted: those before it have then been advanced."""
    items = []
    for iterator in iterators:
        item = iteration.next_of(vm, iterator)
        if item is None:
            return None
        items.append(item)
    return items


def next_row(vm, iterator: OutsideIterator) -> Value | None:
    """The next tuple of a ``zip``."""
    iterators = vm.look(member(iterator, "iterators")).items
    if not iterators:
        return None
    if not operators.truth(vm, member(iterator, "strict")):
        items = next_items(vm, iterators)
        return None if items is None else TupleObject(items)
    row = [iteration.next_of(vm, one) for one in iterators]
    if all(item is None for item in row):
        return None
    if any(item is None for item in row):  # CPython says which one it is
        raise Break(reasons.ESCAPING_EXCEPTION, f"{iterator.source}: iterators of several lengths")
    return TupleObject(row)


def next_passed(vm, iterator: OutsideIterator) -> Value | None:
    """The next item of a ``filter``."""
    function = vm.look(member(iterator, "function"))
    as_it_is = isinstance(function, Constant) and function.value in (None, bool)
    while (item := iteration.next_of(vm, member(iterator, "iterator"))) is not None:
        if operators.truth(vm, item if as_it_is else calls.call(vm, function, [item], {})):
            return item
    return None


def member(iterator: OutsideIterator, name: str) -> Lazy:
    """What an iterator holds: the iterators it takes from, a function."""
    descriptor = _native.iterator_parts[iterator.cls][name]
    return Lazy(descriptor.__get__(iterator.real), Descriptor(iterator.source, descriptor, name))


def next_stored(vm, iterator: OutsideIterator) -> Value | None:
    """The next item of a container or a range."""
    if iterator.ended:
        return None
    if iterator.taken and (vm.policy.round_by_round or (iterator.taken >= FAR and iterator.cls in STEPWISE)):
        raise Break(reasons.LOOP_ROUND, f"{iterator.source} is a {iterator.cls.__qualname__}")
    check_unchanged(vm, iterator)
    try:
        items = taken(vm, iterator)
    except IndexError:
        iterator.ended = True
        vm.effects.advanced(iterator)
        return None
    return items[0] if len(items) == 1 else TupleObject(items)


def taken(vm, iterator: OutsideIterator) -> list[Value]:
    """The parts of the next item, which is taken; raises IndexError at the end."""
    cls, ahead = iterator.cls, iterator.taken
    try:
        items = [
            Lazy(_native.next_item(iterator.real, ahead, part), NextItem(iterator.source, cls, ahead, part))
            for part in PARTS.get(cls, ("item",))
        ]
    except RuntimeError:
        what = f"{iterator.source} is a {cls.__qualname__}"
        raise Break(reasons.MUTATED_ITERATOR_INPUT, what) from None
    iterator.taken += 1
    vm.effects.advanced(iterator)
    return items


def check_unchanged(vm, iterator: OutsideIterator) -> None:
    """What is read ahead is what the container held when the segment began."""
    if id(iterator) not in vm.iterated:
        vm.iterated[id(iterator)] = (iterator, container_of(iterator))
    _, container = vm.iterated[id(iterator)]
    if container is not None and any(
        getattr(target, "real", None) is container.real for target in vm.effects.targets()
    ):
        raise Break(reasons.CHANGED_WHILE_ITERATED, f"a {type(container.real).__name__}")


def container_of(iterator: OutsideIterator) -> Lazy | None:
    """What an iterator takes its items from, where that can change."""
    try:
        container = member(iterator, "container")
    except (KeyError, AttributeError):  # numbers, or the end has been reached
        return None
    return None if isinstance(container.real, IMMUTABLE) else container


def guard_advanced(vm) -> None:
    """Each iterator has as many items left as were taken, and where the end was met, no more.

    Stated once, at the end of a segment: of all the numbers met on the way the last one holds the others.
    """
    for iterator, _ in vm.iterated.values():
        vm.guards.add(iterator.source, kinds.ItemsLeft(iterator.taken, iterator.ended))
