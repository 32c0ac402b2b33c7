"""Each polyfill, run by CPython itself, does what it replaces does: results and exceptions."""

from __future__ import annotations

import functools
import itertools
import types

import pytest

from framelift.capture.polyfills import POLYFILLS, transforms
from tests.capture.polyfills.rows import KEYS, NAN, OTHER, ROWS

LONGEST = 12
"""Endless iterators are compared up to here."""

NAMED_BY_CLASS = {
    **{
        name: [
            lambda f: f(KEYS.keys(), OTHER.keys()),
            lambda f: f(KEYS.items(), OTHER.items()),
            lambda f: f(KEYS.keys(), ["a"]),
        ]
        for name in POLYFILLS
        if name.startswith("view_") and name not in ("view_repr", "view_isdisjoint")
    },
    "sequence_count": [lambda f: f([1, True, 2], 1), lambda f: f((NAN, 1.0), NAN), lambda f: f([], 1)],
    "view_repr": [lambda f: f(KEYS.keys()), lambda f: f(KEYS.items()), lambda f: f(KEYS.values())],
    "chained_from": [lambda f: f(itertools.chain, ["ab", [1]]), lambda f: f(itertools.chain, 3)],
    "cached_property_get": [],
}
REPLACING = {name: function for name, function in POLYFILLS.items() if function.replaces}


def rows_of(name: str) -> list:
    """The rows of a polyfill."""
    return ROWS.get(name) or NAMED_BY_CLASS.get(name, [])


def called(real: object):
    """The callable as capture sees it: class methods get their class as an argument."""
    if isinstance(real, types.ClassMethodDescriptorType):
        return lambda cls, *arguments: real.__get__(None, cls)(*arguments)
    return real


def shown(value: object) -> object:
    """A result in a form that can be compared: iterators by their items and how they end."""
    if hasattr(type(value), "__next__"):
        items = []
        try:
            items.extend(shown(item) for item in itertools.islice(value, LONGEST))
        except Exception as error:
            items.append((type(error), str(error)))
        return ["iterator", *items]
    if type(value) in (list, tuple):
        return (type(value), [shown(item) for item in value])
    if type(value) in (set, frozenset):
        return (type(value), sorted(map(repr, value)))
    return (type(value), repr(value))


def outcome(row, function) -> object:
    """What a row gives with one of the two callables."""
    try:
        return shown(row(function))
    except Exception as error:
        return (type(error), str(error))


CASES = [
    pytest.param(real, function, row, id=f"{name}-{getattr(real, '__qualname__', '')}-{number}")
    for name, function in REPLACING.items()
    for real in function.replaces
    for number, row in enumerate(rows_of(name))
]


@pytest.mark.parametrize(("real", "function", "row"), CASES)
def test_a_polyfill_does_what_it_replaces(real, function, row):
    expected = outcome(row, called(real))
    if expected[0] is TypeError and ("requires a" in expected[1] or "doesn't apply to" in expected[1]):
        pytest.skip("a row for another of the callables this polyfill stands for")
    assert outcome(row, function) == expected


def test_every_polyfill_has_rows():
    """Or has programs: it is tried below, or asks a logger or filters, or is a transform, which gives a
    function."""
    without = {name for name in REPLACING if not rows_of(name)}
    assert without == {"cached_property_get", "logger_is_enabled", "warn"} | {
        name for name in REPLACING if name in vars(transforms)
    }


def test_cached_property():
    class Once:
        calls = 0

        @functools.cached_property
        def number(self):
            self.calls += 1
            return 3

    once = Once()
    descriptor = vars(Once)["number"]
    get = POLYFILLS["cached_property_get"]
    assert get(descriptor, None, Once) is descriptor
    assert [get(descriptor, once, Once), get(descriptor, once, Once), once.calls] == [3, 3, 1]
    assert vars(once)["number"] == 3
