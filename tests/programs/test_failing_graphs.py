"""Operators that refuse their data when the graph runs: the error is eager's, and so is all that the program
has done until then."""

import contextlib
import math
import traceback

import pytest
import torch

import framelift
from tests.harness import check, each, floats, fresh, made

LARGE = 1 << 19
"""Floats: two megabytes, of which no copy is kept."""

GOOD, BAD = torch.tensor([2, 0]), torch.tensor([1, 9])


def pick(table, index):
    return table[index]


def zeros(size):
    return made(lambda k: torch.zeros(size))


def check_failing(program, *parts, **options):
    """``check`` for a program that meets bad data in one of its calls: CPython repeats that part."""
    return check(program, *parts, each(GOOD, BAD, GOOD), breaks=None, **options)


def test_the_segment_is_repeated_when_nothing_has_been_written():
    def f(x, index):
        y = x + 1
        return pick(y, index) * 2

    check_failing(f, floats(4))


def test_what_was_written_is_put_back_and_the_segment_repeated():
    def f(x, counts, items, index):
        items.append("before")
        counts.add_(1)
        y = pick(x, index)
        items.append("behind")
        counts.mul_(2)
        return y.sum()

    check_failing(f, floats(4), zeros(3), [])


def handled(x, counts, index):
    done = 0
    try:
        counts.add_(1)
        done = 1
        y = pick(x, index)
        done = 2
    except IndexError as error:
        return counts + done, done, str(error)
    finally:
        counts.mul_(3)
    return y, done


def test_a_handler_finds_the_locals_of_its_line():
    check_failing(handled, floats(4), zeros(3), graphs=None)


def test_a_handler_of_a_callee_finds_the_locals_of_its_line():
    def attempt(x, counts, index):
        done = [0]
        try:
            counts.add_(1)
            done.append(1)
            return pick(x, index), done
        except IndexError:
            return None, done

    def f(x, counts, index):
        y, done = attempt(x, counts, index)
        counts.mul_(3)
        return y, done, counts.sum()

    check_failing(f, floats(4), zeros(3), graphs=None)


def test_a_context_that_swallows_the_error():
    class Swallow:
        def __init__(self, log):
            self.log = log

        def __enter__(self):
            self.log.append("in")

        def __exit__(self, kind, error, trace):
            self.log.append(kind and kind.__name__)
            return True

    def f(x, counts, log, index):
        y = x
        with Swallow(log):
            counts.add_(1)
            y = pick(x, index)
        return y.sum() + counts

    check_failing(f, floats(4), zeros(3), [], graphs=None)


def test_the_random_numbers_are_drawn_again():
    def f(x, counts, index):
        noise = torch.rand_like(x)
        counts.add_(noise[:3])
        return pick(noise, index), torch.nn.functional.dropout(x)

    check_failing(f, floats(4), zeros(3))


def test_statistics_of_a_module():
    def build():
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))

        def f(x, target):
            return torch.nn.functional.cross_entropy(net(x), target)

        f.net = net
        return f

    targets = each(torch.tensor([0, 3, 1]), torch.tensor([0, 7, 1]), torch.tensor([2, 2, 2]))
    check(fresh(build), floats(3, 4), targets, breaks=None)


def test_an_operator_that_nobody_needs_is_asked_all_the_same():
    def f(x, index):
        pick(x, index)
        return x + 1

    check_failing(f, floats(4))


def test_whole_numbers_divided_by_zero():
    def f(x, counts):
        counts.add_(1)
        return x // counts

    counts = each(torch.tensor([1, 2]), torch.tensor([-1, 2]))
    check(f, torch.tensor([5, 6]), counts, breaks=None)


def test_a_matrix_that_has_no_inverse():
    def f(x, counts):
        counts.add_(1)
        return torch.linalg.inv(x)

    check(f, each(torch.eye(2), torch.zeros(2, 2)), zeros(3), breaks=None)


def test_a_compiler_that_changes_the_order():
    def f(x, counts, index):
        y = pick(x, index)
        counts.add_(1)
        return y + counts

    check_failing(f, floats(4), zeros(2), backend="inductor", tolerance=1e-6)


@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_large_inputs_in_a_block_that_handles_the_error(backend):
    check_failing(handled, floats(4), zeros(LARGE), graphs=None, backend=backend, tolerance=1e-6)


def test_large_inputs_that_are_written_to_later():
    def f(x, cache, index):
        y = pick(x, index)
        cache.add_(1)
        return y

    framelift.reset()
    compiled = framelift.compile(f, backend="eager")
    cache = torch.zeros(LARGE)
    compiled(torch.ones(4), cache, GOOD)
    with pytest.raises(IndexError) as caught:
        compiled(torch.ones(4), cache, BAD)
    assert not hasattr(caught.value, "__notes__")
    assert cache[0] == 1
    assert sum(framelift.counters["fallbacks"].values()) == 1


