"""No reference is lost or released twice: totals of a debug build of CPython, call after call."""

from __future__ import annotations

import gc
import sys

import pytest

from tests.frames.corpus import CASES
from tests.frames.drivers import Everywhere, Stepping, outcome

if not hasattr(sys, "gettotalrefcount"):
    pytest.skip("needs a debug build of CPython, such as python3.11-dbg", allow_module_level=True)


def drift(call, rounds):
    """By how much the total grows in so many calls."""
    gc.collect()
    before = sys.gettotalrefcount()
    for _ in range(rounds):
        call()
    gc.collect()
    return sys.gettotalrefcount() - before


def assert_no_drift(plain, driven):
    """What is driven loses no more than CPython does."""
    for call in (plain, driven):
        drift(call, 3)
    # Caches grow now and then; what is lost in each call shows in every round.
    lost = min(drift(driven, 10) - drift(plain, 10) for _ in range(3))
    assert lost < 10


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("limit", [1, 5, 11, 10**9])
def test_no_drift(case, limit):
    arguments = case.arguments()

    def plain():
        outcome(case.fresh(), arguments, case.keywords)

    def driven():
        outcome(Stepping(case.fresh(), limit).compiled, arguments, case.keywords)

    assert_no_drift(plain, driven)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_drift_in_callees(case):
    arguments = case.arguments()

    def plain():
        outcome(case.fresh(), arguments, case.keywords)

    def driven():
        outcome(Everywhere(case.fresh(), lambda function: 3), arguments, case.keywords)

    assert_no_drift(plain, driven)
