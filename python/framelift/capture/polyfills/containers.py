# ruff: noqa: C419 (a list is made before it is asked: one kind of loop less to interpret)
"""Methods of ``dict``, its views and ``collections.deque`` that need no storage of their own.

https://docs.python.org/3/library/stdtypes.html#dictionary-view-objects
https://docs.python.org/3/library/collections.html#collections.deque
"""

from __future__ import annotations

import collections

from framelift.capture.polyfills.registry import polyfill

KEYS, ITEMS = type({}.keys()), type({}.items())
VIEWS_AND_SETS = (KEYS, ITEMS, set, frozenset)


@polyfill(KEYS.__and__, ITEMS.__and__)
def view_and(self, other, /):
    return set(self).intersection(other)


@polyfill(KEYS.__or__, ITEMS.__or__)
def view_or(self, other, /):
    return set(self).union(other)


@polyfill(KEYS.__sub__, ITEMS.__sub__)
def view_sub(self, other, /):
    return set(self).difference(other)


@polyfill(KEYS.__xor__, ITEMS.__xor__)
def view_xor(self, other, /):
    return set(self).symmetric_difference(other)


@polyfill(KEYS.__rand__, ITEMS.__rand__)
def view_reflected_and(self, other, /):
    return set(other).intersection(self)


@polyfill(KEYS.__ror__, ITEMS.__ror__)
def view_reflected_or(self, other, /):
    return set(other).union(self)


@polyfill(KEYS.__rsub__, ITEMS.__rsub__)
def view_reflected_sub(self, other, /):
    return set(other).difference(self)


@polyfill(KEYS.__rxor__, ITEMS.__rxor__)
def view_reflected_xor(self, other, /):
    return set(other).symmetric_difference(self)


@polyfill(KEYS.isdisjoint, ITEMS.isdisjoint)
def view_isdisjoint(self, other, /):
    return set(self).isdisjoint(other)


@polyfill(KEYS.__eq__, ITEMS.__eq__)
def view_eq(self, other, /):
    if not isinstance(other, VIEWS_AND_SETS):
        return NotImplemented
    return len(self) == len(other) and all([item in other for item in self])


@polyfill(KEYS.__ne__, ITEMS.__ne__)
def view_ne(self, other, /):
    if not isinstance(other, VIEWS_AND_SETS):
        return NotImplemented
    return not (len(self) == len(other) and all([item in other for item in self]))


@polyfill(KEYS.__le__, ITEMS.__le__)
def view_le(self, other, /):
    if not isinstance(other, VIEWS_AND_SETS):
        return NotImplemented
    return len(self) <= len(other) and all([item in other for item in self])


@polyfill(KEYS.__lt__, ITEMS.__lt__)
def view_lt(self, other, /):
    if not isinstance(other, VIEWS_AND_SETS):
        return NotImplemented
    return len(self) < len(other) and all([item in other for item in self])


@polyfill(KEYS.__ge__, ITEMS.__ge__)
def view_ge(self, other, /):
    if not isinstance(other, VIEWS_AND_SETS):
        return NotImplemented
    return len(self) >= len(other) and all([item in self for item in other])


@polyfill(KEYS.__gt__, ITEMS.__gt__)
def view_gt(self, other, /):
    if not isinstance(other, VIEWS_AND_SETS):
        return NotImplemented
    return len(self) > len(other) and all([item in self for item in other])


@polyfill(dict.__ror__)
def dict_reflected_or(self, other, /):
    if not isinstance(other, dict):
        return NotImplemented
    merged = dict(other)
    merged.update(self)
    return merged


@polyfill(collections.deque.count)
def deque_count(self, value, /):
    count = 0
    for item in self:
        if item is value or item == value:
            count += 1
    return count


@polyfill(collections.deque.remove)
def deque_remove(self, value, /):
    for index in range(len(self)):
        item = self[index]
        if item is value or item == value:
            del self[index]
            return
    raise ValueError(f"{value!r} is not in deque")
