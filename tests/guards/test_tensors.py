"""Metadata of tensors: every field fails once, and unusual tensors are compared rightly."""

from __future__ import annotations

import warnings
import weakref

import pytest
import torch

from framelift.guards import GuardSet, build, torch_state
from framelift.guards.kinds import TensorMatch
from framelift.guards.sources import Argument, ListItem
from tests.guards.engines import VALUE, explain, guard_set, holds


def match(example, sizes=None, strides="same"):
    sizes = tuple(example.shape) if sizes is None else sizes
    if strides == "same":
        strides = tuple(example.stride()) if example.layout is torch.strided else None
    return guard_set(TensorMatch.of(example, sizes, strides))


BASE = torch.zeros(4, 3)
SEVEN = torch.zeros(1, 2, 1, 2, 1, 2, 3)
COMPLEX = torch.zeros(3, dtype=torch.complex64)


class Subclass(torch.Tensor):
    pass


with torch.inference_mode():
    INFERENCE = torch.zeros(4, 3)

DIFFERENT = {
    "size": (BASE, torch.zeros(3, 4)),
    "dimension": (BASE, torch.zeros(4, 3, 1)),
    "stride": (BASE, torch.zeros(3, 4).t()),
    "dtype": (BASE, BASE.double()),
    "device": (BASE, torch.zeros(4, 3, device="meta")),
    "requires_grad": (BASE, torch.zeros(4, 3, requires_grad=True)),
    "requires_grad_of_result": (BASE, torch.zeros(4, 3, requires_grad=True) * 2),
    "requires_no_grad": (torch.zeros(4, 3, requires_grad=True), BASE),
    "conjugate": (COMPLEX, COMPLEX.conj()),
    "negative": (torch.zeros(3), COMPLEX.conj().imag),
    "layout": (BASE, BASE.to_sparse()),
    "parameter": (BASE, torch.nn.Parameter(BASE, requires_grad=False)),
    "subclass": (BASE, BASE.as_subclass(Subclass)),
    "inference": (BASE, INFERENCE),
    "size_of_many": (SEVEN, torch.zeros(1, 2, 1, 2, 1, 3, 3)),
    "size_of_sparse": (BASE.to_sparse(), torch.zeros(3, 4).to_sparse()),
    "class": (BASE, 3.0),
}


@pytest.mark.parametrize("field", DIFFERENT)
def test_a_field_that_differs_fails(field):
    example, other = DIFFERENT[field]
    assert holds(match(example), example)
    assert not holds(match(example), other)


def test_strides_of_many_dimensions():
    other = SEVEN.transpose(1, 3).contiguous().transpose(1, 3)
    assert other.shape == SEVEN.shape
    assert other.stride() != SEVEN.stride()
    assert holds(match(SEVEN), torch.ones_like(SEVEN))
    assert not holds(match(SEVEN), other)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch says once that compressed sparse tensors are in beta
    COMPRESSED = BASE.to_sparse_csr()


@pytest.mark.parametrize(
    "example",
    [
        torch.tensor(1.0),
        torch.zeros(0),
        torch.zeros(0, 3),
        SEVEN,
        torch.zeros(4, 3, device="meta"),
        BASE.to_sparse(),
        COMPRESSED,
        BASE.as_subclass(Subclass),
        torch.nn.Parameter(torch.zeros(3)),
        torch.nn.Buffer(torch.zeros(3)),
        torch.zeros(4, 3)[1:, 1:],
        torch.zeros(5).expand(3, 5),
        INFERENCE,
        COMPLEX.conj(),
    ],
    ids=str,
)
def test_a_tensor_matches_itself_and_what_it_is_like(example):
    assert holds(match(example), example)
    if type(example) is torch.Tensor:
        assert holds(match(example), example.detach())


def test_wildcards():
    assert holds(match(BASE, (None, 3), (3, 1)), torch.zeros(9, 3))
    assert not holds(match(BASE, (None, 3), (3, 1)), torch.zeros(9, 4))
    assert holds(match(BASE, (None, None), (None, None)), torch.zeros(4, 9).t())
    sparse = BASE.to_sparse()
    assert holds(match(sparse, (None, 3), None), torch.zeros(9, 3).to_sparse())
    assert not holds(match(sparse, (None, 3), None), torch.zeros(9, 2).to_sparse())


def test_tensors_are_read_directly_here():
    """The offsets of every torch that is supported are found; a new layout would show here first."""
    assert torch_state.calibrate()["tensors"] is not None


def test_direct_reading_sees_changes_in_place():
    tensor = torch.zeros(4, 3)
    tree = build(match(tensor), 1).tree
    assert tree.check((tensor,)) is not None
    tensor.requires_grad_()
    assert tree.check((tensor,)) is None
    tensor.requires_grad_(False)
    assert tree.check((tensor,)) is not None
    tensor.data = torch.zeros(3, 4)
    assert tree.check((tensor,)) is None
    tensor.data = torch.zeros(4, 3)
    assert tree.check((tensor,)) is not None
    tensor.resize_(2, 3)
    assert tree.check((tensor,)) is None


