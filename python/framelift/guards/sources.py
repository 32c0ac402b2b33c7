"""Sources: the paths by which a guarded object is fetched again on every call.

A source is an immutable chain. Its root is an argument of the call or an object the entry holds; each
link is one primitive access that runs no user code (a dictionary lookup, an item, a C-level getter).
Attribute access with its descriptors and ``__getattr__`` is resolved during capture and written down as
these primitives, so that fetching a value again can never call back into the program.

``str(source)`` is the user's spelling where there is one: ``self.layers[3].weight``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import torch


@dataclass(frozen=True, slots=True)
class Source:
    """A way to fetch an object: ``base`` is the source it is fetched from, None for roots."""


@dataclass(frozen=True, slots=True)
class Argument(Source):
    """The bound argument in slot ``index`` (parameters, keyword-only ones, ``*args``, ``**kwargs``)."""

    index: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class HandledException(Source):
    """The exception that the thread is handling, or None.

    Each running generator has one of its own. This is the innermost; or, with ``beyond``, what there is
    besides that of the innermost.
    """

    beyond: bool = False

    def __str__(self) -> str:
        return "sys.exc_info()[1]"


@dataclass(frozen=True, slots=True, eq=False)
class Held(Source):
    """An object the entry itself keeps alive: a module's dictionary, a class, a constant.

    Equality is identity of the object; ``name`` is for the reader only.
    """

    object: object = field(repr=False)
    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and other.object is self.object

    def __hash__(self) -> int:
        return id(self.object)

    def __str__(self) -> str:
        return self.name


Described = TypeVar("Described", bound=type)


def hashed_once(cls: Described) -> Described:
    """Decorator of links: a path is hashed link by link, so each keeps its number."""
    compute = cls.__hash__

    def remembered(self: Link) -> int:
        known = self.known_hash
        if known is None:
            known = compute(self)
            object.__setattr__(self, "known_hash", known)
        return known

    cls.__hash__ = remembered  # type: ignore[method-assign]
    return cls


@dataclass(frozen=True, slots=True)
class Link(Source):
    """A source that is reached from another one."""

    base: Source
    known_hash: int | None = field(default=None, init=False, repr=False, compare=False)


@hashed_once
@dataclass(frozen=True, slots=True, eq=False)
class DictItem(Link):
    """``dict.__getitem__(base, key)``; ``key`` hashes and compares without user code.

    Keys are told apart by type too: 1, 1.0 and True are different links.
    """

    key: object

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is DictItem
            and type(other.key) is type(self.key)
            and hash(other.key) == hash(self.key)  # tensors, which compare elementwise, are told apart here
            and (other.key is self.key or other.key == self.key)
            and other.base == self.base
        )

    def __hash__(self) -> int:
        return hash((self.base, type(self.key), self.key))

    def __str__(self) -> str:
        if isinstance(self.base, InstanceDict) and isinstance(self.key, str):
            return f"{self.base.base}.{self.key}"
        return f"{self.base}[{spell_key(self.key)}]"


PLAIN_KEYS = (str, bytes, int, float, complex, bool, type(None))
"""Classes of keys that Python itself writes, the same in every process."""


def spell_key(key: object) -> str:
    """A key in a path. What a tensor holds changes, and other objects write themselves as they like."""
    if type(key) in PLAIN_KEYS:
        return repr(key)
    if type(key) is tuple:
        return f"({', '.join(map(spell_key, key))})"
    if isinstance(key, type):
        return key.__qualname__
    sizes = f" {tuple(key.shape)}" if type(key) in (torch.Tensor, torch.nn.Parameter) else ""
    return f"<{type(key).__qualname__}{sizes}>"


@hashed_once
@dataclass(frozen=True, slots=True)
class NamedItem(Link):
    """``dict.__getitem__(base, name)``, where ``name`` is the string at ``key`` of each call."""

    key: Source

    def __str__(self) -> str:
        return f"{self.base}[{self.key}]"


@hashed_once
@dataclass(frozen=True, slots=True)
class InstanceDict(Link):
    """The ``__dict__`` of an object that has one."""

    def __str__(self) -> str:
        return f"{self.base}.__dict__"


@hashed_once
@dataclass(frozen=True, slots=True)
class ListItem(Link):
    """``list.__getitem__(base, index)``, ``index`` not negative."""

    index: int

    def __str__(self) -> str:
        return f"{self.base}[{self.index}]"


@hashed_once
@dataclass(frozen=True, slots=True)
class TupleItem(Link):
    """``tuple.__getitem__(base, index)``, ``index`` not negative."""

    index: int

    def __str__(self) -> str:
        return f"{self.base}[{self.index}]"


@hashed_once
@dataclass(frozen=True, slots=True)
class SequenceItem(Link):
    """Item of another C sequence without user code, such as ``collections.deque``."""

    index: int

    def __str__(self) -> str:
        return f"{self.base}[{self.index}]"


@hashed_once
@dataclass(frozen=True, slots=True)
class TypeOf(Link):
    """``type(base)``."""

    def __str__(self) -> str:
        return f"type({self.base})"


@hashed_once
@dataclass(frozen=True, slots=True)
class CellContents(Link):
    """``base.cell_contents`` of a closure cell that is not empty."""

    def __str__(self) -> str:
        return f"{self.base}.cell_contents"


@hashed_once
@dataclass(frozen=True, slots=True)
class Referent(Link):
    """``base()`` of a ``weakref.ref`` (not of a subclass) whose object is alive."""

    def __str__(self) -> str:
        return f"{self.base}()"


@hashed_once
@dataclass(frozen=True, slots=True)
class Reading(Link):
    """``base()`` of a C function that only tells a setting of the process, such as
    ``sys.getrecursionlimit``."""

    def __str__(self) -> str:
        return f"{self.base}()"


@hashed_once
@dataclass(frozen=True, slots=True)
class NextItem(Link):
    """What an iterator of class ``cls`` gives after ``ahead`` other items; it stays where it is.

    ``part`` is "item", or of a dict's pairs "key" or "value". The item of an enumeration is its number.
    """

    cls: type
    ahead: int
    part: str

    def __str__(self) -> str:
        item = f"next({self.base})" if self.ahead == 0 else f"item {self.ahead} after next({self.base})"
        return item if self.part == "item" else f"{self.part} of {item}"


@hashed_once
@dataclass(frozen=True, slots=True)
class FunctionField(Link):
    """A field of a Python function: code, defaults, kwdefaults, closure or globals."""

    name: str

    def __str__(self) -> str:
        return f"{self.base}.__{self.name}__"


@hashed_once
@dataclass(frozen=True, slots=True, eq=False)
class Descriptor(Link):
    """``descriptor.__get__(base)`` of a C-level member or getter that runs no user code.

    Slots, ``functools.partial.func``, ``method.__self__``, ``Tensor.grad``.
    """

    descriptor: object = field(repr=False)
    name: str

    def __eq__(self, other: object) -> bool:
        return type(other) is Descriptor and other.descriptor is self.descriptor and other.base == self.base

    def __hash__(self) -> int:
        return hash((self.base, id(self.descriptor)))

    def __str__(self) -> str:
        return f"{self.base}.{self.name}"


@hashed_once
@dataclass(frozen=True, slots=True)
class TypeLookup(Link):
    """The raw attribute that ``base``'s method resolution order gives for ``name`` (base is a class).

    With ``after``, the search begins behind that class, as ``super`` does.
    """

    name: str
    after: type | None = None

    def __str__(self) -> str:
        return f"{self.base}.{self.name}"
