"""Builtin functions where types, identity or attributes matter.

https://docs.python.org/3/library/functions.html
"""

from __future__ import annotations

import _operator
import _thread
import abc
import builtins
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
    numbers,
    operators,
    text,
)
from framelift.capture.effects import DeferredCall
from framelift.capture.exceptions import Raised, raised
from framelift.capture.handlers.operations import new_super
from framelift.capture.natives import logs
from framelift.capture.natives.registry import native
from framelift.capture.polyfills.registry import in_any_order, leave_to_cpython
from framelift.capture.values import (
    Constant,
    ListObject,
    MethodObject,
    SetObject,
    Symbol,
    Tensor,
    TupleObject,
)
from framelift.capture.values.objects import type_of
from framelift.guards import kinds
from framelift.guards.kinds import ABSENT
from framelift.module import call_twin
from framelift.observe import reasons
from framelift.observe.errors import Break


@native(len, _operator.length_hint)
def length(vm, arguments, keywords):
    return operators.length(vm, arguments[0])


@native(isinstance)
def is_instance(vm, arguments, keywords):
    return Constant(instance_check(vm, arguments[0], arguments[1]))


def instance_check(vm, value, classes) -> bool:
    """https://docs.python.org/3/library/functions.html#isinstance"""
    classes = vm.look(classes)
    if isinstance(classes, TupleObject):
        return any(instance_check(vm, value, item) for item in classes.items)
    if not isinstance(classes, Constant):
        raise raised(TypeError, "isinstance() arg 2 must be a type, a tuple of types, or a union")
    real = classes.value
    if isinstance(real, types.UnionType):
        return any(instance_check(vm, value, Constant(item)) for item in real.__args__)
    cls = outside.class_of(vm, value)
    if cls is not str:
        value = vm.look(value)
    if isinstance(value, Symbol) and real in (torch.SymInt, torch.SymFloat, torch.SymBool):
        return False
    check = attributes.lookup(vm, type(real), "__instancecheck__")
    if isinstance(check, types.FunctionType) and check.__module__ not in HOST_METACLASSES:
        method = attributes.special_method(vm, classes, "__instancecheck__")
        return operators.truth(vm, calls.call(vm, method, [value], {}))
    if isinstance(value, Tensor) and real is torch.nn.Parameter:
        return issubclass(cls, torch.nn.Parameter)
    if isinstance(value, Tensor) and type(real) is not type and type(real).__name__ == "tensortype":
        raise Break(reasons.UNSUPPORTED_CALL, f"isinstance with {real}")
    return class_check(vm, cls, real)


HOST_METACLASSES = frozenset(
    ["abc", "typing", "enum", "torch.nn.parameter", "torch._C", "torch", "torch._tensor"]
)
"""Modules whose instance checks the host may run."""


def class_check(vm, cls: type, real: object) -> bool:
    """``issubclass(cls, real)`` on real classes; the class's order is guarded where it can change, and what
    is registered with an abstract class."""
    if cls.__flags__ & (1 << 9):
        vm.guards.add(attributes.held_type(cls), kinds.Mro(cls.__mro__))
    if getattr(real, "_is_protocol", False):
        raise Break(reasons.UNSUPPORTED_CALL, f"a check for the protocol {real.__qualname__}")
    try:
        found = issubclass(cls, real)
    except TypeError as error:
        raise raised(TypeError, *error.args) from None
    if isinstance(real, abc.ABCMeta):
        vm.guards.subclass(cls, real, found)
    return found


@native(issubclass)
def is_subclass(vm, arguments, keywords):
    cls, classes = vm.look(arguments[0]), vm.look(arguments[1])
    if not isinstance(cls, Constant) or not isinstance(cls.value, type):
        raise raised(TypeError, "issubclass() arg 1 must be a class")
    if isinstance(classes, TupleObject):
        return Constant(any(is_subclass(vm, [cls, item], {}).value for item in classes.items))
    return Constant(class_check(vm, cls.value, classes.value))


