"""Builtin classes called: constructors, ``__new__`` and ``__init__`` of builtin and exception types.

https://docs.python.org/3/library/stdtypes.html
"""

from __future__ import annotations

import builtins
import collections
import functools
import types

import torch

from framelift.capture import outside
from framelift.capture.datamodel import (
    attribute_stores,
    attributes,
    calls,
    constants,
    items,
    iteration,
    mapping,
    numbers,
    operators,
    set_order,
    tensors,
    text,
)
from framelift.capture.exceptions import ARGUMENTS, Raised, new_exception, raised
from framelift.capture.handlers.containers import extend_set, pairs_of
from framelift.capture.natives.registry import native
from framelift.capture.values import (
    Constant,
    DictObject,
    ListObject,
    MethodObject,
    SetObject,
    SliceObject,
    Symbol,
    Tensor,
    TupleObject,
)
from framelift.capture.values.objects import type_of
from framelift.observe import reasons
from framelift.observe.errors import Break


@native(type)
def type_call(vm, arguments, keywords):
    if len(arguments) != 1 or keywords:
        raise Break(reasons.CLASS_DEFINITION, "type(name, bases, namespace)")
    return Constant(outside.class_of(vm, arguments[0]))


@native(type.__call__)
def type_dunder_call(vm, arguments, keywords):
    """``super().__call__`` of a metaclass."""
    return calls.instantiate(vm, vm.look(arguments[0]).value, arguments[1:], keywords)


@native(object.__new__)
def object_new(vm, arguments, keywords):
    return calls.new_object(vm, vm.look(arguments[0]).value)


@native(object.__init__)
def object_init(vm, arguments, keywords):
    return Constant(None)


@native(object.__init_subclass__)
def object_init_subclass(vm, arguments, keywords):
    return Constant(None)


@native(object.__setattr__, types.ModuleType.__setattr__, type.__setattr__)
def object_setattr(vm, arguments, keywords):
    attribute_stores.set_plain(vm, arguments[0], vm.look(arguments[1]).value, arguments[2])
    return Constant(None)


@native(object.__delattr__, types.ModuleType.__delattr__, type.__delattr__)
def object_delattr(vm, arguments, keywords):
    attribute_stores.delete_plain(vm, arguments[0], vm.look(arguments[1]).value)
    return Constant(None)


@native(object.__getattribute__, types.ModuleType.__getattribute__)
def object_getattribute(vm, arguments, keywords):
    owner, name = vm.look(arguments[0]), vm.look(arguments[1]).value
    if isinstance(owner, Constant):
        found = attributes.find(vm, owner, name)
    else:
        found = attributes.find_plain(vm, owner, type_of(owner), name)
    if found is None:
        raise attributes.missing(vm, owner, name)
    return found


@native(object.__eq__)
def object_eq(vm, arguments, keywords):
    return Constant(True) if operators.same(vm, *arguments) else Constant(NotImplemented)


@native(object.__ne__)
def object_ne(vm, arguments, keywords):
    equal = attributes.special_method(vm, arguments[0], "__eq__")
    result = vm.look(calls.call(vm, equal, [arguments[1]], {}))
    if isinstance(result, Constant) and result.value is NotImplemented:
        return result
    return Constant(not operators.truth(vm, result))


@native(object.__lt__, object.__le__, object.__gt__, object.__ge__)
def object_order(vm, arguments, keywords):
    return Constant(NotImplemented)


@native(object.__str__, object.__repr__)
def object_str(vm, arguments, keywords):
    return text.object_text(vm, arguments[0])


@native(type.__repr__)
def type_repr(vm, arguments, keywords):
    return constants.fold(vm, type.__repr__, arguments, keywords)


@native(object.__format__)
def object_format(vm, arguments, keywords):
    return text.to_text(vm, arguments[0])


# -- numbers and strings ---------------------------------------------------------------------------------


@native(bool)
def bool_call(vm, arguments, keywords):
    if not arguments:
        return Constant(False)
    return Constant(operators.truth(vm, arguments[0]))


def number_class(cls: type, method: str):
    """The constructor of ``int`` or ``float``."""

    def construct(vm, arguments, keywords):
        value = vm.look(arguments[0]) if arguments else Constant(cls())
        if isinstance(value, Tensor):
            value = tensors.graph_method(vm, "item", [value], {})
            if isinstance(value, Constant):
                return Constant(cls(value.value))
        if isinstance(value, Symbol):
            if value.cls is cls:
                return value
            if cls is float and value.cls is int:
                return numbers.apply(vm, torch.sym_float, value)
            if cls is int and value.cls is float:
                return numbers.round_to_integer(vm, int, value)
            if cls is int and value.cls is bool and numbers.depends_on_data(value):
                return numbers.apply(vm, torch.sym_ite, value, Constant(1), Constant(0))
            return Constant(cls(vm.specialize(value)))
        if isinstance(value, Constant):
            return constants.fold(vm, cls, arguments, keywords)
        for name in (method, "__index__"):
            found = attributes.special_method(vm, value, name)
            if found is not None:
                return number_of(cls, vm.look(calls.call(vm, found, [], {})))
        raise raised(TypeError, f"{cls.__name__}() argument must be a string or a real number")

    return construct


