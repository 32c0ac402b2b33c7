"""``torch.utils.checkpoint``: results, gradients and random numbers are eager's.

References are not counted: what the backward needs is held by other Python objects than in eager.
"""

from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential, create_selective_checkpoint_contexts

import framelift
from tests.harness import check, floats, fresh
from tests.harness.program import Program

INDUCTOR = dict(backend="inductor", tolerance=1e-5, references=False)


def block(x, w, *, scale=1.0, bias=None):
    y = F.dropout((x @ w).relu() * scale, 0.5)
    return y if bias is None else y + bias


def plain(x, w, reentrant):
    return checkpoint(block, x * 1, w, use_reentrant=reentrant)


def closed_over(x, w, reentrant):
    return checkpoint(lambda y: block(y, w).sin(), x * 1, use_reentrant=reentrant) + torch.rand_like(x)


def twice(x, w, reentrant):
    first = checkpoint(block, x * 1, w, use_reentrant=reentrant)
    return checkpoint(block, first, w, use_reentrant=reentrant), first


def nested(x, w, reentrant):
    def outer(y):
        return checkpoint(block, y.cos(), w, use_reentrant=reentrant) * 2

    return checkpoint(outer, x * 1, use_reentrant=reentrant)


def several_results(x, w, reentrant):
    def parts(y, number, nothing):
        return y.sin() * number, y.detach() * 2, (y @ w).tanh()

    return checkpoint(parts, x * 1, 3, None, use_reentrant=reentrant)


def one_tensor_twice(x, w, reentrant):
    y = x * w
    return checkpoint(lambda a, b: a.exp() * b, y, y, use_reentrant=reentrant)


def without_random_numbers(x, w, reentrant):
    return checkpoint(block, x * 1, w, use_reentrant=reentrant, preserve_rng_state=False) * 1


def with_keywords(x, w, reentrant):
    return checkpoint(block, x * 1, w, scale=2.0, bias=w, use_reentrant=False, determinism_check="none")


def without_gradients(x, w, reentrant):
    with torch.no_grad():
        return checkpoint(block, x, w, use_reentrant=reentrant)


def mixed_precision(x, w, reentrant):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return checkpoint(lambda y: (y @ w).tanh() @ w, x * 1, use_reentrant=reentrant)


PROGRAMS = [
    plain,
    closed_over,
    twice,
    nested,
    several_results,
    one_tensor_twice,
    with_keywords,
    without_gradients,
    mixed_precision,
]


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_checkpoints(program, reentrant):
    inputs = (floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True))
    check(program, *inputs, reentrant, backward=True, references=False)


def test_random_numbers_that_are_not_kept():
    """Eager gives gradients of another mask then; so does the node."""
    inputs = (floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True))
    check(without_random_numbers, *inputs, False, backward=True, references=False)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_checkpoints_with_inductor(program, monkeypatch):
    monkeypatch.setattr(framelift.config, "fallback_random", True)
    inputs = (floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True))
    options = {**INDUCTOR, "tolerance": 2e-2} if program is mixed_precision else INDUCTOR
    check(program, *inputs, False, backward=True, **options)
    assert set(framelift.counters["graphs"]) == {"inductor"}


def test_gradients_fit_the_random_numbers_of_inductor():
    """The mask of the forward is the mask of the backward, whatever the numbers are."""

    def f(x):
        return checkpoint(lambda y: F.dropout(y, 0.5), x * 1, use_reentrant=False)

    compiled = framelift.compile(f, backend="inductor", fullgraph=True)
    for _ in range(3):
        x = torch.ones(64, requires_grad=True)
        y = compiled(x)
        y.sum().backward()
        assert torch.equal(x.grad, y.detach())


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.GELU()) for _ in range(3)
        )
        self.reentrant = reentrant

    def forward(self, x):
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=self.reentrant)
        return x


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_layers_with_running_statistics(reentrant, backend, monkeypatch):
    """The backward updates them once more."""
    monkeypatch.setattr(framelift.config, "fallback_random", True)
    x = floats(5, 4, requires_grad=True)
    options = {**INDUCTOR, "tolerance": 1e-4} if backend == "inductor" else {"references": False}
    check(fresh(lambda: Checkpointed(reentrant)), x, backward=True, **options)


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_whole_step(reentrant):
    """CPython runs the engine for a reentrant one, which reaches leaves that the graph does not see."""

    def build():
        module = Checkpointed(reentrant)
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)

        def step(x):
            optimizer.zero_grad()
            loss = module(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        return Program(step, watch=lambda: (list(module.parameters()), list(module.buffers())))

    counts = {"graphs": None, "breaks": None, "runs": None} if reentrant else {"graphs": 2}
    x = floats(5, 4, requires_grad=True)
    recompiles = None if reentrant else 1
    check(fresh(build), x, references=False, recompiles=recompiles, calls=4, **counts)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint_sequential(reentrant):
    def build():
        layers = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Tanh(), nn.Linear(4, 4))
        return Program(
            lambda x: checkpoint_sequential(layers, 2, x, use_reentrant=reentrant), list(layers.parameters())
        )

    check(fresh(build), floats(5, 4, requires_grad=True), backward=True, references=False)


