"""Guard trees, exit programs and entries written by hand, as capture would make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from framelift._native import CompiledCallable, Entry, ExitProgram, GuardTree

Operand = tuple[str, Any]


def tree(*types: type | None) -> GuardTree:
    """Guards the exact type of each argument (None: any type) and collects argument i in slot i."""
    nodes = [
        (-1, ("argument", index), [] if expected is None else [("type_is", expected)], index)
        for index, expected in enumerate(types)
    ]
    return GuardTree(nodes, [], [], [], None, len(types))


def program(
    operations: Sequence[tuple] = (), commit_at: int | None = None, result: Operand = ("slot", 0)
) -> ExitProgram:
    """``commit_at`` None: everything builds, nothing is stored."""
    return ExitProgram(list(operations), len(operations) if commit_at is None else commit_at, result)


def entry(
    guards: GuardTree,
    *operations: tuple,
    commit_at: int | None = None,
    result: Operand = ("slot", 0),
    graph: Callable | None = None,
    inputs: Sequence[int] = (),
    replayable: bool = False,
) -> Entry:
    return Entry(guards, graph, list(inputs), program(operations, commit_at, result), replayable, None)


def compiled(function: Callable, *entries: Entry, on_miss: Callable | None = None) -> CompiledCallable:
    callable_ = CompiledCallable(function, None, on_miss)
    for one in entries:
        callable_.add(one)
    return callable_


def never_here(*arguments: object, **keywords: object) -> object:
    raise AssertionError("the call ran in CPython")