def attribute_name(vm, value) -> str:
    """The name in ``getattr`` and its kin."""
    name = vm.look(value)
    if not isinstance(name, Constant) or not isinstance(name.value, str):
        raise raised(TypeError, "attribute name must be string")
    return name.value


@native(getattr)
def get_attribute(vm, arguments, keywords):
    name = attribute_name(vm, arguments[1])
    if len(arguments) == 2:
        return attributes.get(vm, arguments[0], name)
    try:
        found = attributes.find(vm, arguments[0], name)
    except Raised as error:
        if not attributes.is_attribute_error(error):
            raise
        found = None
    return arguments[2] if found is None else found


@native(hasattr)
def has_attribute(vm, arguments, keywords):
    try:
        return Constant(attributes.find(vm, arguments[0], attribute_name(vm, arguments[1])) is not None)
    except Raised as error:
        if not attributes.is_attribute_error(error):
            raise
        return Constant(False)


@native(setattr)
def set_attribute(vm, arguments, keywords):
    attribute_stores.store(vm, arguments[0], attribute_name(vm, arguments[1]), arguments[2])
    return Constant(None)


@native(delattr)
def delete_attribute(vm, arguments, keywords):
    attribute_stores.delete(vm, arguments[0], attribute_name(vm, arguments[1]))
    return Constant(None)


@native(callable)
def is_callable(vm, arguments, keywords):
    value = vm.look(arguments[0])
    if isinstance(value, Constant):
        return Constant(callable(value.value))
    return Constant(attributes.lookup(vm, type_of(value), "__call__") is not ABSENT)


@native(iter)
def make_iterator(vm, arguments, keywords):
    if len(arguments) == 2:
        return calls.call(vm, vm.polyfill("call_until"), arguments, {})
    return iteration.iterator_of(vm, arguments[0])


@native(next)
def next_item(vm, arguments, keywords):
    iterator = vm.look(arguments[0])
    if not iteration.has_place(iterator):
        method = attributes.special_method(vm, iterator, "__next__")
        if method is None:
            raise raised(TypeError, f"'{type_of(iterator).__name__}' object is not an iterator")
        if len(arguments) == 1:
            return calls.call(vm, method, [], {})
    found = iteration.next_of(vm, iterator)
    if found is not None:
        return found
    if len(arguments) == 2:
        return arguments[1]
    returned = getattr(iterator, "returned", None)
    if returned is None or (isinstance(returned, Constant) and returned.value is None):
        raise raised(StopIteration)
    raise raised(StopIteration, returned)


@native(super)
def make_super(vm, arguments, keywords):
    if arguments:
        return new_super(vm, arguments[0], arguments[1])
    frame = vm.frames[-1]
    code = frame.decoded.code
    if "__class__" not in code.co_freevars or code.co_argcount == 0:
        raise raised(RuntimeError, "super(): __class__ cell not found")
    cell = frame.slots[len(frame.slots) - len(code.co_freevars) + code.co_freevars.index("__class__")]
    owner = frame.slots[0]
    if type(owner).__name__ == "CellObject":
        owner = outside.open_cell(vm, owner)
    return new_super(vm, outside.open_cell(vm, cell), owner)


@native(print)
def print_text(vm, arguments, keywords):
    """Printing constants has no effect on the program: it is done at the exit, in order."""
    try:
        texts = [vm.look(text.to_text(vm, item)) for item in arguments]
    except Break as error:
        if error.reason is reasons.DATA_DEPENDENT_VALUE:
            raise Break(reasons.INPUT_OUTPUT, f"print: {error.detail}") from error
        raise
    for name, value in keywords.items():
        option = vm.look(value)
        if name not in ("sep", "end", "flush") or not isinstance(option, Constant):
            raise Break(reasons.INPUT_OUTPUT, f"print(..., {name}=...)")
    vm.effects.add(DeferredCall(print, (*texts, *keywords.values()), tuple(keywords)))
    return Constant(None)


