"""Attribute access by the data model: ``__getattribute__``, descriptors, ``__getattr__``, ``super``.

https://docs.python.org/3/reference/datamodel.html#customizing-attribute-access
https://docs.python.org/3/howto/descriptor.html#invocation-from-an-instance

Class-level facts (what a name resolves to along a class's method resolution order) are guarded once per
class and name, on the class itself; instance-level ones on the instance's dictionary.
"""

from __future__ import annotations

import collections
import types

from framelift import torch_internals
from framelift.capture import outside
from framelift.capture.datamodel import calls, mapping, members, tensors
from framelift.capture.exceptions import raised
from framelift.capture.values import (
    Constant,
    Lazy,
    MethodObject,
    Opaque,
    SuperObject,
    Tensor,
    TupleObject,
    Value,
)
from framelift.capture.values.objects import type_of
from framelift.guards import kinds
from framelift.guards.kinds import ABSENT
from framelift.guards.sources import Descriptor, Held
from framelift.observe import reasons
from framelift.observe.errors import Break

IMMUTABLE_TYPE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
METHOD_TYPES = (types.FunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
GETATTRIBUTE = {
    object.__getattribute__,
    type.__getattribute__,
    types.ModuleType.__getattribute__,
    super.__getattribute__,
}
TUPLE_GETTER = type(collections.namedtuple("Probe", "field").field)
INSTANCE_METHOD = torch_internals.bound_method_class()
"""CPython's type of methods written in C++ (pybind11)."""
GET_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)


PLAIN_DATA = type("PlainData", (), {})()
"""Raw class attribute that was stored during capture (its value is in ``vm.type_stores``)."""


def lookup(vm, cls: type, name: str, after: type | None = None) -> object:
    """What ``cls``'s method resolution order gives for ``name`` (raw), ``ABSENT`` if nothing; guarded."""
    known = vm.type_lookups.get((cls, name, after))
    if known is not None:
        return known[0]
    order = cls.__mro__
    if after is not None:
        order = order[order.index(after) + 1 :]
    found: object = ABSENT
    mutable = False
    for base in order:
        mutable = mutable or not base.__flags__ & IMMUTABLE_TYPE
        if name in base.__dict__:
            found = base.__dict__[name]
            break
    if mutable:
        vm.guards.add(held_type(cls), kinds.TypeAttribute(name, found, after))
    vm.type_lookups[cls, name, after] = (found,)
    return found


def held_type(cls: type) -> Held:
    """The source of a class whose identity is guarded elsewhere."""
    return Held(cls, cls.__qualname__)


def class_value(vm, cls: type, name: str, raw: object) -> Value:
    """The value of a raw class attribute."""
    overlay = vm.type_stores.get((cls, name)) if vm.type_stores else None
    if overlay is not None:
        return overlay
    if isinstance(raw, outside.LITERAL_TYPES):
        return Constant(raw)
    return Lazy(raw, held_attribute(cls, name, raw))


def held_attribute(cls: type, name: str, raw: object) -> Held:
    """The source of a raw class attribute, whose identity ``lookup`` has guarded."""
    return Held(raw, f"{cls.__qualname__}.{name}")


def get(vm, value: Value, name: str) -> Value:
    """``value.name``; raises the program's AttributeError."""
    found = find(vm, value, name)
    if found is None:
        raise missing(vm, value, name)
    return found


def missing(vm, value: Value, name: str):
    """The AttributeError CPython raises for a missing attribute."""
    value = vm.look(value)
    if isinstance(value, Constant) and isinstance(value.value, type):
        return raised(AttributeError, f"type object '{value.value.__name__}' has no attribute '{name}'")
    if isinstance(value, Constant) and isinstance(value.value, types.ModuleType):
        return raised(AttributeError, f"module '{value.value.__name__}' has no attribute '{name}'")
    return raised(AttributeError, f"'{type_of(value).__name__}' object has no attribute '{name}'")


def find(vm, value: Value, name: str) -> Value | None:
    """``value.name``, or None where it does not exist (an AttributeError of user code propagates)."""
    value = vm.look(value)
    if isinstance(value, SuperObject):
        return find_super(vm, value, name)
    if isinstance(value, Constant):
        if isinstance(value.value, type):
            return find_on_class(vm, value.value, name)
        if isinstance(value.value, types.ModuleType):
            return find_on_module(vm, value, name)
    if isinstance(value, Opaque) and name != "__class__":
        raise Break(reasons.UNSUPPORTED_ATTRIBUTE, f"{name} of {value.what}")
    cls = type_of(value)
    getter = lookup(vm, cls, "__getattribute__")
    if getter not in GETATTRIBUTE and isinstance(getter, types.FunctionType):
        return calls.call(vm, class_value(vm, cls, "__getattribute__", getter), [value, Constant(name)], {})
    try:
        found = find_plain(vm, value, cls, name)
    except vm.Raised as error:
        if not is_attribute_error(error) or lookup(vm, cls, "__getattr__") is ABSENT:
            raise
        found = None
    if found is not None:
        return found
    fallback = lookup(vm, cls, "__getattr__")
    if fallback is ABSENT:
        return None
    return calls.call(vm, class_value(vm, cls, "__getattr__", fallback), [value, Constant(name)], {})


