"""Constant folding: running a function now, because it has no effects and its arguments are known."""

from __future__ import annotations

import re

import torch

from framelift.capture import outside
from framelift.capture.datamodel import mapping
from framelift.capture.exceptions import raised
from framelift.capture.values import (
    Constant,
    DictObject,
    IdentityNumber,
    Lazy,
    ListObject,
    SetObject,
    SliceObject,
    Symbol,
    TupleObject,
    Value,
)
from framelift.guards.sources import Held
from framelift.observe import reasons
from framelift.observe.errors import Break


class NotConstant(Exception):
    """A value is not known exactly."""


def constant_of(vm, value: Value) -> object:
    """The real object a value stands for; raises ``NotConstant`` if it is not known or has identity."""
    value = vm.look(value)
    match value:
        case Constant():
            return value.value
        case TupleObject():
            items = [constant_of(vm, item) for item in value.items]
            if value.cls in (tuple, torch.Size):
                return value.cls(items)
            if hasattr(value.cls, "_make") and value.cls.__new__ is not tuple.__new__:
                return value.cls._make(items)
        case ListObject() if value.cls is list:
            return [constant_of(vm, item) for item in value.items]
        case SetObject() if value.cls in (set, frozenset):
            return value.cls(constant_of(vm, item) for item in value.items.values())
        case DictObject() if value.cls is dict:
            return {constant_of(vm, k): constant_of(vm, v) for k, v in mapping.items(vm, value)}
        case SliceObject():
            return slice(*(constant_of(vm, part) for part in (value.start, value.stop, value.step)))
    raise NotConstant(value)


def is_constant(vm, value: Value) -> bool:
    """Whether ``constant_of`` would succeed."""
    try:
        constant_of(vm, value)
    except NotConstant:
        return False
    return True


def required(vm, value: Value, what: str) -> object:
    """``constant_of``, with symbols fixed to what they are in this call; a break where nothing is known."""
    try:
        return constant_of(vm, specialized(vm, value))
    except NotConstant as error:
        raise Break(reasons.UNSUPPORTED_ARGUMENT, f"{error.args[0]!r} as {what}") from None


def fold(vm, function: object, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """Call an effect-free function now. Its exception becomes the program's."""
    try:
        host_arguments = [constant_of(vm, specialized(vm, item)) for item in arguments]
        host_keywords = {name: constant_of(vm, specialized(vm, item)) for name, item in keywords.items()}
    except NotConstant as error:
        name = getattr(function, "__qualname__", repr(function))
        unknown = error.args[0]
        is_address = isinstance(unknown, IdentityNumber)
        reason = reasons.IDENTITY_NUMBER if is_address else reasons.UNSUPPORTED_CALL
        raise Break(reason, f"{name} with {unknown!r}") from None
    return run(vm, function, host_arguments, host_keywords)


def run(vm, function, arguments: list[object], keywords: dict[str, object]) -> Value:
    """Call a host function; its exception becomes the program's."""
    try:
        result = function(*arguments, **keywords)
    except Exception as error:
        raise raised(type(error), *error.args) from None
    return from_host(vm, result)


def specialized(vm, value: Value) -> Value:
    """Symbols become the constants they have in this call (guarded)."""
    value = vm.look(value)
    return Constant(vm.specialize(value)) if isinstance(value, Symbol) else value


def from_host(vm, result: object) -> Value:
    """The value of a fresh host object."""
    cls = type(result)
    if cls in outside.LITERAL_TYPES or isinstance(result, outside.IDENTITY_TYPES):
        return Constant(result)
    if cls is list:
        return ListObject([from_host(vm, item) for item in result])
    if cls is dict:
        return mapping.from_pairs(vm, [(from_host(vm, k), from_host(vm, v)) for k, v in result.items()])
    if cls in (set, frozenset):
        return SetObject({item: from_host(vm, item) for item in result}, cls)
    if isinstance(result, tuple):
        return TupleObject([from_host(vm, item) for item in result], cls)
    if cls is slice:
        return outside.literal(result)
    if isinstance(result, torch.Tensor):
        raise Break(reasons.UNSUPPORTED_CALL, "a tensor made outside of the graph")
    if cls in OPAQUE_TYPES or isinstance(result, outside.NUMPY_NUMBERS):
        return Constant(result)
    return vm.look(Lazy(result, Held(result, f"<{cls.__name__}>")))


OPAQUE_TYPES = (
    range,
    torch.device,
    torch.finfo,
    torch.iinfo,
    re.Match,
)
"""Immutable results that stay constants."""