@native(in_any_order)
def items_in_any_order(vm, arguments, keywords):
    value = vm.look(arguments[0])
    plain = (
        all(constants.is_constant(vm, item) for item in value.items.values())
        if isinstance(value, SetObject)
        else False
    )
    return ListObject(list(value.items.values()) if plain else vm.unpack(value))


@native(leave_to_cpython)
def polyfill_gives_up(vm, arguments, keywords):
    raise Break(reasons.UNSUPPORTED_CALL, str(vm.look(arguments[0]).value))


@native(vars)
def variables(vm, arguments, keywords):
    if not arguments:
        raise Break(reasons.DYNAMIC_CODE, "vars() without an argument")
    return attributes.get(vm, arguments[0], "__dict__")


@native(id)
def identity(vm, arguments, keywords):
    value = vm.look(arguments[0])
    if not isinstance(value, Constant):
        return vm.identity_number(value)
    if isinstance(value.value, outside.LITERAL_TYPES):
        raise Break(reasons.IDENTITY_NUMBER, f"id of {value!r}")
    return Constant(id(value.value))


@native(_thread.get_ident)
def thread_number(vm, arguments, keywords):
    return vm.identity_number(None)


@native(hash)
def hash_value(vm, arguments, keywords):
    value = vm.look(arguments[0])
    if constants.is_constant(vm, value):
        return constants.fold(vm, hash, [value], {})
    method = attributes.special_method(vm, value, "__hash__")
    if isinstance(method, MethodObject) and operators.has_python_method(method):
        return calls.call(vm, method, [], {})
    raise Break(reasons.IDENTITY_NUMBER, f"hash of a {type_of(value).__qualname__}")


@native(repr)
def represent(vm, arguments, keywords):
    return text.to_text(vm, arguments[0], repr)


@native(ascii)
def represent_ascii(vm, arguments, keywords):
    return text.to_text(vm, arguments[0], ascii)


@native(format)
def format_text(vm, arguments, keywords):
    return text.formatted(vm, arguments[0], arguments[1] if len(arguments) > 1 else Constant(""))


@native(abs)
def absolute(vm, arguments, keywords):
    value = vm.look(arguments[0])
    if isinstance(value, Constant):
        return constants.run(vm, abs, [value.value], {})
    if isinstance(value, Symbol):
        return numbers.apply(vm, abs, value)
    if isinstance(value, Tensor):
        return calls.call(vm, Constant(torch.abs), [value], {})
    return calls.call(vm, attributes.special_method(vm, value, "__abs__"), [], {})


@native(divmod)
def divide_with_remainder(vm, arguments, keywords):
    left, right = arguments
    return TupleObject([operators.binary(vm, "//", left, right), operators.binary(vm, "%", left, right)])


@native(pow)
def power(vm, arguments, keywords):
    if len(arguments) == 2 and not keywords:
        return operators.binary(vm, "**", *arguments)
    return constants.fold(vm, pow, arguments, keywords)


@native(round)
def rounded(vm, arguments, keywords):
    value = vm.look(arguments[0])
    if isinstance(value, Tensor):
        return calls.call(vm, Constant(torch.round), arguments, keywords)
    if isinstance(value, Symbol) and len(arguments) == 1 and not keywords:
        return numbers.round_to_integer(vm, round, value)
    if isinstance(value, (Constant, Symbol)):
        return constants.fold(vm, round, arguments, keywords)
    return calls.call(vm, attributes.special_method(vm, value, "__round__"), arguments[1:], {})


@native(globals)
def global_names(vm, arguments, keywords):
    return vm.frames[-1].function.globals


@native(builtins.__import__)
def import_module(vm, arguments, keywords):
    raise Break(reasons.IMPORT_RUNS_CODE, "__import__")


