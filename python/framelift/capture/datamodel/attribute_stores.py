"""Attributes set and deleted by the data model: ``__setattr__``, ``__delattr__``, descriptors, classes.

https://docs.python.org/3/reference/datamodel.html#customizing-attribute-access
"""

from __future__ import annotations

import types

from framelift.capture import outside
from framelift.capture.datamodel import calls, mapping, tensors
from framelift.capture.datamodel.attributes import (
    GET_DESCRIPTORS,
    PLAIN_DATA,
    PROPERTY_DELETE,
    PROPERTY_SET,
    class_value,
    is_data_descriptor,
    lookup,
    missing,
    property_part,
)
from framelift.capture.datamodel.members import set_member
from framelift.capture.effects import TypeStore
from framelift.capture.exceptions import raised
from framelift.capture.values import Constant, Tensor, Value
from framelift.capture.values.objects import type_of
from framelift.guards.kinds import ABSENT
from framelift.observe import reasons
from framelift.observe.errors import Break


def store(vm, owner: Value, name: str, value: Value) -> None:
    """``owner.name = value``."""
    owner = vm.look(owner)
    cls = type_of(owner)
    setter = lookup(vm, cls, "__setattr__")
    if isinstance(setter, types.FunctionType):
        calls.call(vm, class_value(vm, cls, "__setattr__", setter), [owner, Constant(name), value], {})
        return
    set_plain(vm, owner, name, value)


def set_plain(vm, owner: Value, name: str, value: Value) -> None:
    """``object.__setattr__`` (or ``type``'s, ``module``'s)."""
    owner = vm.look(owner)
    cls = type_of(owner)
    if isinstance(owner, Constant) and isinstance(owner.value, type):
        set_on_class(vm, owner.value, name, value)
        return
    if isinstance(owner, Tensor) and tensors.set_attribute(vm, owner, name, value):
        return
    raw = lookup(vm, cls, name)
    if raw is not ABSENT and is_data_descriptor(vm, raw):
        set_descriptor(vm, raw, owner, cls, name, value)
        return
    attributes = outside.instance_dict(vm, owner)
    if attributes is None:
        raise raised(AttributeError, f"'{cls.__name__}' object has no attribute '{name}'")
    mapping.store(vm, attributes, Constant(name), value)


def set_descriptor(vm, raw: object, owner: Value, cls: type, name: str, value: Value) -> None:
    """Call the ``__set__`` of a data descriptor."""
    if isinstance(raw, property):
        if raw.fset is None:
            raise raised(AttributeError, f"property '{name}' of '{cls.__name__}' object has no setter")
        calls.call(vm, property_part(vm, raw, cls, name, PROPERTY_SET), [owner, value], {})
        return
    if isinstance(raw, GET_DESCRIPTORS):
        set_member(vm, raw, owner, name, value)
        return
    call_descriptor(vm, raw, cls, name, "__set__", [owner, value])


def call_descriptor(vm, raw: object, cls: type, name: str, method: str, arguments: list[Value]) -> None:
    """Call ``__set__`` or ``__delete__`` of a descriptor of ``cls``; one that has none in Python refuses."""
    function = lookup(vm, type(raw), method)
    if not isinstance(function, types.FunctionType):
        raise raised(AttributeError, name)
    descriptor = class_value(vm, cls, name, raw)
    calls.call(vm, class_value(vm, type(raw), method, function), [descriptor, *arguments], {})


def set_on_class(vm, cls: type, name: str, value: Value | None) -> None:
    """``cls.name = value`` on an outside class, of plain data; what was there before makes no difference."""
    meta = lookup(vm, type(cls), name)
    if meta is not ABSENT and is_data_descriptor(vm, meta):
        raise Break(reasons.UNSUPPORTED_ATTRIBUTE_STORE, f"{cls.__name__}.{name} = ...")
    dunder = name.startswith("__") and name.endswith("__")
    if dunder or value is None or cls.__subclasses__() or hasattr(type_of(vm.look(value)), "__get__"):
        raise Break(reasons.UNSUPPORTED_ATTRIBUTE_STORE, f"{cls.__name__}.{name} = ...")
    vm.type_stores[cls, name] = value
    vm.type_lookups[cls, name, None] = (PLAIN_DATA,)
    vm.effects.add(TypeStore(cls, name, value))


def delete(vm, owner: Value, name: str) -> None:
    """``del owner.name``."""
    owner = vm.look(owner)
    cls = type_of(owner)
    deleter = lookup(vm, cls, "__delattr__")
    if isinstance(deleter, types.FunctionType):
        calls.call(vm, class_value(vm, cls, "__delattr__", deleter), [owner, Constant(name)], {})
        return
    delete_plain(vm, owner, name)


def delete_plain(vm, owner: Value, name: str) -> None:
    """``object.__delattr__``."""
    owner = vm.look(owner)
    cls = type_of(owner)
    if isinstance(owner, Constant) and isinstance(owner.value, type):
        raise Break(reasons.UNSUPPORTED_ATTRIBUTE_STORE, f"del {owner.value.__name__}.{name}")
    raw = lookup(vm, cls, name)
    if raw is not ABSENT and is_data_descriptor(vm, raw):
        if isinstance(raw, property) and raw.fdel is not None:
            calls.call(vm, property_part(vm, raw, cls, name, PROPERTY_DELETE), [owner], {})
            return
        if isinstance(raw, GET_DESCRIPTORS):
            set_member(vm, raw, owner, name, None)
            return
        call_descriptor(vm, raw, cls, name, "__delete__", [owner])
        return
    attributes = outside.instance_dict(vm, owner)
    if attributes is None or mapping.delete(vm, attributes, name) is None:
        raise missing(vm, owner, name)