def is_attribute_error(error) -> bool:
    """Whether a program's exception is an AttributeError."""
    return issubclass(error.value.cls, AttributeError)


def find_plain(vm, value: Value, cls: type, name: str) -> Value | None:
    """``object.__getattribute__(value, name)`` without the error."""
    if isinstance(value, Tensor):
        special = tensors.find_attribute(vm, value, name)
        if special is not None:
            return special
    raw = lookup(vm, cls, name)
    if raw is not ABSENT and is_data_descriptor(vm, raw):
        return get_descriptor(vm, raw, value, cls, name)
    attributes = outside.instance_dict(vm, value)
    if attributes is not None:
        if name == "__dict__":
            return attributes
        found = mapping.get(vm, attributes, name)
        if found is not None:
            return found
    if raw is ABSENT:
        return None
    return bind(vm, raw, value, cls, name)


def is_data_descriptor(vm, raw: object) -> bool:
    """Whether a raw class attribute takes precedence over the instance's dictionary."""
    cls = type(raw)
    if cls in METHOD_TYPES or lookup(vm, cls, "__get__") is ABSENT:
        return False
    return lookup(vm, cls, "__set__") is not ABSENT or lookup(vm, cls, "__delete__") is not ABSENT


def bind(vm, raw: object, owner: Value, cls: type, name: str, after: type | None = None) -> Value:
    """What a raw class attribute gives when reached through an instance: ``__get__`` if it has one."""
    kind = type(raw)
    if kind in METHOD_TYPES:
        return MethodObject(class_value(vm, cls, name, raw), owner)
    if kind is INSTANCE_METHOD:
        return MethodObject(Constant(raw), owner)
    if kind is staticmethod:
        return Lazy(raw.__func__, Descriptor(held_attribute(cls, name, raw), STATIC_FUNCTION, "__func__"))
    if kind is classmethod:
        function = Lazy(raw.__func__, Descriptor(held_attribute(cls, name, raw), CLASS_FUNCTION, "__func__"))
        return MethodObject(function, Constant(cls))
    if kind is types.ClassMethodDescriptorType:
        return MethodObject(Constant(raw), Constant(cls))
    if kind is types.BuiltinFunctionType:
        return Constant(raw)
    if hasattr(kind, "__get__"):
        return get_descriptor(vm, raw, owner, cls, name, after)
    return class_value(vm, cls, name, raw)


STATIC_FUNCTION = staticmethod.__dict__["__func__"]
CLASS_FUNCTION = classmethod.__dict__["__func__"]
PROPERTY_GET = property.__dict__["fget"]
PROPERTY_SET = property.__dict__["fset"]
PROPERTY_DELETE = property.__dict__["fdel"]


def property_part(vm, raw: property, cls: type, name: str, part: object) -> Value:
    """``fget``, ``fset`` or ``fdel`` of a property found on a class."""
    source = Descriptor(held_attribute(cls, name, raw), part, part.__name__)
    return vm.look(Lazy(part.__get__(raw), source))


def get_descriptor(
    vm, raw: object, owner: Value, cls: type, name: str, after: type | None = None
) -> Value | None:
    """Call the ``__get__`` of a descriptor found on the owner's class."""
    if isinstance(raw, property):
        if raw.fget is None:
            raise raised(AttributeError, f"property '{name}' of '{cls.__name__}' object has no getter")
        return calls.call(vm, property_part(vm, raw, cls, name, PROPERTY_GET), [owner], {})
    if isinstance(raw, GET_DESCRIPTORS):
        return members.get_member(vm, raw, owner, name)
    if isinstance(raw, TUPLE_GETTER) and isinstance(owner, TupleObject):
        return owner.items[raw.__reduce__()[1][0]]
    getter = lookup(vm, type(raw), "__get__")
    if isinstance(getter, types.FunctionType):
        descriptor = class_value(vm, cls, name, raw)
        return calls.call(
            vm, class_value(vm, type(raw), "__get__", getter), [descriptor, owner, Constant(cls)], {}
        )
    handler = vm.tables.find(getter)
    if handler is not None:
        return handler(vm, [class_value(vm, cls, name, raw), owner, Constant(cls)], {})
    raise Break(
        reasons.UNSUPPORTED_ATTRIBUTE, f"descriptor {type(raw).__qualname__} at {cls.__name__}.{name}"
    )


