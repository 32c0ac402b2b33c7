"""Every instruction that the decoder knows is performed at a break, or is on a list with its reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.capture.decode.probes import VERSIONS

CSRC = Path(__file__).parents[2] / "csrc"

BEFORE_THE_FRAME = "before it the frame is not complete, so nothing stops there"
NOT_IN_FUNCTIONS = "only in the bodies of modules and classes, which are not compiled"
SUSPENDS = "only in generators and coroutines"
GROUPS = "except* is CPython's as a whole"
TYPE_PARAMETERS = "only in the scopes of type parameters"
PATTERNS = "an algorithm of CPython's loop with errors of its own"

LEFT_TO_CPYTHON = {
    "MAKE_CELL": BEFORE_THE_FRAME,
    "COPY_FREE_VARS": BEFORE_THE_FRAME,
    "RETURN_GENERATOR": BEFORE_THE_FRAME,
    "LOAD_NAME": NOT_IN_FUNCTIONS,
    "STORE_NAME": NOT_IN_FUNCTIONS,
    "DELETE_NAME": NOT_IN_FUNCTIONS,
    "LOAD_CLASSDEREF": NOT_IN_FUNCTIONS,
    "LOAD_LOCALS": NOT_IN_FUNCTIONS,
    "LOAD_FROM_DICT_OR_DEREF": NOT_IN_FUNCTIONS,
    "LOAD_FROM_DICT_OR_GLOBALS": NOT_IN_FUNCTIONS,
    "SETUP_ANNOTATIONS": NOT_IN_FUNCTIONS,
    "IMPORT_STAR": NOT_IN_FUNCTIONS,
    "PRINT_EXPR": NOT_IN_FUNCTIONS,
    "YIELD_VALUE": SUSPENDS,
    "CLEANUP_THROW": SUSPENDS,
    "ASYNC_GEN_WRAP": SUSPENDS,
    "GET_AITER": SUSPENDS,
    "GET_ANEXT": SUSPENDS,
    "END_ASYNC_FOR": SUSPENDS,
    "BEFORE_ASYNC_WITH": SUSPENDS,
    "CHECK_EG_MATCH": GROUPS,
    "PREP_RERAISE_STAR": GROUPS,
    "CALL_INTRINSIC_2": f"{GROUPS}; {TYPE_PARAMETERS}",
    "MATCH_CLASS": PATTERNS,
    "MATCH_KEYS": PATTERNS,
    "END_FOR": "jumped over by the instruction that leads to it",
}


def performed(version: tuple[int, int]) -> set[str]:
    """The opcodes that `spell` names for a version."""
    files = [f"frame_3_{version[1]}.h"] + ["frame_since_3_12.h"] * (version[1] > 11)
    text = "".join((CSRC / name).read_text() for name in files)
    return set(re.findall(r"case ([A-Z_]+[0-9]?):", text))


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_what_is_not_performed_is_on_the_list(version):
    known = set(VERSIONS[version].ROWS)
    assert known - performed(version) == known & LEFT_TO_CPYTHON.keys()


def test_the_list_names_real_instructions():
    known = {opcode for table in VERSIONS.values() for opcode in table.ROWS}
    assert LEFT_TO_CPYTHON.keys() <= known
