"""Hashing: the real key under which a value stands in a dict or set.

Constants are their own keys. An object that hashes by identity is represented by the real object if it is
outside, by its value if it was made during capture. A class with its own ``__hash__`` would run user code
when the key is stored for real: a break.
"""

from __future__ import annotations

from collections.abc import Iterable

from framelift.capture import outside
from framelift.capture.exceptions import raised
from framelift.capture.values import (
    Constant,
    FunctionObject,
    IdentityNumber,
    MethodObject,
    Symbol,
    Tensor,
    TupleObject,
    Value,
)
from framelift.capture.values.objects import Object, type_of
from framelift.observe import reasons
from framelift.observe.errors import Break


def key_of(vm, value: Value) -> object:
    """The hashable host object that stands for ``value`` as a key."""
    value = vm.look(value)
    match value:
        case Constant():
            if not is_hashable(value.value):
                raise raised(TypeError, f"unhashable type: '{type(value.value).__name__}'")
            return value.value
        case Symbol():
            return vm.specialize(value)
        case TupleObject() if type_of(value).__hash__ is tuple.__hash__:
            return tuple(key_of(vm, item) for item in value.items)
        case IdentityNumber():
            return value
        case Tensor():
            vm.identity_used(value)
            return value if value.real is None else value.real
        case Object():
            cls = value.cls
            if cls.__hash__ is None:
                raise raised(TypeError, f"unhashable type: '{cls.__name__}'")
            if cls.__hash__ is object.__hash__ or isinstance(value, FunctionObject):
                vm.identity_used(value)
                return value if value.real is None else value.real
            if isinstance(value, MethodObject):
                raise Break(reasons.USER_HASH, "a bound method as a key")
    raise Break(reasons.USER_HASH, f"a {type_of(value).__qualname__} as a key")


def note_keys(vm, keys: Iterable[object]) -> None:
    """Real objects are keys of an outside container, which is guarded by the objects themselves.

    An object of the program that was looked up among such keys must be the same one in every call.
    """
    for key in keys:
        if type(key) in (tuple, frozenset):
            note_keys(vm, key)
        elif not isinstance(key, Value):
            vm.key_types.add(type(key))


def is_hashable(value: object) -> bool:
    """Whether a constant can be hashed."""
    return type(value).__hash__ is not None


def value_of_key(vm, key: object) -> Value:
    """The value that stands for a host key (the inverse of ``key_of``)."""
    if isinstance(key, Value):
        return key
    if type(key) is tuple:
        return TupleObject([value_of_key(vm, item) for item in key])
    known = vm.seen.get(id(key))
    return known if known is not None else outside.key_value(vm, key)


def check_comparable(vm, keys: Iterable[object], key: object) -> None:
    """Identity numbers are told apart from each other; whether one equals another key is not known."""
    if vm.identity_numbers:
        symbolic = has_identity_number(key)
        if any(has_identity_number(other) != symbolic for other in keys):
            raise Break(reasons.IDENTITY_NUMBER, "an id beside other keys")


def has_identity_number(key: object) -> bool:
    """Whether a host key is, or is a tuple that holds, an identity number."""
    return isinstance(key, IdentityNumber) or (type(key) is tuple and any(map(has_identity_number, key)))
