"""Each function of the corpus, with its first N instructions performed at breaks and the rest by CPython."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.frames.corpus import CASES, Case
from tests.frames.drivers import Stepping, instructions, outcome
from tests.frames.talks import TALKS


def run(case: Case, limit: int) -> tuple[tuple, Stepping]:
    stepping = Stepping(case.fresh(), limit)
    return outcome(stepping.compiled, case.arguments(), case.keywords), stepping


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_number_of_steps(case):
    expected = outcome(case.fresh(), case.arguments(), case.keywords)
    limit = 0
    while True:
        found, stepping = run(case, limit)
        assert found == expected, f"after {limit} breaks, the last at {stepping.offsets[-1:]}"
        if stepping.left:
            break
        limit += 1
    assert limit > 2


def performed() -> set[str]:
    """Every instruction of the corpus that was performed: those behind which another one was asked for, and
    the returns."""
    names = set()
    steppings = [run(case, 10**9)[1] for case in CASES]
    for talk in TALKS:
        steppings.append(Stepping(talk.function, 10**9))
        talk.had_with(steppings[-1].compiled)
    for stepping in steppings:
        by_offset = {inst.offset: inst.opname for inst in instructions(stepping.function.__code__)}
        reached = [by_offset[offset] for offset in stepping.offsets]
        names.update(reached[:-1])
        names.update(name for name in reached[-1:] if name.startswith("RETURN"))
    return names


def test_every_row_of_the_table_is_performed():
    root = Path(__file__).parents[2]
    minor = sys.version_info.minor
    files = [f"frame_3_{minor}.h"] + ["frame_since_3_12.h"] * (minor > 11)
    text = "".join((root / "csrc" / name).read_text() for name in files)
    rows = set(re.findall(r"case ([A-Z_]+):", text))
    # Those found at what stands before them, and the one that is met on the way to a handler.
    elsewhere = {"CALL", "CALL_KW", "PUSH_EXC_INFO"}
    assert rows - performed() - elsewhere == set()
