"""The exception table of a code object: which instructions are covered by which handler.

CPython stores it as a byte string of variable-length numbers, four for an entry: start, length and target in
code units, and the stack depth doubled with a low bit that says whether the offset of the instruction that
raised is pushed. Six bits of a number lie in a byte, the highest first; bit 6 says that more bytes follow,
and bit 7 marks the first byte of an entry. Entries are sorted and don't overlap.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from framelift.capture.decode.raw import CODE_UNIT, UndecodableCode


class Handler(NamedTuple):
    """An exception raised by an instruction from ``start_index`` up to before ``end_index`` cuts the stack to
    ``depth`` items, pushes the raising instruction's offset if ``lasti``, pushes the exception and goes on at
    ``target_index``."""

    start_index: int
    end_index: int
    target_index: int
    depth: int
    lasti: bool


def read_handlers(table: bytes, offsets: Sequence[int], index_at: Mapping[int, int]) -> tuple[Handler, ...]:
    """The entries of ``table``; ``offsets`` are those of the decoded instructions in order."""
    numbers = _numbers(table)
    handlers: list[Handler] = []
    for start in numbers:
        length, target, depth_and_lasti = next(numbers), next(numbers), next(numbers)
        target_index = index_at.get(target * CODE_UNIT)
        if target_index is None:
            raise UndecodableCode(f"a handler inside an instruction, at offset {target * CODE_UNIT}")
        start_index = bisect_left(offsets, start * CODE_UNIT)
        end_index = bisect_left(offsets, (start + length) * CODE_UNIT)
        depth, lasti = depth_and_lasti >> 1, bool(depth_and_lasti & 1)
        handlers.append(Handler(start_index, end_index, target_index, depth, lasti))
    return tuple(handlers)


def find_handler(handlers: Sequence[Handler], index: int) -> Handler | None:
    """The handler that covers the instruction at ``index``, or None."""
    place = bisect_right(handlers, index, key=lambda handler: handler.start_index) - 1
    if place >= 0 and index < handlers[place].end_index:
        return handlers[place]
    return None


def _numbers(table: bytes) -> Iterator[int]:
    """The numbers stored in ``table``."""
    number = 0
    for octet in table:
        number = number << 6 | octet & 63
        if not octet & 64:
            yield number
            number = 0
