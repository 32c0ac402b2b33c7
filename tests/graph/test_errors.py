"""Calls that give no node: which kind of failure each is, and that the graph is as before."""

from __future__ import annotations

import operator
import random

import pytest
import torch

from framelift.graph import DataDependent, OperatorError, UnsupportedOperator
from tests.graph.conftest import Input

X, Y = Input(0), Input(1)

REFUSED_BY_EAGER = [
    (torch.mm, (X, X)),
    ("view", (X, 7)),
    ("sum", (X, 5)),
    (torch.cat, ([X, Y], 0)),
    (torch.add, (X, "a")),
    (operator.getitem, (X, 9)),
    ("nonsense", (X,)),
    (getattr, (X, "nonsense")),
    (torch.zeros, (-1,)),
    ("expand", (X, 2, 2)),
    ("t", (Input(2),)),
    ("to", (X, "no such device")),
]

NEEDS_DATA = [
    ("item", (Input(3),)),
    ("tolist", (X,)),
    ("numpy", (X,)),
    (bool, (Input(3),)),
    (int, (Input(3),)),
    (float, (Input(3),)),
    ("nonzero", (X,)),
    (torch.unique, (X,)),
    (torch.masked_select, (X, Input(4))),
    (operator.getitem, (X, Input(4))),
    (torch.equal, (X, X)),
    (torch.allclose, (X, X)),
    (torch.where, (Input(4),)),
    ("__contains__", (X, 1.0)),
    (torch.repeat_interleave, (X, Input(5), 0)),
]

UNSUPPORTED = [
    ("data_ptr", (X,)),
    ("untyped_storage", (X,)),
    (torch.manual_seed, (3,)),
    (random.random, ()),
    (lambda x: torch.nn.Linear, (X,)),
    (lambda x: object(), (X,)),
]


def record(recorder):
    recording = recorder()
    tensors = [
        torch.rand(4, 3),
        torch.rand(5, 2),
        torch.rand(2, 3, 4),
        torch.tensor(1.5),
        torch.rand(4, 3) > 0.5,
        torch.tensor([1, 2, 1, 2]),
    ]
    recording.nodes = [
        recording.builder.tensor_input(tensor, f"input{i}") for i, tensor in enumerate(tensors)
    ]
    return recording, tensors


@pytest.mark.parametrize(("target", "args"), REFUSED_BY_EAGER)
def test_an_operator_error_has_eagers_type(recorder, capfd, target, args):
    recording, tensors = record(recorder)
    values = [tensors[arg.index] if isinstance(arg, Input) else arg for arg in args]
    if target is torch.cat:
        values[0] = [tensors[0], tensors[1]]
    with pytest.raises(Exception) as eager:  # noqa: PT011
        getattr(values[0], target)(*values[1:]) if isinstance(target, str) else target(*values)
    with pytest.raises(OperatorError) as failure:
        recording.call(target, *args)
    assert isinstance(failure.value.original, type(eager.value))
    assert capfd.readouterr().err == ""
    assert recording.finish().operator_count == 0


@pytest.mark.parametrize(("target", "args"), NEEDS_DATA)
def test_data_dependent(recorder, capfd, target, args):
    recording, _ = record(recorder)
    with pytest.raises(DataDependent):
        recording.call(target, *args)
    assert capfd.readouterr().err == ""
    assert recording.finish().operator_count == 0


@pytest.mark.parametrize(("target", "args"), UNSUPPORTED)
def test_unsupported(recorder, target, args):
    recording, _ = record(recorder)
    if target is random.random:
        target = lambda: torch.Generator()  # noqa: E731
    with pytest.raises(UnsupportedOperator):
        recording.call(target, *args)
    assert recording.finish().operator_count == 0


@pytest.mark.parametrize("argument", [torch.Generator(), object(), torch.ones(2), {1, 2}], ids=type)
def test_arguments_that_a_graph_cannot_hold(recorder, argument):
    recording, _ = record(recorder)
    with pytest.raises((UnsupportedOperator, OperatorError)):
        recording.call(torch.add, X, argument)
    with pytest.raises((UnsupportedOperator, OperatorError)):
        recording.call(torch.rand, 3, generator=argument)
    assert recording.finish().operator_count == 0


def test_numbers_of_constants_are_known(recorder, value):
    recording = recorder()
    node = recording.call(torch.tensor, 3)
    assert value(recording.call("item", node)) == 3
    recording.call("add_", node, 1)
    assert value(recording.call("item", node)) == 4
    recording.call("add_", node, recording.call(torch.randint, 0, 9, ()))
    with pytest.raises(DataDependent):
        recording.call("item", node)


def test_an_operator_without_a_fake_kernel(recorder):
    with torch.library._scoped_library("framelift_tests", "FRAGMENT") as library:
        library.define("opaque(Tensor x) -> Tensor")
        library.impl("opaque", lambda x: x.clone(), "CPU")
        recording, _ = record(recorder)
        with pytest.raises(UnsupportedOperator):
            recording.call(torch.ops.framelift_tests.opaque.default, X)


def test_the_generators_are_not_reseeded(recorder):
    recording, _ = record(recorder)
    before = torch.get_rng_state()
    with pytest.raises(UnsupportedOperator, match="random number generator"):
        recording.call(torch.manual_seed, 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_message_names_the_call(recorder):
    recording, _ = record(recorder)
    with pytest.raises(OperatorError, match=r"^view: .*invalid"):
        recording.call("view", X, 7)
    with pytest.raises(DataDependent, match=r"^item: the result depends"):
        recording.call("item", Input(3))
