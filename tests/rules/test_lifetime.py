"""A dead object's rule is never found at another's address, and the table keeps nobody alive."""

from __future__ import annotations

import gc
import weakref

from framelift import rules
from framelift._native import RuleTable
from framelift.rules import RuleKind
from framelift.rules.lookup import _table


def make():
    def function(x):
        return x

    return function


def test_an_address_used_again_has_no_rule():
    reused = 0
    for _ in range(200):
        function = make()
        address = id(function)
        rules.disallow_in_graph(function)
        del function
        # Not a comprehension, whose own function would be made at the free address first.
        successors = []
        for _ in range(8):
            successors.append(make())  # noqa: PERF401
        reused += any(id(each) == address for each in successors)
        assert all(rules.lookup(each).kind is RuleKind.INLINE for each in successors)
    assert reused > 0, "no address was ever used again: this test has shown nothing"


def test_objects_with_a_rule_can_die():
    function = make()
    rules.skip(function, "no")

    class Local:
        pass

    rules.lookup(Local)
    alive = [weakref.ref(function), weakref.ref(Local)]
    del function, Local
    gc.collect()
    assert [reference() for reference in alive] == [None, None]


def test_entries_of_the_dead_are_swept():
    for _ in range(20_000):
        rules.disallow_in_graph(make())
    assert len(_table) < 10_000


def test_the_rule_of_a_closure_made_anew_is_its_modules():
    before = len(_table)
    assert {rules.lookup(make()).kind for _ in range(100)} == {RuleKind.INLINE}
    assert len(_table) == before


def test_a_table_is_collected_with_what_refers_to_it():
    class Ask:
        def __call__(self, *arguments):
            return None

    def in_a_cycle():
        ask = Ask()
        ask.table = RuleTable(ask, ask, ask, (), ask, ask)
        return weakref.ref(ask)

    reference = in_a_cycle()
    gc.collect()
    assert reference() is None


def test_a_finaliser_may_ask():
    answers = []

    class Asks:
        def __call__(self):
            return 1

        def __del__(self):
            answers.append(rules.lookup(make()).kind)

    asks = Asks()
    rules.disallow_in_graph(asks)
    del asks
    gc.collect()
    rules.reset()
    assert answers == [RuleKind.INLINE]
