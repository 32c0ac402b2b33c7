"""Training steps that run the engine inside, with Inductor: pieces around the engine are compiled, and the
parameters, gradients and states are eager's, also where there is no gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import framelift
from framelift.codegen import piece
from tests.harness import check, floats, fresh, made
from tests.harness.program import Program
from tests.programs.test_training_steps import (
    DATA,
    everything,
    mixed_step,
    net,
    plain_step,
    step_of_two_losses,
    training,
)

INDUCTOR = dict(backend="inductor", tolerance=1e-4, references=False)
STEPS = dict(graphs=2, recompiles=1, calls=4, **INDUCTOR)


@pytest.fixture(autouse=True)
def compiled_pieces(monkeypatch):
    """The pieces that were compiled; the others ran node by node."""
    monkeypatch.setattr(framelift.config, "fallback_random", True)
    found = []
    captured = piece.captured

    def noted(part, inputs):
        graph = captured(part, inputs)
        if graph is not None:
            found.append((graph.trains, graph.written))
        return graph

    monkeypatch.setattr(piece, "captured", noted)
    return found


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, foreach=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "adamw foreach": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True, foreach=True),
    "adamw fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
}
PIECES = {"adamw": 2, "adamw foreach": 2, "adamax": 2}
"""Of the optimizer; else one. The first counts, as the numbers that Python takes need it; the second has the
rest."""


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step(name, compiled_pieces):
    check(training(OPTIMIZERS[name], plain_step), *DATA, **STEPS)
    assert set(framelift.counters["graphs"]) == {"inductor"}
    last_graph = compiled_pieces[max(at for at, (trains, _) in enumerate(compiled_pieces) if trains) :]
    assert len([written for _, written in last_graph if written]) == PIECES.get(name, 1)


def test_statistics_and_random_numbers():
    def make():
        return nn.Sequential(nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))

    check(training(OPTIMIZERS["sgd"], plain_step, make), *DATA, **STEPS)


def test_mixed_precision(compiled_pieces):
    check(training(OPTIMIZERS["sgd"], mixed_step), *DATA, **{**STEPS, "tolerance": 3e-2})
    assert any(trains for trains, _ in compiled_pieces)


def test_chunks_and_clipping():
    def step(module, optimizer, x, target):
        for chunk, wanted in zip(x.split(3), target.split(3), strict=True):
            (nn.functional.cross_entropy(module(chunk), wanted) / 2).backward()
        norm = nn.utils.clip_grad_norm_(module.parameters(), 0.1)
        optimizer.step()
        optimizer.zero_grad()
        return norm

    check(training(OPTIMIZERS["sgd momentum"], step), *DATA, **STEPS)


def test_two_losses_of_one_forward():
    check(training(OPTIMIZERS["sgd"], step_of_two_losses), *DATA, **STEPS)


def test_the_engine_comes_twice_to_what_it_frees_otherwise():
    def f(x, w):
        loss = torch.relu(x @ w).sin().exp().mul(2).square().mean()
        loss.backward(retain_graph=True)
        loss.backward()
        return x.grad, w.grad

    check(f, floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True), **INDUCTOR)


def test_a_leaf_that_gets_no_gradient():
    """Only one of two results goes into the engine: what the other depends on keeps no gradient."""

    def build():
        one, other = nn.Linear(4, 4), nn.Linear(4, 4)

        def step(x):
            for parameter in (*one.parameters(), *other.parameters()):
                parameter.grad = None
            a = one(x).tanh().sin().square().mean()
            b = other(x).tanh().sin().square().mean()
            a.backward()
            return a, b, [parameter.grad for parameter in other.parameters()]

        return Program(step, watch=lambda: [everything(layer)() for layer in (one, other)])

    check(fresh(build), floats(5, 4), **INDUCTOR)


def test_a_gradient_of_what_is_computed_inside():
    def f(x, w):
        hidden = (x @ w).tanh().sin()
        loss = (hidden @ w).exp().square().mean()
        (gradient,) = torch.autograd.grad(loss, hidden, retain_graph=True)
        loss.backward()
        return gradient, hidden, x.grad, w.grad

    check(f, floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True), **INDUCTOR)


def test_a_tensor_with_a_history_is_written_to_between():
    def f(x, w):
        hidden = (x @ w).tanh().sin()
        row = hidden[0]
        (hidden * 1).sum().backward(retain_graph=True)
        hidden.mul_(w).add_(1).mul_(2)
        (row + hidden).sum().backward()
        return hidden, row, x.grad, w.grad

    check(f, floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True), **INDUCTOR)


def test_a_gradient_of_a_gradient():
    def f(x):
        y = (x.sin() * x).exp().sum()
        (first,) = torch.autograd.grad(y, x, create_graph=True)
        (first * x).square().sum().backward()
        return first, x.grad

    check(f, floats(3, requires_grad=True), **INDUCTOR)


def test_sizes_that_change():
    def build():
        module = net()

        def step(x):
            loss = module(x).square().mean()
            loss.backward()
            return loss

        return Program(step, watch=everything(module))

    rows = made(lambda k: torch.ones(2 + k, 4))
    check(fresh(build), rows, graphs=None, recompiles=None, calls=4, **INDUCTOR)


def test_gradients_are_stored_between():
    def step(module, optimizer, x, target):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), target).backward()
        for parameter in module.parameters():
            parameter.grad = (parameter.grad * 2).clamp(-0.01, 0.01).sin()
        optimizer.step()

    check(training(OPTIMIZERS["sgd momentum"], step), *DATA, **STEPS)


def test_frozen_and_tied_parameters():
    def make():
        module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 3))
        module[2].weight = module[0].weight
        module[3].bias.requires_grad_(False)
        return module

    check(training(OPTIMIZERS["sgd"], plain_step, make), *DATA, **STEPS)


def scheduled(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (epoch + 1))


@pytest.mark.parametrize("name", ["sgd", "sgd momentum", "adamw", "adamw foreach"])
def test_a_rate_that_changes(name, compiled_pieces):
    """It is a float of the graph from the third value on, and no reason to run node by node."""

    def build():
        module = net()
        optimizer = OPTIMIZERS[name](module.parameters())
        schedule = scheduled(optimizer)

        def step(x, target):
            plain_step(module, optimizer, x, target)
            schedule.step()

        return Program(step, watch=everything(module, optimizer))

    check(fresh(build), *DATA, **{**STEPS, "calls": 6, "graphs": None, "recompiles": None})
    assert [written for _, written in compiled_pieces if written]


@pytest.mark.parametrize("name", ["adamw", "adamw foreach", "sgd momentum"])
def test_the_optimizer_alone(name, compiled_pieces):
    def build():
        module = net()
        optimizer = OPTIMIZERS[name](module.parameters())

        def step(x):
            for parameter in module.parameters():
                parameter.grad = parameter.detach() * x
            optimizer.step()

        return Program(step, watch=everything(module, optimizer))

    options = {**STEPS, "graphs": None, "recompiles": None}
    check(fresh(build), made(lambda k: torch.tensor(1.0 + k)), **options)
    assert name == "sgd momentum" or [written for _, written in compiled_pieces if written]


def test_numbers_that_python_computes(compiled_pieces):
    """Between writes to what they are read from, and used as factors, operands, and results."""

    def f(x, counter):
        first = counter.item()
        y = (x * first).sin().exp() + 1
        counter.add_(1)
        second = counter.item() / 3
        z = torch.add(y, x, alpha=second).mul(2).cos() - second
        counter.mul_(second)
        w = torch.addcdiv(z, x, y, value=counter.item()).sin().tanh()
        return w, first + second, z.clamp(max=second).double().mul(2).add(first)

    check(f, floats(3, 3), made(lambda k: torch.tensor(0.5 + k)), **INDUCTOR)
    assert len(compiled_pieces) == 1


def test_a_piece_that_takes_nothing(compiled_pieces):
    def f(x):
        number = torch.ones(3).sin().exp().sum().item()
        return (x * number).sin().exp()

    check(f, floats(3), **INDUCTOR)
    assert len(compiled_pieces) == 2


def test_an_item_of_a_tensor_is_taken_in_its_place(compiled_pieces):
    """It is no part of what made the tensor, as an item of several results is."""

    def build():
        weight = torch.ones(3, requires_grad=True)

        def f(x, index):
            first, second = x.split(3)
            y = (first * 2).sin().exp()
            (weight * weight).sum().backward()
            y.add_(1)
            index = (index + 1) % 3
            return y[index].cos().exp().sin(), y[0].cos().exp(), second.sin().exp().cos()

        return Program(f, watch=lambda: (weight, weight.grad))

    index = made(lambda k: torch.tensor([0, k % 3]))
    check(fresh(build), floats(6), index, **{**STEPS, "calls": 3})
    assert compiled_pieces


def test_lists_of_tensors_in_any_argument():
    """Of lists that are not the first argument no call for each tensor is made."""

    def f(x, y, counter):
        number = 1 / (counter.item() + 1)
        torch._foreach_mul_(self=[x, y], scalar=number)
        torch._foreach_add_([x, y], [y, x], alpha=number)
        powers = torch._foreach_pow(number, [x, y])
        torch._foreach_addcdiv_([x, y], [y, y], powers, [number, 2.0])
        return x + y, powers

    positive = made(lambda k: torch.linspace(1.0, 2.0 + k, 4))
    check(f, positive, positive, made(lambda k: torch.tensor(0.5 + k)), **INDUCTOR)


def test_draws_keep_their_order(compiled_pieces):
    def f(x):
        a = (torch.rand(3) + x).sin().exp()
        number = x.sum().item()
        b = (torch.rand(3) * number).cos().exp()
        c = (torch.rand(3) + 1).sin().exp()
        return a, b, c

    check(f, floats(3), **INDUCTOR)
    assert compiled_pieces


def test_numbers_that_python_refuses():
    """A division by zero in Python is the program's error, as is that of a tensor's data."""

    def f(x):
        y = (x * 2).sin().exp()
        return (y * (1 / (x[0].item() - 1))).cos().exp().sin()

    rows = made(lambda k: torch.tensor([2.0 - k, 3.0, 4.0]))
    check(f, rows, graphs=1, calls=3, **{**INDUCTOR, "backend": "inductor"}, breaks=None, recompiles=None)


def test_half_precision_is_left_to_eager(compiled_pieces):
    """There a float is not rounded to the type of the tensor before it is used."""

    def f(x):
        return (x * x.sum().item()).add_(1).mul_(x.sum().item())

    check(
        f, made(lambda k: torch.full((4,), 1.5 + k, dtype=torch.bfloat16)), **{**INDUCTOR, "tolerance": None}
    )
    assert compiled_pieces == []
