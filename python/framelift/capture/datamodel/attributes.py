"""Attribute access by the data model: ``__getattribute__``, descriptors, ``__getattr__``, ``super``.

https://docs.python.org/3/reference/datamodel.html#customizing-attribute-access
https://docs.python.org/3/howto/descriptor.html#invocation-from-an-instance

Class-level facts (what a name resolves to along a class's method resolution order) are guarded once per
class and name, on the class itself; instance-level ones on the instance's dictionary.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Callable
from typing import Any

from framelift import torch_internals
from framelift.capture import outside
from framelift.capture.datamodel import arrays, calls, mapping, tensors
from framelift.capture.effects import SlotStore, TypeStore
from framelift.capture.exceptions import raised
from framelift.capture.values import (
    EMPTY,
    CellObject,
    Constant,
    FunctionObject,
    HostArray,
    Lazy,
    MethodObject,
    Opaque,
    SliceObject,
    SuperObject,
    Tensor,
    TupleObject,
    Value,
)
from framelift.capture.values.objects import Object, type_of
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
        return get_member(vm, raw, owner, name)
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


def get_member(vm, descriptor, owner: Value, name: str) -> Value | None:
    """Read a C-level member or getter: a slot, ``__dict__``, ``__class__``, a field of a C type."""
    if name == "__class__" and descriptor is object.__dict__["__class__"]:
        return Constant(type_of(owner))
    if name == "__dict__":
        return outside.instance_dict(vm, owner)
    special = MEMBERS.get(descriptor)
    if special is not None:
        return special(vm, owner)
    if isinstance(owner, HostArray):
        return arrays.attribute(owner, descriptor, name)
    if isinstance(owner, Constant):
        return outside.literal(descriptor.__get__(owner.value))
    if isinstance(owner, TupleObject) and type(descriptor).__name__ == "member_descriptor":
        index = structure_index(owner.cls, name)
        if index is not None:
            return owner.items[index]
    if not isinstance(owner, Object) or isinstance(owner, SuperObject):
        raise Break(reasons.UNSUPPORTED_ATTRIBUTE, f"{type_of(owner).__name__}.{name}")
    if owner.slots is not None and descriptor in owner.slots:
        found = owner.slots[descriptor]
        return None if found is EMPTY else found
    if owner.real is None:
        if isinstance(descriptor, types.MemberDescriptorType) and owner.cls.__flags__ & (1 << 9):
            return None  # a slot of an instance made here that was never set
        raise Break(reasons.UNSUPPORTED_ATTRIBUTE, f"{owner.cls.__name__}.{name} of an object made here")
    return open_member(vm, descriptor, owner, name)


def open_member(vm, descriptor, owner: Object, name: str) -> Value | None:
    """Read a member of an outside object."""
    if owner.slots is None:
        owner.slots = {}
    try:
        real = descriptor.__get__(owner.real)
    except AttributeError:
        vm.guards.add(owner.source, kinds.SlotEmpty(descriptor))
        owner.slots[descriptor] = EMPTY
        return None
    found = Lazy(real, Descriptor(owner.source, descriptor, name))
    owner.slots[descriptor] = found
    return found


def structure_index(cls: type, name: str) -> int | None:
    """Position of a named field of a C struct sequence (``torch.return_types``)."""
    if not hasattr(cls, "n_sequence_fields"):
        return None
    for index in range(cls.n_sequence_fields):
        probe = cls(tuple(range(cls.n_fields)))
        if getattr(probe, name) == index:
            return index
    return None


def function_default(part: int):
    """Getter of ``__defaults__`` (0) or ``__kwdefaults__`` (1)."""
    return lambda vm, owner: outside.open_defaults(vm, owner)[part]


def function_closure(vm, owner: Value) -> Value:
    """``function.__closure__``."""
    cells = outside.open_closure(vm, owner)
    return TupleObject(list(cells)) if cells else Constant(None)


def function_name(field: str):
    """Getter of a function's ``__name__`` or ``__qualname__``."""

    def get_name(vm, owner: Value) -> Value:
        attribute = f"__{field}__"
        if owner.real is not None:
            descriptor = types.FunctionType.__dict__[attribute]
            return open_member(vm, descriptor, owner, attribute)
        return Constant(getattr(owner, field))

    return get_name


def function_part(name: str, initial: Callable[[Any, FunctionObject], Value]):
    """Getter of a part of a function that a new one begins with ``initial`` of, and that may be set."""

    def get_part(vm, owner: FunctionObject) -> Value:
        if owner.slots is not None and name in owner.slots:
            return owner.slots[name]
        if owner.real is not None:
            return open_member(vm, FUNCTION[name], owner, name)
        owner.slots = {**(owner.slots or {}), name: initial(vm, owner)}
        return owner.slots[name]

    return get_part


