"""Nothing is missing from the tables, nothing in them is idle, and effects agree with what CPython says."""

from __future__ import annotations

import dis
import sys

import pytest

from framelift.capture.decode import instruction as vocabulary
from framelift.capture.decode.depths import depth_change, effect_sides
from framelift.capture.decode.instruction import Instruction
from tests.capture.decode.probes import VERSIONS, parts

RUNNING = sys.version_info[:2]
TABLE = VERSIONS[RUNNING]
LARGEST_REAL_OPCODE = 255

REAL = {
    name
    for name, opcode in dis.opmap.items()
    if opcode <= LARGEST_REAL_OPCODE and not name.startswith("INSTRUMENTED_")
}
VOCABULARY = [
    value
    for value in vars(vocabulary).values()
    if isinstance(value, type) and issubclass(value, Instruction) and value is not Instruction
]

ARGUMENTS = range(256)


def test_every_opcode_has_a_row() -> None:
    assert REAL == set(TABLE.ROWS) | TABLE.ABSORBED | TABLE.INTERNAL


def test_no_opcode_is_both_read_and_absorbed() -> None:
    assert not set(TABLE.ROWS) & (TABLE.ABSORBED | TABLE.INTERNAL)
    assert not TABLE.ABSORBED & TABLE.INTERNAL


def test_every_row_makes_instructions() -> None:
    for version, table in VERSIONS.items():
        for opcode in table.ROWS:
            assert any(parts(version, opcode, argument) for argument in ARGUMENTS), (version, opcode)


def test_every_instruction_is_made_by_some_version() -> None:
    made = {
        type(part)
        for version, table in VERSIONS.items()
        for opcode in table.ROWS
        for argument in ARGUMENTS
        for part in parts(version, opcode, argument) or ()
    }
    assert made == set(VOCABULARY)


def test_only_the_first_part_is_resumable() -> None:
    for version, table in VERSIONS.items():
        for opcode in table.ROWS:
            for argument in ARGUMENTS:
                found = parts(version, opcode, argument) or ()
                assert [part.resumable for part in found] == [index == 0 for index in range(len(found))]


@pytest.mark.parametrize("cls", VOCABULARY, ids=lambda cls: cls.__name__)
def test_effect_can_be_read(cls: type[Instruction]) -> None:
    assert cls.stack_effect.startswith("(")
    assert cls.stack_effect.endswith(")")
    before, after = effect_sides(cls.stack_effect)
    assert before.count("...") == after.count("..."), "a bare ... stands for the same items on both sides"
    assert cls.__doc__


def stated_by_cpython(opcode: str, argument: int, jump: bool) -> int:
    """``dis.stack_effect``, and where it tells something else than what the interpreter does."""
    code = dis.opmap[opcode]
    effect = dis.stack_effect(code, argument if code >= dis.HAVE_ARGUMENT else None, jump=jump)
    if opcode == "CALL" and RUNNING == (3, 11):
        effect += dis.stack_effect(dis.opmap["PRECALL"], argument)
    if opcode == "CALL_KW":
        effect += 1  # the constant with the keyword names is pushed by an instruction that is joined to it
    if opcode == "RETURN_GENERATOR" and RUNNING < (3, 13):
        effect += 1  # the first value sent appears when the generator is started
    if opcode == "FOR_ITER" and jump and RUNNING >= (3, 12):
        effect -= 2  # dis stops at END_FOR, the interpreter goes on behind it
    if opcode in ("RETURN_CONST", "RETURN_VALUE"):
        effect = -1 + (opcode == "RETURN_CONST")
    return effect


@pytest.mark.parametrize("opcode", sorted(TABLE.ROWS))
def test_effect_agrees_with_cpython(opcode: str) -> None:
    compared = 0
    for argument in range(40) if dis.opmap[opcode] >= dis.HAVE_ARGUMENT else (0,):
        found = parts(RUNNING, opcode, argument)
        if found is None or not may_have(opcode, argument):
            continue
        jumps = hasattr(found[-1], "target")
        for jump in (True, False) if jumps else (False,):
            ours = sum(depth_change(part, jump and part is found[-1]) for part in found)
            assert ours == stated_by_cpython(opcode, argument, jump), (argument, jump)
            compared += 1
    assert compared


def may_have(opcode: str, argument: int) -> bool:
    """Arguments the compiler gives; dis counts on it."""
    match opcode:
        case "BUILD_SLICE":
            return argument in (2, 3)
        case "RAISE_VARARGS":
            return argument <= 2
        case "MAKE_FUNCTION":
            return argument < 16
        case "FORMAT_VALUE":
            return argument < 8
    return True
