"""Opening outside objects: what looking at a real object guards, and which value stands for it.

A ``Lazy`` value is an object nobody has looked at. ``look`` opens it: it adds the guard that this much of
the object is as it was, and returns the value that stands for it. An object is opened once per capture:
reached again by another source, the same value stands for it, and a guard says that both sources lead to it.
"""

from __future__ import annotations

import collections
import enum
import gc
import re
import types
import typing
from typing import TYPE_CHECKING

import torch

from framelift import _native, torch_internals
from framelift.capture.values import (
    CellObject,
    Constant,
    DictObject,
    FunctionObject,
    Instance,
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
)
from framelift.capture.values.objects import type_of
from framelift.graph.errors import UnsupportedOperator
from framelift.guards import kinds
from framelift.guards.sources import (
    CellContents,
    Descriptor,
    FunctionField,
    Held,
    InstanceDict,
    ListItem,
    Reading,
    SequenceItem,
    Source,
    TupleItem,
    TypeOf,
)
from framelift.observe import reasons
from framelift.observe.errors import Break

try:
    import numpy
except ImportError:  # torch goes without
    numpy = None

if TYPE_CHECKING:
    from framelift.capture.interpreter import Interpreter

LITERAL_TYPES = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
"""Exact types guarded by value."""

METHOD_FUNCTION = types.MethodType.__dict__["__func__"]
METHOD_SELF = types.MethodType.__dict__["__self__"]
BUILTIN_NAME = types.BuiltinFunctionType.__dict__["__name__"]
BUILTIN_SELF = types.BuiltinFunctionType.__dict__["__self__"]
DEVICE_TYPE = torch.device.__dict__["type"]
DEVICE_INDEX = torch.device.__dict__["index"]
DEQUE_LIMIT = collections.deque.__dict__["maxlen"]

IDENTITY_TYPES = (
    type,
    types.ModuleType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.CodeType,
    types.GenericAlias,
    types.UnionType,
    type(typing.List[int]),  # noqa: UP006  (the class of typing's own aliases)
    type(typing.Any),
    type(typing.Optional),
    typing.TypeVar,
    enum.Enum,
    re.Pattern,
    torch.dtype,
    torch.layout,
    torch.memory_format,
    *torch_internals.scripted_classes(),
)
"""Types (with subclasses) whose instances never change in a way that is seen: guarded by identity."""

OPERATOR_TYPES = torch_internals.operator_classes()
"""Classes of the torch library's operators."""


NUMPY_TYPES: tuple[type, ...] = ()
"""Classes of NumPy's functions written in C and of its types of numbers."""
NUMPY_NUMBERS: tuple[type, ...] = ()
"""Classes of NumPy's immutable numbers."""
if numpy is not None:
    NUMPY_TYPES = (type(numpy.sum), numpy.ufunc, numpy.dtype)
    NUMPY_NUMBERS = (numpy.generic,)


def look(vm: Interpreter, value: Value) -> Value:
    """The value that stands for ``value``, opened and guarded if it was lazy."""
    if type(value) is not Lazy:
        return value
    if value.seen is None:
        value.seen = open_outside(vm, value.real, value.source)
    return value.seen


def class_of(vm: Interpreter, value: Value) -> type:
    """The class of a value, which is all that is guarded of a string that nobody has read."""
    if type(value) is Lazy and value.seen is None and type(value.real) is str:
        if not isinstance(value.source, Held):
            vm.guards.add(value.source, kinds.TypeIs(str))
        return str
    return type_of(look(vm, value))


def literal(value: object) -> Value:
    """A value for immutable data of the program itself (a code object's constant, a host result)."""
    if type(value) is tuple:
        return TupleObject([literal(item) for item in value])
    if type(value) is slice:
        return SliceObject(literal(value.start), literal(value.stop), literal(value.step))
    return Constant(value)


def open_outside(vm: Interpreter, real: object, source: Source) -> Value:
    """Look at ``real`` through ``source``: add the guards, return the value."""
    cls = type(real)
    if cls in LITERAL_TYPES:
        return open_literal(vm, real, source)
    known = vm.seen.get(id(real))
    if known is not None:
        if known.source != source and not isinstance(source, Held):
            if isinstance(known.source, Held) or known.source is None:
                vm.guards.add(source, kinds.Is(real))
            else:
                vm.guards.add(source, kinds.SameAs(known.source))
        return known
    value = open_new(vm, real, cls, source)
    vm.seen[id(real)] = value
    vm.keep_alive.append(real)
    return value


