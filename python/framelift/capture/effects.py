"""The side-effect log: writes to outside objects, in program order, replayed at the exit.

While capture runs, a write changes only the value that stands for the object (so that reading it back is
ordinary), and leaves a record here if the object is outside. At the exit the records become commit
operations (``exits.py``). Objects made during capture need no record: they are built with their last state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from framelift.capture.values import CellObject, DictObject, ListObject, OutsideIterator, SetObject, Value
from framelift.capture.values.objects import Object


@dataclass(frozen=True, slots=True, eq=False)
class DictStore:
    """``mapping[key] = value``."""

    mapping: DictObject
    key: Value
    value: Value


@dataclass(frozen=True, slots=True, eq=False)
class DictDelete:
    """``del mapping[key]``."""

    mapping: DictObject
    key: Value


@dataclass(frozen=True, slots=True, eq=False)
class ContentsChanged:
    """A list, deque, set, whole dict or cell holds other contents: the last ones are stored."""

    target: Object


@dataclass(frozen=True, slots=True, eq=False)
class SlotStore:
    """A C-level member (``descriptor``) of an object was set, or deleted where ``value`` is None."""

    target: Value
    descriptor: object
    value: Value | None


@dataclass(frozen=True, slots=True, eq=False)
class IteratorAdvanced:
    """An iterator was advanced as far as it says at the exit. What it runs over isn't changed before that."""

    target: OutsideIterator


@dataclass(frozen=True, slots=True, eq=False)
class TypeStore:
    """An attribute of a class was set, or deleted where ``value`` is None."""

    target: type
    name: str
    value: Value | None


@dataclass(frozen=True, slots=True, eq=False)
class DeferredCall:
    """A call whose only effect is seen from outside, made at the exit (its result was None)."""

    function: object
    arguments: tuple[Value, ...]
    keywords: tuple[str, ...]


Effect = DictStore | DictDelete | ContentsChanged | SlotStore | IteratorAdvanced | TypeStore | DeferredCall


class EffectLog:
    """The records of one capture, oldest first."""

    def __init__(self) -> None:
        self.records: list[Effect] = []
        self._changed: set[int] = set()

    def add(self, record: Effect) -> None:
        """Append a record."""
        self.records.append(record)

    def drop(self, records: Iterable[Effect]) -> None:
        """Take back records: the graph does what they note."""
        dropped = {id(record) for record in records}
        self.records = [record for record in self.records if id(record) not in dropped]

    @contextmanager
    def watched(self) -> Iterator[list[Effect]]:
        """The records made meanwhile, complete at the end; contents that change again make a new one."""
        before, changed = list(self.records), self._changed
        made: list[Effect] = []
        self._changed = set()
        try:
            yield made
        finally:
            self._changed |= changed
            made += self.records[len(before) :] if self.records[: len(before)] == before else self.records

    def contents_changed(self, target: ListObject | SetObject | DictObject | CellObject) -> None:
        """Note once that an outside object's contents changed."""
        if target.real is not None and id(target) not in self._changed:
            self._changed.add(id(target))
            self.records.append(ContentsChanged(target))

    def advanced(self, target: OutsideIterator) -> None:
        """Note once that an iterator was advanced."""
        if id(target) not in self._changed:
            self._changed.add(id(target))
            self.records.append(IteratorAdvanced(target))

    def replaces_contents(self, target: Object) -> bool:
        """Whether the whole contents are stored at the exit, so that single stores need no records."""
        return id(target) in self._changed

    def targets(self) -> list[Value]:
        """Outside objects that were written to, each once."""
        found: dict[int, Value] = {}
        for record in self.records:
            match record:
                case DictStore() | DictDelete():
                    found[id(record.mapping)] = record.mapping
                case ContentsChanged() | SlotStore() | IteratorAdvanced():
                    found[id(record.target)] = record.target
                case _:
                    pass
        return list(found.values())
