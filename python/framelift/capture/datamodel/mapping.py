"""The C storage of dictionaries: ``dict``'s own methods, on outside and inside dicts alike.

An outside dict is opened key by key: only what was asked for is guarded. Asking for its length, order or
all of its keys completes it, which guards the exact keys in their order.
"""

from __future__ import annotations

import collections

import torch

from framelift.capture import outside
from framelift.capture.datamodel.hashing import (
    check_comparable,
    has_identity_number,
    key_of,
    note_keys,
    value_of_key,
)
from framelift.capture.effects import DictDelete, DictStore
from framelift.capture.values import Constant, DictObject, Lazy, Value
from framelift.guards import kinds
from framelift.guards.sources import DictItem, Held, NamedItem
from framelift.observe import reasons
from framelift.observe.errors import Break


def get(vm, mapping: DictObject, key: object) -> Value | None:
    """The value stored under a host key, None if there is none."""
    if vm.identity_numbers and has_identity_number(key):
        complete(vm, mapping)
    check_comparable(vm, mapping.items, key)
    entry = mapping.items.get(key, _UNKNOWN) if mapping.items or mapping.complete else _UNKNOWN
    if entry is _UNKNOWN:
        if mapping.complete or isinstance(key, Value):
            return None
        entry = open_key(vm, mapping, key)
    return None if entry is None else entry[1]


def get_module(vm, mapping: DictObject, key: Value) -> Value | None:
    """The module under a name that nobody has read, where neither the name nor the module is to be guarded by
    value: modules of one structure, such as adapters, are one case. None where that does not apply.
    """
    unread = type(key) is Lazy and key.seen is None and type(key.real) is str
    if not unread or mapping.real is None or isinstance(key.source, Held):
        return None
    real = dict.get(mapping.real, key.real)
    if not isinstance(real, torch.nn.Module) or any(one is mapping for one in vm.effects.targets()):
        return None
    outside.class_of(vm, key)
    return Lazy(real, NamedItem(mapping.source, key.source))


def open_key(vm, mapping: DictObject, key: object) -> tuple[Value, Value] | None:
    """Look one key up in an outside dict: present or missing, both are guarded."""
    note_keys(vm, (key,))
    real = dict.get(mapping.real, key, _UNKNOWN)  # ``dict.__getitem__`` would call a subclass's __missing__
    if real is _UNKNOWN:
        vm.guards.add(mapping.source, kinds.DictMissing(key))
        mapping.items[key] = None
        return None
    entry = (value_of_key(vm, key), Lazy(real, DictItem(mapping.source, key)))
    mapping.items[key] = entry
    return entry


def complete(vm, mapping: DictObject) -> None:
    """Open all keys of an outside dict in their order (deleted and added ones as the program left them)."""
    if mapping.complete:
        return
    ordered = isinstance(mapping.real, collections.OrderedDict)  # its order is not that of its dict storage
    real_keys = tuple(collections.OrderedDict.keys(mapping.real) if ordered else dict.keys(mapping.real))
    for key in real_keys:
        if not outside.is_plain_key(key):
            raise Break(reasons.USER_HASH, f"{mapping.source} has a {type(key).__qualname__} as a key")
    vm.guards.add(mapping.source, kinds.DictKeys(real_keys))
    note_keys(vm, real_keys)
    known = mapping.items
    mapping.items = {}
    for key in real_keys:
        entry = known.pop(key, _UNKNOWN)
        if entry is _UNKNOWN:
            entry = (
                value_of_key(vm, key),
                Lazy(dict.__getitem__(mapping.real, key), DictItem(mapping.source, key)),
            )
        if entry is not None:  # an equal key may have been stored: the dict keeps its first one
            mapping.items[key] = (value_of_key(vm, key), entry[1])
    for key, entry in known.items():
        if entry is not None:
            mapping.items[key] = entry
    mapping.complete = True


def items(vm, mapping: DictObject) -> list[tuple[Value, Value]]:
    """All ``(key, value)`` pairs in order."""
    complete(vm, mapping)
    return [entry for entry in mapping.items.values() if entry is not None]


def length(vm, mapping: DictObject) -> int:
    """Number of keys. Guards only the length where nothing was written."""
    if not mapping.complete:
        if not any(
            isinstance(r, (DictStore, DictDelete)) and r.mapping is mapping for r in vm.effects.records
        ):
            real_length = dict.__len__(mapping.real)
            vm.guards.add(mapping.source, kinds.Length(real_length))
            return real_length
        complete(vm, mapping)
    return sum(entry is not None for entry in mapping.items.values())


def store(vm, mapping: DictObject, key: Value, value: Value) -> None:
    """``mapping[key] = value``; the first key object is kept, as ``dict`` does.

    Whether an outside dict has the key already makes no difference to the store, and is not guarded.
    """
    host_key = key_of(vm, key)
    if vm.identity_numbers and has_identity_number(host_key):
        complete(vm, mapping)
    check_comparable(vm, mapping.items, host_key)
    deleted = not mapping.complete and host_key in mapping.items and mapping.items[host_key] is None
    if deleted and not isinstance(host_key, Value) and dict.__contains__(mapping.real, host_key):
        complete(vm, mapping)  # deleted and stored again: it goes to the end
    entry = mapping.items.get(host_key)
    if entry is None:
        mapping.items.pop(host_key, None)
        mapping.items[host_key] = (vm.look(key), value)
    else:
        mapping.items[host_key] = (entry[0], value)
    if mapping.real is not None and not vm.effects.replaces_contents(mapping):
        vm.effects.add(DictStore(mapping, vm.look(key), value))


def delete(vm, mapping: DictObject, host_key: object) -> Value | None:
    """Remove a key; its value, or None if there was none."""
    value = get(vm, mapping, host_key)
    if value is None:
        return None
    entry = mapping.items[host_key]
    if mapping.complete:
        del mapping.items[host_key]
    else:
        mapping.items[host_key] = None
    if mapping.real is not None and not vm.effects.replaces_contents(mapping):
        vm.effects.add(DictDelete(mapping, entry[0]))
    return value


def clear(vm, mapping: DictObject) -> None:
    """Remove all keys."""
    mapping.items = {}
    mapping.complete = True
    vm.effects.contents_changed(mapping)


def reorder(vm, mapping: DictObject, keys: list[object]) -> None:
    """Give a completed dict the order of ``keys``."""
    complete(vm, mapping)
    mapping.items = {key: mapping.items[key] for key in keys}
    vm.effects.contents_changed(mapping)


def from_pairs(vm, pairs: list[tuple[Value, Value]], cls: type = dict) -> DictObject:
    """A new dict."""
    mapping = DictObject({}, cls)
    for key, value in pairs:
        store(vm, mapping, key, value)
    return mapping


def from_names(names: dict[str, Value]) -> DictObject:
    """A new dict with string keys."""
    return DictObject({name: (Constant(name), value) for name, value in names.items()})


_UNKNOWN = (Constant(None), Constant(None))
