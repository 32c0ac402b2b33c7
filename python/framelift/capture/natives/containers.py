"""Methods of lists, tuples, dicts, sets, deques, strings, iterators: what touches C storage.

https://docs.python.org/3/library/stdtypes.html

Methods that need no storage of their own (``list.index``, ``dict.setdefault`` …) are polyfills.
"""

from __future__ import annotations

import _collections
import collections
import functools
import operator
import types

import torch

from framelift.capture.datamodel import (
    attributes,
    calls,
    constants,
    items,
    iteration,
    mapping,
    operators,
    set_order,
)
from framelift.capture.datamodel.hashing import key_of
from framelift.capture.exceptions import Raised, new_exception, raised
from framelift.capture.handlers.containers import add_to_set
from framelift.capture.handlers.exceptions import exception_instance
from framelift.capture.natives.classes import DEFAULT_FACTORY
from framelift.capture.natives.registry import native
from framelift.capture.values import (
    Constant,
    ConstructedObject,
    DictObject,
    GeneratorObject,
    Instance,
    Lazy,
    ListObject,
    SetObject,
    Symbol,
    TupleObject,
    ViewObject,
)
from framelift.capture.values.objects import type_of
from framelift.guards import kinds
from framelift.guards.sources import Held
from framelift.observe import reasons
from framelift.observe.errors import Break

DICT_CLASSES = (dict, collections.OrderedDict)


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


def of_classes(classes, *names: str) -> tuple:
    """The raw methods of several classes under some names."""
    found = []
    for cls in classes:
        for name in names:
            real = getattr(cls, name, None)
            if real is not None and real not in found:
                found.append(real)
    return tuple(found)


# -- sequences -------------------------------------------------------------------------------------------


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
    target = vm.look(arguments[0])
    target.items.clear()
    vm.effects.contents_changed(target)
    return Constant(None)


@native(list.reverse, collections.deque.reverse)
def list_reverse(vm, arguments, keywords):
    target = vm.look(arguments[0])
    target.items.reverse()
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


def getter_classes():
    """``(class, handler)`` of the getters of ``operator``."""
    for cls in (operator.attrgetter, operator.itemgetter, operator.methodcaller):
        yield cls, lambda vm, a, k, cls=cls: new_getter(vm, cls, a, k)


def new_getter(vm, cls: type, arguments, keywords) -> ConstructedObject:
    """A getter keeps what it is made of."""
    names = arguments if cls is operator.attrgetter else arguments[: cls is operator.methodcaller]
    wrong = keywords and cls is not operator.methodcaller
    if wrong or not arguments or not all(type_of(vm.look(name)) is str for name in names):
        raise Break(reasons.UNSUPPORTED_CALL, f"{cls.__name__} with these arguments")
    return ConstructedObject(cls, arguments, keywords)


def parts_of(vm, getter) -> tuple[list, dict]:
    """The arguments a getter of ``operator`` was made with."""
    if isinstance(getter, ConstructedObject):
        return getter.arguments, getter.keywords
    real = getter.value if isinstance(getter, Constant) else getter.real
    made, arguments = real.__reduce__()
    keywords = made.keywords if isinstance(made, functools.partial) else {}
    if isinstance(made, functools.partial):
        arguments = made.args[1:] + arguments
    return (
        [held_part(item) for item in arguments],
        {name: held_part(item) for name, item in keywords.items()},
    )


def held_part(item: object) -> Lazy:
    """A part of a getter from outside; getters don't change, and this one is guarded by identity."""
    return Lazy(item, Held(item, f"<{type(item).__name__}>"))


def guard_getter(vm, getter) -> None:
    """A getter from outside is known by identity."""
    if isinstance(getter, Instance) and getter.source is not None and not isinstance(getter.source, Held):
        vm.guards.add(getter.source, kinds.Is(getter.real))


@native(operator.attrgetter.__call__)
def attrgetter_call(vm, arguments, keywords):
    getter = vm.look(arguments[0])
    guard_getter(vm, getter)
    found = []
    for dotted in parts_of(vm, getter)[0]:
        value = arguments[1]
        for name in constants.constant_of(vm, dotted).split("."):
            value = attributes.get(vm, value, name)
        found.append(value)
    return found[0] if len(found) == 1 else TupleObject(found)


