"""The kinds of guards: facts about one object that must hold for an entry to be used again.

Each class here has a file of the same name in ``rust/src/guards/kinds/`` and a line in ``reference.py``,
the plain re-check that tests hold against the native tree.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from framelift import torch_internals
from framelift.guards.sources import Source

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Guard:
    """A fact about the object at one source."""


@dataclass(frozen=True, slots=True, eq=False)
class TypeIs(Guard):
    """``type(value) is expected``."""

    expected: type


@dataclass(frozen=True, slots=True, eq=False)
class Is(Guard):
    """``value is expected``."""

    expected: object


@dataclass(frozen=True, slots=True, eq=False)
class IsNot(Guard):
    """``value is not unexpected``."""

    unexpected: object


@dataclass(frozen=True, slots=True, eq=False)
class Equals(Guard):
    """Same exact type and same value; floats by their bits (nan equals nan, 0.0 is not -0.0).

    ``expected`` is None, bool, int, float, complex, str, bytes, a ``torch.device``, or a tuple (also of a
    subclass), frozenset, range or slice of those. Other objects equal only themselves.
    """

    expected: object


@dataclass(frozen=True, slots=True)
class Length(Guard):
    """Number of items of a list, tuple, dict, set, frozenset or deque (also subclasses: the C storage)."""

    expected: int


@dataclass(frozen=True, slots=True, eq=False)
class DictKeys(Guard):
    """Exactly these keys in this order (same types, equal values)."""

    expected: tuple


@dataclass(frozen=True, slots=True, eq=False)
class DictMissing(Guard):
    """``key not in dict``."""

    key: object


@dataclass(frozen=True, slots=True, eq=False)
class SetEquals(Guard):
    """A set or frozenset with exactly these members, which hash without user code."""

    expected: frozenset


@dataclass(frozen=True, slots=True, eq=False)
class SetOrder(Guard):
    """A set or frozenset that gives exactly these members in this order when it is iterated over."""

    expected: tuple


@dataclass(frozen=True, slots=True, eq=False)
class TypeAttribute(Guard):
    """The value is a class whose method resolution order gives ``expected`` (by identity) for ``name``.

    ``expected`` is ``ABSENT`` where no class of the order has the name. With ``after``, the search begins
    behind that class.
    """

    name: str
    expected: object
    after: type | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Mro(Guard):
    """The value is a class whose ``__mro__`` holds exactly these classes."""

    expected: tuple


@dataclass(frozen=True, slots=True, eq=False)
class CodeIs(Guard):
    """The value is a Python function with this code object."""

    expected: object


@dataclass(frozen=True, slots=True)
class NoInstanceDict(Guard):
    """The object has no ``__dict__``, or an empty one, which no attribute lookup can tell apart."""


@dataclass(frozen=True, slots=True, eq=False)
class SlotEmpty(Guard):
    """A slot (member descriptor) of the object holds nothing."""

    descriptor: object


@dataclass(frozen=True, slots=True)
class CellEmpty(Guard):
    """The closure cell holds nothing."""


@dataclass(frozen=True, slots=True)
class ItemsLeft(Guard):
    """The iterator of C gives ``at_least`` more items; with ``ended``, no more than that."""

    at_least: int
    ended: bool


@dataclass(frozen=True, slots=True)
class SameAs(Guard):
    """The value is the same object as the one at ``other``."""

    other: Source


@dataclass(frozen=True, slots=True, eq=False)
class TensorMatch(Guard):
    """Metadata of a tensor. A size or stride of None is not compared (a symbol is bound to it).

    The guard keeps the facts and not the tensor: an entry must not keep a caller's tensors alive.
    """

    example: weakref.ref[torch.Tensor] = field(repr=False)
    """The tensor met at capture, alive until the native tree has been built."""
    cls: type
    facts: dict[str, Any] = field(repr=False)
    """Its metadata (``torch_internals.tensor_facts``)."""
    sizes: tuple[int | None, ...]
    strides: tuple[int | None, ...] | None
    """None where the tensor's layout has no strides."""

    @classmethod
    def of(
        cls, tensor: torch.Tensor, sizes: tuple[int | None, ...], strides: tuple[int | None, ...] | None
    ) -> TensorMatch:
        """The guard for tensors like this one."""
        return cls(weakref.ref(tensor), type(tensor), torch_internals.tensor_facts(tensor), sizes, strides)


ABSENT = type("Absent", (), {"__repr__": lambda self: "ABSENT", "__slots__": ()})()
"""What ``TypeAttribute`` expects where a name must not be found."""
