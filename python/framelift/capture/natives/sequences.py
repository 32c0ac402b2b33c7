"""Methods of lists, tuples, deques and sizes; length and order of everything that has C storage.

https://docs.python.org/3/library/stdtypes.html#sequence-types-list-tuple-range

Methods that need no storage of their own (``list.index`` …) are polyfills.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Callable

import torch

from framelift.capture.datamodel import calls, constants, items, iteration, mapping, operators
from framelift.capture.exceptions import raised
from framelift.capture.natives.registry import native, of_classes
from framelift.capture.values import Constant, DictObject, ListObject, Symbol, TupleObject, Value

STORAGE_CLASSES = (
    list,
    tuple,
    dict,
    set,
    frozenset,
    collections.deque,
    collections.OrderedDict,
    torch.Size,
    types.MappingProxyType,
)
"""Classes whose length and order of iteration are those of their storage."""


@native(*of_classes(STORAGE_CLASSES, "__len__"))
def storage_len(vm, arguments, keywords):
    return Constant(operators.storage_length(vm, vm.look(arguments[0])))


@native(*of_classes(STORAGE_CLASSES, "__iter__"))
def storage_iter(vm, arguments, keywords):
    return iteration.storage_iterator(vm, vm.look(arguments[0]))


@native(*of_classes((list, tuple, collections.deque, torch.Size), "__getitem__"))
def sequence_getitem(vm, arguments, keywords):
    return items.get_sequence(vm, vm.look(arguments[0]), arguments[1])


@native(list.__setitem__, collections.deque.__setitem__)
def list_setitem(vm, arguments, keywords):
    items.set_list(vm, vm.look(arguments[0]), arguments[1], arguments[2])
    return Constant(None)


@native(list.__delitem__, collections.deque.__delitem__)
def list_delitem(vm, arguments, keywords):
    items.delete_list(vm, vm.look(arguments[0]), arguments[1])
    return Constant(None)


def put_at_end(target: ListObject, new: list) -> None:
    """Append without looking at what is there already."""
    (target.appended if target.is_closed else target.items).extend(new)


@native(list.append, collections.deque.append)
def list_append(vm, arguments, keywords):
    target = vm.look(arguments[0])
    put_at_end(target, [arguments[1]])
    if target.maxlen is not None and len(target.items) > target.maxlen:
        del target.items[0]
    vm.effects.contents_changed(target)
    return Constant(None)


@native(collections.deque.appendleft)
def deque_appendleft(vm, arguments, keywords):
    target = vm.look(arguments[0])
    target.items.insert(0, arguments[1])
    if target.maxlen is not None:
        del target.items[target.maxlen :]
    vm.effects.contents_changed(target)
    return Constant(None)


@native(list.extend, collections.deque.extend, list.__iadd__, collections.deque.__iadd__)
def list_extend(vm, arguments, keywords):
    target = vm.look(arguments[0])
    for item in iteration.steps(vm, arguments[1]):
        list_append(vm, [target, item], {})
    return target


@native(collections.deque.extendleft)
def deque_extendleft(vm, arguments, keywords):
    for item in iteration.steps(vm, arguments[1]):
        deque_appendleft(vm, [arguments[0], item], {})
    return Constant(None)


@native(list.insert, collections.deque.insert)
def list_insert(vm, arguments, keywords):
    target = vm.look(arguments[0])
    target.items.insert(items.index_of(vm, arguments[1]), arguments[2])
    vm.effects.contents_changed(target)
    return Constant(None)


@native(list.pop, collections.deque.pop)
def list_pop(vm, arguments, keywords):
    return pop_item(vm, vm.look(arguments[0]), items.index_of(vm, arguments[1]) if len(arguments) > 1 else -1)


@native(collections.deque.popleft)
def deque_popleft(vm, arguments, keywords):
    return pop_item(vm, vm.look(arguments[0]), 0)


def pop_item(vm, target: ListObject, index: int):
    """Remove and return an item."""
    if not target.items:
        is_deque = issubclass(target.cls, collections.deque)
        raise raised(IndexError, "pop from an empty deque" if is_deque else "pop from empty list")
    try:
        found = target.items.pop(index)
    except IndexError:
        raise raised(IndexError, "pop index out of range") from None
    vm.effects.contents_changed(target)
    return found


@native(list.clear, collections.deque.clear)
def list_clear(vm, arguments, keywords):
    return _changed_in_place(vm, arguments[0], list.clear)


@native(list.reverse, collections.deque.reverse)
def list_reverse(vm, arguments, keywords):
    return _changed_in_place(vm, arguments[0], list.reverse)


def _changed_in_place(vm, sequence, change: Callable[[list[Value]], None]) -> Value:
    target = vm.look(sequence)
    change(target.items)
    vm.effects.contents_changed(target)
    return Constant(None)


@native(list.copy)
def list_copy(vm, arguments, keywords):
    return ListObject(list(vm.look(arguments[0]).items))


@native(collections.deque.copy)
def deque_copy(vm, arguments, keywords):
    original = vm.look(arguments[0])
    copied = ListObject(list(original.items), original.cls)
    copied.maxlen = original.maxlen
    return copied


@native(list.sort)
def list_sort(vm, arguments, keywords):
    target = vm.look(arguments[0])
    ordered = calls.call(vm, vm.polyfill("sorted_list"), [target], keywords)
    target.items[:] = vm.look(ordered).items
    vm.effects.contents_changed(target)
    return Constant(None)


@native(list.__add__, tuple.__add__)
def sequence_add(vm, arguments, keywords):
    left, right = vm.look(arguments[0]), vm.look(arguments[1])
    if not isinstance(right, type(left)):
        return Constant(NotImplemented)
    if isinstance(left, ListObject):
        return ListObject(left.items + right.items)
    return TupleObject(left.items + right.items, torch.Size if left.cls is torch.Size is right.cls else tuple)


@native(*of_classes((list, tuple, torch.Size), "__mul__", "__rmul__"))
def sequence_mul(vm, arguments, keywords):
    left, right = vm.look(arguments[0]), vm.look(arguments[1])
    if not (isinstance(right, Symbol) or (isinstance(right, Constant) and isinstance(right.value, int))):
        return Constant(NotImplemented)
    repeated = left.items * items.index_of(vm, right)
    if isinstance(left, ListObject):
        return ListObject(repeated)
    return TupleObject(repeated, torch.Size if left.cls is torch.Size else tuple)


@native(torch.Size.__add__)
def size_add(vm, arguments, keywords):
    left, right = vm.look(arguments[0]), vm.look(arguments[1])
    if not isinstance(right, TupleObject):
        return Constant(NotImplemented)
    return TupleObject(left.items + right.items, torch.Size)


if hasattr(torch.Size, "__radd__"):

    @native(torch.Size.__radd__)
    def size_radd(vm, arguments, keywords):
        return size_add(vm, [arguments[1], arguments[0]], keywords)


@native(torch.Size.numel)
def size_numel(vm, arguments, keywords):
    total = Constant(1)
    for item in vm.look(arguments[0]).items:
        total = operators.binary(vm, "*", total, item)
    return total


@native(list.__imul__)
def list_imul(vm, arguments, keywords):
    target = vm.look(arguments[0])
    target.items[:] = target.items * items.index_of(vm, arguments[1])
    vm.effects.contents_changed(target)
    return target


@native(list.__eq__, tuple.__eq__, collections.deque.__eq__)
def sequence_eq(vm, arguments, keywords):
    return operators.sequence_equal(vm, vm.look(arguments[0]), arguments[1])


@native(list.__ne__, tuple.__ne__, collections.deque.__ne__)
def sequence_ne(vm, arguments, keywords):
    return negated(operators.sequence_equal(vm, vm.look(arguments[0]), arguments[1]))


def negated(result: Constant) -> Constant:
    """``not`` of a comparison that may be NotImplemented."""
    return result if result.value is NotImplemented else Constant(not result.value)


def order_methods():
    """``(C method, handler)`` of lexicographic comparisons."""
    for name, symbol in (("__lt__", "<"), ("__le__", "<="), ("__gt__", ">"), ("__ge__", ">=")):
        for cls in (list, tuple):
            yield (
                getattr(cls, name),
                lambda vm, a, k, symbol=symbol: operators.sequence_order(vm, symbol, vm.look(a[0]), a[1]),
            )


@native(*of_classes((list, tuple, collections.deque), "__contains__"))
def sequence_contains(vm, arguments, keywords):
    return Constant(any(operators.equal(vm, item, arguments[1]) for item in vm.look(arguments[0]).items))


@native(tuple.__hash__)
def tuple_hash(vm, arguments, keywords):
    return constants.fold(vm, hash, arguments, keywords)


@native(
    *of_classes((list, tuple, collections.deque), "__reversed__"),
    dict.__reversed__,
    collections.OrderedDict.__reversed__,
)
def storage_reversed(vm, arguments, keywords):
    target = vm.look(arguments[0])
    if isinstance(target, DictObject):
        keys = [key for key, _ in mapping.items(vm, target)]
        return iteration.IteratorObject(keys, iteration.DICT_KEY_ITERATOR, target, True)
    return iteration.IteratorObject(target.items, iteration.LIST_ITERATOR, target, True)
