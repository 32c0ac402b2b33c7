"""Methods of sets.

https://docs.python.org/3/library/stdtypes.html#set-types-set-frozenset

Algebra is done on keys; in which order a set gives its members is another question, which a mirror of it with
equal hashes answers as long as all of them are known (``datamodel/set_order.py``).
"""

from __future__ import annotations

from framelift.capture.datamodel import constants, operators, set_order
from framelift.capture.datamodel.hashing import key_of
from framelift.capture.exceptions import Raised, new_exception, raised
from framelift.capture.handlers.containers import add_to_set
from framelift.capture.natives.registry import native
from framelift.capture.values import Constant, SetObject
from framelift.observe import reasons
from framelift.observe.errors import Break


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