OPERATORS = {
    _operator.add: "+",
    _operator.sub: "-",
    _operator.mul: "*",
    _operator.truediv: "/",
    _operator.floordiv: "//",
    _operator.mod: "%",
    _operator.pow: "**",
    _operator.matmul: "@",
    _operator.and_: "&",
    _operator.or_: "|",
    _operator.xor: "^",
    _operator.lshift: "<<",
    _operator.rshift: ">>",
    _operator.concat: "+",
    _operator.iadd: "+=",
    _operator.iconcat: "+=",
    _operator.isub: "-=",
    _operator.imul: "*=",
    _operator.itruediv: "/=",
    _operator.ifloordiv: "//=",
    _operator.imod: "%=",
    _operator.ipow: "**=",
    _operator.imatmul: "@=",
    _operator.iand: "&=",
    _operator.ior: "|=",
    _operator.ixor: "^=",
    _operator.ilshift: "<<=",
    _operator.irshift: ">>=",
}

COMPARISONS = {
    _operator.eq: "==",
    _operator.ne: "!=",
    _operator.lt: "<",
    _operator.le: "<=",
    _operator.gt: ">",
    _operator.ge: ">=",
}

UNARY = {
    _operator.neg: "-",
    _operator.pos: "+",
    _operator.invert: "~",
    _operator.inv: "~",
    _operator.not_: "not",
}


def operator_functions():
    """``(C function, handler)`` for the operator module: each is its operator."""
    for real, symbol in OPERATORS.items():
        yield real, lambda vm, a, k, symbol=symbol: operators.binary(vm, symbol, a[0], a[1])
    for real, symbol in COMPARISONS.items():
        yield real, lambda vm, a, k, symbol=symbol: operators.compare(vm, symbol, a[0], a[1])
    for real, symbol in UNARY.items():
        yield real, lambda vm, a, k, symbol=symbol: operators.unary(vm, symbol, a[0])


@native(_operator.call)
def operator_call(vm, arguments, keywords):
    return calls.call(vm, arguments[0], arguments[1:], keywords)


@native(_operator.truth)
def operator_truth(vm, arguments, keywords):
    return Constant(operators.truth(vm, arguments[0]))


@native(_operator.is_)
def operator_is(vm, arguments, keywords):
    return Constant(operators.same(vm, arguments[0], arguments[1]))


@native(_operator.is_not)
def operator_is_not(vm, arguments, keywords):
    return Constant(not operators.same(vm, arguments[0], arguments[1]))


@native(_operator.contains)
def operator_contains(vm, arguments, keywords):
    return Constant(operators.contains(vm, arguments[0], arguments[1]))


@native(_operator.getitem)
def operator_getitem(vm, arguments, keywords):
    return items.get(vm, arguments[0], arguments[1])


@native(_operator.setitem)
def operator_setitem(vm, arguments, keywords):
    items.store(vm, arguments[0], arguments[1], arguments[2])
    return Constant(None)


@native(_operator.delitem)
def operator_delitem(vm, arguments, keywords):
    items.delete(vm, arguments[0], arguments[1])
    return Constant(None)


@native(_operator.index)
def operator_index(vm, arguments, keywords):
    return Constant(items.index_of(vm, arguments[0]))


@native(functools.partial.__call__)
def partial_call(vm, arguments, keywords):
    return calls.call_partial(vm, vm.look(arguments[0]), arguments[1:], keywords)


@native(functools._lru_cache_wrapper.__call__)
def cached_call(vm, arguments, keywords):
    return logs.once(vm, arguments[0], arguments[1:], keywords)


@native(functools._lru_cache_wrapper.__dict__["__get__"])
def cached_bind(vm, arguments, keywords):
    return function_get(vm, arguments, keywords)


@native(types.FunctionType.__call__)
def function_call(vm, arguments, keywords):
    return calls.call(vm, arguments[0], arguments[1:], keywords)


@native(call_twin)
def twin_call(vm, arguments, keywords):
    """A compiled module is called."""
    return calls.call(vm, attributes.get(vm, arguments[0], "_framelift_call"), arguments[1:], keywords)


@native(types.FunctionType.__get__)
def function_get(vm, arguments, keywords):
    owner = vm.look(arguments[1])
    if isinstance(owner, Constant) and owner.value is None:
        return arguments[0]
    return MethodObject(vm.look(arguments[0]), owner)
