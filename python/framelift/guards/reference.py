"""The plain guard engine: the same facts checked in Python, with tensor metadata read by public accessors.

It shares nothing with the native tree but the ``GuardSet``, is slow, and is there for tests and for
``config.check_guards``: the two must agree on every call.
"""

from __future__ import annotations

import collections
import math
import struct
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import sympy
import torch

from framelift import _native, torch_internals
from framelift.guards import kinds, sources, torch_state
from framelift.guards.collect import Binding, GuardSet
from framelift.guards.kinds import Guard
from framelift.guards.sources import Source
from framelift.guards.spelling import stored_length


class FetchError(Exception):
    """There is no object at a source."""


def _type_lookup(cls: object, name: str, after: type | None) -> object:
    """The raw attribute along the method resolution order, ``ABSENT`` if there is none."""
    if not isinstance(cls, type):
        raise FetchError
    order = type.__dict__["__mro__"].__get__(cls)
    if after is not None:
        order = order[order.index(after) + 1 :] if after in order else ()
    for base in order:
        namespace = type.__dict__["__dict__"].__get__(base)
        if name in namespace:
            return namespace[name]
    return kinds.ABSENT


def _instance_dict(value: object) -> dict[str, Any] | None:
    """The instance dictionary, None for objects that cannot have one."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return found if isinstance(found, dict) else None


def _item(container: object, cls: type | tuple[type, ...], index: int) -> object:
    if not isinstance(container, cls):
        raise FetchError
    length = stored_length(container)
    if length is None or index >= length:
        raise FetchError
    for storage in (list, tuple, collections.deque):
        if isinstance(container, storage):
            return storage.__getitem__(container, index)
    return container[index]  # type: ignore[index]


def fetch(source: Source, parent: Any, arguments: tuple[object, ...]) -> object:
    """The object at ``source``, whose base is ``parent``."""
    match source:
        case sources.Argument(index):
            return arguments[index]
        case sources.HandledException(beyond):
            return _native.handled_exception(beyond)
        case sources.Held(held):
            return held
        case sources.DictItem(_, key):
            if not isinstance(parent, dict) or not dict.__contains__(parent, key):
                raise FetchError
            return dict.__getitem__(parent, key)
        case sources.NamedItem(_, key):
            name = reach(key, arguments)
            if type(name) is not str or not isinstance(parent, dict) or not dict.__contains__(parent, name):
                raise FetchError
            return dict.__getitem__(parent, name)
        case sources.InstanceDict():
            if (found := _instance_dict(parent)) is None:
                raise FetchError
            return found
        case sources.ListItem(_, index):
            return _item(parent, list, index)
        case sources.TupleItem(_, index):
            return _item(parent, tuple, index)
        case sources.SequenceItem(_, index):
            return _item(parent, (collections.deque, list, tuple, str, bytes, range), index)
        case sources.TypeOf():
            return type(parent)
        case sources.CellContents():
            if not isinstance(parent, types.CellType):
                raise FetchError
            try:
                return parent.cell_contents
            except ValueError:
                raise FetchError from None
        case sources.Referent():
            if type(parent) is not weakref.ref or (found := parent()) is None:
                raise FetchError
            return found
        case sources.Reading():
            if type(parent) is not types.BuiltinFunctionType:
                raise FetchError
            try:
                return parent()
            except Exception:
                raise FetchError from None
        case sources.NextItem(_, cls, ahead, part):
            if type(parent) is not cls:
                raise FetchError
            items = items_left(parent, ahead + 1)
            if ahead >= len(items):
                raise FetchError
            return items[ahead] if part == "item" else items[ahead][part == "value"]
        case sources.FunctionField(_, name):
            if type(parent) is not types.FunctionType:
                raise FetchError
            return getattr(parent, f"__{name}__")
        case sources.Descriptor(_, descriptor):
            try:
                return descriptor.__get__(parent, type(parent))  # type: ignore[attr-defined]
            except (AttributeError, TypeError):
                raise FetchError from None
        case sources.TypeLookup(_, name, after):
            if (found := _type_lookup(parent, name, after)) is kinds.ABSENT:
                raise FetchError
            return found
    raise TypeError(f"not a kind of source: {source!r}")


def items_left(iterator: Any, count: int) -> Sequence[Any]:
    """What an iterator of C is going to give, of an enumeration ``count`` numbers; it stays where it is.

    The items of a dict are pairs, whatever the iterator gives of them.
    """
    if type(iterator) is enumerate:
        number = iterator.__reduce__()[1][1]
        return range(number, number + count)
    try:
        make, (container, *_), *place = iterator.__reduce__()
    except RuntimeError:  # the container was changed
        raise FetchError from None
    index = place[0] if place and place[0] is not None else 0
    if make is reversed and not 0 <= index < list.__len__(container):
        return ()
    storage: Any = next(cls for cls in (list, tuple, str, bytes, range) if isinstance(container, cls))
    items = storage.__getitem__(container, slice(index, None, -1 if make is reversed else None))
    if type(iterator) in (type(iter({})), type(iter({}.values()))):
        return [(item, item) for item in items]
    return items


def reach(source: Source, arguments: tuple[object, ...]) -> object:
    """The object at a source, fetched link by link."""
    parent = reach(source.base, arguments) if isinstance(source, sources.Link) else None
    return fetch(source, parent, arguments)


def exactly_equal(left: Any, right: Any) -> bool:
    """Same exact type and same value, floats by their bits; objects of other types only if identical."""
    if left is right:
        return True
    cls = type(left)
    if cls is not type(right):
        return False
    if cls is float:
        return struct.pack("d", left) == struct.pack("d", right)
    if cls is complex:
        return exactly_equal(left.real, right.real) and exactly_equal(left.imag, right.imag)
    if issubclass(cls, tuple):
        pairs = zip(tuple.__iter__(left), tuple.__iter__(right), strict=False)
        return tuple.__len__(left) == tuple.__len__(right) and all(exactly_equal(*pair) for pair in pairs)
    if cls in (set, frozenset):
        return same_members(left, right)
    if cls in (range, slice):
        return all(
            exactly_equal(getattr(left, name), getattr(right, name)) for name in ("start", "stop", "step")
        )
    return cls in (int, str, bytes, torch.device) and left == right


def same_members(left: Any, right: Any) -> bool:
    """Whether two sets have exactly equal members."""
    return len(left) == len(right) and all(any(exactly_equal(one, other) for other in right) for one in left)


def holds(guard: Guard, value: Any, other: Callable[[Source], object]) -> bool:
    """Whether the object at a source meets a guard; ``other`` gives the objects at other sources."""
    match guard:
        case kinds.TypeIs(expected):
            return type(value) is expected
        case kinds.Is(expected):
            return value is expected
        case kinds.IsNot(unexpected):
            return value is not unexpected
        case kinds.Equals(expected):
            return exactly_equal(value, expected)
        case kinds.Length(expected):
            return stored_length(value) == expected
        case kinds.DictKeys(expected):
            if not isinstance(value, dict):
                return False
            ordered = isinstance(value, collections.OrderedDict)
            keys = tuple((collections.OrderedDict if ordered else dict).__iter__(value))
            return exactly_equal(keys, expected)
        case kinds.DictMissing(key):
            return isinstance(value, dict) and not dict.__contains__(value, key)
        case kinds.SetEquals(expected):
            return isinstance(value, set | frozenset) and same_members(tuple(value), tuple(expected))
        case kinds.SetOrder(expected):
            if not isinstance(value, set | frozenset):
                return False
            storage = set if isinstance(value, set) else frozenset
            return exactly_equal(tuple(storage.__iter__(value)), expected)
        case kinds.TypeAttribute(name, expected, after):
            return isinstance(value, type) and _type_lookup(value, name, after) is expected
        case kinds.Mro(expected):
            if not isinstance(value, type):
                return False
            order = type.__dict__["__mro__"].__get__(value)
            return len(order) == len(expected) and all(map(lambda a, b: a is b, order, expected))
        case kinds.CodeIs(expected):
            return type(value) is types.FunctionType and value.__code__ is expected
        case kinds.NoInstanceDict():
            return not _instance_dict(value)
        case kinds.SlotEmpty(descriptor):
            return _slot_is_empty(descriptor, value)
        case kinds.CellEmpty():
            return isinstance(value, types.CellType) and value == types.CellType()
        case kinds.ItemsLeft(at_least, ended):
            if type(value) not in _native.iterator_parts or type(value) in (enumerate, zip, map, filter):
                return False
            try:
                left = len(items_left(value, at_least))
            except FetchError:
                return False
            return left == at_least if ended else left >= at_least
        case kinds.SameAs(source):
            return value is other(source)
        case kinds.TensorMatch():
            return tensor_matches(guard, value)
    raise TypeError(f"not a kind of guard: {guard!r}")


def _slot_is_empty(descriptor: Any, value: object) -> bool:
    if not isinstance(value, descriptor.__objclass__):
        return False
    try:
        descriptor.__get__(value, type(value))
    except AttributeError:
        return True
    return False


def tensor_matches(guard: kinds.TensorMatch, value: object) -> bool:
    """Class and metadata of a tensor."""
    if type(value) is not guard.cls:
        return False
    return torch_internals.tensor_matches(value, guard.facts, guard.sizes, guard.strides)


def read_symbol(bound: Binding, value: Any) -> int | float:
    """The value of a symbol."""
    if bound.what in ("int", "float"):
        if not isinstance(value, int if bound.what == "int" else float):
            raise FetchError
        return value
    if not isinstance(value, torch.Tensor) or (
        bound.dimension >= value.dim() and bound.what != "storage_offset"
    ):
        raise FetchError
    return torch_internals.tensor_number(value, bound.what, bound.dimension)


def evaluate(expression: sympy.Basic, values: dict[sympy.Symbol, int | float]) -> bool:
    """Whether a condition holds for these values, by substitution."""
    exact = {
        symbol: sympy.Integer(value) if isinstance(value, int) else sympy.Float(value, 17)
        for symbol, value in values.items()
        if not (isinstance(value, float) and math.isnan(value))
    }
    try:
        answer = expression.xreplace(exact).doit()
    except (ZeroDivisionError, OverflowError, ValueError, AssertionError, TypeError):
        return False
    return bool(answer is sympy.true or (answer.is_number and answer != 0))


class Fetched:
    """The objects at the sources of one call, each fetched once."""

    __slots__ = ("arguments", "objects")

    def __init__(self, arguments: tuple[object, ...]) -> None:
        self.arguments = arguments
        self.objects: dict[Source, object] = {}

    def at(self, source: Source) -> object:
        """The object at ``source``; raises FetchError where there is none."""
        if source not in self.objects:
            base = self.at(source.base) if isinstance(source, sources.Link) else None
            self.objects[source] = fetch(source, base, self.arguments)
        return self.objects[source]


class ReferenceTree:
    """Checks a ``GuardSet``, as it is when this is made, in plain Python."""

    __slots__ = (
        "_bindings",
        "_collected",
        "_conditions",
        "_distinct",
        "_guards",
        "_memory",
        "_modes",
        "_state",
    )

    def __init__(self, guards: GuardSet) -> None:
        torch_state.calibrate()
        self._guards = tuple(guards.guards)
        self._collected = tuple(guards.collected)
        self._distinct = tuple(guards.distinct_groups)
        self._memory = tuple(guards.memory_groups)
        self._bindings = tuple(guards.bindings.values())
        self._conditions = tuple(guards.conditions)
        self._state = guards.state.values() if guards.state is not None else None
        self._modes = guards.state.modes if guards.state is not None else ()

    def check(self, arguments: tuple[object, ...]) -> tuple[object, ...] | None:
        """The collected objects when everything holds, else None."""
        if self._state is not None and not self._state_holds():
            return None
        object_at = Fetched(arguments).at
        try:
            for source, guard in self._guards:
                if not holds(guard, object_at(source), object_at):
                    return None
            slots = tuple(object_at(source) for source in self._collected)
            for group in self._distinct:
                if len({id(object_at(source)) for source in group}) < len(group):
                    return None
            for memory in self._memory:
                tensors = [object_at(source) for source in memory.sources]
                if torch_internals.overlapping(tensors, memory.written) != memory.overlap:
                    return None
            values = {bound.symbol: read_symbol(bound, object_at(bound.source)) for bound in self._bindings}
        except FetchError:
            return None
        return slots if all(evaluate(condition, values) for condition in self._conditions) else None

    def _state_holds(self) -> bool:
        return torch_state.read_state() == self._state and torch_internals.torch_modes() == self._modes
