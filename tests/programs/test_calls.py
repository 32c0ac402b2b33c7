"""Calls and the binding of arguments: of the compiled function itself, and of functions it inlines.

PYTEST_DONT_REWRITE: the assertions here belong to the programs.
"""

import functools

import pytest
import torch

import framelift
from tests.harness import Arguments, check, each, floats, fresh


def test_positional_and_keyword():
    def f(x, y, *, scale):
        return (x - y) * scale

    check(f, floats(3), keywords={"y": floats(3), "scale": 2.0})


def test_defaults():
    def f(x, factor=2.0, *, bias=1.0):
        return x * factor + bias

    check(f, floats(3))
    check(f, floats(3), 4.0)
    check(f, floats(3), keywords={"bias": 0.5})


def test_positional_only():
    def f(x, /, y, *, z=None):
        return x + y if z is None else x + y + z

    check(f, floats(2), floats(2))
    check(f, floats(2), keywords={"y": floats(2), "z": floats(2)})


def test_keyword_with_the_name_of_a_positional_only_parameter():
    def f(x, /, **options):
        return x + options["x"]

    check(f, inputs=lambda k: Arguments((torch.full((2,), float(k)),), {"x": torch.ones(2) * k}))


def test_var_positional_and_var_keyword():
    def f(*args, **options):
        total = args[0]
        for one in args[1:]:
            total = total + one
        for name, value in options.items():
            if name.startswith("add"):
                total = total + value
        return total, len(args), list(options)

    check(f, floats(2), floats(2), floats(2), keywords={"add_a": floats(2), "skip": 1, "add_b": floats(2)})


def test_no_arguments_at_all():
    def f():
        return torch.arange(4) * 2

    check(f)


def test_another_number_of_arguments_is_another_entry():
    def f(*args):
        return torch.stack(args).sum(0)

    check(
        f, inputs=lambda k: [torch.ones(3) * k] * 2 if k % 2 else [torch.ones(3)] * 3, graphs=2, recompiles=1
    )


def test_calls_that_do_not_bind_raise_as_in_cpython():
    def f(x, *, scale):
        return x * scale

    check(f, floats(2), graphs=0)
    check(f, keywords={"scale": 2}, graphs=0)
    check(f, floats(2), 3, keywords={"scale": 2}, graphs=0)
    check(f, floats(2), keywords={"scale": 2, "other": 1}, graphs=0)


def test_unpacking_at_the_call():
    def g(a, b, *rest, c=1.0, **others):
        return a + b * c + sum(rest) + others["d"]

    def f(x, items, options):
        return g(x, *items, **options, d=4.0)

    check(f, floats(3), (1.0, 2.0, 3.0), {"c": 5.0})


def test_inlined_calls_that_do_not_bind_raise_inside():
    def g(a, b):
        return a + b

    def f(x):
        try:
            return g(x)
        except TypeError as error:
            return x + 1, str(error)

    check(f, floats(2), graphs=1, breaks=1)


def test_recursion():
    def power(x, n):
        return x if n == 1 else x * power(x, n - 1)

    check(power, floats(3), 5)


def test_mutual_recursion():
    def even(x, n):
        return x if n == 0 else odd(x + 1, n - 1)

    def odd(x, n):
        return -x if n == 0 else even(x * 2, n - 1)

    check(even, floats(3), 4)


def test_functions_as_arguments():
    def apply(function, x, times):
        for _ in range(times):
            x = function(x)
        return x

    check(apply, torch.relu, floats(3), 2)
    check(lambda x: apply(lambda y: y * 2, x, 3), floats(3))


def test_lambda_with_defaults():
    def f(x):
        add = lambda y, amount=3: y + amount  # noqa: E731
        return add(x), add(x, 1), add(amount=2, y=x)

    check(f, floats(2))


