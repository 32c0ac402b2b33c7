"""One fact a row: a program that depends on it, and what changes it behind the compiled program's back.

A program is a function that builds the ``Program`` of one world; a change takes the program's state, or its
callable where it has none. Several changes are made one after the other, with calls in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Change = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Fact:
    build: Callable[[], object]
    changes: tuple[Change, ...]
    options: dict[str, object]


FACTS: dict[str, Fact] = {}


def fact(*changes: Change, **options: object) -> Callable[[Callable], Callable]:
    """Decorates a function that builds a program; ``options`` are those of the harness' ``warm``."""

    def add(build: Callable) -> Callable:
        name = f"{build.__module__.rpartition('.')[2]}.{build.__name__}"
        if name in FACTS:
            raise ValueError(f"two facts of the name {name}")
        FACTS[name] = Fact(build, changes, options)
        return build

    return add


def setting(name: str, *values: object) -> tuple[Change, ...]:
    """The changes that give the state's attribute ``name`` each of ``values`` in turn."""
    return tuple(lambda state, value=value: setattr(state, name, value) for value in values)
