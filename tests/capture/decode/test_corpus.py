"""Every function of a part of the standard library decodes, and decoding agrees with ``dis`` about it.

``dis`` and ``dis.stack_effect`` are a second opinion from CPython itself: here they are run over the code
object with a depth analysis of their own, by byte offsets.
"""

from __future__ import annotations

import dis
import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType

import pytest

from framelift.capture.decode import Decoded, decode
from framelift.capture.decode import instruction as vocabulary
from framelift.capture.decode.depths import UNREACHABLE
from tests.capture.decode.probes import VERSIONS
from tests.capture.decode.test_inventory import stated_by_cpython

RUNNING = sys.version_info[:2]
TABLE = VERSIONS[RUNNING]

MODULES = (
    *("argparse", "ast", "asyncio.base_events", "asyncio.tasks", "asyncio.streams", "bdb", "cmd"),
    *(
        "collections",
        "configparser",
        "contextlib",
        "dataclasses",
        "datetime",
        "decimal",
        "difflib",
        "doctest",
    ),
    *("enum", "fractions", "functools", "heapq", "inspect", "json.decoder", "json.encoder", "locale"),
    *("mailbox", "optparse", "pathlib", "pdb", "pickle", "pickletools", "random", "shutil", "ssl"),
    *("statistics", "string", "subprocess", "tarfile", "textwrap", "threading", "tokenize", "traceback"),
    *("types", "typing", "unittest.mock", "urllib.parse", "uuid", "warnings", "weakref", "zipfile"),
)

# Syntax that the library itself hardly uses.
PROGRAM = """
import os.path as path
from os.path import join, split as divide
annotated: int = 3

async def comprehensions(items):
    async with items as first, first.second:
        async for item in items:
            yield [x async for x in item if await x]
    return

def groups(work):
    try:
        work()
    except* ValueError as group:
        print(group)
    except* (TypeError, OSError):
        raise
    finally:
        del work

def patterns(subject, other):
    match subject:
        case {"key": value, **rest}: return value, rest
        case [first, *middle, (last, 1 | 2)] if first: return middle, last
        case complex(real=real, imag=-1) as whole: return real, whole
        case None | True | "text": pass
        case path.sep: del other
    del subject[1:2], other.name
    assert subject, "message"

def variables():
    global spread
    outer = 1
    def inner(*items, key=outer, **more):
        nonlocal outer
        outer += 1
        del spread
        print(*items, key=key, **more, **{**more, "a": 1})
        return f"{outer!r:>{key}} {key!s} {more!a:x}", {*items, *more}, [*items], (*items, 1), {outer: key}
    class Local(dict, metaclass=type):
        copied = outer
        outer = copied
        def method(self):
            super().method().other
            super(Local, self).third
            return __class__
    return inner, Local

def delegating(first):
    result = yield from first
    return (yield result)

def operators(a, b):
    a @= b; a **= b; a //= b; a >>= b; a <<= b; a ^= b; a |= b; a &= b; a %= b; a[b] += 1; a[1:b] = b
    c, (*d, e) = a, b
    while a < b <= c != d > e >= a == b or not a is b and a in c or a is not c or b not in d:
        a = +b - -c * ~d / e
        if a is None: continue
        if b is not None: break
    else:
        return a[b:c:d], a[::2], lambda x=1, *, y=2: x if y else a
    return {k: v for k, v in a}, {k for k in b if k}, (k for k in c), [[k for k in l] for l in d]
"""


def compiled(module: str) -> CodeType:
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        pytest.skip(f"{module} is not a Python source file here")
    return compile(Path(found.origin).read_bytes(), module, "exec")


def code_objects(code: CodeType) -> Iterator[CodeType]:
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from code_objects(value)


@pytest.mark.parametrize("module", MODULES)
def test_library_module(module: str) -> None:
    for code in code_objects(compiled(module)):
        check(code)


def test_program() -> None:
    for code in code_objects(compile(PROGRAM, "program", "exec")):
        check(code)


def check(code: CodeType) -> None:
    decoded = decode(code)
    listing = list(dis.get_instructions(code))
    prefixes = first_prefixes(listing)
    by_offset = {prefixes[item.offset]: item for item in listing if item.opname != "EXTENDED_ARG"}
    check_depths(code, decoded, by_offset)
    check_handlers(code, decoded, by_offset)
    check_fields(decoded, by_offset)