@native(operator.itemgetter.__call__)
def itemgetter_call(vm, arguments, keywords):
    getter = vm.look(arguments[0])
    guard_getter(vm, getter)
    found = [items.get(vm, arguments[1], key) for key in parts_of(vm, getter)[0]]
    return found[0] if len(found) == 1 else TupleObject(found)


@native(operator.methodcaller.__call__)
def methodcaller_call(vm, arguments, keywords):
    getter = vm.look(arguments[0])
    guard_getter(vm, getter)
    (name, *rest), named = parts_of(vm, getter)
    return calls.call(vm, attributes.get(vm, arguments[1], constants.constant_of(vm, name)), rest, named)


# -- dictionaries ----------------------------------------------------------------------------------------


@native(
    *of_classes(
        (dict, collections.defaultdict, collections.OrderedDict, types.MappingProxyType), "__getitem__"
    )
)
def dict_getitem(vm, arguments, keywords):
    target, key = vm.look(arguments[0]), arguments[1]
    named = mapping.get_module(vm, target, key)
    if named is not None:
        return named
    found = mapping.get(vm, target, key_of(vm, key))
    if found is not None:
        return found
    if target.cls is not dict:
        missing = attributes.special_method(vm, target, "__missing__")
        if missing is not None:
            return calls.call(vm, missing, [key], {})
    raise Raised(new_exception(KeyError, [key]))


@native(collections.defaultdict.__missing__)
def defaultdict_missing(vm, arguments, keywords):
    target, key = vm.look(arguments[0]), arguments[1]
    factory = attributes.get_member(vm, DEFAULT_FACTORY, target, "default_factory")
    if isinstance(vm.look(factory), Constant) and vm.look(factory).value is None:
        raise Raised(new_exception(KeyError, [key]))
    value = calls.call(vm, factory, [], {})
    items.store(vm, target, key, value)
    return value


@native(dict.__setitem__, collections.OrderedDict.__setitem__)
def dict_setitem(vm, arguments, keywords):
    mapping.store(vm, vm.look(arguments[0]), arguments[1], arguments[2])
    return Constant(None)


@native(dict.__delitem__, collections.OrderedDict.__delitem__)
def dict_delitem(vm, arguments, keywords):
    if mapping.delete(vm, vm.look(arguments[0]), key_of(vm, arguments[1])) is None:
        raise Raised(new_exception(KeyError, [arguments[1]]))
    return Constant(None)


@native(dict.__contains__, types.MappingProxyType.__contains__)
def dict_contains(vm, arguments, keywords):
    return Constant(operators.dict_contains(vm, vm.look(arguments[0]), arguments[1]))


@native(dict.get, types.MappingProxyType.get)
def dict_get(vm, arguments, keywords):
    found = mapping.get(vm, vm.look(arguments[0]), key_of(vm, arguments[1]))
    if found is not None:
        return found
    return arguments[2] if len(arguments) > 2 else Constant(None)


@native(dict.pop, collections.OrderedDict.pop)
def dict_pop(vm, arguments, keywords):
    found = mapping.delete(vm, vm.look(arguments[0]), key_of(vm, arguments[1]))
    if found is not None:
        return found
    if len(arguments) > 2 or "default" in keywords:
        return keywords["default"] if "default" in keywords else arguments[2]
    raise Raised(new_exception(KeyError, [arguments[1]]))


@native(dict.popitem, collections.OrderedDict.popitem)
def dict_popitem(vm, arguments, keywords):
    target = vm.look(arguments[0])
    pairs = mapping.items(vm, target)
    if not pairs:
        raise raised(
            KeyError, "popitem(): dictionary is empty" if target.cls is dict else "dictionary is empty"
        )
    last = keywords.get("last", arguments[1] if len(arguments) > 1 else Constant(True))
    key, value = pairs[-1 if operators.truth(vm, last) else 0]
    mapping.delete(vm, target, key_of(vm, key))
    return TupleObject([key, value])


