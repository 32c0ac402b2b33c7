"""Facts of classes and of how their instances answer."""

from __future__ import annotations

import abc
import enum
import functools

from tests.harness import Program
from tests.soundness.facts import fact, setting


def an_instance(**namespace):
    """Of a class that inherits ``namespace`` from another; no other program has these two."""
    base = type("Base", (), namespace)
    return type("Derived", (base,), {})()


def of_class(name, *values):
    """Changes of an attribute of the class that the instance inherits from."""
    return tuple(lambda one, value=value: setattr(type(one).__mro__[1], name, value) for value in values)


@fact(*of_class("factor", 3.0, 4.0, 5.0))
def attribute_of_a_base_class_thrice():
    one = an_instance(factor=2.0)

    def f(x):
        return x * one.factor

    return Program(f, one)


def twice(one):
    base = type(one).__mro__[1]
    base.factor = 7.0
    base.factor = 9.0


@fact(twice)
def attribute_of_a_base_class_twice_in_a_row():
    one = an_instance(factor=2.0)

    def f(x):
        return x * one.factor

    return Program(f, one)


@fact(lambda one: setattr(type(one), "factor", 3.0), lambda one: delattr(type(one), "factor"))
def attribute_that_a_derived_class_hides():
    one = an_instance(factor=2.0)

    def f(x):
        return x * one.factor

    return Program(f, one)


@fact(lambda one: type(one).__mro__[1].__bases__[0].extra.append(3))
def list_of_a_class():
    class Root:
        extra = [1, 2]

    class Base(Root): ...

    class Derived(Base): ...

    one = Derived()

    def f(x):
        return x + sum(one.extra)

    return Program(f, one)


def five_for_factor(self, name):
    return 5.0 if name == "factor" else object.__getattribute__(self, name)


@fact(*of_class("__getattribute__", five_for_factor))
def getattribute_appears():
    one = an_instance(factor=2.0)

    def f(x):
        return x * one.factor

    return Program(f, one)


@fact(*of_class("__getattr__", lambda self, name: 5.0, lambda self, name: 6.0))
def getattr_of_a_base_class():
    one = an_instance(__getattr__=lambda self, name: 2.0)

    def f(x):
        return x * one.factor

    return Program(f, one)


@fact(*of_class("__call__", lambda self, x: x + 2, lambda self, x: x - 7))
def call_of_a_base_class():
    one = an_instance(__call__=lambda self, x: x + 1)

    def f(x):
        return one(x)

    return Program(f, one)


@fact(*of_class("__bool__", lambda self: False))
def truth_appears():
    one = an_instance()

    def f(x):
        return x + 1 if one else x - 1

    return Program(f, one)


@fact(*of_class("__len__", lambda self: 0, lambda self: 2))
def length_appears():
    one = an_instance()

    def f(x):
        return x + 1 if one else x - 1

    return Program(f, one)


@fact(*of_class("__eq__", lambda self, other: True))
def equality_appears():
    one = an_instance()

    def f(x):
        return x + 1 if one == 3 else x - 1

    return Program(f, one)


@fact(*of_class("__contains__", lambda self, item: True))
def membership():
    one = an_instance(__contains__=lambda self, item: False)

    def f(x):
        return x + 1 if 3 in one else x - 1

    return Program(f, one)


@fact(*of_class("__iter__", lambda self: iter([5, 6])))
def iteration():
    one = an_instance(__iter__=lambda self: iter([1, 2]))

    def f(x):
        for item in one:
            x = x * item
        return x

    return Program(f, one)


@fact(*of_class("__getitem__", lambda self, index: index + 9))
def subscript():
    one = an_instance(__getitem__=lambda self, index: index)

    def f(x):
        return x * one[3]

    return Program(f, one)


@fact(*of_class("__add__", lambda self, other: other * 9))
def left_operand():
    one = an_instance(__add__=lambda self, other: other * 2)

    def f(x):
        return (one + x) + 1

    return Program(f, one)


@fact(*of_class("__radd__", lambda self, other: 30))
def right_operand():
    one = an_instance(__radd__=lambda self, other: other)

    def f(x):
        return x * (3 + one)

    return Program(f, one)


@fact(*of_class("__enter__", lambda self: 9))
def context_manager():
    one = an_instance(__enter__=lambda self: 2, __exit__=lambda self, *error: False)

    def f(x):
        with one as factor:
            return x * factor

    return Program(f, one)


@fact(*of_class("made", classmethod(lambda cls: 9), staticmethod(lambda: 11)))
def class_method():
    one = an_instance(made=classmethod(lambda cls: 2))

    def f(x):
        return x * one.made()

    return Program(f, one)


@fact(lambda one: setattr(type(vars(type(one).__mro__[1])["factor"]), "__get__", lambda self, *where: 9.0))
def get_of_a_descriptor_s_class():
    class Constant:
        def __get__(self, instance, owner):
            return 2.0

    one = an_instance(factor=Constant())

    def f(x):
        return x * one.factor

    return Program(f, one)


@fact(lambda one: setattr(type(vars(type(one).__mro__[1])["factor"]), "__set__", lambda self, *what: None))
def a_descriptor_becomes_one_of_data():
    class Constant:
        def __get__(self, instance, owner):
            return 2.0

    one = an_instance(factor=Constant())
    one.__dict__["factor"] = 7.0

    def f(x):
        return x * one.factor

    return Program(f, one)


