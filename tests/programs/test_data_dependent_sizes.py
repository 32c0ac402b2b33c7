"""Numbers and sizes that come from data: symbols of the graph, decided by nobody before it runs."""

import math

import pytest
import torch

import framelift
from tests.harness import check, each, floats, made


@pytest.fixture(autouse=True)
def in_the_graph():
    with framelift.config.patch(capture_dynamic_output_shape_ops=True, capture_scalar_outputs=True):
        yield


def masks(k):
    """Tensors in which more, fewer or no numbers are positive."""
    return torch.linspace(-1.0, 1.0, 8) + (0.0, 0.3, -2.0, 0.7, 2.0)[k % 5]


def counts(k):
    return torch.arange(4) + k


def test_masks_and_nonzero_are_whole_graphs():
    def f(x):
        positive = x[x > 0]
        index = torch.nonzero(x > 0.5)
        values, times = torch.unique((x * 2).round(), return_counts=True)
        return positive * 2, index.shape[0], values + times, positive.numel()

    check(f, made(masks), calls=5)


def test_by_default_they_break_and_with_fullgraph_they_do_not():
    def f(x):
        return x[x > 0] * 2, int(x.sum() * 10) + 1

    with framelift.config.patch(capture_dynamic_output_shape_ops=False, capture_scalar_outputs=False):
        check(f, made(masks), graphs=None, breaks=3, reason="depends on data", recompiles=None)
        compiled = framelift.compile(f, backend="eager", fullgraph=True)
        for k in range(5):
            torch.testing.assert_close(compiled(masks(k)), f(masks(k)))


def test_numbers_of_every_kind():
    def f(counted, real, flag):
        n, x, yes = counted.sum().item(), real.mean().item(), flag.any().item()
        return n, x, yes, n * 2 + 1, n // 3, -n, x * 2, x / 3, abs(x), float(n), int(x), real * n + x

    arguments = made(counts), made(masks), made(lambda k: torch.arange(3) == k)
    check(f, *arguments, calls=5)


def test_conversions_take_the_number():
    def f(x, counted):
        return int(x.sum()), float(counted.sum()), x * float(x[0]), torch.ones(int(counted[1]) + 1)

    check(f, made(masks), made(counts), calls=5)


def test_functions_of_numbers_from_data():
    def f(x):
        s = (x.sum() + 20.5).item()
        return math.floor(s), math.ceil(s), round(s), math.sqrt(s), s > 1.0, s == s, x * math.sqrt(s)

    check(f, made(masks), calls=5)


def test_the_numbers_of_a_list():
    def f(x, sizes):
        rows, columns = sizes.tolist()
        return x.sum() + torch.ones(rows, columns), rows + columns, [[i, *rest] for i, *rest in [(1, rows)]]

    check(f, floats(3), made(lambda k: torch.tensor([k, 2 * k + 1])), calls=4)


def test_a_branch_on_such_a_number_is_a_break():
    def f(x):
        n = x.max().item()
        if n > 2:
            return x + n
        return x - n

    numbers = made(lambda k: torch.arange(4) + k % 2 - 1)
    check(f, numbers, calls=5, graphs=None, breaks=None, reason="Branch on data", recompiles=None)


def test_at_a_break_they_are_real_numbers():
    def f(x):
        n = x.max().item()
        index = torch.nonzero(x)
        rows = index.shape[0]
        framelift.graph_break()
        return index * n, rows + n, type(n), type(rows), isinstance(rows, int)

    check(f, made(counts), calls=5, graphs=None, breaks=1, recompiles=None)


def test_checks_of_the_program_raise_its_own_error():
    def f(x):
        n = x.max().item()
        torch._check(n >= 2, lambda: f"{n} is too few")
        torch._check(n <= 5)
        return torch.zeros(n) + 1

    check(f, made(lambda k: torch.arange(3) + k), calls=3)
    compiled = framelift.compile(f, backend="eager")
    compiled(torch.arange(4))
    with pytest.raises(RuntimeError, match="1 is too few"):
        compiled(torch.arange(2))
    with pytest.raises(RuntimeError):
        compiled(torch.arange(7))


@pytest.mark.filterwarnings("ignore:_check_is_size:FutureWarning")
def test_a_number_that_is_said_to_be_a_size():
    def f(x):
        n = x.max().item()
        torch._check_is_size(n, max=5)
        return torch.zeros(n) + 1

    compiled = framelift.compile(f, backend="eager", fullgraph=True)
    for x in (torch.arange(4), torch.arange(6), torch.zeros(1, dtype=torch.int64)):
        assert torch.equal(compiled(x), f(x))
    for x in (torch.arange(7), -torch.ones(1, dtype=torch.int64)):
        with pytest.raises(RuntimeError, match="Expected cond"):
            compiled(x)