def first_prefixes(listing: list[dis.Instruction]) -> dict[int, int]:
    """For each instruction, where its prefixes begin."""
    starts: dict[int, int] = {}
    start = None
    for item in listing:
        start = item.offset if start is None else start
        starts[item.offset] = start
        if item.opname != "EXTENDED_ARG":
            start = None
    return starts


def check_depths(code: CodeType, decoded: Decoded, listing: dict[int, dis.Instruction]) -> None:
    expected = depths_by_offset(code, listing)
    skipped = behind_loops(listing)
    for offset, index in decoded.index_at.items():
        depth = decoded.depths[index]
        if depth == UNREACHABLE:
            assert offset in skipped or offset not in expected, (code, offset)
        else:
            assert depth == expected[offset], (code, offset)


def depths_by_offset(code: CodeType, listing: dict[int, dis.Instruction]) -> dict[int, int]:
    offsets = list(listing)
    following = dict(zip(offsets, offsets[1:], strict=False))
    entries = [(entry, range(entry.start, entry.end)) for entry in dis._parse_exception_table(code)]
    depths: dict[int, int] = {}
    waiting = [(0, 0)]
    while waiting:
        offset, depth = waiting.pop()
        if offset in depths:
            assert depths[offset] == depth
            continue
        depths[offset] = depth
        item = listing[offset]
        waiting += [(e.target, e.depth + e.lasti + 1) for e, covered in entries if offset in covered]
        if item.opcode in dis.hasjrel:
            waiting.append((item.argval, depth + effect(item, jump=True)))
        leaves = item.opname.startswith(
            ("RETURN_V", "RETURN_C", "RAISE", "RERAISE", "JUMP_FORWARD", "JUMP_B")
        )
        if not leaves:
            waiting.append((following[offset], depth + effect(item, jump=False)))
    return depths


def effect(item: dis.Instruction, jump: bool) -> int:
    """As dis sees it, but for the first value sent to a generator."""
    return _effect(item.opname, item.opcode, item.arg, jump)


@cache
def _effect(opname: str, opcode: int, argument: int | None, jump: bool) -> int:
    if opname == "RETURN_GENERATOR":
        return stated_by_cpython(opname, 0, jump)
    return dis.stack_effect(opcode, argument, jump=jump)


def behind_loops(listing: dict[int, dis.Instruction]) -> set[int]:
    """END_FOR, and on 3.13 the POP_TOP behind it: the interpreter goes on behind them."""
    skipped: set[int] = set()
    for offset, item in listing.items():
        if item.opname == "END_FOR":
            skipped.update((offset, offset + 2) if RUNNING >= (3, 13) else (offset,))
    return skipped


def check_handlers(code: CodeType, decoded: Decoded, listing: dict[int, dis.Instruction]) -> None:
    table = dis._parse_exception_table(code)
    for offset, index in decoded.index_at.items():
        entry = next((entry for entry in table if entry.start <= offset < entry.end), None)
        handler = decoded.handler_for(index)
        if entry is None:
            assert handler is None, (code, offset)
            continue
        target = decoded.instructions[handler.target_index]
        assert (target.offset, handler.depth, handler.lasti) == (entry.target, entry.depth, entry.lasti)
        assert target.resumable


def check_fields(decoded: Decoded, listing: dict[int, dis.Instruction]) -> None:
    """Names, constants, targets and lines are those that dis shows."""
    skipped = behind_loops(listing)
    for inst, position in zip(decoded.instructions, decoded.positions, strict=True):
        item = listing[inst.offset]
        match inst:
            case vocabulary.Call():
                continue  # its offset is that of its keyword names
            case vocabulary.ForIter() | vocabulary.Send() | vocabulary.Jump() | vocabulary.PopJumpIf():
                target = item.argval
                while target in skipped:
                    target += 2
                landing = decoded.instructions[inst.target]
                assert (landing.offset, landing.resumable) == (target, True)
            case vocabulary.LoadConst() if item.opname in ("LOAD_CONST", "RETURN_CONST"):
                assert inst.value is item.argval
            case vocabulary.CompareOp():
                assert inst.operator == str(item.argval).removeprefix("bool(").removesuffix(")")
            case vocabulary.BinaryOp() if item.opname == "BINARY_OP":
                assert inst.operator == item.argrepr
            case vocabulary.LoadFast() | vocabulary.StoreFast() | vocabulary.LoadClosure():
                assert inst.name in item.argval
                assert decoded.slots[inst.slot] == inst.name
            case _ if hasattr(inst, "name"):
                assert inst.name == item.argval
        assert position == tuple(item.positions)
        assert inst.line == position.line