@native(dict.clear, collections.OrderedDict.clear)
def dict_clear(vm, arguments, keywords):
    mapping.clear(vm, vm.look(arguments[0]))
    return Constant(None)


@native(dict.setdefault, collections.OrderedDict.setdefault)
def dict_setdefault(vm, arguments, keywords):
    target = vm.look(arguments[0])
    found = mapping.get(vm, target, key_of(vm, arguments[1]))
    if found is None:
        found = arguments[2] if len(arguments) > 2 else Constant(None)
        mapping.store(vm, target, arguments[1], found)
    return found


@native(dict.copy, collections.OrderedDict.copy, collections.defaultdict.copy)
def dict_copy(vm, arguments, keywords):
    original = vm.look(arguments[0])
    copied = DictObject(
        {key_of(vm, key): (key, value) for key, value in mapping.items(vm, original)}, original.cls
    )
    if issubclass(original.cls, collections.defaultdict):
        copied.slots = {
            DEFAULT_FACTORY: attributes.get_member(vm, DEFAULT_FACTORY, original, "default_factory")
        }
    elif original.cls is not collections.OrderedDict:
        copied.cls = dict
    return copied


@native(collections.OrderedDict.move_to_end)
def move_to_end(vm, arguments, keywords):
    target = vm.look(arguments[0])
    key = key_of(vm, arguments[1])
    last = keywords.get("last", arguments[2] if len(arguments) > 2 else Constant(True))
    if mapping.get(vm, target, key) is None:
        raise Raised(new_exception(KeyError, [arguments[1]]))
    mapping.complete(vm, target)
    others = [other for other in target.items if other != key]
    mapping.reorder(vm, target, [*others, key] if operators.truth(vm, last) else [key, *others])
    return Constant(None)


@native(dict.__eq__, collections.OrderedDict.__eq__)
def dict_eq(vm, arguments, keywords):
    left, right = vm.look(arguments[0]), vm.look(arguments[1])
    ordered = collections.OrderedDict
    if isinstance(right, DictObject) and issubclass(left.cls, ordered) and issubclass(right.cls, ordered):
        first = [key for key, _ in mapping.items(vm, left)]
        second = [key for key, _ in mapping.items(vm, right)]
        if len(first) != len(second) or not all(
            operators.equal(vm, a, b) for a, b in zip(first, second, strict=True)
        ):
            return Constant(False)
    return operators.mapping_equal(vm, left, right)


@native(dict.__ne__, collections.OrderedDict.__ne__)
def dict_ne(vm, arguments, keywords):
    return negated(dict_eq(vm, arguments, keywords))


@native(dict.__or__)
def dict_or(vm, arguments, keywords):
    left, right = vm.look(arguments[0]), vm.look(arguments[1])
    if not isinstance(right, DictObject):
        return Constant(NotImplemented)
    return mapping.from_pairs(vm, mapping.items(vm, left) + mapping.items(vm, right), left.cls)


@native(dict.__ior__)
def dict_ior(vm, arguments, keywords):
    target = vm.look(arguments[0])
    calls.call(vm, Constant(dict.update), arguments, {})
    return target


def view_methods():
    """``(C method, handler)`` of the methods that give views."""
    for cls in (dict, collections.OrderedDict, types.MappingProxyType):
        yield cls.items, dict_items
        yield cls.values, dict_values
        yield cls.keys, dict_keys


def dict_items(vm, arguments, keywords):
    """``dict.items()``: a view."""
    return view(vm, arguments[0], type({}.items()))


def dict_values(vm, arguments, keywords):
    """``dict.values()``: a view."""
    return view(vm, arguments[0], type({}.values()))


def dict_keys(vm, arguments, keywords):
    """``dict.keys()``: a view."""
    return view(vm, arguments[0], type({}.keys()))


def view(vm, target, cls: type):
    """A dictionary view: an instance that remembers its dictionary."""
    return ViewObject(cls, vm.look(target))


def view_items(vm, target) -> list:
    """The current contents of a view."""
    pairs = mapping.items(vm, target.mapping)
    if target.cls is type({}.items()):
        return [TupleObject([key, value]) for key, value in pairs]
    return [pair[0 if target.cls is type({}.keys()) else 1] for pair in pairs]


