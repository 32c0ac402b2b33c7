"""Iterators of C are read ahead of their place, and advanced, in every version of CPython."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

import pytest

from framelift._native import advance, iterator_parts, next_item


class Names(str):
    """Instances of subclasses are read as what they are made of."""

    def __getitem__(self, index: object) -> str:
        raise AssertionError("user code ran")

    def __len__(self) -> int:
        raise AssertionError("user code ran")


class Attributes:
    def __init__(self) -> None:
        self.first, self.second, self.third = object(), object(), object()


ATTRIBUTES = Attributes()
"""The values of its dictionary lie in the object itself."""

with_gaps = {str(k): [k] for k in range(9)}
for gap in (0, 3, 4, 8):
    del with_gaps[str(gap)]

STORED: list[Callable[[], object]] = [
    lambda: iter([[1], [2], [3]]),
    lambda: iter(([1], [2], [3])),
    lambda: reversed([[1], [2], [3]]),
    lambda: iter("abc"),
    lambda: iter("a\u0101\U00010101"),
    lambda: iter(Names("abc")),
    lambda: iter(b"ab\xff"),
    lambda: iter(range(10**6, 0, -(10**5))),
    lambda: iter(range(0)),
    lambda: iter({}),
    lambda: iter(with_gaps),
    lambda: iter(with_gaps.values()),
    lambda: iter(vars(ATTRIBUTES)),
    lambda: iter(vars(ATTRIBUTES).values()),
    lambda: iter({(1, 2), "a", 3.0}),
    lambda: iter(frozenset({(1, 2), "a", 3.0})),
]
PARTS = {type(iter({})): "key", type(iter({}.values())): "value"}


@pytest.mark.parametrize("make", STORED)
def test_what_comes_is_told_at_every_place(make):
    expected = list(make())
    for taken in range(len(expected) + 2):
        iterator = make()
        advance(iterator, taken)
        part = PARTS.get(type(iterator), "item")
        for ahead, item in enumerate(expected[taken:]):
            assert next_item(iterator, ahead, part) == item
        with pytest.raises(IndexError):
            next_item(iterator, max(len(expected) - taken, 0), part)
        with pytest.raises(ValueError, match="not behind"):
            next_item(iterator, -1, part)
        assert list(iterator) == expected[taken:]


def test_pairs_and_numbers():
    pairs = iter(with_gaps.items())
    advance(pairs, 2)
    assert (next_item(pairs, 1, "key"), next_item(pairs, 1, "value")) == list(with_gaps.items())[3]
    numbers = enumerate("abc", 5)
    advance(numbers, 2)
    assert next_item(numbers, 3, "item") == 10
    assert next(numbers) == (7, "a")


@pytest.mark.parametrize("make", [lambda: {1: 2}, lambda: {1}])
def test_what_has_changed_is_not_told(make):
    container = make()
    iterator = iter(container)
    container.update({5: 5})
    with pytest.raises(RuntimeError):
        next_item(iterator, 0, "key")


def test_exchanged_keys_of_a_dict():
    table = {1: 1, 2: 2}
    iterator = iter(table)
    next(iterator)
    del table[1]
    table[3] = 3
    assert next_item(iterator, 0, "key") == 2
    with pytest.raises(RuntimeError):
        next_item(iterator, 1, "key")


def test_what_others_are_made_of():
    inner = [iter([1]), iter([2])]
    assert [one is other for one, other in zip(parts_of(zip(*inner))["iterators"], inner, strict=True)] == [
        True
    ] * 2
    assert parts_of(zip(strict=True))["strict"] == 1
    assert parts_of(map(abs, inner[0])) == {"iterators": (inner[0],), "function": abs}
    assert parts_of(filter(None, inner[0])) == {"iterator": inner[0], "function": None}
    assert parts_of(enumerate(inner[0])) == {"iterator": inner[0]}
    items = [1]
    assert parts_of(iter(items))["container"] is items


def parts_of(iterator: object) -> dict[str, object]:
    return {name: part.__get__(iterator) for name, part in iterator_parts[type(iterator)].items()}


def test_nothing_is_kept():
    items = [object() for _ in range(3)]
    before = [sys.getrefcount(item) for item in items]
    for make in (lambda: iter(items), lambda: iter(dict.fromkeys(items)), lambda: iter(set(items))):
        for _ in range(100):
            iterator = make()
            part = PARTS.get(type(iterator), "item")
            assert next_item(iterator, 1, part) in items
            advance(iterator, 4)
    del iterator
    gc.collect()
    assert [sys.getrefcount(item) for item in items] == before
