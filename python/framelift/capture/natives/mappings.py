"""Methods of dictionaries of all kinds, and of their views.

https://docs.python.org/3/library/stdtypes.html#mapping-types-dict

What a dictionary holds, and which of it has been looked at, is in ``datamodel/mapping.py``.
"""

from __future__ import annotations

import _collections
import collections
import types

from framelift.capture.datamodel import attributes, calls, items, iteration, mapping, members, operators
from framelift.capture.datamodel.hashing import key_of
from framelift.capture.exceptions import Raised, new_exception, raised
from framelift.capture.natives.classes import DEFAULT_FACTORY
from framelift.capture.natives.registry import native, of_classes
from framelift.capture.natives.sequences import negated
from framelift.capture.values import Constant, DictObject, TupleObject, ViewObject
from framelift.observe import reasons
from framelift.observe.errors import Break


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
    factory = members.get_member(vm, DEFAULT_FACTORY, target, "default_factory")
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
        copied.slots = {DEFAULT_FACTORY: members.get_member(vm, DEFAULT_FACTORY, original, "default_factory")}
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
    return iteration.IteratorObject(view_items(vm, target), iteration.DICT_KEY_ITERATOR, target, True)


@native(_collections._count_elements)
def count_elements(vm, arguments, keywords):
    return calls.call(vm, vm.polyfill("count_elements"), arguments, {})
