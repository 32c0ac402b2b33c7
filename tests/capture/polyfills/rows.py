"""Calls by which polyfills are held against what they stand for: each row is made with either of the two.

``ROWS`` is keyed by the polyfill's name; a row takes the callable and returns what is to be compared.
"""

from __future__ import annotations

import collections
import functools
import operator

import torch

KEYS, OTHER = {"a": 1, "b": 2}, {"b": 2, "c": 3}


class Number:
    """Orders by ``<`` alone, and remembers how often it was asked."""

    asked = 0

    def __init__(self, value, tag=""):
        self.value, self.tag = value, tag

    def __lt__(self, other):
        Number.asked += 1
        return self.value < other.value

    def __eq__(self, other):
        return isinstance(other, Number) and self.value == other.value

    def __hash__(self):
        return 1

    def __repr__(self):
        return f"{self.value}{self.tag}"


class Refuses:
    """Can neither be compared nor tested for truth."""

    def __eq__(self, other):
        raise ValueError("no equality")

    def __bool__(self):
        raise ValueError("no truth")

    __hash__ = None


def after(function, target, *arguments):
    """The result and what became of the first argument."""
    return function(target, *arguments), target


def items_of(iterable):
    """The items of an iterable that raises at its end."""
    yield from iterable
    raise LookupError("end")


def numbers(*values):
    """Equal numbers that can be told apart."""
    return [Number(value, tag) for value, tag in zip(values, "abcdefgh", strict=False)]


def asked(call):
    """The result with the number of comparisons."""
    Number.asked = 0
    return call(), Number.asked


def heap():
    """A heap of seven numbers."""
    return [1, 3, 2, 7, 4, 9, 5]


NAN = float("nan")

