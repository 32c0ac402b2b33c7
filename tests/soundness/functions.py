"""Facts of functions, methods, partial applications and what they close over."""

from __future__ import annotations

import functools

from tests.harness import Program
from tests.soundness.facts import fact, setting


def doubled(x):
    return x * 2


def shifted(x):
    return x + 30


def halved(x):
    return x / 2


@fact(*setting("__code__", shifted.__code__, halved.__code__))
def code_twice():
    def inner(x):
        return x * 5

    def f(x):
        return inner(x)

    return Program(f, inner)


@fact(*setting("__defaults__", (3,), (4,), (5,)))
def defaults_thrice():
    def inner(x, factor=2):
        return x * factor

    def f(x):
        return inner(x)

    return Program(f, inner)


@fact(*setting("__kwdefaults__", {"factor": 3}, {"factor": 4.5}))
def keyword_defaults():
    def inner(x, *, factor=2):
        return x * factor

    def f(x):
        return inner(x)

    return Program(f, inner)


@fact(lambda inner: inner.__kwdefaults__.update(factor=9))
def keyword_defaults_in_place():
    def inner(x, *, factor=2):
        return x * factor

    def f(x):
        return inner(x)

    return Program(f, inner)


@fact(lambda inner: inner.__defaults__[0].append(7))
def a_list_as_default():
    def inner(x, factors=[2, 3]):
        for factor in factors:
            x = x * factor
        return x

    def f(x):
        return inner(x)

    return Program(f, inner)


@fact(*setting("factor", 3, 4.5, True))
def attribute_of_a_function():
    def inner(x):
        return x * inner.factor

    inner.factor = 2

    def f(x):
        return inner(x)

    return Program(f, inner)


@fact(*setting("__name__", "a longer name"))
def name_of_a_function():
    def inner(x): ...

    def f(x):
        return x * len(inner.__name__)

    return Program(f, inner)


@fact(*setting("__doc__", "longer than it was"))
def text_of_a_function():
    def inner(x):
        """short"""

    def f(x):
        return x * len(inner.__doc__)

    return Program(f, inner)


def cells(change):
    return lambda inner: setattr(inner.__closure__[0].cell_contents.__closure__[0], "cell_contents", change)


@fact(cells(3), cells(4.5), cells(-0.0))
def cell_of_a_function_in_a_cell():
    factor = 2

    def inner(x):
        return x * factor

    def middle(x):
        return inner(x)

    def f(x):
        return middle(x)

    return Program(f, middle)


def emptied(inner):
    del inner.__closure__[0].cell_contents


@fact(emptied)
def cell_is_emptied():
    factor = 2

    def inner(x):
        return x * factor

    def f(x):
        return inner(x)

    return Program(f, inner)


class Holder:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def scaled(self, x):
        return x * self.factor


@fact(lambda one: setattr(one, "method", Holder(factor=3).scaled))
def object_of_a_bound_method():
    one = Holder(method=Holder(factor=2).scaled)

    def f(x):
        return one.method(x)

    return Program(f, one)


@fact(lambda method: setattr(method.__self__, "factor", 3))
def attribute_behind_a_bound_method():
    method = Holder(factor=2).scaled

    def f(x):
        return method(x)

    return Program(f, method)


@fact(lambda part: part.keywords.update(factor=3))
def keywords_of_a_partial():
    part = functools.partial(lambda x, factor: x * factor, factor=2)

    def f(x):
        return part(x)

    return Program(f, part)


@fact(lambda part: part.__setstate__((part.func, (3,), {}, {})))
def arguments_of_a_partial():
    part = functools.partial(lambda factor, x: x * factor, 2)

    def f(x):
        return part(x)

    return Program(f, part)


@fact(lambda part: part.__setstate__((lambda factor, x: x - factor, (2,), {}, {})))
def function_of_a_partial():
    part = functools.partial(lambda factor, x: x * factor, 2)

    def f(x):
        return part(x)

    return Program(f, part)


@fact(*setting("__wrapped__", shifted))
def wrapped_function():
    @functools.wraps(doubled)
    def inner(x):
        return inner.__wrapped__(x)

    def f(x):
        return inner(x)

    return Program(f, inner)


@fact(lambda inner: setattr(inner, "__code__", (lambda: (yield 9)).__code__))
def code_of_a_generator_function():
    def inner():
        yield 2
        yield 3

    def f(x):
        for factor in inner():
            x = x * factor
        return x

    return Program(f, inner)


@fact(lambda table: table.update(act=shifted), lambda table: table.update(act=lambda x: x * 9))
def function_in_a_dictionary():
    table = {"act": doubled}

    def f(x):
        return table["act"](x)

    return Program(f, table)


@fact(lambda functions: functions.reverse())
def order_of_functions_in_a_list():
    functions = [doubled, shifted]

    def f(x):
        for function in functions:
            x = function(x)
        return x

    return Program(f, functions)
