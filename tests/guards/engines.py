"""Both guard engines, asked the same question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from framelift.guards import GuardSet, ReferenceTree, build
from framelift.guards.kinds import Guard
from framelift.guards.sources import Argument, Source

VALUE = Argument(0, "value")


def guard_set(*guards: tuple[Source, Guard] | Guard) -> GuardSet:
    """Guards on sources; a guard alone is on the first argument."""
    made = GuardSet()
    for guard in guards:
        if isinstance(guard, Guard):
            made.add(VALUE, guard)
        else:
            made.add(*guard)
    return made


def holds(guards: GuardSet, *arguments: object) -> bool:
    """Whether the guards hold, as both engines say; what they collect must be the same objects."""
    native = build(guards, len(arguments)).tree.check(arguments)
    plain = ReferenceTree(guards).check(arguments)
    assert (native is None) == (plain is None), f"native {native!r}, plain {plain!r} for\n{guards}"
    if native is None:
        return False
    assert len(native) == len(plain) == len(guards.collected)
    assert all(left is right for left, right in zip(native, plain, strict=True))
    return True


def explain(guards: GuardSet, *arguments: object) -> str:
    """The text for the first failure."""
    built = build(guards, len(arguments))
    failure = built.tree.explain(arguments)
    assert failure is not None, "nothing failed"
    return built.describe(failure).text


def table_cases(table: Iterable[tuple[object, list, list]]) -> Iterator[object]:
    """Parameters (what, value, expected) for rows of what is tested, and the values it takes and refuses."""
    for number, (tested, good, bad) in enumerate(table):
        name = f"{type(tested).__name__}-{number}"
        for word, expected, values in (("holds", True, good), ("fails", False, bad)):
            for place, value in enumerate(values):
                yield pytest.param(tested, value, expected, id=f"{name}-{word}-{place}")