def open_literal(vm: Interpreter, real: object, source: Source) -> Value:
    """Numbers and strings: by value, or as a symbol where the policy says so."""
    if type(real) in (int, float) and vm.policy.symbolic_scalar(source, real):
        try:
            _, symbolic = vm.graph.scalar_input(real, source)
        except UnsupportedOperator:
            pass  # a number that no symbol can have: this entry is for it alone
        else:
            vm.guards.add(source, kinds.TypeIs(type(real)))
            return Symbol(symbolic, source, concrete=real)
    if not isinstance(source, Held):
        vm.guards.add(source, kinds.Equals(real))
    return Constant(real, source)


def open_new(vm: Interpreter, real: object, cls: type, source: Source) -> Value:
    """An object with identity that was not met before."""
    if cls is Postponed:
        raise real.error
    if cls is Unwritten:
        return real.write()
    if cls is types.BuiltinFunctionType and (method := method_behind(real)) is not None:
        return open_bound_builtin(vm, real, method, source)
    if isinstance(real, IDENTITY_TYPES) or is_graph_callable(real):
        guard_identity(vm, real, source)
        return Constant(real, source)
    if isinstance(real, torch.Tensor):
        return open_tensor(vm, real, source)
    if cls is types.FunctionType:
        return open_function(vm, real, source)
    if cls is torch.device:
        vm.guards.add(source, kinds.TypeIs(cls))
        vm.guards.add(Descriptor(source, DEVICE_TYPE, "type"), kinds.Equals(real.type))
        vm.guards.add(Descriptor(source, DEVICE_INDEX, "index"), kinds.Equals(real.index))
        return Constant(real, source)
    if cls is range or cls is slice:
        vm.guards.add(source, kinds.Equals(real))
        return literal(real)
    if not isinstance(source, Held):
        vm.guards.add(source, kinds.TypeIs(cls))
    if isinstance(real, (list, collections.deque)):
        return open_list(vm, real, cls, source)
    if isinstance(real, tuple):
        vm.guards.add(source, kinds.Length(tuple.__len__(real)))
        items = [Lazy(tuple.__getitem__(real, i), TupleItem(source, i)) for i in range(tuple.__len__(real))]
        return TupleObject(items, cls, real, source)
    if isinstance(real, dict):
        return DictObject({}, cls, real, source)
    if isinstance(real, (set, frozenset)):
        return open_set(vm, real, cls, source)
    if cls is types.MappingProxyType:
        return open_mapping_proxy(vm, real, source)
    if cls is types.CellType:
        return CellObject(None, real, source)
    if cls is types.MethodType:
        function = Lazy(real.__func__, Descriptor(source, METHOD_FUNCTION, "__func__"))
        return MethodObject(
            function, Lazy(real.__self__, Descriptor(source, METHOD_SELF, "__self__")), real, source
        )
    if cls in _native.iterator_parts:
        return OutsideIterator(cls, real, source)
    return Instance(cls, real, source)


def method_behind(real: types.BuiltinFunctionType) -> object | None:
    """The method of a C class that a C function binds to an object or a class: each access makes another such
    function. None for other functions."""
    owner, name = real.__self__, real.__name__
    if owner is None or isinstance(owner, types.ModuleType):
        return None
    if isinstance(owner, type):
        method = next((vars(cls)[name] for cls in owner.__mro__ if name in vars(cls)), None)
        return method if isinstance(method, types.ClassMethodDescriptorType) else None
    method = getattr(type(owner), name, None)
    return method if isinstance(method, types.MethodDescriptorType) else None


def open_bound_builtin(
    vm: Interpreter, real: types.BuiltinFunctionType, method: object, source: Source
) -> Value:
    """A bound method of a C type: the name is guarded and what a class is; an instance stays lazy."""
    vm.guards.add(source, kinds.TypeIs(types.BuiltinFunctionType))
    vm.guards.add(Descriptor(source, BUILTIN_NAME, "__name__"), kinds.Equals(real.__name__))
    owner: Value = Lazy(real.__self__, Descriptor(source, BUILTIN_SELF, "__self__"))
    if isinstance(method, types.ClassMethodDescriptorType):
        owner = vm.look(owner)
    else:
        vm.guards.add(TypeOf(owner.source), kinds.Is(type(real.__self__)))
    return MethodObject(Constant(method), owner, real, source)