def look_at_view(vm, value) -> ViewObject:
    """A view made during capture: one from outside doesn't say of which dictionary it is."""
    found = vm.look(value)
    if not isinstance(found, ViewObject):
        raise Break(reasons.UNSUPPORTED_METHOD, f"a {found.cls.__name__} from outside")
    return found


VIEW_CLASSES = (type({}.items()), type({}.keys()), type({}.values()))


@native(*of_classes(VIEW_CLASSES, "__iter__"))
def view_iter(vm, arguments, keywords):
    target = look_at_view(vm, arguments[0])
    return iteration.IteratorObject(view_items(vm, target), iteration.DICT_KEY_ITERATOR, target)


@native(*of_classes(VIEW_CLASSES, "__len__"))
def view_len(vm, arguments, keywords):
    return Constant(mapping.length(vm, look_at_view(vm, arguments[0]).mapping))


@native(*of_classes(VIEW_CLASSES, "__contains__"))
def view_contains(vm, arguments, keywords):
    target = look_at_view(vm, arguments[0])
    if target.cls is type({}.keys()):
        return Constant(operators.dict_contains(vm, target.mapping, arguments[1]))
    return Constant(any(operators.equal(vm, item, arguments[1]) for item in view_items(vm, target)))


@native(*of_classes(VIEW_CLASSES, "__reversed__"))
def view_reversed(vm, arguments, keywords):
    target = look_at_view(vm, arguments[0])
    return iteration.IteratorObject(view_items(vm, target)[::-1], iteration.DICT_KEY_ITERATOR)


@native(
    *of_classes((list, tuple, collections.deque), "__reversed__"),
    dict.__reversed__,
    collections.OrderedDict.__reversed__,
)
def storage_reversed(vm, arguments, keywords):
    target = vm.look(arguments[0])
    if isinstance(target, DictObject):
        keys = [key for key, _ in mapping.items(vm, target)]
        return iteration.IteratorObject(keys[::-1], iteration.DICT_KEY_ITERATOR)
    return iteration.IteratorObject(target.items[::-1], iteration.LIST_ITERATOR)


# -- sets ------------------------------------------------------------------------------------------------


@native(set.add)
def set_add(vm, arguments, keywords):
    add_to_set(vm, vm.look(arguments[0]), arguments[1])
    return Constant(None)


@native(set.discard)
def set_discard(vm, arguments, keywords):
    target = vm.look(arguments[0])
    if operators.set_contains(vm, target, arguments[1]):
        remove_member(vm, target, arguments[1])
        vm.effects.contents_changed(target)
    return Constant(None)


@native(set.remove)
def set_remove(vm, arguments, keywords):
    target = vm.look(arguments[0])
    if not operators.set_contains(vm, target, arguments[1]):
        raise Raised(new_exception(KeyError, [arguments[1]]))
    remove_member(vm, target, arguments[1])
    vm.effects.contents_changed(target)
    return Constant(None)


def remove_member(vm, target: SetObject, member) -> None:
    """``set.discard`` of what is there."""
    key = key_of(vm, member)
    del target.items[key]
    set_order.member(target, "discard", key)


@native(set.clear)
def set_clear(vm, arguments, keywords):
    target = vm.look(arguments[0])
    target.items.clear()
    set_order.changed(target, "clear", [])
    vm.effects.contents_changed(target)
    return Constant(None)


@native(set.copy, frozenset.copy)
def set_copy(vm, arguments, keywords):
    target = vm.look(arguments[0])
    made = SetObject(dict(target.items), target.cls)
    made.mirror = None if target.mirror is None else target.mirror.copy()
    return made


@native(set.__contains__, frozenset.__contains__)
def set_contains(vm, arguments, keywords):
    return Constant(operators.set_contains(vm, vm.look(arguments[0]), arguments[1]))