def test_what_is_assumed_is_checked_in_the_graph():
    def f(x, y):
        return x[x > 0] * y  # as many as y has; a single one would be repeated

    values = made(lambda k: torch.tensor([[1.0, -1.0, 2.0], [-1.0, -1.0, 2.0]][k % 2]))
    check(f, values, floats(2), calls=1)
    compiled = framelift.compile(f, backend="eager", fullgraph=True)
    y = torch.ones(2)
    for x in (
        torch.tensor([1.0, -1.0, 2.0]),
        torch.tensor([-1.0, -1.0, 2.0]),
        torch.tensor([3.0, 4.0, -1.0]),
    ):
        assert torch.equal(compiled(x, y), f(x, y))
    with pytest.raises(RuntimeError, match="must match"):
        compiled(torch.ones(3), y)


def test_the_check_names_the_line():
    def f(x, y):
        x.add_(1)
        return x[x > 0] * y

    def numbers(positive):
        x = torch.full((1 << 19,), -3.0)
        x[:positive] = 1
        return x

    compiled = framelift.compile(f, backend="eager", fullgraph=True)
    compiled(numbers(2), torch.ones(2))
    with pytest.raises(RuntimeError, match=r"test_data_dependent_sizes.py:\d+"):
        compiled(numbers(3), torch.ones(2))
    # What is small is put back, and CPython repeats the call.
    compiled = framelift.compile(f, backend="eager", fullgraph=True)
    compiled(torch.tensor([1.0, -3.0, 2.0]), torch.ones(2))
    with pytest.raises(RuntimeError, match="must match"):
        compiled(torch.ones(3), torch.ones(2))


def test_without_fullgraph_nothing_is_assumed_that_cannot_be_taken_back():
    def f(x, y):
        x.add_(1)
        return x[x > 0] * y

    arguments = made(lambda k: torch.tensor([1.0, -3.0, 2.0 - 9 * (k % 2)])), floats(2)
    check(f, *arguments, fullgraph=False, graphs=None, breaks=None, recompiles=None, calls=4)


def test_sizes_without_a_question_are_asked_as_torch_asks():
    from torch.fx.experimental.symbolic_shapes import guard_or_false, guard_or_true, statically_known_true

    def f(x):
        n = torch.nonzero(x).shape[0]
        y = x + 1 if guard_or_false(n == 3) else x - 1
        return y * 2 if guard_or_true(n == 3) else y, statically_known_true(n >= 0), n

    compiled = framelift.compile(f, backend="eager", fullgraph=True)
    for x in (torch.arange(4.0), torch.zeros(4), torch.ones(4)):
        y, known, n = compiled(x)
        assert torch.equal(y, (x - 1) * 2)
        assert known is True
        assert n == int((x != 0).sum())


def test_indices_that_are_numbers_from_data():
    def f(x, i):
        n = i.item()
        return x[n], x[:n], x[n:] * 2, x.narrow(0, 0, 2)

    check(f, floats(9), made(lambda k: torch.tensor((3, 5, 0, 1, -2)[k % 5])), calls=5)


def test_operators_whose_results_depend_on_data():
    def f(x, mask):
        x = x.clone()
        x[mask] = 0.0
        runs = torch.unique_consecutive(mask, return_counts=True)
        return torch.bincount(mask.long(), minlength=3), torch.masked_select(x, mask), torch.where(mask), runs

    check(f, floats(4), made(lambda k: torch.arange(4) > k), calls=5)


def test_functions_of_torch_that_share_their_name_with_an_operator():
    def f(x):
        return torch.unique_consecutive(x), torch.unique(x.view(2, 2), dim=0), torch.cdist(x[None], x[None])

    numbers = [[1.0, 1.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    check(f, made(lambda k: torch.tensor(numbers[k % 2])))


def test_gradients_go_through_a_mask():
    def f(x):
        return (x[x > 0] ** 2).sum()

    check(f, made(lambda k: masks(k).requires_grad_()), backward=True, calls=4)


def test_inductor_takes_them():
    def f(x, y):
        positive = x[x > 0]
        return positive * 2 + 1, positive.shape[0], x * y.max().item()

    framelift.counters.clear()
    compiled = framelift.compile(f, backend="inductor", fullgraph=True)
    for k in range(4):
        found, expected = compiled(masks(k), counts(k)), f(masks(k), counts(k))
        torch.testing.assert_close(found, expected)
    assert framelift.counters["graphs"] == {"inductor": 1}
    assert not framelift.counters["fallbacks"]


def test_as_sizes_of_new_tensors():
    def f(n):
        k = n.item()
        return torch.zeros(k), torch.arange(k) * 2, torch.ones(2, k).expand(2, k)

    check(f, each(*(torch.tensor(k) for k in (3, 5, 0, 1))), calls=4)
