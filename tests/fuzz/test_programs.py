"""Random programs do compiled what they do in CPython: results, errors, output, what is left behind.

Each call must have run a graph, unless an exception leaves the program; without a break, one with the
program's first operator. What is before a break in the life of a generator may be CPython's as a whole.
"""

from __future__ import annotations

import linecache
import os

import pytest

from framelift.observe import reasons
from tests.fuzz.grammar import program
from tests.harness import check, each, floats
from tests.harness.inputs import Recipe

CALLS = 4
STRESS = "FRAMELIFT_STRESS" in os.environ
SEEDS = range(400) if STRESS else range(8)


def run(seed: int, breaks: bool) -> None:
    text = program(seed, breaks)
    name = f"<program {seed}>"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    namespace = {"__name__": "random_program"}
    exec(compile(text, name, "exec"), namespace)
    report = check(
        namespace["f"],
        floats(3),
        floats(3),
        each(1, 1, 2, 3),
        each([1, 2], [1, 2], [3]),
        each({"a": 1}, {"a": 1}, {"b": 2}),
        Recipe(lambda k, _: namespace["Child"](1)),
        calls=CALLS,
        graphs=None,
        breaks=None,
        recompiles=None,
        forced=False,
        references=False,
    )
    if reasons.ESCAPING_EXCEPTION.title not in report.counts.breaks:
        assert report.runs >= CALLS
    if not report.counts.breaks:
        assert report.calls["atan"]


@pytest.mark.stress
@pytest.mark.parametrize("seed", SEEDS)
def test_without_breaks(seed):
    run(seed, breaks=False)


@pytest.mark.stress
@pytest.mark.parametrize("seed", SEEDS)
def test_with_breaks(seed):
    run(1000 + seed, breaks=True)