def test_methods_bound_and_unbound():
    class Box:
        def __init__(self, value):
            self.value = value

        def scaled(self, x):
            return x * self.value

        @classmethod
        def default(cls):
            return cls(5.0)

        @staticmethod
        def shift(x):
            return x + 1

    def f(x):
        box = Box.default()
        bound = box.scaled
        return bound(x), Box.scaled(box, x), box.shift(x), Box.shift(x)

    check(f, floats(2))


def test_compiling_a_bound_method():
    class Box:
        def __init__(self):
            self.value = 3.0

        def scaled(self, x):
            self.last = x
            return x * self.value

    def build():
        return Box().scaled

    check(fresh(build), floats(2))


def test_compiling_a_callable_object():
    class Scale:
        def __init__(self):
            self.calls = 0

        def __call__(self, x, *, factor=2.0):
            return x * factor

    check(fresh(Scale), floats(2), keywords={"factor": 3.0})


def test_compiling_a_partial():
    def f(x, y, *, scale):
        return (x + y) * scale

    check(functools.partial(f, 1.0, scale=3.0), floats(2))


def test_compiling_a_builtin():
    check(torch.add, floats(2), floats(2))


def test_compiling_a_class_compiles_the_calls_of_its_instances():
    def build():
        class Scale:
            def __init__(self, factor):
                self.factor = factor

            def __call__(self, x):
                return x * self.factor

        return Scale

    eager, compiled = build(), framelift.compile(build(), backend="eager")
    x = torch.ones(2)
    framelift.reset()
    assert torch.equal(eager(3.0)(x), compiled(3.0)(x))
    assert sum(framelift.counters["graphs"].values()) == 1


def test_functools_partial_inside():
    def scale(factor, x, *, bias=0.0):
        return x * factor + bias

    def f(x):
        double = functools.partial(scale, 2.0, bias=1.0)
        return double(x), double.args, double.keywords

    check(f, floats(2))


def test_decorators_inside():
    def twice(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(function(*args, **kwargs))

        return wrapper

    def f(x):
        @twice
        def step(y):
            return y * 3

        return step(x), step.__name__

    check(f, floats(2))


def test_keyword_order_is_kept():
    def f(x, **options):
        return x + 1, list(options.items())

    check(f, floats(2), keywords={"b": 1, "a": 2, "c": 3})


def test_arguments_of_other_types_are_other_entries():
    def f(x, scale):
        return x * 2 if scale is None else x * scale

    check(f, floats(2), each(None, 2.0, "no tensor"), calls=2, graphs=2, recompiles=1)


@pytest.mark.parametrize(
    "value", [3, 2.5, True, None, "text", (1, 2), [1, 2], {"a": 1}, {1}, slice(0, 1), range(3)]
)
def test_arguments_of_every_plain_type_pass_through(value):
    def f(x, other):
        return x + 1, other

    check(f, floats(2), value)


def test_evaluation_order_of_arguments():
    def f(x):
        order = []

        def note(name, value):
            order.append(name)
            return value

        def g(a, b, *, c, d):
            return a + b + c + d

        return g(note("a", x), note("b", 1), d=note("d", 2), c=note("c", 3)), order

    check(f, floats(2))


def test_walrus_and_conditional_expressions():
    def f(x, n):
        return (y := x + n) * y if (m := n * 2) > 2 else y - m

    check(f, floats(2), 3)


def test_assert_statements():
    def f(x):
        assert x.shape[0] == 2, "two rows"
        return x * 2

    check(f, floats(2, 2))


def test_annotations_and_local_imports():
    def f(x: torch.Tensor) -> torch.Tensor:
        from math import sqrt

        y: float = sqrt(4.0)
        return x * y

    check(f, floats(2))


def test_star_args_of_nested_calls():
    def inner(*args, **kwargs):
        return args, kwargs

    def f(x):
        (first, *rest), options = inner(x, 1, 2, key=x * 2)
        return first + rest[0], rest, options

    check(f, floats(2))
