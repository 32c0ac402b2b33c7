"""Results that are differentiated without the others: what only the others depend on keeps no gradient, its
hooks are not called, and what it was made by is not run, as in eager."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import framelift
from framelift.codegen import pieces
from tests.harness import check, made

BACKENDS = ("inductor", "aot_eager")
FEWEST = pieces.FEWEST


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    """Pieces of one operator are compiled, too."""
    monkeypatch.setattr(pieces, "FEWEST", 1)
    monkeypatch.setattr(framelift.config, "fallback_random", True)


def two(a, b):
    return (a * 2).sin(), (a * b).cos()


def common(a, b):
    trunk = (a * 3).tanh()
    return (trunk * 2).sin(), (trunk * b).cos(), (trunk + b).exp()


def views(a, b):
    y = (a * b).sin()
    z = (a * 2).cos()
    return z.view(-1), y, y.t(), z


def drops(a, b):
    return F.dropout(a * 2, 0.5), F.dropout(a * b, 0.5), F.dropout(a * 3, 0.5)


def cut(a, b):
    y = (a * 2).sin()
    return y, (y.detach() * b).cos(), (y * y.detach()).exp()


def unrelated(a, b):
    return a.sin().mul(2), b.cos().mul(3)


def in_place(a, b):
    y = (a * 2).add_(1).neg_()
    return y, (y * b).mul_(2)


def an_input_too(a, b):
    return a, (a * 2).sin(), (a * b).cos(), b


PROGRAMS = [two, common, views, drops, cut, unrelated, in_place, an_input_too]


def used(compile_, program, plan):
    """What is left on two leaves when the results of ``program`` are differentiated as ``plan`` says, one
    tuple of positions for each call."""
    left = []
    compiled = compile_(program)
    torch.manual_seed(0)
    for places in plan:
        a, b = torch.ones(2, 3).requires_grad_(), torch.full((2, 3), 0.5).requires_grad_()
        results = compiled(a, b)
        for together in places:
            sum(results[place].sum() for place in together).backward(retain_graph=True)
        left += [results, a.grad, b.grad]
    return left


def compare(program, backend, plans):
    """Every plan from a fresh start."""
    for plan in plans:
        framelift.reset()
        expected = used(lambda function: function, program, plan)
        found = used(lambda function: framelift.compile(function, backend=backend), program, plan)
        torch.testing.assert_close(found, expected)


def plans_for(program):
    count = len(program(torch.ones(2, 3), torch.ones(2, 3)))
    alone = [[(place,)] for place in range(count)]
    together = [[tuple(range(count))]]
    apart = [[(place,) for place in range(count)]]
    return [alone, together + alone, apart + together, together + apart + together]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_each_result_alone_and_together(program):
    compare(program, "aot_eager", plans_for(program))


@pytest.mark.parametrize("program", [common, drops], ids=lambda program: program.__name__)
def test_with_inductor(program):
    compare(program, "inductor", plans_for(program)[2:3])


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_and_hooks_are_left_alone(backend):
    """Also from the first call on, if the hooks are there by then."""

    def outcomes(function):
        b = torch.full((3,), 0.5, requires_grad=True)
        b.grad = torch.full((3,), 7.0)
        first, calls, found = b.grad, [], []
        b.register_hook(lambda gradient: calls.append(gradient.clone()))
        b.register_post_accumulate_grad_hook(lambda leaf: calls.append(leaf.grad.clone()))
        for both in (False, False, True, False):
            a = torch.ones(3, requires_grad=True)
            y, z = function(a, b)
            (y.sum() + z.sum() if both else y.sum()).backward()
            found += [a.grad, b.grad.clone(), b.grad is first]
        return found, calls

    torch.testing.assert_close(outcomes(framelift.compile(two, backend=backend)), outcomes(two))


class Noted(torch.autograd.Function):
    seen: list = []

    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, gradient):
        Noted.seen.append(gradient.clone())
        return gradient


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_an_input_was_made_by_is_not_run(backend):
    compiled = framelift.compile(two, backend=backend)
    encoder = framelift.compile(lambda x: (x * 2).sin().exp(), backend=backend)
    for behind in (Noted.apply, encoder):
        for _ in range(3):
            Noted.seen.clear()
            a, b = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
            compiled(a, behind(b))[0].sum().backward()
            assert b.grad is None
            assert Noted.seen == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gradient_that_is_not_there(backend):
    compiled = framelift.compile(two, backend=backend)
    for _ in range(3):
        a, b = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
        y, _ = compiled(a, b)
        first, second = torch.autograd.grad(y.sum(), [a, b], allow_unused=True, retain_graph=True)
        torch.testing.assert_close(first, torch.autograd.grad(two(a, b)[0].sum(), a)[0])
        assert second is None
        with pytest.raises(RuntimeError, match="not have been used in the graph"):
            torch.autograd.grad(y.sum(), [a, b])


def heads():
    torch.manual_seed(0)

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh())
            self.policy, self.value = (
                nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, n)) for n in (3, 1)
            )

        def forward(self, x):
            hidden = self.trunk(x)
            return self.policy(hidden).log_softmax(-1), self.value(hidden)

    return Heads()


def test_two_heads_that_are_trained_in_turn(monkeypatch):
    monkeypatch.setattr(pieces, "FEWEST", FEWEST)

    def gradients(compile_):
        module = heads()
        compiled = compile_(module)
        found = []
        for turn in range(6):
            module.zero_grad()
            policy, value = compiled(torch.arange(20.0).view(5, 4).sin() + turn)
            (policy if turn % 3 else value).square().mean().backward()
            found.append([None if p.grad is None else p.grad.clone() for p in module.parameters()])
        return found

    expected = gradients(lambda module: module)
    found = gradients(lambda module: framelift.compile(module, backend="aot_eager"))
    torch.testing.assert_close(found, expected)
    assert any(gradient is None for gradients in expected for gradient in gradients)


def test_open_sizes():
    compiled = framelift.compile(two, backend="inductor", dynamic=True)
    for size in (3, 4, 5, 6):
        a, b = torch.ones(size, requires_grad=True), torch.ones(size, requires_grad=True)
        compiled(a, b)[0].sum().backward()
        torch.testing.assert_close(a.grad, 2 * torch.cos(2 * torch.ones(size)))
        assert b.grad is None


def test_results_of_one_set_of_inputs_stay_one_graph(monkeypatch):
    """Nothing is watched where every result depends on all that is trained."""
    monkeypatch.setattr(framelift.codegen.partial_use, "watch", None)
    check(
        lambda a, b: ((a * b).sin(), (a @ b).cos(), a.detach() * 2),
        made(lambda k: torch.ones(3, 3, requires_grad=True) * 1),
        made(lambda k: torch.full((3, 3), k + 0.5).requires_grad_()),
        backend="inductor",
        backward=True,
        tolerance=1e-5,
        references=False,
    )