SET_OPERATIONS = {
    "union": lambda a, b: a | b,
    "intersection": lambda a, b: a & b,
    "difference": lambda a, b: a - b,
    "symmetric_difference": lambda a, b: a ^ b,
}
SET_OPERATORS = {
    "__or__": "union",
    "__and__": "intersection",
    "__sub__": "difference",
    "__xor__": "symmetric_difference",
}
SET_RELATIONS = {
    "issubset": lambda a, b: a <= b,
    "issuperset": lambda a, b: a >= b,
    "isdisjoint": lambda a, b: not a & b,
    "__le__": lambda a, b: a <= b,
    "__ge__": lambda a, b: a >= b,
    "__lt__": lambda a, b: a < b,
    "__gt__": lambda a, b: a > b,
    "__eq__": lambda a, b: a == b,
    "__ne__": lambda a, b: a != b,
}


def set_methods():
    """``(C method, handler)`` of set algebra."""
    for cls in (set, frozenset):
        for name in SET_OPERATIONS:
            yield getattr(cls, name), set_operation(name, any_iterable=True)
        for dunder, name in SET_OPERATORS.items():
            yield getattr(cls, dunder), set_operation(name, any_iterable=False)
        for name, relation in SET_RELATIONS.items():
            yield getattr(cls, name), set_relation(relation, any_iterable=not name.startswith("_"))
    for name in SET_OPERATIONS:
        in_place = "update" if name == "union" else f"{name}_update"
        yield getattr(set, in_place), set_update(name, is_operator=False)
    for dunder, name in SET_OPERATORS.items():
        yield getattr(set, f"__i{dunder[2:]}"), set_update(name, is_operator=True)


def operand_items(vm, value, any_iterable: bool) -> dict | None:
    """The members of a set operand by key, None if it is not a set and must be."""
    value = vm.look(value)
    if isinstance(value, SetObject):
        return value.items
    if isinstance(value, Constant) and isinstance(value.value, frozenset):
        return {item: constants.from_host(vm, item) for item in value.value}
    if any_iterable:
        return {key_of(vm, item): vm.look(item) for item in vm.unpack(value)}
    return None


def set_algebra(vm, name: str, arguments, any_iterable: bool) -> tuple[dict, list] | None:
    """The members that an operation gives, and its operands' mirrors; None if one is no set and must be."""
    known = dict(vm.look(arguments[0]).items)
    mirrors = []
    for argument in arguments[1:]:
        mirror = set_order.operand(vm, argument)
        other = operand_items(vm, argument, any_iterable)
        if other is None:
            return None
        mirrors.append(set_order.keys(vm, list(other.values())) if mirror is None else mirror)
        keys = SET_OPERATIONS[name](known.keys(), other.keys())
        known = {key: value for key, value in {**other, **known}.items() if key in keys}
    return known, mirrors


def set_operation(name: str, any_iterable: bool):
    """A set method that gives a new set."""

    def operate(vm, arguments, keywords):
        result = set_algebra(vm, name, arguments, any_iterable)
        if result is None:
            return Constant(NotImplemented)
        known, mirrors = result
        target = vm.look(arguments[0])
        made = SetObject(known, frozenset if issubclass(target.cls, frozenset) else set)
        if target.mirror is not None and not any(item is set_order.UNKNOWN for item in mirrors):
            made.mirror = getattr(target.mirror, name)(*mirrors)
        return made

    return operate


def set_update(name: str, is_operator: bool):
    """A set method that changes the set; as an operator it takes sets only and gives the set."""
    in_place = "update" if name == "union" else f"{name}_update"

    def update(vm, arguments, keywords):
        result = set_algebra(vm, name, arguments, any_iterable=not is_operator)
        if result is None:
            return Constant(NotImplemented)
        known, mirrors = result
        target = vm.look(arguments[0])
        target.items.clear()
        target.items.update(known)
        set_order.changed(target, in_place, mirrors)
        vm.effects.contents_changed(target)
        return target if is_operator else Constant(None)

    return update


def set_relation(relation, any_iterable: bool):
    """A comparison of two sets."""

    def relate(vm, arguments, keywords):
        other = operand_items(vm, arguments[1], any_iterable)
        if other is None:
            return Constant(NotImplemented)
        return Constant(relation(vm.look(arguments[0]).items.keys(), other.keys()))

    return relate


