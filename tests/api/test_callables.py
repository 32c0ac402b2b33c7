"""``compile`` of everything that can be called, as a call and as a decorator."""

import copy
import functools
import gc
import inspect
import pickle
import weakref

import pytest
import torch

import framelift
from framelift._native import CompiledCallable
from tests.harness.naming import without_addresses

compile_eagerly = functools.partial(framelift.compile, backend="eager")
ONES = torch.ones(3)


def scale(x, factor=2, *rest, shift=0, **more):
    """Scale and shift."""
    return x * factor + shift + sum(rest) + sum(more.values())


class Scale:
    """A callable object, with ordinary, class and static methods."""

    factor = 3

    def __init__(self, shift=1):
        self.shift = shift

    def __call__(self, x):
        return x * self.factor + self.shift

    def method(self, x):
        return x * self.shift

    @classmethod
    def of_class(cls, x):
        return x * cls.factor

    @staticmethod
    def of_nothing(x):
        return x * 5


def equal(found, expected):
    assert torch.equal(found, expected)


def test_function():
    compiled = compile_eagerly(scale)
    assert isinstance(compiled, CompiledCallable)
    equal(compiled(ONES), scale(ONES))
    equal(compiled(ONES, 3, 4, shift=1, other=2), scale(ONES, 3, 4, shift=1, other=2))
    assert compiled.__name__ == "scale"
    assert compiled.__doc__ == "Scale and shift."
    assert compiled.__wrapped__ is scale
    assert inspect.signature(compiled) == inspect.signature(scale)


def test_decorator_forms():
    @framelift.compile
    def plain(x):
        return x + 1

    @framelift.compile()
    def called(x):
        return x + 1

    @framelift.compile(fullgraph=False, backend="eager", dynamic=None)
    def with_arguments(x):
        return x + 1

    for compiled in (plain, called, with_arguments):
        assert isinstance(compiled, CompiledCallable)
    equal(called(ONES), ONES + 1)
    equal(with_arguments(ONES), ONES + 1)


def test_argument_errors_are_those_of_the_function():
    def add(x, y):
        return x + y

    compiled = compile_eagerly(add)
    for arguments, keywords in (((), {}), ((1, 2, 3), {}), ((1,), {"z": 2}), ((1, 2), {"x": 1})):
        with pytest.raises(TypeError) as expected:
            add(*arguments, **keywords)
        with pytest.raises(TypeError) as found:
            compiled(*arguments, **keywords)
        assert str(found.value) == str(expected.value)


def test_bound_method():
    scale = Scale()
    compiled = compile_eagerly(scale.method)
    equal(compiled(ONES), ONES)
    scale.shift = 4
    equal(compiled(ONES), ONES * 4)
    assert compiled.__name__ == "method"


def test_methods_in_a_class_body():
    class Layer:
        @compile_eagerly
        def first(self, x):
            return x + self.shift

        @staticmethod
        @compile_eagerly
        def second(x):
            return x + 2

        @compile_eagerly
        @staticmethod
        def third(x):
            return x + 3

        @compile_eagerly
        @classmethod
        def fourth(cls, x):
            return x + cls.shift

        shift = 1

    layer = Layer()
    equal(layer.first(ONES), ONES + 1)
    equal(Layer.first(layer, ONES), ONES + 1)
    equal(layer.second(ONES), ONES + 2)
    equal(Layer.second(ONES), ONES + 2)
    equal(layer.third(ONES), ONES + 3)
    equal(layer.fourth(ONES), ONES + 1)
    assert isinstance(Layer.__dict__["third"], staticmethod)
    assert isinstance(Layer.__dict__["fourth"], classmethod)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Scale(), "Scale"),
        (Scale.of_class, "of_class"),
        (Scale.of_nothing, "of_nothing"),
        (Scale().method, "method"),
        (functools.partial(scale, factor=4), "partial"),
        (functools.partial(Scale().method), "partial"),
        (torch.sin, "sin"),
        (ONES.add, "add"),
        (torch.ops.aten.sin.default, None),
    ],
    ids=without_addresses,
)
def test_other_callables(target, name):
    compiled = compile_eagerly(target)
    equal(compiled(ONES), target(ONES))
    assert compiled.__wrapped__ == target or compiled.__wrapped__ is target
    if name is not None:
        assert compiled.__name__ == name


def test_callable_object_is_called_live():
    target = Scale()
    compiled = compile_eagerly(target)
    target.shift = 7
    equal(compiled(ONES), ONES * 10)
    target.__class__ = type("Other", (Scale,), {"__call__": lambda self, x: x - self.shift})
    equal(compiled(ONES), ONES - 7)


def test_class_decorator_compiles_calls_of_instances():
    class Base:
        def __call__(self, x):
            return x + self.shift

    @compile_eagerly
    class Layer(Base):
        shift = 2

    assert isinstance(Layer, type)
    assert isinstance(Layer.__dict__["__call__"], CompiledCallable)
    assert not isinstance(Base.__call__, CompiledCallable)
    layer = Layer()
    equal(layer(ONES), ONES + 2)
    layer.shift = 3
    equal(layer(ONES), ONES + 3)
    assert Layer.__call__ is compile_eagerly(Layer).__call__


def test_compiling_what_is_compiled():
    compiled = compile_eagerly(scale)
    assert compile_eagerly(compiled) is compiled
    assert framelift.compile(compiled) is compiled
    strict = framelift.compile(compiled, backend="eager", fullgraph=True)
    assert strict is not compiled
    assert strict.__wrapped__ is scale
    for target in (Scale(), functools.partial(scale), Scale().method):
        compiled = compile_eagerly(target)
        assert framelift.compile(compiled) is compiled
        again = framelift.compile(compiled, backend="eager", dynamic=True)
        assert again is not compiled
        assert again.__wrapped__ == target


def test_two_compilations_of_a_function_are_apart():
    assert compile_eagerly(scale) is not compile_eagerly(scale)


def test_a_compiled_callable_that_nobody_holds_goes_away():
    class Held:
        def __call__(self, x):
            return x

    held = Held()
    compiled = compile_eagerly(held)
    compiled(ONES)
    gone, target_gone = weakref.ref(compiled), weakref.ref(held)
    del compiled, held
    gc.collect()
    assert gone() is None
    assert target_gone() is None


@compile_eagerly
def decorated(x):
    return x + 1


def test_a_function_is_pickled_by_its_name():
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    assert copy.deepcopy(decorated) is decorated
    with pytest.raises(pickle.PicklingError, match="not the same object"):
        pickle.dumps(compile_eagerly(scale))


def test_reset_forgets_entries_and_what_was_given_up():
    compiled = compile_eagerly(scale)
    compiled(ONES)
    compiled.passthrough = True
    framelift.reset()
    assert compiled.entries == ()
    assert compiled.passthrough is False
    equal(compiled(ONES), scale(ONES))
