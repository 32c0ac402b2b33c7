"""A compilation keeps nothing of its call: what the caller drops dies then, without the garbage collector."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

import framelift


class Held:
    def __init__(self):
        self.items = [1, 2]
        self.itself = self.items


def whole(x, held):
    held.items.append(3)
    return x + len(held.items)


def broken(x, held):
    x = torch.relu(x)
    framelift.graph_break()
    held.items = [x, held.itself]
    return x + 1


def branching(x, held):
    return x + len(held.items) if x.sum() > 0 else x


def failing(x, held):
    try:
        held.missing
    except AttributeError:
        return x + len(held.items)


def inlining(x, held):
    return sum(broken(x, one) for one in [held])


@pytest.mark.parametrize("program", [whole, broken, branching, failing, inlining])
def test_an_argument_dies_after_the_call_that_compiled(program):
    compiled = framelift.compile(program, backend="eager")
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            held = Held()
            alive = weakref.ref(held)
            compiled(torch.ones(2), held)
            del held
            assert alive() is None
        assert compiled.entries
    finally:
        gc.enable()


def training(x):
    layer = torch.nn.Linear(4, 4)
    layer(x).sum().backward()
    return layer.weight.grad


def differentiable(x):
    return (x * 2).relu().sum()


def writing(x):
    return x.detach().add_(1)


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
@pytest.mark.parametrize("program", [differentiable, writing, training])
def test_a_tensor_dies_after_the_call_that_compiled(program, backend):
    compiled = framelift.compile(program, backend=backend)
    gc.collect()
    gc.disable()
    try:
        for size in (2, 3, 4):
            tensor = torch.ones(size, 4, requires_grad=True)
            alive = weakref.ref(tensor)
            compiled(tensor)
            del tensor
            assert alive() is None
        assert compiled.entries
    finally:
        gc.enable()
