"""Exits: how the result and the effects of a capture become real again, as a program for the plan.

A program is a list of operations over operands (the ``native`` extension runs it): objects fetched while the
guards were checked, graph outputs, constants, results of earlier operations. It has two phases: everything
that has to be built is built first; then the effects are committed with stores that run no user code.

Objects made during capture are built once however often they are referred to, so sharing survives. Where
they refer to themselves, containers are made empty first and filled afterwards.
"""

from __future__ import annotations

import _thread
import collections
import functools
import itertools
import os
import types
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from framelift import _native
from framelift.capture import polyfills
from framelift.capture.datamodel import arrays, iteration, mapping, members, set_order, tensors
from framelift.capture.effects import (
    ContentsChanged,
    DeferredCall,
    DictDelete,
    DictStore,
    Effect,
    IteratorAdvanced,
    SlotStore,
    TypeStore,
)
from framelift.capture.exceptions import TRACEBACK
from framelift.capture.values import (
    EMPTY,
    CellObject,
    Constant,
    ConstructedObject,
    DictObject,
    FunctionObject,
    GeneratorObject,
    HostArray,
    IdentityNumber,
    Instance,
    IteratorObject,
    Lazy,
    ListObject,
    MethodObject,
    OutsideIterator,
    Postponed,
    SetObject,
    SliceObject,
    Symbol,
    Tensor,
    TupleObject,
    Unwritten,
    Value,
    ViewObject,
)
from framelift.capture.values.objects import Object, type_of
from framelift.guards.sources import Held
from framelift.observe import reasons
from framelift.observe.errors import Break

if TYPE_CHECKING:
    from framelift.capture.interpreter import Interpreter
    from framelift.guards.sources import Source

Operand = tuple[str, Any]

HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE

POLYFILLS = os.path.dirname(polyfills.__file__)
"""Where the generators are written that stand for iterators of C."""


class Cycle(Exception):
    """An object that is being built refers to itself."""