ROWS = {
    "all_true": [
        lambda f: f([]),
        lambda f: f([1, 0]),
        lambda f: f([0, Refuses()]),
        lambda f: f([Refuses()]),
        lambda f: f(1),
    ],
    "any_true": [
        lambda f: f([]),
        lambda f: f([0, 1]),
        lambda f: f([1, Refuses()]),
        lambda f: f(items_of([0])),
    ],
    "total": [
        lambda f: f([]),
        lambda f: f([1, 2.5, True]),
        lambda f: f([[1], [2]], []),
        lambda f: f([1], start=2),
        lambda f: f(["a"]),
        lambda f: f([], ""),
        lambda f: f(["a"], ""),
        lambda f: f([-0.0]),
        lambda f: f([-0.0], -0.0),
    ],
    "numbered": [lambda f: f("ab"), lambda f: f("ab", 5), lambda f: f("ab", start=-1), lambda f: f(3)],
    "zipped": [
        lambda f: f(),
        lambda f: f("abc", [1, 2]),
        lambda f: f("ab", [1, 2], strict=True),
        lambda f: f("a", [1, 2], strict=True),
        lambda f: f("ab", [1], strict=True),
        lambda f: f("ab", [1, 2], [1], strict=True),
        lambda f: f("a", [1], [1, 2], strict=True),
        lambda f: f("a", items_of([1])),
    ],
    "mapped": [
        lambda f: f(str, [1, 2]),
        lambda f: f(operator.add, [1, 2], [3]),
        lambda f: f(int, ["1", "x", "2"]),
        lambda f: f(operator.add, [1, 2, 3], items_of([1])),
    ],
    "filtered": [
        lambda f: f(None, [0, 1, ""]),
        lambda f: f(str.isdigit, "a1"),
        lambda f: f(None, [Refuses()]),
    ],
    "reversed_items": [
        lambda f: f([1, 2]),
        lambda f: f("ab"),
        lambda f: f(range(0, 7, 3)),
        lambda f: f({"a": 1, "b": 2}),
        lambda f: f((1, 2)),
        lambda f: f(collections.deque([1, 2])),
        lambda f: f({1}),
        lambda f: f(3),
    ],
    "smallest": [
        lambda f: f([3, 1, 2]),
        lambda f: f(2, 1),
        lambda f: f([]),
        lambda f: f([], default=4),
        lambda f: f(["bb", "a"], key=len),
        lambda f: f(numbers(1, 1, 0, 0)),
        lambda f: f([NAN, 1.0]),
        lambda f: f([1.0, NAN]),
        lambda f: f([1, "a"]),
        lambda f: f(3),
        lambda f: f(1, 2, key=operator.neg),
        lambda f: f(1, 2, default=3),
    ],
    "largest": [
        lambda f: f([3, 1, 2]),
        lambda f: f([]),
        lambda f: f([], default=None),
        lambda f: f("ab", "b", key=len),
        lambda f: f([1, True, 1.0]),
        lambda f: f([NAN, 1.0]),
        lambda f: f([1, "a"]),
        lambda f: f(1, 2, default=3),
    ],
    "sorted_items": [
        lambda f: f([3, 1, 2]),
        lambda f: f(numbers(2, 1, 2, 1)),
        lambda f: f(numbers(2, 1, 2, 1), reverse=True),
        lambda f: f(["bb", "a", "cc"], key=len, reverse=True),
        lambda f: f([1, "a"]),
        lambda f: f({"b": 1, "a": 2}),
        lambda f: f([]),
        lambda f: f(3),
    ],
    "list_index": [
        lambda f: f([1, 2, 1], 1),
        lambda f: f([1, 2, 1], 1, 1),
        lambda f: f([1, 2, 1], 1, -1),
        lambda f: f([1, 2, 1], 2, 2),
        lambda f: f([NAN], NAN),
        lambda f: f([1], "x"),
        lambda f: f([Refuses()], 1),
        lambda f: f([1, 2], 2, 0, 1),
    ],
    "tuple_index": [lambda f: f((1, 2, 1), 1, 1), lambda f: f((1,), 3), lambda f: f((NAN,), NAN)],
    "sequence_count": [],
    "list_remove": [
        lambda f: after(f, [1, 2, 1], 1),
        lambda f: after(f, [1], 3),
        lambda f: after(f, [NAN], NAN),
    ],
    "dict_fromkeys": [
        lambda f: f(dict, "ab"),
        lambda f: f(dict, "ab", 0),
        lambda f: f(collections.OrderedDict, "ba"),
        lambda f: f(dict, [[]]),
        lambda f: f(dict, 3),
    ],
    "view_isdisjoint": [
        lambda f: f(KEYS.keys(), ["c"]),
        lambda f: f(KEYS.keys(), OTHER.keys()),
        lambda f: f(KEYS.keys(), 3),
    ],
    "dict_reflected_or": [
        lambda f: f(KEYS, OTHER),
        lambda f: f(KEYS, [("a", 1)]),
        lambda f: f({"z": 1}, KEYS),
    ],
    "deque_count": [
        lambda f: f(collections.deque([1, NAN, 1]), 1),
        lambda f: f(collections.deque([NAN]), NAN),
    ],
    "deque_remove": [
        lambda f: after(f, collections.deque([1, 2, 1]), 1),
        lambda f: after(f, collections.deque("ab"), "x"),
    ],
    "copied": [
        lambda f: f([1, [2]]),
        lambda f: f({"a": 1}),
        lambda f: f((1,)),
        lambda f: vars(f(Number(3, "x"))),
        lambda f: f({1}),
        lambda f: f("a"),
    ],
    "deeply_copied": [
        lambda f: f([1, [2]]),
        lambda f: f({"a": [1]}),
        lambda f: f((1, (2,))),
        lambda f: vars(f(Number([3], "x"))),
        lambda f: (lambda x: f([x, x]))([1]),
        lambda f: (lambda made: made[0] is made[1])((lambda x: f([x, x]))([1])),
        lambda f: f(torch.ones(2)).tolist(),
    ],
    "reduced": [
        lambda f: f(operator.add, [1, 2, 3]),
        lambda f: f(operator.add, [], 4),
        lambda f: f(operator.add, []),
        lambda f: f(operator.add, [1], None),
        lambda f: f(operator.add, [None]),
        lambda f: f(operator.add, 3),
    ],
    "deque_rotate": [
        lambda f: after(f, collections.deque([1, 2, 3])),
        lambda f: after(f, collections.deque([1, 2, 3]), -1),
        lambda f: after(f, collections.deque([1, 2, 3]), 7),
        lambda f: after(f, collections.deque()),
    ],
    "chained": [lambda f: f("ab", [1]), lambda f: f(), lambda f: f("a", 3)],
    "count_of": [
        lambda f: f([1, 2, True], 1),
        lambda f: f((NAN, 1.0), NAN),
        lambda f: f(iter("aba"), "a"),
        lambda f: f(3, 1),
    ],
    "index_of": [
        lambda f: f([2, 1.0, 1], 1),
        lambda f: f((1.0, NAN), NAN),
        lambda f: f("ab", "c"),
        lambda f: f(3, 1),
    ],
    "accumulated": [
        lambda f: f([1, 2, 3]),
        lambda f: f([1, 2, 3], operator.mul),
        lambda f: f([1, 2], initial=5),
        lambda f: f([], initial=5),
        lambda f: f([]),
        lambda f: f([None, 1]),
    ],
    "sliced": [
        lambda f: f("abcdef", 3),
        lambda f: f("abcdef", 1, 5),
        lambda f: f("abcdef", 1, None, 2),
        lambda f: f("abc", 0),
        lambda f: f("abc", -1),
        lambda f: f("abc", -1, 4),
        lambda f: f("abc", 1, 4, 0),
        lambda f: f("abc", "x"),
        lambda f: (lambda source: (list(f(source, 1, 5, 3)), list(source)))(iter("abcdefgh")),
        lambda f: (lambda source: (list(f(source, 2)), list(source)))(iter("abcd")),
    ],
    "product": [
        lambda f: f("ab", [1, 2]),
        lambda f: f([0, 1], repeat=2),
        lambda f: f(),
        lambda f: f("a", []),
    ],
    "combinations": [
        lambda f: f("abc", 2),
        lambda f: f("ab", 3),
        lambda f: f("ab", 0),
        lambda f: f("ab", -1),
    ],
    "combinations_with_replacement": [
        lambda f: f("ab", 2),
        lambda f: f("", 1),
        lambda f: f("ab", 0),
        lambda f: f("a", -1),
    ],
    "permutations": [lambda f: f("abc"), lambda f: f("abc", 2), lambda f: f("ab", 3), lambda f: f("ab", -1)],
    "repeated": [
        lambda f: f(1, 3),
        lambda f: f(1),
        lambda f: f(1, 0),
        lambda f: f(1, -2),
        lambda f: f(1, times=2),
    ],
    "counted": [lambda f: f(), lambda f: f(5, -2), lambda f: f(0.5, 0.25), lambda f: f(step=3)],
    "cycled": [lambda f: f("ab"), lambda f: f([]), lambda f: f(items_of([1]))],
    "taken_while": [lambda f: f(bool, [1, 0, 1]), lambda f: f(bool, 3)],
    "dropped_while": [lambda f: f(bool, [1, 0, 1])],
    "star_mapped": [lambda f: f(operator.add, [(1, 2), (3, 4)]), lambda f: f(operator.add, [(1,)])],
    "filtered_false": [lambda f: f(None, [0, 1]), lambda f: f(str.isdigit, "a1")],
    "paired": [lambda f: f("abc"), lambda f: f("a"), lambda f: f("")],
    "compressed": [lambda f: f("abcd", [1, 0, 1]), lambda f: f("ab", [])],
    "zipped_longest": [
        lambda f: f("abc", [1]),
        lambda f: f("a", [1, 2], fillvalue="-"),
        lambda f: f(),
        lambda f: f("", ""),
        lambda f: f("a", items_of([1, 2])),
    ],
    "grouped": [
        lambda f: f("aabb"),
        lambda f: f([1, 3, 2, 4], key=lambda x: x % 2),
        lambda f: f([]),
        lambda f: f([NAN]),
    ],
    "heap_push": [lambda f: after(f, heap(), 0), lambda f: after(f, [], 1), lambda f: after(f, heap(), 8)],
    "heap_pop": [lambda f: after(f, heap()), lambda f: after(f, [1]), lambda f: after(f, [])],
    "heapify": [
        lambda f: after(f, [5, 4, 3, 2, 1, 0]),
        lambda f: after(f, []),
        lambda f: asked(lambda: after(f, numbers(3, 2, 1, 0))),
    ],
    "heap_push_pop": [
        lambda f: after(f, heap(), 0),
        lambda f: after(f, heap(), 6),
        lambda f: after(f, [], 6),
    ],
    "heap_replace": [lambda f: after(f, heap(), 0), lambda f: after(f, heap(), 6), lambda f: after(f, [], 6)],
    "bisect_right": [
        lambda f: f([1, 2, 2, 3], 2),
        lambda f: f([1, 2, 2, 3], 2, 0, 2),
        lambda f: f([1, 2, 3], 0, lo=-1),
        lambda f: f([3, 1], 1, key=operator.neg),
        lambda f: f([], 1),
    ],
    "bisect_left": [
        lambda f: f([1, 2, 2, 3], 2),
        lambda f: f([1, 2], 5, lo=1),
        lambda f: f([1, 2], 5, lo=-1),
        lambda f: f([3, 1], -2, key=operator.neg),
    ],
    "insort_right": [
        lambda f: after(f, numbers(1, 2), Number(2, "new")),
        lambda f: f([1], 2) is None,
        lambda f: after(functools.partial(f, key=operator.neg), [3, 1], 2),
    ],
    "insort_left": [lambda f: after(f, numbers(1, 2), Number(2, "new"))],
    "teed": [
        lambda f: f("ab"),
        lambda f: f("ab", 3),
        lambda f: f("ab", 0),
        lambda f: f("ab", -1),
        lambda f: (lambda one, other: [next(one), next(one), next(other)])(*f("abc")),
    ],
    "key_from_comparison": [
        lambda f: sorted([1, 3, 2], key=f(lambda a, b: b - a)),
        lambda f: f(lambda a, b: a - b)(1) == f(lambda a, b: a - b)(1),
        lambda f: (lambda key: [key(1) < key(2), key(1) >= key(2), key(2) > key(2), key(1) <= key(1)])(
            f(lambda a, b: a - b)
        ),
    ],
    "list_repr": [lambda f: f([]), lambda f: f([1, "a"]), lambda f: f(numbers(1, 2))],
    "tuple_repr": [lambda f: f(()), lambda f: f((1,)), lambda f: f((1, "a"))],
    "size_repr": [lambda f: f(torch.Size([1, 2])), lambda f: f(torch.Size([]))],
    "dict_repr": [lambda f: f({}), lambda f: f({"a": 1, 2: []})],
    "defaultdict_repr": [
        lambda f: f(collections.defaultdict(None, a=1)),
        lambda f: f(collections.defaultdict(list)),
    ],
    "deque_repr": [lambda f: f(collections.deque([1])), lambda f: f(collections.deque("a", 2))],
    "set_repr": [lambda f: f(set()), lambda f: f({1})],
    "view_repr": [],
    "exception_repr": [
        lambda f: f(ValueError()),
        lambda f: f(ValueError("a")),
        lambda f: f(KeyError("a", 1)),
    ],
}
"""Polyfills that stand for several callables have rows in ``test_rows.py``."""
