"""Handlers that build, extend and unpack containers."""

from __future__ import annotations

from framelift.capture.datamodel import attributes, items, iteration, mapping, set_order
from framelift.capture.datamodel.hashing import check_comparable, key_of
from framelift.capture.decode import instruction as op
from framelift.capture.exceptions import raised
from framelift.capture.handlers.registry import handler
from framelift.capture.values import Constant, DictObject, ListObject, SetObject, TupleObject
from framelift.capture.values.objects import type_of


@handler(op.BuildTuple)
def build_tuple(vm, frame, inst):
    frame.stack.append(TupleObject(frame.pop(inst.count)))


@handler(op.BuildList)
def build_list(vm, frame, inst):
    frame.stack.append(ListObject(frame.pop(inst.count)))


@handler(op.BuildSet)
def build_set(vm, frame, inst):
    built = set_order.new_set()
    for item in frame.pop(inst.count):
        add_to_set(vm, built, item)
    frame.stack.append(built)


def add_to_set(vm, target: SetObject, item) -> None:
    """``set.add``: the first of equal members is kept."""
    key = key_of(vm, item)
    check_comparable(vm, target.items, key)
    if key not in target.items:
        target.items[key] = vm.look(item)
        set_order.member(target, "add", key)
        vm.effects.contents_changed(target)


def extend_set(vm, target: SetObject, iterable) -> None:
    """``set.update`` with one iterable."""
    source = vm.look(iterable)
    operand = set_order.operand(vm, source)
    items = list(source.items.values()) if isinstance(source, SetObject) else vm.unpack(source)
    mirror, target.mirror = target.mirror, None
    for item in items:
        add_to_set(vm, target, item)
    target.mirror = mirror
    set_order.changed(target, "update", [set_order.keys(vm, items) if operand is None else operand])


@handler(op.BuildMap)
def build_map(vm, frame, inst):
    values = frame.pop(2 * inst.count)
    frame.stack.append(mapping.from_pairs(vm, list(zip(values[::2], values[1::2], strict=True))))


@handler(op.BuildConstKeyMap)
def build_const_key_map(vm, frame, inst):
    keys = frame.stack.pop()
    frame.stack.append(mapping.from_pairs(vm, list(zip(keys.items, frame.pop(inst.count), strict=True))))


@handler(op.ListAppend)
def list_append(vm, frame, inst):
    value = frame.stack.pop()
    add_to_list(vm, frame.stack[-inst.depth], [value])


def add_to_list(vm, target: ListObject, new: list) -> None:
    """``list.extend``, without looking at what is there already."""
    (target.appended if target.is_closed else target.items).extend(new)
    vm.effects.contents_changed(target)


@handler(op.SetAdd)
def set_add(vm, frame, inst):
    value = frame.stack.pop()
    add_to_set(vm, frame.stack[-inst.depth], value)


@handler(op.MapAdd)
def map_add(vm, frame, inst):
    key, value = frame.pop(2)
    mapping.store(vm, frame.stack[-inst.depth], key, value)


@handler(op.ListExtend)
def list_extend(vm, frame, inst):
    iterable = frame.stack.pop()
    add_to_list(vm, frame.stack[-inst.depth], vm.unpack(iterable))


@handler(op.SetUpdate)
def set_update(vm, frame, inst):
    iterable = frame.stack.pop()
    extend_set(vm, frame.stack[-inst.depth], iterable)


@handler(op.DictUpdate)
def dict_update(vm, frame, inst):
    source = frame.stack.pop()
    for key, value in pairs_of(vm, source):
        mapping.store(vm, frame.stack[-inst.depth], key, value)


@handler(op.DictMerge)
def dict_merge(vm, frame, inst):
    source = frame.stack.pop()
    target = frame.stack[-inst.depth]
    for key, value in pairs_of(vm, source):
        if mapping.get(vm, target, key_of(vm, key)) is not None:
            name = vm.look(key).value
            raise raised(TypeError, f"got multiple values for keyword argument '{name}'")
        mapping.store(vm, target, key, value)


def pairs_of(vm, source) -> list[tuple]:
    """The pairs of a mapping as ``dict.update`` reads them: the storage of dicts, else ``keys`` and items."""
    source = vm.look(source)
    if isinstance(source, DictObject) and attributes.lookup(vm, source.cls, "__iter__") is dict.__iter__:
        return mapping.items(vm, source)
    if attributes.find(vm, source, "keys") is None:
        raise raised(TypeError, f"'{type_of(source).__name__}' object is not a mapping")
    keys = vm.unpack(vm.call(attributes.get(vm, source, "keys"), []))
    return [(key, items.get(vm, source, key)) for key in keys]


@handler(op.ListToTuple)
def list_to_tuple(vm, frame, inst):
    frame.stack.append(TupleObject(frame.stack.pop().items))


@handler(op.UnpackSequence)
def unpack_sequence(vm, frame, inst):
    values = unpack_at_most(vm, frame.stack.pop(), inst.count)
    if len(values) > inst.count:
        raise raised(ValueError, f"too many values to unpack (expected {inst.count})")
    if len(values) < inst.count:
        raise raised(ValueError, f"not enough values to unpack (expected {inst.count}, got {len(values)})")
    frame.stack.extend(reversed(values))


def unpack_at_most(vm, value, count: int) -> list:
    """The first ``count + 1`` items: an unpacking asks for one more to see that there is none."""
    value = vm.look(value)
    if isinstance(value, (ListObject, TupleObject)):
        return vm.unpack(value)
    if isinstance(value, Constant) and value.value is None:
        raise raised(TypeError, "cannot unpack non-iterable NoneType object")
    iterator = iteration.iterator_of(vm, value)
    values = []
    while len(values) <= count and (item := iteration.next_of(vm, iterator)) is not None:
        values.append(item)
    return values


@handler(op.UnpackEx)
def unpack_ex(vm, frame, inst):
    values = vm.unpack(frame.stack.pop())
    least = inst.before + inst.after
    if len(values) < least:
        raise raised(
            ValueError, f"not enough values to unpack (expected at least {least}, got {len(values)})"
        )
    middle = len(values) - inst.after
    unpacked = [*values[: inst.before], ListObject(values[inst.before : middle]), *values[middle:]]
    frame.stack.extend(reversed(unpacked))
