"""Members that C types have: slots, fields of functions, cells and slices, ``__class__`` and ``__dict__``.

https://docs.python.org/3/howto/descriptor.html#member-objects-and-slots

What an object of this capture keeps itself is in ``MEMBERS``; a member of an object from outside is read
once, and is a source of its own.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from framelift.capture import outside
from framelift.capture.datamodel import arrays, mapping
from framelift.capture.effects import SlotStore
from framelift.capture.exceptions import raised
from framelift.capture.values import (
    EMPTY,
    CellObject,
    Constant,
    FunctionObject,
    HostArray,
    Lazy,
    MethodObject,
    SliceObject,
    SuperObject,
    TupleObject,
    Value,
)
from framelift.capture.values.objects import Object, type_of
from framelift.guards import kinds
from framelift.guards.sources import Descriptor
from framelift.observe import reasons
from framelift.observe.errors import Break


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
