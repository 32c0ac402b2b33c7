# ruff: noqa: B905, SIM110 (what is spelled out here is what those functions do)
"""Builtin functions in plain Python.

https://docs.python.org/3/library/functions.html
"""

from __future__ import annotations

import functools

from framelift.capture.polyfills.registry import in_any_order, polyfill, rebuilt_as, words_of

MISSING = object()


@polyfill()
def sequence_iterator(sequence):
    index = 0
    while True:
        try:
            item = sequence[index]
        except IndexError:
            return
        yield item
        index += 1


@polyfill()
def call_until(function, sentinel):
    while True:
        value = function()
        if value == sentinel:
            return
        yield value


@polyfill(all)
def all_true(iterable):
    for item in iterable:
        if not item:
            return False
    return True


@polyfill(any)
def any_true(iterable):
    for item in iterable:
        if item:
            return True
    return False


@polyfill(sum)
def total(iterable, /, start=0):
    if isinstance(start, str):
        raise TypeError("sum() can't sum strings [use ''.join(seq) instead]")
    result = start
    for item in iterable:
        result = result + item
    return result


@polyfill(enumerate)
def numbered(iterable, start=0):
    iterator = iter(iterable)
    return numbered_from(iterator, start)


@rebuilt_as(enumerate, "iterator", "number")
def numbered_from(iterator, number):
    for item in iterator:
        number += 1
        yield number - 1, item


@polyfill(zip)
def zipped(*iterables, strict=False):
    iterators = [iter(iterable) for iterable in iterables]
    return zipped_strictly(iterators) if strict else zipped_shortest(iterators)


@rebuilt_as(zip, "*iterators")
def zipped_shortest(iterators):
    if not iterators:
        return
    while True:
        row = []
        for iterator in iterators:
            try:
                row.append(next(iterator))
            except StopIteration:
                return
        yield tuple(row)


@rebuilt_as(functools.partial(zip, strict=True), "*iterators")
def zipped_strictly(iterators):
    if not iterators:
        return
    while True:
        row = []
        for number, iterator in enumerate(iterators):
            item = next(iterator, MISSING)
            if item is MISSING:
                if number > 0:
                    plural = " " if number == 1 else "s 1-"
                    raise ValueError(f"zip() argument {number + 1} is shorter than argument{plural}{number}")
                for other, rest in enumerate(iterators[1:]):
                    if next(rest, MISSING) is not MISSING:
                        plural = " " if other == 0 else "s 1-"
                        raise ValueError(
                            f"zip() argument {other + 2} is longer than argument{plural}{other + 1}"
                        )
                return
            row.append(item)
        yield tuple(row)


@polyfill(map)
def mapped(function, iterable, *others):
    if not others:
        return mapped_one(function, iter(iterable))
    return mapped_many(function, [iter(one) for one in (iterable, *others)])


@rebuilt_as(map, "function", "iterator")
def mapped_one(function, iterator):
    for item in iterator:
        yield function(item)


@rebuilt_as(map, "function", "*iterators")
def mapped_many(function, iterators):
    for row in zip(*iterators):
        yield function(*row)


@polyfill(filter)
def filtered(function, iterable):
    return filtered_from(function, iter(iterable))


@rebuilt_as(filter, "function", "iterator")
def filtered_from(function, iterator):
    for item in iterator:
        if item if function is None else function(item):
            yield item


@polyfill(reversed)
def reversed_items(sequence):
    cls = type(sequence)
    if cls in (str, bytes, range, tuple):
        return iter(sequence[::-1])
    if getattr(cls, "__reversed__", None) is not None:
        return cls.__reversed__(sequence)
    if hasattr(cls, "__reversed__") or not hasattr(cls, "__getitem__") or issubclass(cls, dict):
        raise TypeError(f"'{cls.__name__}' object is not reversible")
    return reversed_from(sequence, len(sequence) - 1)


def reversed_from(sequence, index):
    while index >= 0:
        yield sequence[index]
        index -= 1


@polyfill(min)
def smallest(first, /, *others, key=None, default=MISSING):
    return best(first, others, key, default, False)


@polyfill(max)
def largest(first, /, *others, key=None, default=MISSING):
    return best(first, others, key, default, True)


NOTHING_SMALLEST, NOTHING_LARGEST = words_of(ValueError, min, ()), words_of(ValueError, max, ())


def best(first, others, key, default, want_larger):
    if others and default is not MISSING:
        name = "max" if want_larger else "min"
        raise TypeError(f"Cannot specify a default for {name}() with multiple positional arguments")
    iterator = iter((first, *others)) if others else iter(first)
    found = next(iterator, MISSING)
    if found is MISSING:
        if default is MISSING:
            raise ValueError(NOTHING_LARGEST if want_larger else NOTHING_SMALLEST)
        return default
    found_key = found if key is None else key(found)
    for item in iterator:
        item_key = item if key is None else key(item)
        if (item_key > found_key) if want_larger else (item_key < found_key):
            found, found_key = item, item_key
    return found


@polyfill(sorted)
def sorted_items(iterable, /, *, key=None, reverse=False):
    return sorted_list(iterable, key=key, reverse=reverse)


@polyfill()
def sorted_list(iterable, /, *, key=None, reverse=False):
    """Merge sort: stable, and it asks for ``<`` only, as list.sort does."""
    items = in_any_order(iterable) if key is None else list(iterable)
    keyed = [(item if key is None else key(item), item) for item in items]
    if reverse:
        keyed.reverse()
    ordered = merge_sorted(keyed)
    if reverse:
        ordered.reverse()
    return [item for _, item in ordered]


def merge_sorted(keyed):
    if len(keyed) <= 1:
        return keyed
    middle = len(keyed) // 2
    left, right = merge_sorted(keyed[:middle]), merge_sorted(keyed[middle:])
    merged = []
    i = j = 0
    while i < len(left) and j < len(right):
        if right[j][0] < left[i][0]:
            merged.append(right[j])
            j += 1
        else:
            merged.append(left[i])
            i += 1
    return merged + left[i:] + right[j:]


@polyfill(list.index)
def list_index(self, value, start=0, stop=9223372036854775807, /):
    for index in range(*slice(start, stop).indices(len(self))):
        item = self[index]
        if item is value or item == value:
            return index
    raise ValueError(f"{value!r} is not in list")


@polyfill(tuple.index)
def tuple_index(self, value, start=0, stop=9223372036854775807, /):
    for index in range(*slice(start, stop).indices(len(self))):
        item = self[index]
        if item is value or item == value:
            return index
    raise ValueError("tuple.index(x): x not in tuple")


@polyfill(list.count, tuple.count)
def sequence_count(self, value, /):
    count = 0
    for item in self:
        if item is value or item == value:  # identity first: a nan counts itself
            count += 1
    return count


@polyfill(list.remove)
def list_remove(self, value, /):
    for index in range(len(self)):
        item = self[index]
        if item is value or item == value:
            del self[index]
            return
    raise ValueError("list.remove(x): x not in list")


@polyfill(dict.__dict__["fromkeys"])
def dict_fromkeys(cls, iterable, value=None, /):
    result = cls()
    for key in iterable:
        result[key] = value
    return result


@polyfill()
def count_elements(mapping, iterable):
    for element in iterable:
        mapping[element] = mapping.get(element, 0) + 1
