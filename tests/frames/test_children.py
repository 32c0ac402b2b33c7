"""Frames that a break's instruction enters: each is driven as the child that it is asked for."""

from __future__ import annotations

import functools
import gc
import sys
import weakref

import pytest

from framelift._native import CompiledCallable, Entry, ExitProgram, forget_children
from tests.frames.corpus import CASES
from tests.frames.drivers import Everywhere, Stepping, deciding, everything, outcome
from tests.threads import run_in_threads

PASSES, DISARMS, WANTED, WANTED_IF_NAMED = range(1, 5)


def always(function):
    return WANTED


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_instruction_of_every_frame(case):
    expected = outcome(case.fresh(), case.arguments(), case.keywords)
    call = Everywhere(case.fresh(), always).stepping.compiled
    with deciding(always):
        assert outcome(call, case.arguments(), case.keywords) == expected


class Thing:
    def __init__(self, value=0):
        self.value = value

    def method(self, a, b=0):
        return a + b

    def __call__(self, a):
        return a

    @property
    def attribute(self):
        return self.value

    @classmethod
    def of_class(cls, a):
        return cls(a)

    @staticmethod
    def of_nobody(a):
        return a

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return name

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)

    def __add__(self, other):
        return 1

    def __rsub__(self, other):
        return 2

    def __bool__(self):
        return True

    def __len__(self):
        return 3

    def __contains__(self, item):
        return True

    def __lt__(self, other):
        return True

    def __getitem__(self, key):
        return key

    def __setitem__(self, key, value):
        pass

    def __delitem__(self, key):
        pass

    def __iter__(self):
        self.left = 2
        return self

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return self.left

    def __enter__(self):
        return 4

    def __exit__(self, *error):
        return True

    def __format__(self, specification):
        return "5"

    def __hash__(self):
        return 6

    def __index__(self):
        return 0


def plain(a, *, k=1):
    return a * k


def key(value):
    return value


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


@wrapped
def decorated(a):
    return a


def ways_in(a):
    thing = Thing(a)
    found = [plain(a), plain(a, k=2), thing.method(a, b=3), thing(a), thing.attribute, thing.missing]
    found += [Thing.of_class(a).value, Thing.of_nobody(a), decorated(a), plain(*(a,))]
    thing.other = a
    found += [thing + 1, 1 - thing, not thing, len(thing), a in thing, thing < 1, thing[a]]
    thing[a] = 1
    del thing[a]
    found += list(map(plain, [a])), sorted([2, 1], key=key), functools.partial(plain, k=4)(a)
    for item in thing:
        found.append(item)
    found += f"{thing}", {thing: 1} == {}, [1, 2][thing]
    with thing as entered:
        found.append(entered)
    return found


ENTERED = """
__init__ plain plain method __call__ attribute __getattr__ of_class __init__ of_nobody wrapper
decorated plain __add__ __rsub__ __bool__ __len__ __contains__ __lt__ __getitem__ __setitem__
__delitem__ plain key key plain __iter__ __next__ __next__ __next__ __format__ __hash__ __index__
__enter__
""".split()


def test_ways_into_a_frame():
    everywhere = Everywhere(ways_in, always)
    assert everywhere(7) == ways_in(7)
    # Since 3.12, what stands in front of __exit__ is left to CPython, and the rest of the call with it.
    found = [name for name in everywhere.entered if name not in ("__setattr__", "__exit__")]
    assert found == ENTERED


def test_a_callee_that_is_compiled_has_its_own_breaks():
    def inner(a):
        return sys._getframe(1).f_code.co_name, a

    own = Stepping(inner, 10**9)

    def outer(a):
        return own.compiled(a), list(map(own.compiled, [a]))

    everywhere = Everywhere(outer, always)
    assert everywhere(1) == (("outer", 1), [("outer", 1)])
    assert everywhere.entered == []
    assert own.offsets


def test_closures_are_those_of_the_frame():
    def make(number):
        def inner(a):
            nonlocal number
            number += a
            return number

        return inner

    first, second = make(10), make(20)

    def calls():
        return first(1), second(2), first(3)

    everywhere = Everywhere(calls, always)
    assert everywhere() == (11, 22, 14)
    assert len(everywhere.children) == 1


def test_nothing_of_a_call_is_kept():
    class Kept:
        pass

    alive = []

    def calls():
        kept = Kept()
        alive.append(weakref.ref(kept))

        def inner(a):
            return kept, a

        return inner(1)[1]

    everywhere = Everywhere(calls, always)
    for _ in range(3):
        assert everywhere() == 1
    gc.collect()
    assert [one() for one in alive[1:]] == [None, None]  # the child was made with the first function


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


def skipped(n):
    return plain(n) + deep(1)


