"""Iteration: ``iter``, ``next``, unpacking.

https://docs.python.org/3/library/stdtypes.html#iterator-types
"""

from __future__ import annotations

import collections
import types
from collections.abc import Iterator

from framelift.capture.datamodel import attributes, calls, halfway, mapping, set_order, tensors
from framelift.capture.exceptions import Raised, raised
from framelift.capture.values import (
    Constant,
    DictObject,
    GeneratorObject,
    IteratorObject,
    ListObject,
    OutsideIterator,
    SetObject,
    Symbol,
    Tensor,
    TupleObject,
    Value,
    ViewObject,
)
from framelift.capture.values.objects import type_of
from framelift.config import config
from framelift.guards import kinds
from framelift.guards.kinds import ABSENT
from framelift.observe import reasons
from framelift.observe.errors import Break

LIST_ITERATOR, TUPLE_ITERATOR = type(iter([])), type(iter(()))
DICT_KEY_ITERATOR, SET_ITERATOR = type(iter({})), type(iter(set()))


def iterator_of(vm, value: Value) -> Value:
    """``iter(value)``."""
    value = vm.look(value)
    match value:
        case IteratorObject() | GeneratorObject() | OutsideIterator():
            return value
        case Constant():
            return iterator_of_constant(vm, value)
        case Tensor():
            return IteratorObject(tensors.unbind(vm, value), LIST_ITERATOR)
        case Symbol():
            raise raised(TypeError, f"'{value.cls.__name__}' object is not iterable")
    cls = type_of(value)
    raw = attributes.lookup(vm, cls, "__iter__")
    if raw is ABSENT or raw is None:
        if attributes.has_method(vm, value, "__getitem__"):
            return calls.call(vm, vm.polyfill("sequence_iterator"), [value], {})
        raise raised(TypeError, f"'{cls.__name__}' object is not iterable")
    check_not_outside(vm, value)
    return vm.look(calls.call(vm, attributes.bind(vm, raw, value, cls, "__iter__"), [], {}))


def iterator_of_constant(vm, value: Constant) -> Value:
    """Iterators over strings, bytes, ranges, frozen sets, enumerations."""
    real = value.value
    if isinstance(real, (str, bytes, range, frozenset)):
        if len(real) > config.loop_limit:
            raise Break(reasons.LOOP_TOO_LONG, f"{len(real)} items of a {type(real).__name__}")
        return IteratorObject([Constant(item) for item in real], type(iter(real)), value)
    method = attributes.special_method(vm, value, "__iter__")
    if method is None:
        raise raised(TypeError, f"'{type(real).__name__}' object is not iterable")
    return vm.look(calls.call(vm, method, [], {}))


def storage_iterator(vm, value: Value) -> IteratorObject:
    """The C iterator over a builtin container's storage."""
    match value:
        case ListObject():
            return IteratorObject(value.items, LIST_ITERATOR, value)
        case TupleObject():
            return IteratorObject(value.items, TUPLE_ITERATOR, value)
        case DictObject():
            return IteratorObject([key for key, _ in mapping.items(vm, value)], DICT_KEY_ITERATOR, value)
        case SetObject():
            return IteratorObject(set_in_order(vm, value), SET_ITERATOR, value)
    raise Break(reasons.UNSUPPORTED_CALL, f"iter of a {type_of(value).__qualname__}")


def set_in_order(vm, value: SetObject) -> list[Value]:
    """The members in the order of the C storage: guarded for an unchanged outside set, else the mirror's."""
    if len(value.items) > 1:
        found = set_order.in_order(value)
        if found is not None:
            return found
        if value.real is None or vm.effects.replaces_contents(value):
            raise Break(reasons.SET_ORDER, f"{len(value.items)} members")
        vm.guards.add(value.source, kinds.SetOrder(tuple(value.real)))
    return list(value.items.values())


def next_of(vm, iterator: Value) -> Value | None:
    """``next(iterator)``, or None when it is exhausted."""
    iterator = vm.look(iterator)
    if isinstance(iterator, IteratorObject):
        check_unchanged(vm, iterator)
        place = iterator.place
        if not 0 <= place < len(iterator.items):
            iterator.index = len(iterator.items) if iterator.sequence is None else 1 << 62
            return None
        iterator.index += 1
        return iterator.items[place]
    if isinstance(iterator, GeneratorObject):
        result = vm.resume(iterator, Constant(None))
        return result[0] if result is not None else None
    if isinstance(iterator, OutsideIterator):
        return halfway.next_of(vm, iterator)
    check_not_outside(vm, iterator)
    method = attributes.special_method(vm, iterator, "__next__")
    if method is None:
        raise raised(TypeError, f"'{type_of(iterator).__name__}' object is not an iterator")
    try:
        return calls.call(vm, method, [], {})
    except Raised as error:
        if issubclass(error.value.cls, StopIteration):
            return None
        raise


def has_place(value: Value) -> bool:
    """Whether this is an iterator that ``next_of`` knows how to advance."""
    return isinstance(value, (IteratorObject, GeneratorObject, OutsideIterator))


def check_not_outside(vm, value: Value) -> None:
    """An iterator that came from outside keeps its position in C, where capture can't put it back."""
    raw = attributes.lookup(vm, type_of(value), "__next__")
    if isinstance(raw, types.WrapperDescriptorType) and getattr(value, "real", None) is not None:
        raise Break(reasons.MUTATED_ITERATOR_INPUT, f"{value.source} is a {type_of(value).__qualname__}")


def check_unchanged(vm, iterator: IteratorObject) -> None:
    """A dict, set or deque that changed size under its iterator raises in CPython: left to it."""
    if was_changed(vm, iterator):
        raise Break(reasons.CHANGED_WHILE_ITERATED, f"a {iterator.sequence.cls.__name__}")


def was_changed(vm, iterator: IteratorObject) -> bool:
    """Whether a dict, set or deque has another size than when its iterator was made."""
    sequence = iterator.sequence
    if isinstance(sequence, ViewObject):
        sequence = sequence.mapping
    if isinstance(sequence, DictObject):
        return len(mapping.items(vm, sequence)) != len(iterator.items)
    if isinstance(sequence, ListObject) and issubclass(sequence.cls, collections.deque):
        return len(sequence.items) != iterator.length
    return isinstance(sequence, SetObject) and len(sequence.items) != len(iterator.items)


def unpack(vm, value: Value) -> list[Value]:
    """All items of an iterable, as ``list(value)`` gives them."""
    return list(steps(vm, value))


def steps(vm, value: Value) -> Iterator[Value]:
    """The items of an iterable one by one, for what stores each before it asks for the next."""
    value = vm.look(value)
    if isinstance(value, (ListObject, TupleObject)) and is_plain_iteration(vm, value):
        yield from list(value.items)
        return
    if isinstance(value, Tensor):
        yield from tensors.unbind(vm, value)
        return
    iterator = iterator_of(vm, value)
    count = 0
    while (item := next_of(vm, iterator)) is not None:
        yield item
        count += 1
        if count > config.loop_limit:
            raise Break(reasons.LOOP_TOO_LONG, f"more than {config.loop_limit} items")


def is_plain_iteration(vm, value: ListObject | TupleObject) -> bool:
    """Whether a list or tuple (or subclass) iterates over its storage."""
    raw = attributes.lookup(vm, value.cls, "__iter__")
    return raw in (list.__iter__, tuple.__iter__)
