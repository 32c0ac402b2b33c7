"""Branches, loops, match, with, try, finally, and exceptions that are caught inside.

PYTEST_DONT_REWRITE: the assertions here belong to the programs.
"""

import contextlib

import torch

from tests.harness import check, each, floats


def test_branch_on_a_shape():
    def f(x):
        if x.shape[0] > 2:
            return x.sum(0)
        return x * 2

    check(f, floats(3, 2))
    check(f, floats(1, 2))


def test_branch_on_an_argument_is_one_entry_each():
    def f(x, flag):
        return x + 1 if flag else x - 1

    check(f, floats(2), each(True, False, True), graphs=2, recompiles=1)


def test_while_with_break_and_else():
    def f(x, limit):
        n = 0
        while n < limit:
            if n == 5:
                break
            x = x * 1.5
            n += 1
        else:
            x = x + 100
        return x, n

    check(f, floats(2), 3)
    check(f, floats(2), 9)


def test_for_with_continue_and_else():
    def f(x):
        for i in range(5):
            if i % 2:
                continue
            x = x + i
        else:
            x = x * 2
        return x

    check(f, floats(2))


def test_nested_loops_with_break():
    def f(x):
        for i in range(3):
            for j in range(3):
                if j > i:
                    break
                x = x + i * j
        return x

    check(f, floats(2))


def test_short_circuit():
    def f(x, items):
        first = items and items[0]
        second = items or [7]
        return x + (first or 1), second, not items

    check(f, floats(2), [])
    check(f, floats(2), [3])


def test_chained_comparison():
    def f(x):
        return x + 1 if 1 < x.shape[0] <= 3 < x.dim() + 3 else x

    check(f, floats(2))


def test_match_on_values_and_sequences():
    def f(x, command):
        match command:
            case ["scale", factor]:
                return x * factor
            case ["shift", *amounts] if len(amounts) > 1:
                return x + sum(amounts)
            case {"name": str(name), **rest}:
                return x + len(name), rest
            case int() | float():
                return x + command
            case _:
                return x

    check(f, floats(2), ["scale", 3.0])
    check(f, floats(2), ["shift", 1, 2])
    check(f, floats(2), {"name": "abc", "other": 1})
    check(f, floats(2), 4)


def test_match_on_a_class():
    class Point:
        __match_args__ = ("x", "y")

        def __init__(self, x, y):
            self.x, self.y = x, y

    def f(t, n):
        match Point(n, t):
            case Point(0, value):
                return value
            case Point(x=1, y=value):
                return value * 2
        return t + 9

    check(f, floats(2), 1)


def test_with_statement():
    class Noted:
        def __init__(self, log):
            self.log = log

        def __enter__(self):
            self.log.append("enter")
            return 3

        def __exit__(self, kind, error, trace):
            self.log.append(kind)
            return False

    def f(x, log):
        with Noted(log) as n, Noted(log):
            x = x * n
        return x

    check(f, floats(2), [])


def test_with_that_suppresses():
    class Suppress:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, trace):
            return kind is ValueError

    def f(x):
        with Suppress():
            x = x + 1
            raise ValueError
        return x * 2

    check(f, floats(2))


def test_contextlib():
    @contextlib.contextmanager
    def scope(log, name):
        log.append(f"+{name}")
        try:
            yield name
        finally:
            log.append(f"-{name}")

    def f(x, log):
        with contextlib.suppress(KeyError), scope(log, "a"), contextlib.nullcontext():
            x = x + 1
            {}["missing"]
        with contextlib.ExitStack() as stack:
            stack.enter_context(scope(log, "b"))
            stack.callback(log.append, "callback")
            x = x * 2
        return x

    check(f, floats(2), [])


def test_try_except_else_finally():
    def f(x, key):
        log = []
        try:
            value = {"a": 1}[key]
        except KeyError as error:
            log.append(f"missing {error}")
            value = 2
        else:
            log.append("found")
        finally:
            log.append("finally")
        return x * value, log

    check(f, floats(2), "a")
    check(f, floats(2), "b")


def test_raise_and_catch():
    class Custom(Exception):
        def __init__(self, code):
            super().__init__(f"code {code}")
            self.code = code

    def g(n):
        if n > 1:
            raise Custom(n)
        return n

    def f(x, n):
        try:
            return x + g(n)
        except (KeyError, Custom) as error:
            return x * error.code, str(error), error.args

    check(f, floats(2), 3)


def test_reraise_through_finally():
    def g(log):
        try:
            raise ValueError("inner")
        finally:
            log.append("cleanup")

    def f(x, log):
        try:
            g(log)
        except ValueError:
            try:
                raise
            except Exception as error:
                return x + 1, str(error)

    check(f, floats(2), [])


def test_cause_and_context_of_a_caught_exception():
    def f(x):
        try:
            try:
                {}["a"]
            except KeyError as error:
                raise ValueError("b") from error
        except ValueError as error:
            return x + 1, type(error.__cause__), type(error.__context__), error.__suppress_context__

    check(f, floats(2))


def test_return_inside_finally_and_loops():
    def f(x):
        for i in range(3):
            try:
                if i == 2:
                    return x + i
            finally:
                x = x * 2

    check(f, floats(2))


def test_exception_variable_is_unbound_after_the_handler():
    def f(x):
        try:
            raise ValueError
        except ValueError as error:  # noqa: F841
            pass
        try:
            error
        except NameError:
            return x + 1

    check(f, floats(2))


def test_error_of_an_operator_is_caught():
    def f(x, y):
        try:
            return x @ y
        except RuntimeError:
            return x + 1

    check(f, floats(2, 3), floats(2, 3), graphs=1, breaks=1)


def test_stop_iteration_and_lookup_errors():
    def f(x):
        found = []
        for attempt in (
            lambda: next(iter([])),  # noqa: PLE0643
            lambda: [][1],  # noqa: PLE0643
            lambda: {}["k"],
            lambda: 1 / 0,
            lambda: None.name,
        ):
            try:
                attempt()
            except (StopIteration, LookupError, ZeroDivisionError, AttributeError) as error:
                found.append((type(error).__name__, str(error)))
        return x + len(found), found

    check(f, floats(2))


def test_assertion_caught():
    def f(x):
        try:
            assert x.dim() == 3, f"got {x.dim()}"
        except AssertionError as error:
            return x + 1, str(error)

    check(f, floats(2, 2))


def test_unpacking_errors():
    def f(x, items):
        try:
            a, b = items
        except ValueError as error:
            return x + 1, str(error)
        return x + a + b

    check(f, floats(2), (1, 2))
    check(f, floats(2), [1, 2, 3])
    check(f, floats(2), [1])


def test_starred_unpacking():
    def f(x, items):
        first, *middle, last = items
        (a, b), c = (first, last), x
        return c * a + b, middle

    check(f, floats(2), [1, 2, 3, 4])


def test_swap_and_chain_assignment():
    def f(x, y):
        x, y = y, x
        a = b = x + 1
        a += y
        return a, b, x, y

    check(f, floats(2), floats(2))


def test_loop_over_tensor_rows():
    def f(x):
        total = torch.zeros(x.shape[1])
        for row in x:
            total = total + row * row
        return total

    check(f, floats(4, 2))
