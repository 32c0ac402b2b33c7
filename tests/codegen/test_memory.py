"""Tensors that share memory: inputs with each other, and results with inputs and results."""

from __future__ import annotations

import numpy
import pytest
import torch

import framelift


def distinct():
    return torch.arange(9.0).view(3, 3), torch.arange(9.0).view(3, 3) + 100


def same():
    one = torch.arange(9.0).view(3, 3)
    return one, one


def overlapping():
    memory = torch.arange(20.0)
    return memory[:9].view(3, 3), memory[4:13].view(3, 3)


def side_by_side():
    memory = torch.arange(20.0)
    return memory[:9].view(3, 3), memory[9:18].view(3, 3)


def transposed():
    one = torch.arange(9.0).view(3, 3)
    return one, one.t()


def columns():
    both = torch.arange(18.0).view(3, 6)
    return both[:, :3], both[:, 3:]


def two_storages():
    memory = numpy.arange(9.0, dtype="float32").reshape(3, 3)
    return torch.from_numpy(memory), torch.from_numpy(memory)


RELATIONS = [distinct, same, overlapping, side_by_side, transposed, columns, two_storages]


def reads(x, y):
    return x * 2 + y, y.t()


def writes_first(x, y):
    x.mul_(2)
    together = x + y
    total = y.sum()
    x.add_(1)
    return together, total


def writes_second(x, y):
    before = x + 1
    y.mul_(3)
    return before, x + y, x.view(-1) if x.is_contiguous() else x


def writes_both(x, y):
    x.mul_(2)
    y.copy_(y + x)
    return x - y, x


def same_as_eager(program, compiled, relation):
    expected, found = relation(), relation()
    results = program(*expected)
    for one, other in zip((*results, *expected), (*compiled(*found), *found), strict=True):
        assert torch.equal(one, other), relation.__name__
        assert one.stride() == other.stride()


@pytest.mark.parametrize("backend", ["eager", None])
@pytest.mark.parametrize(
    "program", [reads, writes_first, writes_second, writes_both], ids=lambda program: program.__name__
)
def test_compiled_for_one_relation_and_called_with_another(program, backend):
    for place, first in enumerate(RELATIONS):
        compiled = framelift.compile(program, backend=backend, fullgraph=True, recompile_limit=20)
        others = RELATIONS[place + 1 :] + RELATIONS[:place]
        for relation in (first, *others, first, *reversed(others)):
            same_as_eager(program, compiled, relation)


def test_many_tensors_and_one_that_moves_in():
    framelift.reset()

    def step(tensors, others):
        torch._foreach_add_(tensors, 1)
        return [one * 2 for one in others]

    def arguments(overlap):
        memory = torch.zeros(100, 4)
        tensors = list(memory[::2])
        others = list(memory[1::2])
        if overlap:
            others[7] = memory[90]
        return tensors, others

    compiled = framelift.compile(step, fullgraph=True)
    for overlap in (False, True, False, True):
        expected, found = arguments(overlap), arguments(overlap)
        results = zip(step(*expected), compiled(*found), strict=True)
        assert all(torch.equal(one, other) for one, other in results)
    assert list(framelift.counters["recompiles"])[0].endswith("memory of its own, found shared memory")


def test_memory_that_moves_below_the_same_tensors():
    class Pair:
        def __init__(self):
            self.written, self.read = torch.zeros(4), torch.zeros(4)

    def step(pair):
        pair.written.add_(1)
        return pair.read * 2 + pair.written

    expected, found = Pair(), Pair()
    compiled = framelift.compile(step, fullgraph=True)
    for call in range(6):
        if call == 4:
            for pair in (expected, found):
                pair.read.data = pair.written.data[:]
        assert torch.equal(step(expected), compiled(found))


def test_one_written_tensor_alone_needs_no_relation():
    compiled = framelift.compile(lambda x: x.add_(1), fullgraph=True)
    memory = torch.zeros(4)
    compiled(memory[:2])
    compiled(memory[1:3])
    assert memory.tolist() == [1, 2, 1, 0]


def memory_of(values):
    storages = [value.untyped_storage().data_ptr() for value in values]
    return [storages.index(storage) for storage in storages]


def identity_of(values):
    return [next(place for place, other in enumerate(values) if other is value) for value in values]


RESULTS = {
    "copies of an input": lambda x, w: (x.clone(), x * 1, x + 0, w.clone(), w),
    "copies of a result": lambda x, w: (lambda a: (a, a.clone(), a * 1, a + 0))(x + 1),
    "views of a result": lambda x, w: (lambda a: (a, a.t(), a.t().contiguous(), a[0], a.view(-1)))(x + 1),
    "a view of a copy": lambda x, w: (lambda a, b: (a, b, b.t(), b[0]))(*(lambda a: (a, a.clone()))(x + 1)),
    "what was written": lambda x, w: (x.add_(1), x.clone(), w.copy_(x), w.clone()),
    "a copy of what was written": lambda x, w: (x.index_copy_(0, torch.tensor([0]), w[:1]), x.clone(), x + 0),
    "a copy of a part": lambda x, w: (x[0].copy_(w[0]).clone(), x.clone()),
}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
def test_results_share_memory_where_eagers_do(name, mode):
    program = RESULTS[name]
    compiled = framelift.compile(program, backend="inductor", fullgraph=True)
    for _ in range(2):
        with mode():
            expected, found = (torch.ones(4, 3), torch.zeros(4, 3)), (torch.ones(4, 3), torch.zeros(4, 3))
            left, right = (*expected, *program(*expected)), (*found, *compiled(*found))
        assert all(torch.equal(one, other) for one, other in zip(left, right, strict=True))
        assert memory_of(left) == memory_of(right)
        assert identity_of(left) == identity_of(right)
