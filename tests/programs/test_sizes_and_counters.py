"""Sizes, numbers and counters as symbols: what Python does with them, and how often that is compiled."""

import dataclasses
import math

import pytest
import torch

import framelift
from framelift.observe.counters import counters
from tests.harness import check, each, floats, fresh, made


def rows(*sizes):
    """A recipe: tensors of these many rows, one after another."""
    return made(lambda k: torch.arange(3.0 * sizes[k % len(sizes)]).reshape(-1, 3) / 7)


ONE_MORE = {"graphs": 2, "recompiles": 1, "calls": 5}
"""The second size is compiled as a symbol, and then no other is."""
EACH = {"graphs": 4, "recompiles": 3, "calls": 5}
"""Each of four values is a fact."""

SIZES = {
    "half": lambda x: x[: x.shape[0] // 2] * 2,
    "part": lambda x: (x[: int(x.size(0) * 0.5)], int(x.size(0) * 0.3)),
    "root": lambda x: (x / math.sqrt(x.size(0)), x * x.size(0) ** -0.5, int(math.sqrt(x.size(0)))),
    "rounding": lambda x: (x[: math.ceil(x.size(0) / 2)], math.floor(x.size(0) / 2), round(x.size(0) / 3)),
    "least": lambda x: (x[: min(x.shape[0], 7)], max(x.shape[0], 6), min(9, x.shape[0], 8)),
    "view": lambda x: (x.view(x.shape[0], -1), x.view(-1), x.reshape(x.size(0) * 3)),
    "new": lambda x: (torch.arange(x.shape[0]), torch.zeros(x.shape[0], 2), torch.full((len(x),), 1.5)),
    "expanded": lambda x: x[:1].expand(x.shape[0], -1) + x,
    "shape": lambda x: (x.reshape(x.shape), x.shape.numel(), x.shape + (1,), tuple(x.shape)[::-1]),
    "slices": lambda x: (x[1 : x.shape[0] - 1], x[-x.shape[0] :], x[x.shape[0] // 2 :]),
    "bits": lambda x: (x * (x.shape[0] >> 1), x.shape[0] & 3, x.shape[0] | 8),
    "spectrum": lambda x: torch.fft.fft2(x.view(-1, 1, 3).expand(-1, 2, -1)).real,
    "divided": lambda x: (x + 1, divmod(x.shape[0], 3), x.shape[0] / 3, x.shape[0] % 4, -x.shape[0] // 3),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_size_stays_open(name):
    check(SIZES[name], rows(4, 6, 9, 11, 5), **ONE_MORE)


FACTS = {
    "loop": lambda x: [x + i for i in range(x.shape[0])],
    "list": lambda x: (x + 1, [0] * x.shape[0]),
    "text": lambda x: (x + 1, f"{x.shape[0]} rows"),
    "key": lambda x: (x + 1, {x.shape[0]: "rows"}),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_size_becomes_a_fact(name):
    check(FACTS[name], rows(4, 6, 9, 11, 4), **EACH)


def message_of_a_check(x):
    torch._assert(x.dim() == 2, f"rows and columns, not {x.shape}: {x.shape[0]:>4} of {x.shape[1:]!r}")
    return x + 1


def message_in_a_branch(x):
    text = f"{x.shape[0]} rows"
    if x.dim() > 2:
        raise ValueError(text)
    return x + 1


@pytest.mark.parametrize("program", [message_of_a_check, message_in_a_branch])
def test_text_that_nobody_looks_at_leaves_sizes_open(program):
    check(program, rows(4, 6, 9, 11, 5), **ONE_MORE)


def test_text_that_is_looked_at_later_shows_the_sizes():
    def f(x):
        shape, count = str(x.shape), f"{x.shape[0] * 2:03d} of {x.shape[0] > 5}"
        y = x + 1
        framelift.graph_break()
        return y, len(shape), [count], {shape: 1}

    check(f, rows(4, 6, 9, 4), graphs=None, breaks=None, recompiles=None)


def test_numbers_of_any_sign_are_one_symbol():
    def f(x, n):
        return x * n, abs(n), n // 3, n % 3, -n, n + True

    check(f, floats(2), each(3, -3, 0, 1, -1, 9), graphs=2, recompiles=1, calls=6)


def test_truth_values_are_facts():
    def f(x, flag):
        return x * flag

    check(f, floats(2), each(True, False, True, False), graphs=2, recompiles=1, calls=4)


def test_floats_are_symbols():
    def f(x, rate):
        return x * rate + (rate - 1), rate * 2, int(rate * 10) if rate is None else math.sqrt(rate)

    check(f, floats(2), each(0.5, 0.25, 0.75, 3.5, 0.1), **ONE_MORE)


def test_an_integer_made_of_a_float_stays_open():
    def f(x, rate):
        return x + int(rate), math.floor(rate), math.ceil(rate), round(rate)

    check(f, floats(2), each(1.5, 2.5, -0.75, 3.5, 0.1), **ONE_MORE)


def test_an_integer_made_of_a_sum_of_floats_is_what_python_computes():
    def f(x, rate):
        return x + int(rate + 1e20 - 1e20), math.floor((rate + 0.1) + 0.2)

    check(f, floats(2), each(1.5, 2.7, 0.7, 1.7), graphs=None, recompiles=None, calls=4)


def test_questions_about_bits_are_conditions():
    def f(x, n):
        if n & 1:
            x = x + 1
        return x * 2 if (n ^ 3) | 4 > 9 else x - (n >> 1)

    check(f, floats(2), each(4, 6, 9, 12, 5, 8, 16), graphs=None, recompiles=None, calls=7)


def test_what_guards_cannot_check_fixes_the_number():
    def f(x):
        n = x.shape[0]
        return x + 1 if torch.sym_float(n) ** 0.5 * 3 // 2 > 3 else x - 1

    check(f, rows(4, 6, 9, 4), graphs=None, recompiles=None, calls=5)


@dataclasses.dataclass
class State:
    step: int = 0
    rate: float = 1.0


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.step = 0
        self.rate = 1.0

    def forward(self, x):
        self.step += 1
        self.rate *= 0.5
        return x * self.step * self.rate


def in_a_list():
    counts = [0]

    def f(x):
        counts[0] += 1
        return x * counts[0]

    return f


def in_a_dict():
    counts = {"step": 0}

    def f(x):
        counts["step"] += 1
        return x * counts["step"]

    return f


def in_a_cell():
    step = 0

    def f(x):
        nonlocal step
        step += 1
        return x * step

    return f


def in_a_dataclass():
    state = State()

    def f(x):
        state.step += 1
        state.rate *= 0.9
        return x * state.step * state.rate

    return f


@pytest.mark.parametrize("build", [Module, in_a_list, in_a_dict, in_a_cell, in_a_dataclass])
def test_a_counter_is_compiled_twice(build):
    check(fresh(build), floats(2), graphs=2, recompiles=1, calls=6)


STEP = 0


def count_globally(x):
    global STEP
    STEP += 1
    return x * STEP


def test_a_global_counter_is_compiled_twice():
    check(count_globally, floats(2), globals=("STEP",), graphs=2, recompiles=1, calls=6)


def entries_of(program, *arguments):
    """How many graphs a program has that is called once."""
    framelift.counters.clear()
    assert torch.equal(framelift.compile(program, backend="eager")(*arguments), program(*arguments))
    return sum(framelift.counters["graphs"].values())


def test_a_loop_of_many_counters_has_a_handful_of_entries():
    def f(x):
        low, high, total, rate = 0, 1000, 0, 0.0
        while low < high:
            x = x + low % 3
            framelift.graph_break()
            low, high, total, rate = low + 1, high - 1, total + low * high, rate + 0.5
        return x * rate + total

    assert entries_of(f, torch.ones(3)) <= 6


def test_a_loop_in_a_loop_has_a_handful_of_entries():
    def f(x):
        count = 0
        for i in range(30):
            for j in range(30):
                x = x + i * j % 5
                count += 1
                framelift.graph_break()
        return x * count

    assert entries_of(f, torch.ones(3)) <= 8


def test_two_sizes_that_change_together_cost_one_entry():
    def f(x, y):
        return x @ y.t() + x.shape[0]

    check(f, rows(4, 6, 9), rows(4, 6, 9), graphs=2, recompiles=1, calls=4)


def test_batches_of_zero_and_one_are_entries_of_their_own():
    def f(x):
        return torch.softmax(x @ x.t(), -1)

    check(f, rows(2, 3, 4, 5, 6, 7, 1, 0), graphs=4, recompiles=3, calls=10)


def test_a_float_that_is_always_another_one_and_asked_about():
    """After some entries that hold for one value each, the question is a break: no limit is reached."""

    def f(x, at, limit):
        passed = at * 2.0 - limit
        return x * 2 if passed > 100.5 else x + passed

    compiled = framelift.compile(f, backend="eager")
    counters.clear()
    x = torch.ones(2)
    for number in range(30):
        at, limit = 40.1 + number, 10.3 + number / 7
        assert torch.equal(compiled(x, at, limit), f(x, at, limit))
    assert not counters["limits"]
    assert sum(counters["recompiles"].values()) < 10


def test_shapes_that_are_broadcast():
    def f(x, y):
        shape = torch.broadcast_shapes(x.shape, 3, y.shape, ())
        return x.expand(shape) + y, shape, torch.broadcast_shapes()

    sizes = each(torch.ones(2, 1, 3), torch.ones(5, 1, 3), torch.ones(4, 1, 3))
    check(f, floats(4, 1), floats(2, 1, 3))
    check(f, floats(4, 1), sizes, recompiles=1, graphs=2, calls=3)


def test_shapes_that_are_not_broadcast():
    def f(x):
        try:
            return torch.broadcast_shapes(x.shape, (2,))
        except RuntimeError as error:
            return x + 1, str(error)

    check(f, floats(3), graphs=None, breaks=None, runs=None)
