"""Decode: a code object becomes a tuple of instructions that mean the same on every CPython.

This is the only place in capture that knows versions. ``raw.py`` reads what all of them share (prefixes,
caches, positions); the table of the running version (``cpython_3_x.py``) says what each of its instructions
means in the vocabulary of ``instruction.py``, in the words of ``rows.py``; here jumps are resolved to
indices, ``exception_table.py`` resolves the handlers, and ``depths.py`` finds the stack depth before each
instruction.
``Decoded`` (``decoded.py``) is the result; ``str()`` prints it.

Three things are normalised beyond spelling. What CPython fuses is split into parts; they share an offset,
and only the first is ``resumable``. A call is one instruction, wherever its keyword names are put. And an
instruction that CPython jumps over (END_FOR) is jumped over here too, so no state exists that CPython
couldn't be in.
"""

from __future__ import annotations

import sys
import weakref
from dataclasses import replace
from types import CodeType, ModuleType

from framelift.capture.decode import cpython_3_11, cpython_3_12, cpython_3_13
from framelift.capture.decode.decoded import Decoded
from framelift.capture.decode.depths import stack_depths
from framelift.capture.decode.exception_table import Handler, read_handlers
from framelift.capture.decode.instruction import Instruction
from framelift.capture.decode.raw import UndecodableCode, read_instructions, read_tables

__all__ = ["Decoded", "Handler", "UndecodableCode", "decode"]

_VERSIONS: dict[tuple[int, int], ModuleType] = {
    (3, 11): cpython_3_11,
    (3, 12): cpython_3_12,
    (3, 13): cpython_3_13,
}
if sys.version_info[:2] not in _VERSIONS:
    raise ImportError("framelift reads the bytecode of CPython 3.11, 3.12 and 3.13; run it with one of these")
_VERSION = _VERSIONS[sys.version_info[:2]]

# By identity: equal code objects may differ in their lines. An entry goes when its code object dies.
_decoded: dict[int, tuple[weakref.ref[CodeType], Decoded]] = {}


def decode(code: CodeType) -> Decoded:
    """``code`` in our instruction set, decoded at the first request. Raises ``UndecodableCode`` for a code
    object that CPython's compiler wouldn't make."""
    identity = id(code)
    known = _decoded.get(identity)
    if known is not None:
        return known[1]
    reference = weakref.ref(code, lambda _: _decoded.pop(identity, None))
    decoded = _decode(code, reference)
    _decoded[identity] = (reference, decoded)
    return decoded


def _decode(code: CodeType, reference: weakref.ref[CodeType]) -> Decoded:
    """``code`` in our instruction set."""
    tables = read_tables(code)
    instructions: list[Instruction] = []
    positions = []
    index_at: dict[int, int] = {}
    for raw in _VERSION.join(read_instructions(code)):
        row = _VERSION.ROWS.get(raw.opcode)
        if row is None:
            raise UndecodableCode(f"{raw.opcode} at offset {raw.offset}")
        index_at[raw.offset] = len(instructions)
        parts = row(raw, tables)
        instructions.extend(parts)
        positions.extend([raw.position] * len(parts))
    for index, inst in enumerate(instructions):
        target = getattr(inst, "target", None)
        if target is not None:
            if target not in index_at:
                raise UndecodableCode(f"a jump into the middle of an instruction, at offset {inst.offset}")
            instructions[index] = replace(inst, target=index_at[target])
    handlers = read_handlers(code.co_exceptiontable, [inst.offset for inst in instructions], index_at)
    depths = stack_depths(instructions, handlers)
    return Decoded(reference, tuple(instructions), index_at, handlers, tuple(positions), depths, tables.slots)