def guard_identity(vm: Interpreter, real: object, source: Source) -> None:
    """The object at ``source`` is ``real`` itself."""
    if not isinstance(source, Held):
        vm.guards.add(source, kinds.Is(real))


def is_graph_callable(real: object) -> bool:
    """Operators of the torch library and functions of NumPy: immutable, known by identity."""
    return isinstance(real, (OPERATOR_TYPES, NUMPY_TYPES))


def open_tensor(vm: Interpreter, real: torch.Tensor, source: Source) -> Value:
    """A tensor becomes an input of the graph; its metadata is guarded."""
    cls = type(real)
    if cls not in vm.policy.tensor_types:
        raise Break(reasons.TENSOR_SUBCLASS, f"{source} is a {cls.__module__}.{cls.__qualname__}")
    if real.layout is not torch.strided:
        raise Break(reasons.TENSOR_SUBCLASS, f"{source} has layout {real.layout}")
    open_sizes = vm.policy.open_sizes(source, real)
    try:
        node = vm.graph.tensor_input(real, source, open_sizes)
    except UnsupportedOperator as error:
        raise Break(reasons.TENSOR_SUBCLASS, f"{source}: {error.description}") from error
    sizes = tuple(None if i in open_sizes.dynamic else size for i, size in enumerate(real.shape))
    strides: tuple[int | None, ...] = (None,) * real.ndim if open_sizes else tuple(real.stride())
    vm.guards.add(source, kinds.TensorMatch.of(real, sizes, strides))
    example = node.meta["example_value"]
    value = Tensor(node, example, source, real)
    vm.tensors[id(example)] = value
    return value


def open_function(vm: Interpreter, real: types.FunctionType, source: Source) -> Value:
    """A Python function is guarded by its code (and globals), not by identity."""
    vm.guards.add(source, kinds.CodeIs(real.__code__))
    if not isinstance(source, Held):
        vm.guards.add(FunctionField(source, "globals"), kinds.Is(real.__globals__))
    return function_value(vm, real, source)


def open_function_of_frame(vm: Interpreter, real: types.FunctionType, source: Source) -> FunctionObject:
    """The function of the frame that is captured: the entries are those of its code and globals anyway."""
    value = vm.seen[id(real)] = function_value(vm, real, source)
    vm.keep_alive.append(real)
    return value


def function_value(vm: Interpreter, real: types.FunctionType, source: Source) -> FunctionObject:
    """The value of a function whose code and globals are known."""
    module = real.__globals__.get("__name__", "globals")
    return FunctionObject(
        real.__code__,
        open_namespace(vm, real.__globals__, str(module)),
        name=real.__name__,
        qualname=real.__qualname__,
        real=real,
        source=source,
    )


def reading(function: types.BuiltinFunctionType) -> Lazy:
    """What a C function without arguments tells of a setting; asked again at every call."""
    return Lazy(function(), Reading(Held(function, function.__name__)))


def open_namespace(vm: Interpreter, namespace: dict, name: str) -> DictObject:
    """A module's dictionary, held by the entry."""
    known = vm.seen.get(id(namespace))
    if known is None:
        known = DictObject({}, dict, namespace, Held(namespace, name))
        vm.seen[id(namespace)] = known
    assert isinstance(known, DictObject)
    return known


def open_list(vm: Interpreter, real: list | collections.deque, cls: type, source: Source) -> Value:
    """A list or deque, closed: the length is guarded when somebody looks at the items, which stay lazy."""
    is_list = isinstance(real, list)
    storage = list if is_list else collections.deque
    link = ListItem if is_list else SequenceItem

    def opening() -> list[Value]:
        length = storage.__len__(real)
        vm.guards.add(source, kinds.Length(length))
        return [Lazy(storage.__getitem__(real, i), link(source, i)) for i in range(length)]

    value = ListObject(None, cls, real, source, opening)
    if not is_list:
        value.maxlen = real.maxlen
        vm.guards.add(Descriptor(source, DEQUE_LIMIT, "maxlen"), kinds.Equals(real.maxlen))
    return value


def open_set(vm: Interpreter, real: set | frozenset, cls: type, source: Source) -> Value:
    """A set is guarded whole; its members must hash and compare without user code."""
    items: dict[object, Value] = {}
    for member in real:
        if not is_plain_key(member):
            raise Break(reasons.USER_HASH, f"{source} holds a {type(member).__qualname__}")
        items[member] = key_value(vm, member)
    vm.guards.add(source, kinds.SetEquals(frozenset(real)))
    return SetObject(items, cls, real, source)