def lines(error):
    """The lines of this file in a traceback, counted from the function's first."""
    found = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if code.co_filename == __file__:
            found.append((code.co_name, line - code.co_firstlineno))
    return found


def outcome(program, *arguments):
    with pytest.raises(IndexError) as caught:
        program(*arguments)
    return str(caught.value), lines(caught.value)[1:]


def write_and_fail(x, cache, index):
    cache.add_(1)
    y = pick(x, index)
    return y + 1


def write_behind_a_break(x, cache, index):
    framelift.graph_break()
    cache.add_(1)
    y = pick(x, index)
    return y + 1


def write_in_a_block_that_began_before(x, cache, index):
    with torch.no_grad():
        framelift.graph_break()
        cache.add_(1)
        return pick(x, index)


@pytest.mark.parametrize(
    "program", [write_and_fail, write_behind_a_break, write_in_a_block_that_began_before]
)
def test_large_inputs_are_written_to_once_and_the_error_has_its_line(program):
    compiled = framelift.compile(program, backend="eager")
    worlds = [(program, torch.zeros(LARGE)), (compiled, torch.zeros(LARGE))]
    for call, cache in worlds:
        call(torch.ones(4), cache, GOOD)
    expected, actual = [outcome(call, torch.ones(4), cache, BAD) for call, cache in worlds]
    assert actual == expected
    assert torch.equal(worlds[0][1], worlds[1][1])
    assert torch.is_grad_enabled()


def test_what_is_lost_is_said():
    def f(x, cache, items, index):
        items.append(1)
        cache.add_(1)
        return pick(x, index)

    compiled = framelift.compile(f, backend="eager")
    with pytest.raises(IndexError) as caught:
        compiled(torch.ones(4), torch.zeros(LARGE), [], BAD)
    assert "lost" in caught.value.__notes__[0]


def test_gradients_are_not_left_twice():
    def f(weight, x, index):
        (weight * x).sum().backward()
        return pick(x, index)

    compiled = framelift.compile(f, backend="eager")
    weight = torch.ones(4, requires_grad=True)
    found = []
    for call in (f, compiled):
        weight.grad = None
        call(weight, torch.ones(4), GOOD)
        found.append(outcome(call, weight, torch.ones(4), BAD))
        assert torch.equal(weight.grad, torch.full((4,), 2.0))
    assert found[0] == found[1]


def arithmetic(name):
    number = {
        "division": lambda n: 1.0 / (n.item() - 1),
        "remainder": lambda n: 5.0 % (n.item() - 1),
        "power": lambda n: (n.item() - 1) ** -0.5,
        "complex": lambda n: (n.item() - 2) ** 0.5,
        "root": lambda n: math.sqrt(n.item() - 2),
        "overflow": lambda n: 10.0 ** (n.item() * 300),
    }[name]

    def f(x, state, log, n):
        log.append("before")
        state.add_(1)
        try:
            state.mul_(2)
            state.copy_((state * number(n)).real)
        except (ArithmeticError, ValueError) as error:
            log.append(str(error))
        state.add_(x.sum())
        return state.sin()

    return f


COUNTS = each(*(torch.tensor(number) for number in (4.0, 3.0, 1.0, 2.0)))


@pytest.mark.parametrize("backend", ["eager", "inductor"])
@pytest.mark.parametrize("size", [3, LARGE])
@pytest.mark.parametrize("name", ["division", "remainder", "power", "root", "overflow"])
def test_arithmetic_of_numbers_from_data(name, size, backend):
    """Python's own arithmetic between writes: it raises where it does, and the handler finds all of them."""
    options = dict(graphs=None, breaks=None, recompiles=None, calls=4, backend=backend, tolerance=1e-5)
    check(arithmetic(name), floats(3), zeros(size), [], COUNTS, **options)


def test_a_power_that_is_complex():
    check(arithmetic("complex"), floats(3), zeros(3), [], COUNTS, graphs=None, breaks=None, calls=4)


def suppressed(x, index):
    x.add_(1)
    with contextlib.suppress(IndexError):
        x.mul_(pick(x, index).sum())
    return x.sum()


def suppressed_around_a_callee(x, index):
    with contextlib.suppress(IndexError):
        return with_gradients_off(x, index)
    return x.sum() * 2


def with_gradients_off(x, index):
    x.add_(1)
    with torch.no_grad():
        return pick(x, index).sum()


@pytest.mark.parametrize("program", [suppressed, suppressed_around_a_callee])
def test_large_inputs_in_a_context_that_swallows_the_error(program):
    bad = torch.tensor([1, LARGE])
    check(program, made(lambda k: torch.zeros(LARGE)), each(GOOD, bad, GOOD), graphs=None, breaks=None)


def test_a_context_that_swallows_nothing_is_no_reason_to_break():
    check(with_gradients_off, made(lambda k: torch.zeros(LARGE)), each(GOOD, GOOD, GOOD))
