"""Exceptions that leave the compiled function: CPython's own, from the user's own line, with effects as in
eager.

PYTEST_DONT_REWRITE: the assertions here belong to the programs.
"""

import torch

from tests.harness import check, each, floats, made

LEAVES = {"graphs": 1, "breaks": 1}
"""What is computed before the exception is a segment with a graph."""
RAISES = {"graphs": 0, "breaks": 1}
"""Nothing is computed before it."""


def test_raise_statement():
    def f(x, limit):
        y = x + 1
        if x.shape[0] > limit:
            raise ValueError(f"too many rows: {x.shape[0]}")
        return y

    check(f, floats(3), 2, **LEAVES)


def test_raise_in_an_inlined_function():
    class Custom(Exception):
        def __init__(self, code):
            super().__init__("custom", code)
            self.code = code

    def inner(x):
        raise Custom(x.dim())

    def f(x):
        y = x * 2
        return inner(y)

    check(f, floats(3), graphs=1, breaks=1)


def test_effects_before_the_exception_stay():
    def f(x, items, table):
        items.append("before")
        table["key"] = x + 1
        x.add_(1)
        raise KeyError("late")

    check(f, floats(3), [], {}, **LEAVES)


def test_raise_from():
    def f(x):
        try:
            [][0]  # noqa: PLE0643
        except IndexError as error:
            raise RuntimeError("wrapped") from error

    check(f, floats(3), graphs=0, breaks=2)


def test_exception_during_handling():
    def f(x):
        try:
            {}["a"]
        except KeyError:
            return x + None

    check(f, floats(3), graphs=0, breaks=2)


def test_error_of_an_operator():
    def f(x, y):
        z = x + 1
        return z @ y

    check(f, floats(2, 3), floats(2, 3), **LEAVES)


def test_assert_fails():
    def f(x):
        assert x.dim() == 5, "five dimensions"
        return x

    check(f, floats(2), **RAISES)


def test_finally_runs():
    def f(x, log):
        try:
            raise ValueError("out")
        finally:
            log.append("finally")

    check(f, floats(2), [], **RAISES)


def test_with_sees_the_exception():
    class Noted:
        def __init__(self, log):
            self.log = log

        def __enter__(self):
            return self

        def __exit__(self, kind, error, trace):
            self.log.append((kind.__name__, str(error)))

    def f(x, log):
        with Noted(log):
            raise ValueError("out")

    check(f, floats(2), [], **RAISES)


def test_grad_mode_is_restored():
    def f(x):
        with torch.no_grad():
            y = x * 2
            raise ValueError(y.shape[0])

    check(f, floats(2), graphs=2, breaks=1)


def test_builtin_errors_keep_their_text():
    def attribute(x):
        return x.no_such_attribute

    def item(x, table):
        return x + table["missing"]

    def binding(x):
        return (lambda y: y)(x, x)

    def division(x):
        return x * (1 / 0)

    check(attribute, floats(2), **RAISES)
    check(item, floats(2), {}, **RAISES)
    check(binding, floats(2), **RAISES)
    check(division, floats(2), **RAISES)


def test_only_some_calls_raise():
    def f(x, flag):
        if flag:
            raise ValueError("flag")
        return x + 1

    check(f, floats(2), each(False, True, False, True), calls=4, graphs=1, breaks=1, recompiles=1)


def test_stop_iteration_leaves():
    def f(x, items):
        iterator = iter(items)
        next(iterator)
        return next(iterator)

    check(f, floats(2), [1], **RAISES)


def test_system_exit_leaves():
    def f(x):
        raise SystemExit(3)

    check(f, floats(2), **RAISES)


def test_error_in_the_middle_of_an_argument_list():
    def f(box, x):
        return box.scale(x, box.missing)

    class Box:
        def scale(self, x, by):
            return x * by

    check(f, made(lambda k: Box()), floats(2), **RAISES)


def test_wrong_device_or_dtype():
    def f(x, index):
        return x[index.float()]

    check(f, floats(3), made(lambda k: torch.tensor([1])), **LEAVES)
