"""No reference is lost or released twice: totals of a debug build of CPython, call after call."""

from __future__ import annotations

import gc
import sys

import pytest

from tests.frames.corpus import CASES
from tests.frames.drivers import Stepping, outcome

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


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("limit", [1, 5, 11, 10**9])
def test_no_drift(case, limit):
    arguments = case.arguments()

    def plain():
        outcome(case.fresh(), arguments, case.keywords)

    def driven():
        outcome(Stepping(case.fresh(), limit).compiled, arguments, case.keywords)

    for call in (plain, driven):
        drift(call, 3)
    # Caches grow now and then; what is lost in each call shows in every round.
    lost = min(drift(driven, 10) - drift(plain, 10) for _ in range(3))
    assert lost < 10