class ExitWriter:
    """Writes one exit program. ``graph_outputs`` are the nodes the graph must return, in order."""

    def __init__(self, vm: Interpreter) -> None:
        self.vm = vm
        self.operations: list[tuple] = []
        self.graph_outputs: list[Any] = []
        self._outputs: dict[Any, int] = {}
        self._built: dict[int, tuple[Value, Operand]] = {}
        self._building: set[int] = set()
        self._fills: list[tuple] = []
        self._arrays: list[HostArray] = []
        self._advances: list[tuple] = []
        self._advanced: set[int] = set()
        self._empty_first = False

    def write(self, result: Value) -> tuple[list[tuple], int, Operand]:
        """``(operations, index of the first commit operation, operand of the result)``."""
        records = self.vm.effects.records
        try:
            operand, commits = self._write_all(result, records)
        except Cycle:
            self.__init__(self.vm)
            self._empty_first = True
            try:
                operand, commits = self._write_all(result, records)
            except Cycle:
                raise Break(reasons.NOT_REBUILDABLE, "an object that refers to itself") from None
        commit_at = len(self.operations)
        return self.operations + commits, commit_at, operand

    def _write_all(self, result: Value, records: list[Effect]) -> tuple[Operand, list[tuple]]:
        operand = self.operand(result)
        commits: list[tuple] = []
        for record in without_overwritten(records):
            commits += self._commit(record)
        for tensor in self._tensors_with_attributes():
            names, values = zip(*mapping.items(self.vm, tensor.attributes), strict=True)
            commits.append(
                call(
                    set_attributes, [self.operand(tensor), const(tuple(n.value for n in names))], values, self
                )
            )
        self.operations += self._fills
        return operand, commits + self._advances  # a list's iterator can't stand behind its end

    def _tensors_with_attributes(self) -> list[Tensor]:
        return [
            value
            for value in self.vm.tensors.values()
            if value.real is None
            and value.attributes is not None
            and value.attributes.items
            and value.node in self._outputs
        ]

    def emit(self, operation: tuple) -> Operand:
        """Append an operation and give its result."""
        self.operations.append(operation)
        return ("result", len(self.operations) - 1)

    # -- values --------------------------------------------------------------------------------------------

    def operand(self, value: Value) -> Operand:
        """The operand that holds the real object of a value."""
        if value is EMPTY:
            raise Break(reasons.NOT_REBUILDABLE, "an empty stack item")
        if isinstance(value, Lazy):
            if type(value.real) is Postponed:
                raise value.real.error
            if type(value.real) is Unwritten:
                return self.operand(self.vm.look(value))
            if value.seen is None or type(value.real) in (range, slice):  # looked at, those are plain values
                return self._outside(value.real, value.source)
            value = value.seen
        if isinstance(value, Constant):
            return const(value.value)
        known = self._built.get(id(value))
        if known is not None:
            return known[1]
        real = getattr(value, "real", None)
        if real is not None and value.source is not None:
            return self._outside(real, value.source)
        if id(value) in self._building:
            raise Cycle
        self._building.add(id(value))
        operand = self._build(value)
        self._building.discard(id(value))
        return self._keep(value, operand)

    def _keep(self, value: Value, operand: Operand) -> Operand:
        """The value is built once. It is kept, so that none made for this exit only gets its identity."""
        self._built[id(value)] = (value, operand)
        return operand

    def _outside(self, real: object, source: Source) -> Operand:
        if isinstance(source, Held):
            return const(real)
        return ("slot", self.vm.guards.collect(source))

    def operands(self, values: Iterable[Value]) -> list[Operand]:
        """Operands of several values."""
        return [self.operand(value) for value in values]

    def _graph_output(self, node: Any) -> Operand:
        if node.graph is not self.vm.graph.graph:
            raise Break(
                reasons.NOT_REBUILDABLE,
                "a tensor of a transform, an autograd function or a checkpoint that leaves it",
            )
        index = self._outputs.get(node)
        if index is None:
            index = self._outputs[node] = len(self.graph_outputs)
            self.graph_outputs.append(node)
        return ("graph", index)

    def _build(self, value: Value) -> Operand:
        match value:
            case Tensor():
                return self._graph_output(value.node)
            case Symbol():
                node = tensors.scalar_node(self.vm, value)
                return self._graph_output(node) if hasattr(node, "meta") else const(node)
            case TupleObject():
                return self._build_tuple(value)
            case ListObject():
                return self._build_list(value)
            case DictObject():
                return self._build_dict(value)
            case SetObject():
                return self._build_set(value)
            case SliceObject():
                return self.emit(call(slice, [], (value.start, value.stop, value.step), self))
            case FunctionObject():
                return self._build_function(value)
            case CellObject():
                return self._build_cell(value)
            case MethodObject():
                return self._build_method(value)
            case IteratorObject():
                return self._build_iterator(value)
            case HostArray():
                if any(arrays.share(value, other) for other in self._arrays):
                    raise Break(reasons.NOT_REBUILDABLE, "two arrays that share their memory")
                self._arrays.append(value)
                return self.emit(
                    ("call", const(type(value.array).copy), [const(value.array), const("K")], ())
                )
            case IdentityNumber():
                if value.owner is None:
                    return self.emit(("call", const(_thread.get_ident), [], ()))
                return self.emit(call(id, [], (value.owner,), self))
            case ConstructedObject():
                operands = self.operands([*value.arguments, *value.keywords.values()])
                return self.emit(("call", const(value.maker), operands, tuple(value.keywords)))
            case ViewObject():
                method = {type({}.keys()): dict.keys, type({}.items()): dict.items}.get(
                    value.cls, dict.values
                )
                return self.emit(call(method, [], (value.mapping,), self))
            case Instance():
                return self._build_instance(value)
            case GeneratorObject():
                return self._build_generator(value)
        raise Break(reasons.NOT_REBUILDABLE, f"a {type_of(value).__qualname__}")

    def _build_tuple(self, value: TupleObject) -> Operand:
        plain = self.emit(("tuple", self.operands(value.items)))
        cls = value.cls
        if cls is tuple:
            return plain
        if hasattr(cls, "n_sequence_fields") or cls is torch.Size:
            return self.emit(("call", const(cls), [plain], ()))
        made = self.emit(("call", const(tuple.__new__), [const(cls), plain], ()))
        self._fill_attributes(value, made)
        return made

    def _build_list(self, value: ListObject) -> Operand:
        cls = value.cls
        if cls is list and not self._empty_first:
            return self.emit(("list", self.operands(value.items)))
        if cls is list:
            made = self._keep(value, self.emit(("list", [])))
            self._fills.append(
                ("call", const(list.extend), [made, self.emit(("list", self.operands(value.items)))], ())
            )
            return made
        if issubclass(cls, collections.deque):
            made = self.emit(("call", const(collections.deque.__new__), [const(cls)], ()))
            items = self.emit(("list", self.operands(value.items)))
            self.emit(("call", const(collections.deque.__init__), [made, items, const(value.maxlen)], ()))
        else:
            made = self.emit(("call", const(list.__new__), [const(cls)], ()))
            items = self.emit(("list", self.operands(value.items)))
            self.emit(("call", const(list.extend), [made, items], ()))
        self._fill_attributes(value, made)
        return made

    def _build_dict(self, value: DictObject) -> Operand:
        pairs = mapping.items(self.vm, value)
        cls = value.cls
        if cls is dict and not self._empty_first:
            return self.emit(("dict", self.operands([item for pair in pairs for item in pair])))
        storage = dict_storage(cls)
        if cls is dict:
            made = self.emit(("dict", []))
        else:
            made = self.emit(("call", const(storage.__new__), [const(cls)], ()))
        self._keep(value, made)
        for key, item in pairs:
            store = ("call", const(storage.__setitem__), [made, self.operand(key), self.operand(item)], ())
            (self._fills if self._empty_first else self.operations).append(store)
        self._fill_attributes(value, made)
        return made

    def _build_set(self, value: SetObject) -> Operand:
        known = set_order.rebuilt(value)
        if known is not None:
            plain = self.emit(("call", const(set.copy), [const(known)], ()))
        else:
            plain = self.emit(("set", self.operands(value.items.values())))
        if value.cls is set:
            return plain
        made = self.emit(("call", const(value.cls), [plain], ()))
        self._fill_attributes(value, made)
        return made

    def _build_instance(self, value: Instance) -> Operand:
        cls = value.cls
        if cls is functools.partial:
            return self._build_partial(value)
        if issubclass(cls, BaseException):
            return self._build_exception(value)
        if any(base is not object and not base.__flags__ & HEAP_TYPE for base in cls.__mro__):
            raise Break(reasons.NOT_REBUILDABLE, f"a {cls.__qualname__}, which has parts in C")
        made = self.emit(("call", const(object.__new__), [const(cls)], ()))
        if self._empty_first:
            self._keep(value, made)
        self._fill_attributes(value, made)
        return made

    def _build_partial(self, value: Instance) -> Operand:
        function, arguments, keywords = value.slots.values()
        pairs = mapping.items(self.vm, keywords)
        operands = self.operands([function, *arguments.items, *[item for _, item in pairs]])
        return self.emit(("call", const(functools.partial), operands, tuple(key.value for key, _ in pairs)))

    def _build_exception(self, value: Instance) -> Operand:
        if getattr(value.slots[TRACEBACK], "value", None) is not None:
            raise Break(reasons.NOT_REBUILDABLE, f"a {value.cls.__name__} with its traceback")
        arguments, cause, context, suppress, *_ = value.slots.values()
        made = self.emit(call(value.cls.__new__, [const(value.cls)], arguments.items, self))
        self.emit(call(initializer_in_c(value.cls), [made], arguments.items, self))
        for descriptor, part in ((BaseException.__cause__, cause), (BaseException.__context__, context)):
            if not (isinstance(part, Constant) and part.value is None):
                self.emit(call(descriptor.__set__, [made], (part,), self))
        self.emit(call(BaseException.__suppress_context__.__set__, [made], (suppress,), self))
        if value.attributes is not None and value.attributes.items:
            self._fill_attributes(value, made, slots=False)
        return made

    def _fill_attributes(self, value: Object, made: Operand, slots: bool = True) -> None:
        """Set the ``__dict__`` items and slots of a new object."""
        target = self._fills if self._empty_first else self.operations
        if value.attributes is not None and value.attributes.items:
            pairs = mapping.items(self.vm, value.attributes)
            names = const(tuple(key.value for key, _ in pairs))
            target.append(call(set_attributes, [made, names], [item for _, item in pairs], self))
        for descriptor, item in (value.slots or {}).items() if slots else ():
            if item is not EMPTY:
                target.append(call(descriptor.__set__, [made], (item,), self))

    def _build_function(self, value: FunctionObject) -> Operand:
        cells = [self.operand(cell) for cell in value.closure or ()]
        closure = self.emit(("tuple", cells)) if cells else const(None)
        defaults = const(None) if value.defaults is None else self.operand(value.defaults)
        made = self.emit(
            (
                "call",
                const(types.FunctionType),
                [const(value.code), const(value.globals.real), const(value.name), defaults, closure],
                (),
            )
        )
        if self._empty_first:
            self._keep(value, made)
        parts = {"__qualname__": Constant(value.qualname)}
        if value.keyword_defaults is not None:
            parts["__kwdefaults__"] = value.keyword_defaults
        if value.slots:
            parts.update(value.slots)
        if "__annotations__" in parts:
            parts["__annotations__"] = members.annotations_of(self.vm, value)
        for name, part in parts.items():
            self.emit(call(setattr, [made, const(name)], (part,), self))
        if value.attributes is not None and value.attributes.items:
            self._fill_attributes(value, made, slots=False)
        return made

    def _build_cell(self, value: CellObject) -> Operand:
        if not self._empty_first:
            return self.emit(
                call(types.CellType, [], () if value.contents is None else (value.contents,), self)
            )
        made = self._keep(value, self.emit(("call", const(types.CellType), [], ())))
        if value.contents is not None:
            self._fills.append(("cell_set", made, self.operand(value.contents)))
        return made

    def _build_method(self, value: MethodObject) -> Operand:
        function = self.vm.look(value.function)
        if isinstance(function, Constant) and hasattr(type(function.value), "__get__"):
            known = [const(function.value)]
            if isinstance(function.value, types.ClassMethodDescriptorType):
                known.append(const(None))  # it is bound to a class, and not to an object
            return self.emit(call(type(function.value).__get__, known, (value.owner,), self))
        return self.emit(call(types.MethodType, [], (function, value.owner), self))

    def _build_generator(self, value: GeneratorObject) -> Operand:
        """An iterator that a polyfill stands for goes on from its parameters; other generators stay."""
        function = value.frame.function
        cls, parameters = getattr(function.real, "rebuilt_as", (None, ()))
        if cls is None and function.code.co_filename.startswith(POLYFILLS):
            raise Break(reasons.NOT_REBUILDABLE, f"the iterator of a builtin ({function.qualname})")
        if cls is None:
            raise Break(reasons.GENERATOR_ESCAPES, function.qualname)
        arguments: list[Value] = []
        for name in parameters:
            held = value.frame.slots[function.code.co_varnames.index(name.lstrip("*"))]
            arguments += self.vm.look(held).items if name.startswith("*") else [held]
        return self.emit(call(cls, [], arguments, self))

    def _build_iterator(self, value: IteratorObject) -> Operand:
        sequence = value.sequence if value.sequence is not None else TupleObject(list(value.items))
        storage = type_of(sequence)
        for cls in (list, tuple, collections.deque, collections.OrderedDict, dict, set, frozenset):
            if issubclass(storage, cls):
                storage = cls  # not what a subclass overrides
                break
        if iteration.was_changed(self.vm, value):
            raise Break(reasons.NOT_REBUILDABLE, f"an iterator over a changed {storage.__name__}")
        make = storage.__reversed__ if value.backwards else storage.__iter__
        made = self.emit(call(make, [], (sequence,), self))
        taken, length = value.index, len(value.items)
        if value.backwards and taken <= length and value.place >= length:
            raise Break(reasons.NOT_REBUILDABLE, "an iterator that stands behind the end of a list")
        place = value.place if value.backwards and storage is list else min(taken, length)
        advance = ("call", const(advanced), [made, const(place), const(taken > length)], ())
        if storage is list:
            self._advances.append(advance)
            return made
        if self._is_changed_later(sequence.mapping if isinstance(sequence, ViewObject) else sequence):
            raise Break(reasons.NOT_REBUILDABLE, f"an iterator over a {storage.__name__} changed at the exit")
        return self.emit(advance)

    def _is_changed_later(self, container: Value) -> bool:
        """Whether stores of this exit change the members of a container, after which its iterators fail."""
        if isinstance(container, (Constant, TupleObject)):
            return False
        real = getattr(container, "real", None)
        if real is None:
            return self._empty_first
        if isinstance(container, DictObject) and dict.__len__(real) != mapping.length(self.vm, container):
            return True
        records = self.vm.effects.records
        return any(isinstance(r, ContentsChanged) and r.target is container for r in records) or any(
            isinstance(r, DictDelete) and r.mapping is container for r in records
        )

    # -- effects -------------------------------------------------------------------------------------------

    def _commit(self, record: Effect) -> list[tuple]:
        match record:
            case DictStore():
                target, key, value = self.operands([record.mapping, record.key, record.value])
                return [("dict_set", target, key, value)]
            case DictDelete():
                target, key = self.operands([record.mapping, record.key])
                return [("dict_delete", target, key)]
            case SlotStore():
                if record.value is None:
                    return [call(record.descriptor.__delete__, [], (record.target,), self)]
                return [call(record.descriptor.__set__, [], (record.target, record.value), self)]
            case IteratorAdvanced():
                return self._commit_advance(record.target)
            case TypeStore():
                return [
                    call(type.__setattr__, [const(record.target), const(record.name)], (record.value,), self)
                ]
            case DeferredCall():
                return [("call", const(record.function), self.operands(record.arguments), record.keywords)]
            case ContentsChanged():
                return self._commit_contents(record.target)
        raise AssertionError(record)

    def _commit_advance(self, target: OutsideIterator) -> list[tuple]:
        """All that was taken: before its container is changed, and only once."""
        if id(target) in self._advanced:
            return []
        self._advanced.add(id(target))
        count = target.taken + target.ended
        return [("call", const(_native.advance), [self.operand(target), const(count)], ())]

    def _commit_contents(self, target: Object) -> list[tuple]:
        place = self.operand(target)
        match target:
            case CellObject():
                if target.contents is None:
                    return [("cell_clear", place)]
                return [("cell_set", place, self.operand(target.contents))]
            case ListObject() if target.is_closed and issubclass(target.cls, list):
                return [("list_extend_new", place, self.operands(target.appended))]
            case ListObject() if target.is_closed:
                items = self.emit(("list", self.operands(target.appended)))
                return [("call", const(collections.deque.extend), [place, items], ())]
            case ListObject() if issubclass(target.cls, list):
                return [("list_assign", place, self.operands(target.items))]
            case ListObject():
                items = self.emit(("list", self.operands(target.items)))
                deque = collections.deque
                return [
                    ("call", const(deque.clear), [place], ()),
                    ("call", const(deque.extend), [place, items], ()),
                ]
            case SetObject():
                items = self.emit(("set", self.operands(target.items.values())))
                return [
                    ("call", const(set.clear), [place], ()),
                    ("call", const(set.update), [place, items], ()),
                ]
            case DictObject():
                pairs = mapping.items(self.vm, target)
                return [("dict_clear", place), *(("dict_set", place, *self.operands(pair)) for pair in pairs)]
        raise AssertionError(target)