def test_answers_are_remembered_until_they_may_be_others():
    asked = []

    class Asking(Everywhere):
        def child_for(self, function, first):
            asked.append((function.__code__.co_name, first))
            child = super().child_for(function, first)
            child.of_one_object = function is key
            return child

    def calls(n):
        return plain(n), plain(5), key(n), key(5), key(n)

    everywhere = Asking(calls, always)
    assert everywhere(3) == (3, 5, 3, 5, 3)
    assert asked == [("plain", 3), ("key", 3), ("key", 5)]
    with deciding(always):
        asked.clear()
        assert everywhere.stepping.compiled(3) == (3, 5, 3, 5, 3)
        assert len(asked) == 3  # other decisions
        assert everywhere.stepping.compiled(3) == (3, 5, 3, 5, 3)
        assert len(asked) == 3
        forget_children()
        assert everywhere.stepping.compiled(3) == (3, 5, 3, 5, 3)
        assert len(asked) == 6


def test_what_passes_stays_armed_and_what_disarms_does_not():
    def calls(n):
        return skipped(n)

    for decision, entered in ((PASSES, ["plain", "deep", "deep"]), (DISARMS, [])):
        everywhere = Everywhere(
            calls, lambda function, here=decision: here if function is skipped else WANTED
        )
        assert everywhere(3) == 4
        assert everywhere.entered == entered


def test_decisions_are_made_once_for_each_code():
    asked = []

    def decide(function):
        asked.append(function.__name__)
        return PASSES

    def calls(n):
        i = 0
        while i < n:
            plain(i)
            i += 1

    everywhere = Everywhere(calls, decide)
    everywhere(5)
    assert asked.count("plain") == 1
    plain.disabled = True  # a marker: asked each time
    try:
        everywhere(5)
        everywhere(5)
    finally:
        del plain.disabled
    assert asked.count("plain") == 11


def test_a_marked_function_does_not_decide_for_others_of_its_code():
    def make(value):
        def inner():
            return plain(value)

        return inner

    one, other = make(1), make(2)
    one.disabled = True

    def decide(function):
        return DISARMS if function.__dict__.get("disabled") else WANTED

    def calls():
        return one(), other(), one()

    everywhere = Everywhere(calls, decide)
    assert everywhere() == (1, 2, 1)
    assert everywhere.entered == ["inner", "plain"]


def test_names_are_those_of_the_entry():
    def calls(n):
        return plain(n), deep(0)

    everywhere = Everywhere(calls, lambda function: WANTED_IF_NAMED)
    miss = everywhere.stepping.compiled.on_miss

    def with_names(*arguments):
        entry = miss(*arguments)
        return Entry(entry.tree, None, [], entry.program, False, None, entry.stop, (plain.__code__,))

    everywhere.stepping.compiled.on_miss = with_names
    assert everywhere(2) == (2, 0)
    assert everywhere.entered == ["plain"]
    unnamed = Everywhere(calls, lambda function: WANTED_IF_NAMED)
    assert unnamed(2) == (2, 0)
    assert unnamed.entered == []


def test_errors_and_none_mean_cpython(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    def fails(function, first):
        raise RuntimeError("in child_for")

    def no_decision(function):
        raise RuntimeError("in decide")

    answers = [(always, None, 0), (always, lambda function, first: None, 0), (always, fails, 1)]
    answers += [(always, lambda function, first: 3, 1), (no_decision, fails, 1), (lambda _: 99, fails, 0)]
    for decide, child_for, errors in answers:
        told.clear()
        with deciding(decide):
            stepping = Stepping(skipped, 10**9)
            stepping.compiled.child_for = child_for
            assert stepping.compiled(3) == 4
        assert bool(told) == bool(errors)
    with pytest.raises(TypeError, match="child_for must be callable"):
        stepping.compiled.child_for = 3


def test_recursion_ends_as_in_cpython():
    def endless(n):
        return endless(n + 1)

    everywhere = Everywhere(endless, always)
    with pytest.raises(RecursionError):
        everywhere(0)
    assert Everywhere(deep, always)(150) == 150
    assert deep(150) == 150


def test_many_threads():
    wrong = []

    def run():
        everywhere = Everywhere(ways_in, always)
        for number in range(30):
            if everywhere.stepping.compiled(number) != ways_in(number):
                wrong.append(number)

    with deciding(always):
        run_in_threads(run, [()] * 8)
    assert not wrong


def test_with_a_collection_at_every_allocation():
    everywhere = Everywhere(ways_in, always)
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        assert everywhere(7) == ways_in(7)
    finally:
        gc.set_threshold(*before)


def test_segments_without_a_break_return():
    def calls(a):
        return plain(a), list(map(plain, [a]))

    everywhere = Everywhere(calls, always)

    def miss(callable_, arguments, failures, offset):
        return Entry(
            everything(len(arguments)), None, [], ExitProgram([], 0, ("const", "child")), False, None
        )

    child = everywhere.children[plain.__code__] = CompiledCallable(plain, None, miss)
    child.takes_function = True
    assert everywhere(1) == ("child", ["child"])
