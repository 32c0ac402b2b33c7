"""Each function of the corpus, with its first N instructions performed at breaks and the rest by CPython."""

from __future__ import annotations

import dis
import os

import pytest

from tests.frames.corpus import CASES, Case
from tests.frames.drivers import Stepping, outcome

performed: set[str] = set()


def outcomes(case: Case, limit: int) -> tuple[tuple, Stepping]:
    stepping = Stepping(case.fresh(), limit)
    found = outcome(stepping.compiled, case.arguments(), case.keywords)
    code = stepping.function.__code__
    names = {inst.offset: inst.opname for inst in dis.get_instructions(code)}
    performed.update(names[offset] for offset in stepping.offsets)
    return found, stepping


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_number_of_steps(case):
    expected = outcome(case.fresh(), case.arguments(), case.keywords)
    limit = 0
    while True:
        found, stepping = outcomes(case, limit)
        assert found == expected, f"after {limit} breaks, the last at {stepping.offsets[-1:]}"
        if stepping.left:
            break
        limit += 1
    assert limit > 2


# What the table leaves to CPython on purpose, and what is no instruction of its own.
LEFT_TO_CPYTHON = {
    "3.11": """
        BUILD_STRING CHECK_EG_MATCH CHECK_EXC_MATCH COPY_FREE_VARS DELETE_DEREF DICT_MERGE DICT_UPDATE
        LOAD_ASSERTION_ERROR MAKE_CELL MAKE_FUNCTION MATCH_CLASS MATCH_KEYS MATCH_MAPPING MATCH_SEQUENCE
        POP_EXCEPT PREP_RERAISE_STAR PUSH_EXC_INFO RAISE_VARARGS RERAISE SET_UPDATE UNPACK_EX WITH_EXCEPT_START
        """,
}


if __name__ == "__main__":
    for one in CASES:
        test_every_number_of_steps(one)
    print("performed:", *sorted(performed))
    os._exit(0)