def without_overwritten(records: list[Effect]) -> list[Effect]:
    """The records with one store for each key of a dict, as nobody sees what was there meanwhile.

    It stands where the first one stood, so that a new key keeps its place in the dict's order.
    """
    places: dict[tuple[int, str], int] = {}
    kept: list[Effect] = []
    for record in records:
        match record:
            case DictStore(mapping=target, key=Constant(value=str() as key)):
                place = places.setdefault((id(target), key), len(kept))
                if place < len(kept):
                    kept[place] = record
                    continue
            case DictDelete(mapping=target):
                places = {pair: place for pair, place in places.items() if pair[0] != id(target)}
        kept.append(record)
    return kept


def const(value: object) -> Operand:
    """A constant operand."""
    return ("const", value)


def call(function: object, leading: list[Operand], values: Iterable[Value], writer: ExitWriter) -> tuple:
    """A call operation whose last arguments are values."""
    return ("call", const(function), [*leading, *writer.operands(values)], ())


def initializer_in_c(cls: type[BaseException]) -> object:
    """The ``__init__`` of an exception class that sets its C fields from the arguments."""
    methods = (base.__dict__.get("__init__") for base in cls.__mro__)
    return next(method for method in methods if isinstance(method, types.WrapperDescriptorType))


def dict_storage(cls: type) -> type:
    """The builtin class whose C methods store into an instance of ``cls``."""
    return collections.OrderedDict if issubclass(cls, collections.OrderedDict) else dict


def advanced(iterator: Iterator, count: int, exhausted: bool) -> Iterator:
    """A fresh builtin iterator from which ``count`` items have been taken, or which has seen its end."""
    if exhausted:
        collections.deque(iterator, maxlen=0)
    elif hasattr(iterator, "__setstate__"):
        iterator.__setstate__(count)
    else:
        collections.deque(itertools.islice(iterator, count), maxlen=0)
    return iterator


def set_attributes(target: object, names: tuple[str, ...], *values: object) -> None:
    """Store into an object's ``__dict__``."""
    target.__dict__.update(zip(names, values, strict=True))