def number_of(cls: type, result):
    """What a number's special method gave, as that number."""
    return Constant(cls(result.value)) if isinstance(result, Constant) else result


int_call = native(int)(number_class(int, "__int__"))
float_call = native(float)(number_class(float, "__float__"))
complex_call = native(complex)(number_class(complex, "__complex__"))


@native(str)
def str_call(vm, arguments, keywords):
    if len(arguments) == 1 and not keywords:
        return text.to_text(vm, arguments[0])
    return constants.fold(vm, str, arguments, keywords)


@native(range)
def range_call(vm, arguments, keywords):
    return Constant(range(*(items.index_of(vm, item) for item in arguments)))


@native(slice)
def slice_call(vm, arguments, keywords):
    if len(arguments) == 1:
        return SliceObject(Constant(None), arguments[0], Constant(None))
    return SliceObject(*arguments, *[Constant(None)] * (3 - len(arguments)))


@native(slice.indices)
def slice_indices(vm, arguments, keywords):
    return constants.fold(vm, slice.indices, arguments, keywords)


# -- containers ------------------------------------------------------------------------------------------


@native(list)
def list_call(vm, arguments, keywords):
    return ListObject(vm.unpack(arguments[0]) if arguments else [])


@native(tuple)
def tuple_call(vm, arguments, keywords):
    if arguments and type_of(vm.look(arguments[0])) is tuple:
        return vm.look(arguments[0])
    return TupleObject(vm.unpack(arguments[0]) if arguments else [])


@native(torch.Size)
def size_call(vm, arguments, keywords):
    return TupleObject(vm.unpack(arguments[0]) if arguments else [], torch.Size)


@native(set)
def set_call(vm, arguments, keywords):
    return filled_set(vm, set, arguments)


@native(frozenset)
def frozenset_call(vm, arguments, keywords):
    return filled_set(vm, frozenset, arguments)


def filled_set(vm, cls: type, arguments) -> SetObject:
    """A new set of an iterable's items."""
    built = set_order.new_set(cls)
    if arguments:
        extend_set(vm, built, arguments[0])
    return built


@native(dict)
def dict_call(vm, arguments, keywords):
    built = DictObject({})
    update_dict(vm, built, arguments, keywords)
    return built


def pair(vm, number: int, item) -> list:
    """Key and value of an element of what a dict is updated with."""
    try:
        found = vm.unpack(item)
    except Raised as error:
        if issubclass(error.value.cls, TypeError):
            wrong = f"cannot convert dictionary update sequence element #{number} to a sequence"
            raise raised(TypeError, wrong) from None
        raise
    if len(found) != 2:
        wrong = f"dictionary update sequence element #{number} has length {len(found)}; 2 is required"
        raise raised(ValueError, wrong)
    return found


def update_dict(vm, target: DictObject, arguments, keywords) -> None:
    """``dict.update``: a mapping or an iterable of pairs, then keywords."""
    if arguments:
        source = vm.look(arguments[0])
        if isinstance(source, DictObject) or attributes.find(vm, source, "keys") is not None:
            for key, value in pairs_of(vm, source):
                mapping.store(vm, target, key, value)
        else:
            for number, item in enumerate(iteration.steps(vm, source)):
                mapping.store(vm, target, *pair(vm, number, item))
    for name, value in keywords.items():
        mapping.store(vm, target, Constant(name), value)


@native(list.__new__, collections.deque.__new__)
def list_new(vm, arguments, keywords):
    return ListObject([], vm.look(arguments[0]).value)


@native(list.__init__)
def list_init(vm, arguments, keywords):
    target = vm.look(arguments[0])
    target.items[:] = vm.unpack(arguments[1]) if len(arguments) > 1 else []
    vm.effects.contents_changed(target)
    return Constant(None)


@native(collections.deque.__init__)
def deque_init(vm, arguments, keywords):
    target = vm.look(arguments[0])
    limit = vm.look(keywords.get("maxlen", arguments[2] if len(arguments) > 2 else Constant(None))).value
    iterable = arguments[1] if len(arguments) > 1 else keywords.get("iterable")
    filled = vm.unpack(iterable) if iterable is not None else []
    target.maxlen = limit
    target.items[:] = filled if limit is None else filled[max(len(filled) - limit, 0) :]
    vm.effects.contents_changed(target)
    return Constant(None)


