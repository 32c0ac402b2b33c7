"""Comprehensions, generator expressions and generators that stay inside the function."""

import torch

from tests.harness import check, floats


def test_list_comprehension():
    def f(x):
        return [x * i for i in range(3)]

    check(f, floats(2))


def test_condition_and_two_loops():
    def f(x):
        return torch.stack([x * i + j for i in range(3) if i != 1 for j in range(2)])

    check(f, floats(2))


def test_dict_and_set_comprehension():
    def f(x):
        table = {name: x * index for index, name in enumerate("abc")}
        return table, {len(name) for name in table}

    check(f, floats(2))


def test_nested_comprehension():
    def f(x):
        return [[x[i, j] for j in range(2)] for i in range(2)]

    check(f, floats(2, 2))


def test_generator_expression_in_sum():
    def f(x):
        return sum(x[i] * i for i in range(3))

    check(f, floats(3))


def test_generator_expressions_in_any_and_all():
    def f(x, items):
        if any(item > 2 for item in items) and all(item < 9 for item in items):
            return x + 1
        return x - 1

    check(f, floats(2), [1, 2, 3])


def test_generator_function():
    def pieces(x):
        for i in range(x.shape[0]):
            yield x[i] * i

    def f(x):
        return torch.stack(list(pieces(x)))

    check(f, floats(3, 2))


def test_generator_left_early():
    def numbers():
        n = 0
        while True:
            yield n
            n += 1

    def f(x):
        for n in numbers():
            if n == 3:
                break
            x = x + n
        return x

    check(f, floats(2))


def test_generator_with_finally():
    def guarded(log):
        try:
            yield 1
            yield 2
        finally:
            log.append("closed")

    def f(x, log):
        for n in guarded(log):
            x = x * n
        return x + 1

    check(f, floats(2), [])


def test_generator_send_and_return():
    def accumulate():
        total = 0
        while True:
            value = yield total
            if value is None:
                return total
            total = total + value

    def f(x):
        generator = accumulate()
        next(generator)
        generator.send(x)
        generator.send(x * 2)
        try:
            generator.send(None)
        except StopIteration as stop:
            return stop.value

    check(f, floats(2))


def test_yield_from():
    def inner(x):
        yield x
        yield x + 1
        return "done"

    def outer(x):
        result = yield from inner(x)
        yield x * 2
        yield result

    def f(x):
        return list(outer(x))

    check(f, floats(2))


def test_generator_throw_and_close():
    def careful(log):
        try:
            yield 1
        except ValueError:
            log.append("caught")
            yield 2

    def f(x, log):
        generator = careful(log)
        n = next(generator)
        m = generator.throw(ValueError)
        generator.close()
        return x * n * m

    check(f, floats(2), [])


def test_lazy_pipeline():
    def f(x):
        squares = (row * row for row in x)
        shifted = (row + 1 for row in squares)
        return torch.stack(tuple(shifted))

    check(f, floats(3, 2))


def test_walrus_in_a_comprehension():
    def f(x):
        h = x
        steps = [(h := h * 0.5 + 1) for _ in range(3)]
        return torch.stack(steps), h

    check(f, floats(2))


def test_unpacking_in_a_comprehension():
    def f(x):
        pairs = [("a", 1), ("b", 2)]
        return {name: x + number for name, number in pairs}, [first for first, *_ in pairs]

    check(f, floats(2))


def test_generator_returned_by_an_inlined_function():
    def f(x):
        y = x + 1
        return (y * i for i in range(3))

    def collect(x):
        return list(f(x))

    check(collect, floats(2))