def find_on_module(vm, module: Constant, name: str) -> Value | None:
    """An attribute of a module: its dictionary, then its own ``__getattr__``."""
    cls = type(module.value)
    vm.guards.add(Held(module.value, module.value.__name__), kinds.TypeIs(cls))
    attributes = outside.instance_dict(vm, module)
    inherited = lookup(vm, cls, name)
    if cls is not types.ModuleType and inherited is not ABSENT and is_data_descriptor(vm, inherited):
        return get_descriptor(vm, inherited, module, cls, name)
    found = mapping.get(vm, attributes, name)
    if found is not None:
        return found
    if name == "__dict__":
        return attributes
    if inherited is not ABSENT:
        return bind(vm, inherited, module, cls, name)
    fallback = mapping.get(vm, attributes, "__getattr__")
    if fallback is not None:
        return calls.call(vm, fallback, [Constant(name)], {})
    raw = lookup(vm, cls, "__getattr__")
    if isinstance(raw, types.FunctionType):
        return calls.call(vm, class_value(vm, cls, "__getattr__", raw), [module, Constant(name)], {})
    return None


def find_on_class(vm, cls: type, name: str) -> Value | None:
    """``type.__getattribute__(cls, name)``: metaclass data descriptors, the class, the metaclass."""
    metaclass = type(cls)
    overlay = vm.type_stores.get((cls, name)) if vm.type_stores else None
    if overlay is not None:
        return overlay
    meta = lookup(vm, metaclass, name)
    if meta is not ABSENT and is_data_descriptor(vm, meta):
        if isinstance(meta, GET_DESCRIPTORS):
            return class_member(vm, cls, name, meta)
        return get_descriptor(vm, meta, Constant(cls), metaclass, name)
    raw = lookup(vm, cls, name)
    if raw is not ABSENT:
        return bind_to_class(vm, raw, cls, name)
    if meta is not ABSENT:
        return bind(vm, meta, Constant(cls), metaclass, name)
    fallback = lookup(vm, metaclass, "__getattr__")
    if fallback is not ABSENT:
        return calls.call(
            vm, class_value(vm, metaclass, "__getattr__", fallback), [Constant(cls), Constant(name)], {}
        )
    return None


def class_member(vm, cls: type, name: str, descriptor) -> Value | None:
    """Members of ``type`` itself: ``__name__``, ``__mro__``, ``__dict__`` …"""
    if name == "__dict__":
        raise Break(reasons.UNSUPPORTED_ATTRIBUTE, f"{cls.__name__}.__dict__")
    if name in ("__mro__", "__bases__", "__base__"):
        vm.guards.add(held_type(cls), kinds.Mro(cls.__mro__))
    try:
        found = descriptor.__get__(cls)
    except AttributeError:
        return None
    if name in ("__module__", "__doc__") and name in cls.__dict__:
        lookup(vm, cls, name)
    elif name in ("__name__", "__qualname__") and not cls.__flags__ & IMMUTABLE_TYPE:
        return Lazy(found, Descriptor(held_type(cls), descriptor, name))
    return outside.literal(found)


def bind_to_class(vm, raw: object, cls: type, name: str) -> Value:
    """What a raw class attribute gives when reached through the class."""
    kind = type(raw)
    if kind is types.FunctionType:
        return class_value(vm, cls, name, raw)
    if kind in (staticmethod, classmethod) or kind is types.ClassMethodDescriptorType:
        return bind(vm, raw, Constant(None), cls, name)
    if kind in METHOD_TYPES or kind in GET_DESCRIPTORS or isinstance(raw, property):
        return class_value(vm, cls, name, raw)
    getter = getattr(kind, "__get__", None)
    if isinstance(getter, types.FunctionType):
        lookup(vm, kind, "__get__")
        descriptor = class_value(vm, cls, name, raw)
        return calls.call(
            vm, class_value(vm, kind, "__get__", getter), [descriptor, Constant(None), Constant(cls)], {}
        )
    return class_value(vm, cls, name, raw)


def find_super(vm, value: SuperObject, name: str) -> Value | None:
    """https://docs.python.org/3/library/functions.html#super"""
    if name == "__class__":
        return Constant(super)
    raw = lookup(vm, value.search, name, value.start)
    if raw is ABSENT:
        return None
    owner = vm.look(value.owner)
    if isinstance(owner, Constant) and owner.value is value.search:
        if type(raw) is types.FunctionType:
            return class_value(vm, value.search, name, raw)
        if type(raw) in METHOD_TYPES:
            return Constant(raw)
    return bind(vm, raw, owner, value.search, name, value.start)


def has_method(vm, value: Value, name: str) -> bool:
    """Whether the value's type defines ``name`` (special methods are looked up on types)."""
    return lookup(vm, type_of(vm.look(value)), name) not in (ABSENT, None)


def special_method(vm, value: Value, name: str) -> Value | None:
    """A special method of the value's type, bound, or None."""
    value = vm.look(value)
    cls = type_of(value)
    raw = lookup(vm, cls, name)
    if raw is ABSENT or raw is None:
        return None
    return bind(vm, raw, value, cls, name)