def test_sizes_that_change():
    def f(x, w):
        return checkpoint(lambda y: (y @ w).tanh().sum(0) / y.shape[0], x, use_reentrant=False)

    rows = lambda k: (torch.ones(2 + k, 3, requires_grad=True), torch.ones(3, 3))  # noqa: E731
    check(f, inputs=rows, backward=True, graphs=2, recompiles=1, calls=4, references=False)


def test_a_saved_input_that_is_written_to():
    def error(function):
        w = torch.ones(3, 3, requires_grad=True)
        x = torch.ones(3, 3)
        y = function(x, w)
        x.add_(1)
        try:
            y.sum().backward()
        except RuntimeError as error:
            return str(error)
        return w.grad

    def f(x, w):
        return checkpoint(lambda a, b: (a @ b).sin(), x, w, use_reentrant=False)

    found, expected = error(framelift.compile(f, backend="eager", fullgraph=True)), error(f)
    assert torch.equal(found, expected) if isinstance(expected, torch.Tensor) else found == expected


# -- what is left to CPython ---------------------------------------------------------------------------------


def left(program, *inputs, **options):
    anything = dict.fromkeys(("graphs", "breaks", "recompiles", "runs"))
    check(program, *inputs, backward=True, references=False, **anything, **options)


@pytest.mark.parametrize("backend", ["eager", "inductor"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_a_break_inside(reentrant, backend, monkeypatch):
    """What CPython checkpoints is run by CPython: the backward repeats it there."""
    monkeypatch.setattr(framelift.config, "fallback_random", False)

    def inner(y, w):
        y = F.dropout(y @ w, 0.5).tanh()
        framelift.graph_break()
        return (y @ w).sin()

    def f(x, w):
        return checkpoint(inner, x.cos(), w, use_reentrant=reentrant) * 2

    inputs = (floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True))
    options = {"backend": backend} if backend == "eager" else {"backend": backend, "tolerance": 1e-5}
    left(f, *inputs, **options)


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_function_with_effects(reentrant):
    """The backward repeats them."""

    def build():
        calls = []

        def inner(y):
            calls.append(len(calls))
            return y.sin() * len(calls)

        return Program(lambda x: checkpoint(inner, x * 1, use_reentrant=reentrant) * 2, calls)

    left(fresh(build), floats(3, requires_grad=True))


def test_a_tensor_that_is_kept():
    def build():
        kept = []

        def inner(y):
            kept[:] = [y.sin()]
            return kept[0] * y

        return Program(lambda x: checkpoint(inner, x * 1, use_reentrant=False) * kept[0], kept)

    left(fresh(build), floats(3, requires_grad=True))


def test_contexts_of_the_program():
    def policy(ctx, operator, *args, **kwargs):
        return operator is torch.ops.aten.mm.default

    contexts = functools.partial(create_selective_checkpoint_contexts, policy)

    def f(x, w):
        return checkpoint(block, x * 1, w, use_reentrant=False, context_fn=contexts)

    left(f, floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True))


def test_the_warning_about_use_reentrant():
    left(lambda x: checkpoint(torch.sin, x * 1) + 1, floats(3, requires_grad=True))


def test_an_error_inside():
    def f(x):
        try:
            return checkpoint(lambda y: y @ torch.ones(7, 7), x, use_reentrant=False)
        except RuntimeError as error:
            return str(error)

    left(f, floats(2, 3))


def test_a_compiled_function_in_a_checkpoint_of_eager():
    def inner(x, w):
        return F.dropout(x @ w, 0.5).tanh()

    def results(function):
        torch.manual_seed(0)
        x, w = torch.ones(3, 3, requires_grad=True), torch.eye(3, requires_grad=True)
        y = checkpoint(function, x * 1, w, use_reentrant=False)
        y.sum().backward()
        return y, x.grad, w.grad

    found = results(framelift.compile(inner, backend="eager", fullgraph=True))
    for left_one, right in zip(results(inner), found, strict=True):
        assert torch.equal(left_one, right)


def test_hooks_on_what_is_saved_see_only_the_program():
    def f(x, w):
        return (x @ w).tanh().exp()

    def seen(function):
        packed = []

        def pack(tensor):
            packed.append((type(tensor), tensor.shape))
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor * 1):
            x = torch.ones(2, 3, requires_grad=True)
            y = function(x, torch.ones(3, 3, requires_grad=True))
        y.sum().backward()
        return packed, x.grad

    (packed, gradient), (expected, right) = (
        seen(framelift.compile(f, backend="eager", fullgraph=True)),
        seen(f),
    )
    assert packed == expected
    assert torch.equal(gradient, right)
