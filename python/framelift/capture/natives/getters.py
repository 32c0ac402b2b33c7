"""Getters of ``operator``: they are made of names and keys, and ask objects for them.

https://docs.python.org/3/library/operator.html#operator.attrgetter

One from outside doesn't change: it is guarded by identity, and its parts are read once.
"""

from __future__ import annotations

import functools
import operator

from framelift.capture.datamodel import attributes, calls, constants, items
from framelift.capture.natives.registry import native
from framelift.capture.values import Constant, ConstructedObject, Instance, Lazy, TupleObject
from framelift.capture.values.objects import type_of
from framelift.guards import kinds
from framelift.guards.sources import Held
from framelift.observe import reasons
from framelift.observe.errors import Break


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