def open_mapping_proxy(vm: Interpreter, real: types.MappingProxyType, source: Source) -> Value:
    """A read-only view of a dict: one and the same proxy always shows one and the same dict."""
    (shown,) = gc.get_referents(real)
    if type(shown) not in (dict, collections.OrderedDict):
        raise Break(reasons.UNSUPPORTED_CALL, f"{source} shows a {type(shown).__qualname__}")
    guard_identity(vm, real, source)
    return DictObject({}, types.MappingProxyType, shown, Held(shown, str(source)))


def is_plain_key(key: object) -> bool:
    """Whether a real object hashes and compares without user code (by value or by identity)."""
    cls = type(key)
    if cls in LITERAL_TYPES or isinstance(key, (type, enum.Enum, torch.dtype, torch.device, types.CodeType)):
        return True
    if isinstance(key, (tuple, frozenset)) and cls in (tuple, frozenset, torch.Size):
        return all(is_plain_key(item) for item in key)
    return cls.__hash__ in (object.__hash__, torch.Tensor.__hash__)


def key_value(vm: Interpreter, key: object) -> Value:
    """The value of a dictionary key or set member: the object itself, held by the entry."""
    if type(key) in LITERAL_TYPES:
        return Constant(key)
    if type(key) is tuple:
        return TupleObject([key_value(vm, item) for item in key])
    vm.key_types.add(type(key))
    return Lazy(key, Held(key, f"<{type(key).__name__}>"))


def open_cell(vm: Interpreter, cell: CellObject) -> Value | None:
    """The contents of a cell, None while it is empty."""
    if not cell.opened:
        cell.opened = True
        try:
            contents = cell.real.cell_contents
        except ValueError:
            vm.guards.add(cell.source, kinds.CellEmpty())
        else:
            cell.contents = Lazy(contents, CellContents(cell.source))
    return cell.contents


def open_closure(vm: Interpreter, function: FunctionObject) -> list[CellObject]:
    """The cells of a function's free variables."""
    if function.closure is None:
        cells = function.real.__closure__ or ()
        base = FunctionField(function.source, "closure")
        function.closure = [look(vm, Lazy(cell, TupleItem(base, i))) for i, cell in enumerate(cells)]
    return function.closure


def function_field(function: FunctionObject, field: str) -> Value:
    """The ``defaults`` or ``kwdefaults`` of an outside function; a function made here begins with None."""
    if function.real is None:
        return Constant(None)
    return Lazy(getattr(function.real, f"__{field}__"), FunctionField(function.source, field))


def open_defaults(vm: Interpreter, function: FunctionObject) -> tuple[Value, Value]:
    """``__defaults__`` and ``__kwdefaults__`` of a function, looked at."""
    if function.defaults is None:
        function.defaults = function_field(function, "defaults")
    if function.keyword_defaults is None:
        function.keyword_defaults = function_field(function, "kwdefaults")
    return look(vm, function.defaults), look(vm, function.keyword_defaults)


def instance_dict(vm: Interpreter, value: Value) -> DictObject | None:
    """The ``__dict__`` of an object as a value, None if its type has none."""
    if isinstance(value, Tensor):
        if value.attributes is None:
            value.attributes = (
                DictObject({})
                if value.real is None
                else open_instance_dict(vm, value.real.__dict__, value.cls, value.source)
            )
        return value.attributes
    if isinstance(value, Constant):
        if isinstance(value.value, types.ModuleType):
            return open_namespace(vm, value.value.__dict__, value.value.__name__)
        if isinstance(value.value, type) or type(value.value).__dictoffset__ == 0:
            return None
        real_dict = object.__getattribute__(value.value, "__dict__")
        return open_instance_dict(vm, real_dict, type(value.value), Held(value.value, repr(value.value)))
    if value.attributes is None:
        if value.cls.__dictoffset__ == 0:
            return None
        if value.real is None:
            value.attributes = DictObject({})
        else:
            real_dict = object.__getattribute__(value.real, "__dict__")
            value.attributes = open_instance_dict(vm, real_dict, value.cls, value.source)
    return value.attributes


def open_instance_dict(vm: Interpreter, real: dict, owner_class: type, source: Source) -> DictObject:
    """The dictionary behind an object's attributes; of the same object it is the same dictionary."""
    known = vm.seen.get(id(real))
    if known is None:
        known = vm.seen[id(real)] = DictObject({}, type(real), real, InstanceDict(source))
        known.owner_class = owner_class
    return known
