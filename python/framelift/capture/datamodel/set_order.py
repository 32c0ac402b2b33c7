"""The order of a set made during capture: that of a real set with the same history.

Where a set keeps its members depends on their hashes and on every step that made it. So a set that was made
here has a *mirror*, a real set of its keys for which the same C methods are called. The mirror is given up
(None) by the first step that can't be repeated on it: with a member whose hash another call would not have,
or with a set from outside, of whose storage only the order can be guarded.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from framelift.capture.datamodel import mapping
from framelift.capture.datamodel.hashing import key_of
from framelift.capture.values import Constant, DictObject, SetObject, Value
from framelift.observe import reasons
from framelift.observe.errors import Break

UNKNOWN = object()
"""In the place of an operand that has no mirror."""

HASHED_BY_VALUE = (type(None), bool, int, str, bytes, type(...))


def has_steady_hash(key: object) -> bool:
    """Whether a host key stands for an object with the same hash in every call of this process."""
    cls = type(key)
    if cls in HASHED_BY_VALUE or isinstance(key, (type, torch.dtype)):
        return True
    return key == key if cls in (float, complex) else cls is tuple and all(map(has_steady_hash, key))


def new_set(cls: type = set) -> SetObject:
    """An empty set made during capture."""
    made = SetObject({}, cls)
    made.mirror = set()
    return made


def member(target: SetObject, method: str, key: object) -> None:
    """A method that takes a member (``add``, ``discard``) was performed on ``target``."""
    changed(target, method, [key if has_steady_hash(key) else UNKNOWN])


def changed(target: SetObject, method: str, operands: list[object]) -> None:
    """A method was performed on ``target``: repeat it on the mirror."""
    if target.mirror is not None:
        if any(item is UNKNOWN for item in operands):
            target.mirror = None
        else:
            getattr(target.mirror, method)(*operands)


def operand(vm, value: Value) -> object:
    """What stands for the argument of a set's method: a mirror, a dict of keys, or ``UNKNOWN``; None for what
    is no set and no dict, and is iterated."""
    value = vm.look(value)
    if isinstance(value, SetObject):
        return UNKNOWN if value.mirror is None else value.mirror
    if isinstance(value, Constant) and isinstance(value.value, frozenset):
        return value.value
    if isinstance(value, DictObject) and value.cls is dict:
        return keys(vm, [key for key, _ in mapping.items(vm, value)], dict.fromkeys)
    return None


def keys(vm, items: list[Value], container: Callable = list) -> object:
    """``operand`` for the items that an iterable gave."""
    found = [key_of(vm, item) for item in items]
    return container(found) if all(map(has_steady_hash, found)) else UNKNOWN


def in_order(target: SetObject) -> list[Value] | None:
    """The members in order, None where it is not known."""
    if target.mirror is None or len(target.mirror) != len(target.items):
        return None
    return [target.items[key] for key in target.mirror]


def rebuilt(target: SetObject) -> set | None:
    """A real set whose copy has the members in their order; None where the order is not known."""
    if in_order(target) is None:
        return None
    if list(target.mirror.copy()) != list(target.mirror):
        raise Break(reasons.NOT_REBUILDABLE, "a set with a history that orders its members")
    return target.mirror.copy()