def test_wrong_number_of_sizes_is_refused():
    made = guard_set(TensorMatch.of(BASE, (4,), (3,)))
    with pytest.raises(ValueError, match="dimensions"):
        build(made, 1)


def test_the_example_is_not_kept_alive():
    example = torch.zeros(4, 3)
    gone = weakref.ref(example)
    tree = build(match(example), 1).tree
    del example
    assert gone() is None
    assert tree.check((torch.zeros(4, 3),)) is not None


def test_texts():
    text = str(match(torch.zeros(4, 3, requires_grad=True), (None, 3)))
    assert text == "value: tensor f32[?, 3] requires grad"
    assert explain(match(BASE), torch.zeros(3, 4).t().double()) == (
        "value: expected tensor f32[4, 3], found tensor f64[4, 3] strides (1, 4)"
    )


def test_distinct_tensors():
    made = GuardSet()
    items = [ListItem(VALUE, index) for index in range(40)]
    made.distinct(items)
    tensors = [torch.zeros(1) for _ in items]
    assert holds(made, tensors)
    assert not holds(made, [*tensors[:-1], tensors[7]])
    assert explain(made, [*tensors[:-1], tensors[7]]) == (
        "value[7] and value[39]: expected to be different objects"
    )
    few = GuardSet()
    few.distinct(items[:3])
    assert holds(few, tensors)
    assert not holds(few, [tensors[0], tensors[1], tensors[0]])


MEMORY = torch.arange(24.0)
PLACES = {
    "another tensor": (lambda: (MEMORY[:4], torch.zeros(4)), True),
    "the same": (lambda: (MEMORY[:4], MEMORY[:4]), False),
    "side by side": (lambda: (MEMORY[:4], MEMORY[4:8]), True),
    "one element": (lambda: (MEMORY[:4], MEMORY[3:7]), False),
    "inside": (lambda: (MEMORY[:20:6], MEMORY[7:11]), False),
    "behind the last": (lambda: (MEMORY[:19:6], MEMORY[19:23]), True),
    "another type": (lambda: (MEMORY[:4], MEMORY.view(torch.int32)[3:7]), False),
    "empty": (lambda: (MEMORY[:4], MEMORY[2:2]), True),
    "transposed": (lambda: (MEMORY.view(4, 6), MEMORY.view(4, 6).t()), False),
    "two storages": (lambda: (torch.from_numpy(MEMORY.numpy()), torch.from_numpy(MEMORY.numpy())), False),
    "no memory": (lambda: (torch.empty(4, device="meta"), torch.empty(4, device="meta")), True),
}


def memory_guards(tensors, written, overlap=()):
    arguments = [Argument(index, f"t{index}") for index in range(len(tensors))]
    made = guard_set(
        *(
            (source, TensorMatch.of(tensor, (None,) * tensor.dim(), (None,) * tensor.dim()))
            for source, tensor in zip(arguments, tensors, strict=True)
        )
    )
    made.memory(arguments, written, [tensor.element_size() for tensor in tensors], overlap)
    return made


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("written", [(True, False), (False, True), (True, True)])
def test_memory_of_two_tensors(name, written):
    make, are_apart = PLACES[name]
    tensors = make()
    apart, shared = memory_guards(tensors, written), memory_guards(tensors, written, [(0, 1)])
    assert holds(apart, *tensors) == are_apart
    assert holds(shared, *tensors) != are_apart
    if are_apart:
        assert explain(shared, *tensors).endswith(
            "expected memory shared as at capture, found memory of its own"
        )
    else:
        assert explain(apart, *tensors).endswith("expected memory of its own, found shared memory")


def test_memory_shared_by_other_tensors_than_at_capture():
    first, second, third = MEMORY[:4], MEMORY[2:6], torch.zeros(4)
    guards = memory_guards((first, second, third), (True, False, False), [(0, 1)])
    assert holds(guards, first, second, third)
    assert not holds(guards, first, third, second)
    assert not holds(guards, first, second, first)


def test_memory_of_two_that_are_only_read_may_be_one():
    tensors = MEMORY[:4], MEMORY[2:6], torch.zeros(4)
    assert holds(memory_guards(tensors, (False, False, True)), *tensors)


def test_memory_of_many_tensors_in_any_order():
    blocks = list(torch.zeros(40, 3))
    guards = memory_guards(blocks, [index % 2 == 0 for index in range(40)])
    assert holds(guards, *blocks)
    assert holds(guards, *reversed(blocks))
    for first, second in ((0, 39), (38, 1), (2, 20)):
        moved = list(blocks)
        moved[first] = blocks[second]
        assert not holds(guards, *moved)
        assert holds(guards, *blocks)
    both_read = list(blocks)
    both_read[1] = blocks[21]
    assert holds(guards, *both_read)


def test_memory_of_a_tensor_that_is_not_read_directly():
    class Other(torch.Tensor):
        pass

    memory = torch.zeros(4)
    plain, other = memory[:2], memory[2:].as_subclass(Other)
    guards = memory_guards((plain, other), (True, False))
    assert holds(guards, plain, other)
    assert not holds(guards, memory[1:3], other)