def initial_doc(vm, owner: FunctionObject) -> Value:
    """A function's first constant is its docstring."""
    first = owner.code.co_consts[0] if owner.code.co_consts else None
    return Constant(first if isinstance(first, str) else None)


def initial_module(vm, owner: FunctionObject) -> Value:
    """The name of the module whose globals a function has."""
    found = mapping.get(vm, owner.globals, "__name__")
    return Constant(None) if found is None else found


def annotations_of(vm, owner: FunctionObject) -> Value:
    """``function.__annotations__``: a dict, made from the flat tuple that the instruction left."""
    if owner.real is not None:
        return Lazy(
            owner.real.__annotations__,
            Descriptor(owner.source, FUNCTION["__annotations__"], "__annotations__"),
        )
    parts = owner.slots or {}
    found = vm.look(parts.get("__annotations__", TupleObject([])))
    if isinstance(found, TupleObject):
        found = mapping.from_pairs(vm, list(zip(found.items[::2], found.items[1::2], strict=True)))
        owner.slots = {**parts, "__annotations__": found}
    return found


def cell_contents(vm, owner: CellObject) -> Value:
    """``cell.cell_contents``."""
    contents = outside.open_cell(vm, owner)
    if contents is None:
        raise raised(ValueError, "Cell is empty")
    return contents


FUNCTION = types.FunctionType.__dict__
MEMBERS = {
    FUNCTION["__code__"]: lambda vm, owner: Constant(owner.code),
    FUNCTION["__globals__"]: lambda vm, owner: owner.globals,
    FUNCTION["__defaults__"]: function_default(0),
    FUNCTION["__kwdefaults__"]: function_default(1),
    FUNCTION["__closure__"]: function_closure,
    FUNCTION["__name__"]: function_name("name"),
    FUNCTION["__qualname__"]: function_name("qualname"),
    FUNCTION["__doc__"]: function_part("__doc__", initial_doc),
    FUNCTION["__module__"]: function_part("__module__", initial_module),
    FUNCTION["__annotations__"]: annotations_of,
    types.MethodType.__dict__["__func__"]: lambda vm, owner: owner.function,
    types.MethodType.__dict__["__self__"]: lambda vm, owner: owner.owner,
    types.CellType.__dict__["cell_contents"]: cell_contents,
    slice.__dict__["start"]: lambda vm, owner: owner.start,
    slice.__dict__["stop"]: lambda vm, owner: owner.stop,
    slice.__dict__["step"]: lambda vm, owner: owner.step,
}
"""C-level members whose value the interpreter itself keeps."""
if "__type_params__" in FUNCTION:  # new in CPython 3.12
    MEMBERS[FUNCTION["__type_params__"]] = function_part("__type_params__", lambda vm, owner: TupleObject([]))


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
        if type(raw) is staticmethod or type(raw) in METHOD_TYPES:
            return (
                bind(vm, raw, owner, value.search, name, value.start)
                if type(raw) is staticmethod
                else Constant(raw)
            )
        return bind(vm, raw, owner, value.search, name, value.start)
    return bind(vm, raw, owner, value.search, name, value.start)


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


def set_member(vm, descriptor, owner: Value, name: str, value: Value | None) -> None:
    """Write (or delete, with None) a slot or another C-level member."""
    if isinstance(owner, CellObject) and name == "cell_contents":
        outside.open_cell(vm, owner)
        owner.contents = value
        vm.effects.contents_changed(owner)
        return
    if isinstance(owner, FunctionObject) and owner.real is None:
        if name in ("__name__", "__qualname__") and isinstance(vm.look(value), Constant):
            setattr(owner, name.strip("_"), vm.look(value).value)
            return
        if name == "__defaults__":
            owner.defaults = value
            return
        if name == "__kwdefaults__":
            owner.keyword_defaults = value
            return
        if name in ("__doc__", "__module__", "__annotations__", "__type_params__") and value is not None:
            owner.slots = {**(owner.slots or {}), name: value}
            return
    plain = isinstance(owner, Object) and not isinstance(owner, (FunctionObject, SliceObject, MethodObject))
    known = plain and owner.slots is not None and descriptor in owner.slots
    is_slot = (
        isinstance(descriptor, types.MemberDescriptorType) and owner.cls.__flags__ & (1 << 9)
        if plain
        else False
    )
    if not plain or not (known or is_slot):
        raise Break(reasons.UNSUPPORTED_ATTRIBUTE_STORE, f"{type_of(owner).__name__}.{name} = ...")
    if owner.slots is None:
        owner.slots = {}
    if value is None and get_member(vm, descriptor, owner, name) is None:
        raise raised(AttributeError, name)
    owner.slots[descriptor] = EMPTY if value is None else value
    if owner.real is not None:
        vm.effects.add(SlotStore(owner, descriptor, value))


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


PLAIN_DATA = type("PlainData", (), {})()
"""Raw class attribute that was stored during capture (its value is in ``vm.type_stores``)."""


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