@native(tuple.__new__)
def tuple_new(vm, arguments, keywords):
    cls = vm.look(arguments[0]).value
    return TupleObject(vm.unpack(arguments[1]) if len(arguments) > 1 else [], cls)


@native(dict.__new__, collections.OrderedDict.__new__, collections.defaultdict.__new__)
def dict_new(vm, arguments, keywords):
    return DictObject({}, vm.look(arguments[0]).value)


@native(dict.__init__, collections.OrderedDict.__init__, dict.update, collections.OrderedDict.update)
def dict_update(vm, arguments, keywords):
    update_dict(vm, vm.look(arguments[0]), arguments[1:], keywords)
    return Constant(None)


DEFAULT_FACTORY = collections.defaultdict.__dict__["default_factory"]


@native(collections.defaultdict.__init__)
def defaultdict_init(vm, arguments, keywords):
    target = vm.look(arguments[0])
    target.slots = {DEFAULT_FACTORY: arguments[1] if len(arguments) > 1 else Constant(None)}
    update_dict(vm, target, arguments[2:], keywords)
    return Constant(None)


@native(set.__new__, frozenset.__new__)
def set_new(vm, arguments, keywords):
    cls = vm.look(arguments[0]).value
    built = set_order.new_set(cls)
    if issubclass(cls, frozenset) and len(arguments) > 1:
        extend_set(vm, built, arguments[1])
    return built


@native(set.__init__)
def set_init(vm, arguments, keywords):
    target = vm.look(arguments[0])
    target.items.clear()
    set_order.changed(target, "clear", [])
    if len(arguments) > 1:
        extend_set(vm, target, arguments[1])
    vm.effects.contents_changed(target)
    return Constant(None)


# -- exceptions ------------------------------------------------------------------------------------------


def exception_constructors():
    """The C-level ``__new__`` and ``__init__`` of every builtin exception class with plain arguments."""
    special = (OSError, UnicodeError, ImportError, SyntaxError, AttributeError, NameError, BaseExceptionGroup)
    seen = set()
    for cls in vars(builtins).values():
        if not isinstance(cls, type) or not issubclass(cls, BaseException):
            continue
        if issubclass(cls, special) and cls not in (
            AttributeError,
            NameError,
            UnboundLocalError,
            NotImplementedError,
        ):
            continue
        for name, handler in (("__new__", exception_new), ("__init__", exception_init)):
            real = getattr(cls, name)
            if id(real) not in seen:
                seen.add(id(real))
                yield real, handler


def exception_new(vm, arguments, keywords):
    """``BaseException.__new__``."""
    return new_exception(vm.look(arguments[0]).value, arguments[1:])


def exception_init(vm, arguments, keywords):
    """``BaseException.__init__``."""
    target = vm.look(arguments[0])
    target.slots[ARGUMENTS] = TupleObject(arguments[1:])
    return Constant(None)


def exception_texts():
    """The C-level ``__str__`` of the builtin exceptions whose text is made of their arguments alone."""
    for cls in (BaseException, AttributeError, NameError, KeyError):
        yield cls.__str__, key_error_str if cls is KeyError else exception_str


def key_error_str(vm, arguments, keywords):
    """``KeyError.__str__``: a lone argument is shown as ``repr`` does."""
    values = vm.look(attributes.get(vm, arguments[0], "args")).items
    return text.to_text(vm, values[0], repr) if len(values) == 1 else exception_str(vm, arguments, keywords)


@native(BaseException.with_traceback)
def with_traceback(vm, arguments, keywords):
    return vm.look(arguments[0])


def exception_str(vm, arguments, keywords):
    """``BaseException.__str__``."""
    values = vm.look(attributes.get(vm, arguments[0], "args")).items
    if not values:
        return Constant("")
    return text.to_text(vm, values[0] if len(values) == 1 else TupleObject(values))


# -- callables -------------------------------------------------------------------------------------------


@native(functools.partial, functools.partial.__new__)
def partial_call(vm, arguments, keywords):
    if arguments and vm.look(arguments[0]) is not None and is_class(vm, arguments[0], functools.partial):
        arguments = arguments[1:]
    return calls.new_partial(vm, arguments[0], arguments[1:], keywords)


def is_class(vm, value, cls: type) -> bool:
    """Whether a value is exactly this class."""
    value = vm.look(value)
    return isinstance(value, Constant) and value.value is cls


@native(types.MethodType)
def method_call(vm, arguments, keywords):
    return MethodObject(vm.look(arguments[0]), arguments[1])
