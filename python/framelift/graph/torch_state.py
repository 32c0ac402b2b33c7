"""The torch state of a thread: saved before a capture, put back after it.

While a capture runs, the program's own state changes (``no_grad``, ``autocast`` ...) are really made on the
thread, because the answers of fake tensors depend on them. Whatever happens, the thread leaves the capture as
it entered it.

Inference mode can't be assigned; ``GraphBuilder.close`` leaves the modes that recorded calls entered, and
this module only checks that it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from framelift import torch_internals


@dataclass(frozen=True, slots=True)
class StateItem:
    """One piece of state: how it is read and how it is set to a value that was read."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], None]


STATE_ITEMS: tuple[StateItem, ...] = torch_internals.state_items(StateItem)
"""All state that a capture may change, in the order in which it is put back."""


class StateNotRestored(Exception):
    """Torch state that can't be assigned is not what it was: a mistake of this package."""


def read_state() -> tuple[Any, ...]:
    """The present value of every item, in order."""
    return tuple(item.read() for item in STATE_ITEMS)


def restore_state(saved: tuple[Any, ...]) -> None:
    """Put back every item that differs from ``saved``."""
    for item, value in zip(STATE_ITEMS, saved, strict=True):
        if item.read() != value:
            item.write(value)


@contextmanager
def preserved_torch_state() -> Iterator[tuple[Any, ...]]:
    """Inside, torch state may be changed at will; behind it the state is what it was, errors included.

    Gives what ``read_state`` read before.
    """
    inference = torch.is_inference_mode_enabled()
    saved = read_state()
    generator = torch.get_rng_state()
    try:
        yield saved
    finally:
        restore_state(saved)
        if not torch.equal(torch.get_rng_state(), generator):
            torch.set_rng_state(generator)
        if torch.is_inference_mode_enabled() is not inference:
            raise StateNotRestored("inference mode was entered or left and not put back")
