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