@fact(lambda one: setattr(vars(type(one).__mro__[1])["factor"], "value", 9.0))
def state_of_a_descriptor():
    class Constant:
        value = 2.0

        def __get__(self, instance, owner):
            return self.value

    one = an_instance(factor=Constant())

    def f(x):
        return x * one.factor

    return Program(f, one)


@fact(*of_class("factor", property(lambda self: 9.0)))
def property_is_replaced():
    one = an_instance(factor=property(lambda self: 2.0))

    def f(x):
        return x * one.factor

    return Program(f, one)


@fact(lambda cls: setattr(type(cls), "factor", 9.0))
def attribute_of_a_metaclass():
    class Meta(type):
        factor = 2.0

    class Plain(metaclass=Meta): ...

    def f(x):
        return x * Plain.factor

    return Program(f, Plain)


def maker(metaclass=type):
    """A program that makes an instance, and its class."""

    class Plain(metaclass=metaclass):
        def __init__(self, value):
            self.value = value

        def __mul__(self, other):
            return other * self.value

    def f(x):
        return Plain(2) * x

    return Program(f, Plain)


@fact(lambda cls: setattr(type(cls), "__call__", lambda cls, *values: 9))
def call_of_a_metaclass():
    class Meta(type): ...

    return maker(Meta)


@fact(lambda cls: setattr(cls, "__init__", lambda self, value: setattr(self, "value", value + 7)))
def initializer():
    class Plain:
        def __init__(self, value):
            self.value = value

    def f(x):
        return x * Plain(2).value

    return Program(f, Plain)


@fact(lambda cls: setattr(cls, "__new__", staticmethod(lambda cls, value: 9)))
def constructor_appears():
    return maker()


def stores_one_more(self, name, value):
    self.__dict__[name] = value + 1


@fact(*setting("__setattr__", stores_one_more))
def setattr_appears():
    class Plain: ...

    def f(x):
        one = Plain()
        one.value = 2
        return x * one.value

    return Program(f, Plain)


@fact(lambda pair: pair[0].register(pair[1]))
def registration_with_an_abstract_class():
    class Abstract(abc.ABC): ...

    class Plain: ...

    one = Plain()

    def f(x):
        return x + 1 if isinstance(one, Abstract) else x - 1

    return Program(f, (Abstract, Plain))


@fact(lambda cls: setattr(type(cls), "__instancecheck__", lambda cls, one: True))
def instance_check_of_a_metaclass():
    class Meta(type): ...

    class Plain(metaclass=Meta): ...

    def f(x):
        return x + 1 if isinstance(3, Plain) else x - 1

    return Program(f, Plain)


@fact(lambda classes: setattr(classes[0], "__bases__", (classes[1], classes[2])))
def a_class_is_inserted_among_the_bases():
    class Common:
        factor = 2.0

    class Mixin(Common):
        factor = 9.0

    class Plain(Common): ...

    one = Plain()

    def f(x):
        return x * one.factor

    return Program(f, (Plain, Mixin, Common))


class Color(enum.Enum):
    RED = 1
    GREEN = 2


@fact(lambda one: setattr(one, "color", Color.GREEN))
def member_of_an_enumeration():
    one = an_instance()
    one.color = Color.RED

    def f(x):
        return x * (5 if one.color is Color.RED else 7)

    return Program(f, one)


@fact(lambda one: one.__dict__.update(size=9), lambda one: one.__dict__.pop("size"))
def cached_property():
    class Plain:
        base = 2

        @functools.cached_property
        def size(self):
            return self.base + 1

    one = Plain()

    def f(x):
        return x * one.size

    one.size
    one.__dict__["size"] = 4
    return Program(f, one)


@fact(lambda one: one.__dict__.update(factor=9.0), lambda one: one.__dict__.clear())
def instance_dictionary_as_a_dictionary():
    one = an_instance(factor=2.0)

    def f(x):
        return x * one.factor

    return Program(f, one)


@fact(lambda one: setattr(one, "__dict__", {"factor": 9.0}))
def instance_dictionary_is_replaced():
    one = an_instance()
    one.factor = 2.0

    def f(x):
        return x * one.factor

    return Program(f, one)


def an_instance_with_a_slot():
    """Of a class of its own, and a program that reads the slot."""

    class Slotted:
        __slots__ = ("factor",)

    one = Slotted()
    one.factor = 2.0

    def f(x):
        return x * one.factor

    return f, one


@fact(lambda cls: setattr(cls, "factor", property(lambda self: 9.0)))
def slot_is_replaced_by_a_property():
    f, one = an_instance_with_a_slot()
    return Program(f, type(one))


@fact(*setting("factor", 3.0), lambda one: delattr(one, "factor"))
def slot():
    return Program(*an_instance_with_a_slot())


@fact(lambda cls: setattr(cls, "run", lambda self, x: x - 5))
def method_called_through_super():
    class Base:
        def run(self, x):
            return x + 5

    class Derived(Base):
        def run(self, x):
            return super().run(x) * 2

    one = Derived()

    def f(x):
        return one.run(x)

    return Program(f, Base)


@fact(*setting("__name__", "Longer"), *setting("__qualname__", "Nested.Plain"))
def name_of_a_class():
    class Plain: ...

    def f(x):
        return x * len(Plain.__name__) + len(Plain.__qualname__)

    return Program(f, Plain)


@fact(*setting("__module__", "elsewhere"), *setting("__doc__", "a text"))
def module_and_text_of_a_class():
    class Plain: ...

    def f(x):
        return x * len(Plain.__module__) + (0 if Plain.__doc__ is None else len(Plain.__doc__))

    return Program(f, Plain)