@native(set.pop)
def set_pop(vm, arguments, keywords):
    target = vm.look(arguments[0])
    if set_order.in_order(target) is None:
        raise Break(reasons.UNSUPPORTED_METHOD, "set.pop: the order of this set is not known")
    if not target.items:
        raise raised(KeyError, "pop from an empty set")
    vm.effects.contents_changed(target)
    return target.items.pop(target.mirror.pop())


# -- strings ---------------------------------------------------------------------------------------------


@native(str.join)
def str_join(vm, arguments, keywords):
    return constants.fold(vm, str.join, [arguments[0], ListObject(vm.unpack(arguments[1]))], keywords)


@native(str.format)
def str_format(vm, arguments, keywords):
    from_objects = [constants.is_constant(vm, constants.specialized(vm, item)) for item in arguments]
    if all(from_objects):
        return constants.fold(vm, str.format, arguments, keywords)
    raise Break(reasons.UNSUPPORTED_METHOD, "str.format of objects")


# -- generators and iterators ----------------------------------------------------------------------------


@native(types.GeneratorType.__next__)
def generator_next(vm, arguments, keywords):
    return generator_send(vm, [arguments[0], Constant(None)], {})


@native(types.GeneratorType.send)
def generator_send(vm, arguments, keywords):
    generator = generator_of(vm, arguments[0])
    return stepped(vm, generator, vm.resume(generator, arguments[1]))


def generator_of(vm, value) -> GeneratorObject:
    """The generator a method is called on; one from outside stands in the middle of a real frame."""
    generator = vm.look(value)
    if not isinstance(generator, GeneratorObject):
        raise Break(
            reasons.MUTATED_ITERATOR_INPUT, f"{generator.source} is a {type_of(generator).__qualname__}"
        )
    return generator


def stepped(vm, generator: GeneratorObject, result):
    """What one step of a generator gives its caller: the yielded value, or StopIteration."""
    if result is not None:
        return result[0]
    returned = vm.look(generator.returned)
    if isinstance(returned, Constant) and returned.value is None:
        raise raised(StopIteration)
    raise Raised(new_exception(StopIteration, [returned]))


@native(types.GeneratorType.throw)
def generator_throw(vm, arguments, keywords):
    generator = generator_of(vm, arguments[0])
    error = vm.look(arguments[2] if len(arguments) > 2 else arguments[1])
    if isinstance(error, Constant) and error.value is None:
        error = vm.look(arguments[1])
    exception = exception_instance(vm, error)
    return stepped(vm, generator, vm.resume(generator, Constant(None), Raised(exception)))


@native(types.GeneratorType.close)
def generator_close(vm, arguments, keywords):
    generator = generator_of(vm, arguments[0])
    if generator.finished or generator.frame.index <= 1:
        generator.finished = True
        return Constant(None)
    try:
        result = vm.resume(generator, Constant(None), Raised(new_exception(GeneratorExit, [])))
    except Raised as error:
        if issubclass(error.value.cls, (GeneratorExit, StopIteration)):
            return Constant(None)
        raise
    if result is not None:
        raise raised(RuntimeError, "generator ignored GeneratorExit")
    return Constant(None)


@native(types.GeneratorType.__iter__)
def generator_iter(vm, arguments, keywords):
    return vm.look(arguments[0])


ITERATOR_CLASSES = tuple(
    type(iter(x)) for x in ([], (), {}, set(), "", "é", b"", range(0), {}.items(), {}.values())
)


@native(*of_classes(ITERATOR_CLASSES, "__iter__"))
def iterator_iter(vm, arguments, keywords):
    return vm.look(arguments[0])


@native(*of_classes(ITERATOR_CLASSES, "__next__"))
def iterator_next(vm, arguments, keywords):
    found = iteration.next_of(vm, arguments[0])
    if found is None:
        raise raised(StopIteration)
    return found


@native(*of_classes(ITERATOR_CLASSES, "__length_hint__"))
def iterator_length_hint(vm, arguments, keywords):
    iterator = vm.look(arguments[0])
    iteration.check_not_outside(vm, iterator)
    return Constant(max(len(iterator.items) - iterator.index, 0))


@native(_collections._count_elements)
def count_elements(vm, arguments, keywords):
    return calls.call(vm, vm.polyfill("count_elements"), arguments, {})
