"""Subscription: ``container[key]``, stores and deletions, slices of builtin sequences.

https://docs.python.org/3/reference/datamodel.html#emulating-container-types
"""

from __future__ import annotations

from operator import getitem, setitem

import torch

from framelift.capture.datamodel import attributes, calls, constants, numbers, tensors
from framelift.capture.exceptions import raised
from framelift.capture.values import (
    Constant,
    ListObject,
    SliceObject,
    Symbol,
    Tensor,
    TupleObject,
    Value,
)
from framelift.capture.values.objects import type_of
from framelift.observe import reasons
from framelift.observe.errors import Break


def get(vm, container: Value, key: Value) -> Value:
    """``container[key]``."""
    container = vm.look(container)
    if isinstance(container, Tensor):
        return get_tensor(vm, container, vm.look(key))
    if isinstance(container, Constant):
        return get_constant(vm, container, key)
    method = attributes.special_method(vm, container, "__getitem__")
    if method is None:
        raise raised(TypeError, f"'{type_of(container).__name__}' object is not subscriptable")
    return calls.call(vm, method, [key], {})


def get_tensor(vm, tensor: Tensor, key: Value) -> Value:
    """``tensor[key]``.

    Torch's own subscription takes no integer whose value isn't known: it selects from what the rest gives.
    """
    parts = [vm.look(part) for part in key.items] if type_of(key) is tuple else [key]
    from_data = [place for place, part in enumerate(parts) if is_from_data(part)]
    if not from_data or not all(is_basic(part) for part in parts):
        return tensors.graph_call(vm, getitem, [tensor, key], {})
    whole = SliceObject(Constant(None), Constant(None), Constant(None))
    others = [whole if place in from_data else part for place, part in enumerate(parts)]
    found = tensors.graph_call(vm, getitem, [tensor, TupleObject(others)], {})
    for place in reversed(from_data):
        gone = sum(isinstance(part, (Constant, Symbol)) and not is_none(part) for part in others[:place])
        found = tensors.graph_call(
            vm, torch.select, [vm.look(found), Constant(place - gone), parts[place]], {}
        )
    return found


def is_from_data(part: Value) -> bool:
    """Whether a part of an index is an integer that is known only when the graph runs."""
    return isinstance(part, Symbol) and part.cls is int and numbers.depends_on_data(part)


def is_basic(part: Value) -> bool:
    """Whether a part of an index takes up exactly one dimension, or is None, which makes one."""
    is_integer = isinstance(part, Constant) and type(part.value) is int
    return isinstance(part, (SliceObject, Symbol)) or is_integer or is_none(part)


def is_none(part: Value) -> bool:
    return isinstance(part, Constant) and part.value is None


def get_constant(vm, container: Constant, key: Value) -> Value:
    """Subscripting strings, ranges, classes (``list[int]``), enumerations."""
    real = container.value
    if isinstance(real, (str, bytes, range)):
        return constants.fold(vm, getitem, [container, key], {})
    if isinstance(real, type):
        metaclass_method = attributes.lookup(vm, type(real), "__getitem__")
        if isinstance(metaclass_method, type(get)):
            return calls.call(vm, attributes.special_method(vm, container, "__getitem__"), [key], {})
        return constants.fold(vm, getitem, [container, key], {})
    method = attributes.special_method(vm, container, "__getitem__")
    if method is None:
        raise raised(TypeError, f"'{type(real).__name__}' object is not subscriptable")
    return calls.call(vm, method, [key], {})


def store(vm, container: Value, key: Value, value: Value) -> None:
    """``container[key] = value``."""
    container = vm.look(container)
    if isinstance(container, Tensor):
        tensors.graph_call(vm, setitem, [container, vm.look(key), value], {})
        return
    method = attributes.special_method(vm, container, "__setitem__")
    if method is None:
        raise raised(TypeError, f"'{type_of(container).__name__}' object does not support item assignment")
    calls.call(vm, method, [key, value], {})


def delete(vm, container: Value, key: Value) -> None:
    """``del container[key]``."""
    method = attributes.special_method(vm, container, "__delitem__")
    if method is None:
        name = type_of(vm.look(container)).__name__
        raise raised(TypeError, f"'{name}' object doesn't support item deletion")
    calls.call(vm, method, [key], {})


def index_of(vm, value: Value, owner: str = "list") -> int:
    """The host integer an index stands for (``__index__``); symbols are specialized."""
    value = vm.look(value)
    if isinstance(value, Symbol):
        return int(vm.specialize(value))
    if isinstance(value, Constant) and isinstance(value.value, int):
        return int(value.value)
    if isinstance(value, Tensor):
        raise Break(reasons.DATA_DEPENDENT_VALUE, "a tensor as an index of a Python sequence")
    method = attributes.special_method(vm, value, "__index__")
    if method is None:
        raise raised(TypeError, f"{owner} indices must be integers or slices, not {type_of(value).__name__}")
    return index_of(vm, calls.call(vm, method, [], {}))


def host_slice(vm, key: SliceObject) -> slice:
    """The host slice of integers (or None) a slice stands for."""
    parts = []
    for part in map(vm.look, (key.start, key.stop, key.step)):
        is_none = isinstance(part, Constant) and part.value is None
        parts.append(None if is_none else index_of(vm, part))
    return slice(*parts)


def get_sequence(vm, sequence: ListObject | TupleObject, key: Value) -> Value:
    """``list.__getitem__`` and ``tuple.__getitem__``."""
    key = vm.look(key)
    name = "tuple" if isinstance(sequence, TupleObject) else "list"
    if isinstance(key, SliceObject):
        items = sequence.items[host_slice(vm, key)]
        if isinstance(sequence, ListObject):
            return ListObject(items)
        return TupleObject(items, torch.Size if sequence.cls is torch.Size else tuple)
    index = index_of(vm, key, name)
    try:
        return sequence.items[index]
    except IndexError:
        raise raised(IndexError, f"{name} index out of range") from None


def set_list(vm, sequence: ListObject, key: Value, value: Value) -> None:
    """``list.__setitem__``."""
    key = vm.look(key)
    if isinstance(key, SliceObject):
        new = vm.unpack(value)
        part = host_slice(vm, key)
        try:
            sequence.items[part] = new
        except ValueError as error:
            raise raised(ValueError, *error.args) from None
    else:
        try:
            sequence.items[index_of(vm, key)] = value
        except IndexError:
            raise raised(IndexError, "list assignment index out of range") from None
    vm.effects.contents_changed(sequence)


def delete_list(vm, sequence: ListObject, key: Value) -> None:
    """``list.__delitem__``."""
    key = vm.look(key)
    try:
        if isinstance(key, SliceObject):
            del sequence.items[host_slice(vm, key)]
        else:
            del sequence.items[index_of(vm, key)]
    except IndexError:
        raise raised(IndexError, "list assignment index out of range") from None
    vm.effects.contents_changed(sequence)
