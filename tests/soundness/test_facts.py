"""Whatever changes behind a compiled function's back, the next call gives eager's answer.

Every program is called often enough for what it was compiled for to have become standing facts. A change must
make a difference in eager, or the row could not fail.
"""

from __future__ import annotations

import sys
import threading

import pytest

from tests.harness import floats, fresh, warm
from tests.soundness import classes, containers, functions, modules, names, numbers, tensors, torch_state
from tests.soundness.facts import FACTS

SOURCES = (classes, containers, functions, modules, names, numbers, tensors, torch_state)
CALLS = 3


@pytest.fixture(autouse=True)
def _settings():
    limit = sys.getrecursionlimit()
    with torch_state.restored():
        yield
    sys.setrecursionlimit(limit)
    while modules.HANDLES:
        modules.HANDLES.pop().remove()


def start(fact):
    return warm(fresh(fact.build), floats(3), calls=CALLS, **fact.options)


@pytest.mark.parametrize("name", FACTS)
def test_the_change_is_followed(name):
    fact = FACTS[name]
    session = start(fact)
    for change in fact.changes:
        session.must_follow(change)
        session.call()


@pytest.mark.parametrize("name", FACTS)
def test_a_change_by_another_thread_is_followed(name):
    def elsewhere(state):
        thread = threading.Thread(target=change, args=(state,))
        thread.start()
        thread.join()

    fact = FACTS[name]
    if fact.build.__module__ == torch_state.__name__:
        pytest.skip("torch keeps this state for each thread")
    session = start(fact)
    change = fact.changes[0]
    session.must_follow(elsewhere)


def test_there_are_many():
    assert len(FACTS) >= 100
    assert {fact.build.__module__ for fact in FACTS.values()} == {source.__name__ for source in SOURCES}
