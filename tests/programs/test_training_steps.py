"""Whole training steps in one graph: gradients, parameters and optimizer state are eager's, bit by bit."""

import pytest
import torch
from torch import nn

from tests.harness import check, floats, fresh, integers
from tests.harness.program import Program


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3))


def everything(module, optimizer=None):
    """What a step may leave behind."""
    return lambda: {
        "parameters": list(module.parameters()),
        "gradients": [parameter.grad for parameter in module.parameters()],
        "buffers": list(module.buffers()),
        "optimizer": optimizer.state_dict() if optimizer is not None else None,
    }


def training(make_optimizer, step, make_module=net):
    """A program that trains: ``step(module, optimizer, *inputs)``."""

    def build():
        module = make_module()
        optimizer = make_optimizer(module.parameters())
        return Program(lambda *inputs: step(module, optimizer, *inputs), watch=everything(module, optimizer))

    return fresh(build)


def plain_step(module, optimizer, x, target):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(module(x), target)
    loss.backward()
    optimizer.step()
    return loss


def step_of_two_losses(module, optimizer, x, target):
    optimizer.zero_grad()
    out = module(x)
    nn.functional.cross_entropy(out, target).backward(retain_graph=True)
    first = module[0].weight.grad.clone()
    out.square().mean().backward()
    optimizer.step()
    return first, out, module[0].weight.grad


def mixed_step(module, optimizer, x, target):
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nn.functional.cross_entropy(module(x), target)
    loss.backward()
    optimizer.step()
    return loss


DATA = (floats(5, 4), integers(5, high=3))

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "sgd foreach": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=True),
    "sgd maximize": lambda p: torch.optim.SGD(p, lr=0.1, maximize=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adam amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, weight_decay=0.1),
    "adam foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "adam fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "adamw foreach": lambda p: torch.optim.AdamW(p, lr=0.01, foreach=True, weight_decay=0.1),
    "adamw fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=1.0),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
}
WITH_BREAKS = {
    "a branch on data": lambda p: torch.optim.RAdam(p, lr=0.01),
    "another one": lambda p: torch.optim.ASGD(p, lr=0.1),
    "an operator without a fake kernel": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_one_graph(name):
    """The first call makes gradients and state, the later ones find them: two graphs."""
    check(training(OPTIMIZERS[name], plain_step), *DATA, graphs=2, recompiles=1, calls=4)


@pytest.mark.parametrize("name", WITH_BREAKS)
def test_a_step_with_breaks(name):
    check(
        training(WITH_BREAKS[name], plain_step),
        *DATA,
        graphs=None,
        breaks=None,
        recompiles=None,
        fullgraph=False,
        runs=None,
        calls=4,
    )


def test_gradients_are_zeroed_and_not_dropped():
    def step(module, optimizer, x, target):
        optimizer.zero_grad(set_to_none=False)
        nn.functional.cross_entropy(module(x), target).backward()
        optimizer.step()

    check(training(OPTIMIZERS["sgd"], step), *DATA, graphs=2, recompiles=1, calls=4)


def test_gradients_are_accumulated_over_chunks():
    def step(module, optimizer, x, target):
        total = 0.0
        for chunk, wanted in zip(x.split(2), target.split(2), strict=True):
            loss = nn.functional.cross_entropy(module(chunk), wanted) / 3
            loss.backward()
            total = total + loss.detach()
        optimizer.step()
        optimizer.zero_grad()
        return total

    check(training(OPTIMIZERS["adamw"], step), *DATA, graphs=2, recompiles=1, calls=4)


def test_gradients_are_accumulated_over_calls():
    def build():
        module = net()

        def step(x):
            module(x).square().mean().backward()
            return [parameter.grad for parameter in module.parameters()]

        return Program(step, watch=everything(module))

    check(fresh(build), floats(5, 4), graphs=2, recompiles=1, calls=4)


@pytest.mark.parametrize("foreach", [False, True])
def test_gradients_are_clipped_by_their_norm(foreach):
    def step(module, optimizer, x, target):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), target).backward()
        norm = nn.utils.clip_grad_norm_(module.parameters(), 0.1, foreach=foreach)
        optimizer.step()
        return norm

    check(training(OPTIMIZERS["adamw"], step), *DATA, graphs=2, recompiles=1, calls=4)


def test_gradients_are_clipped_by_value():
    def step(module, optimizer, x, target):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), target).backward()
        nn.utils.clip_grad_value_(module.parameters(), 0.01)
        optimizer.step()

    check(training(OPTIMIZERS["sgd"], step), *DATA, graphs=2, recompiles=1, calls=4)


def test_two_losses_share_a_graph():
    check(training(OPTIMIZERS["sgd"], step_of_two_losses), *DATA, graphs=2, recompiles=1, calls=4)


def test_a_gradient_is_given_from_outside():
    def step(module, optimizer, x, gradient):
        optimizer.zero_grad()
        out = module(x)
        out.backward(gradient)
        optimizer.step()
        return out, gradient + 1

    check(training(OPTIMIZERS["sgd"], step), floats(5, 4), floats(5, 3), graphs=2, recompiles=1, calls=4)


def test_the_given_gradient_is_not_the_stored_one():
    def f(x, gradient):
        x.grad = None
        (x + 0).backward(gradient)
        x.grad.mul_(2)
        return x.grad is gradient, gradient * 1

    check(f, floats(3, requires_grad=True), floats(3))


def test_backward_into_some_of_the_leaves():
    def step(module, optimizer, x, target):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(x), target)
        loss.backward(inputs=[module[0].weight, module[3].bias])
        optimizer.step()
        return loss, module[3].weight.grad

    check(training(OPTIMIZERS["sgd"], step), *DATA, graphs=2, recompiles=1, calls=4)


def test_layouts_of_gradients():
    def f(x, w):
        (x.t() @ w).sum().backward()
        x.expand(2, 3, 4).sum().backward()
        return x.grad, w.grad

    def leaves(k):
        base = torch.arange(12.0).reshape(4, 3) + k
        return base.t().detach().requires_grad_(), torch.ones(3, 2, requires_grad=True)

    check(f, inputs=leaves)


def test_leaves_made_inside():
    def f(x):
        a = x.clone().requires_grad_()
        b = torch.ones(3, requires_grad=True)
        (a * b * b).sum().backward()
        return a.grad, b.grad + 1, a.is_leaf

    check(f, floats(3))


def test_gradients_of_the_arguments():
    def f(x, w):
        before = w.grad is None
        (x * w).sum().backward()
        return before, w.grad * 2, x.grad

    check(f, floats(3), floats(3, requires_grad=True))


def test_autograd_grad():
    def f(x, w, b):
        y = (x * w).pow(3).sum()
        (first,) = torch.autograd.grad(y, w, create_graph=True)
        second, unused = torch.autograd.grad(first.sum(), (w, b), allow_unused=True)
        return first, second, unused

    check(f, floats(3), floats(3, requires_grad=True), floats(3, requires_grad=True))


def test_a_gradient_penalty():
    def step(module, optimizer, x, target):
        optimizer.zero_grad()
        x = x.detach().requires_grad_()
        out = module(x)
        (gradient,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        loss = nn.functional.cross_entropy(out, target) + (gradient.norm(2, dim=1) - 1).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    check(training(OPTIMIZERS["adam"], step), *DATA, graphs=2, recompiles=1, calls=4)


def test_higher_derivatives_accumulate():
    def f(x):
        x.grad = None
        x.pow(4).sum().backward(create_graph=True)
        first = x.grad
        x.grad = None
        first.sum().backward()
        return x.grad

    check(f, floats(3, requires_grad=True))


def test_gradients_are_stored_and_read_without_backward():
    def f(x, gradient):
        x.grad = gradient
        same = x.grad is gradient
        x.grad = None
        gone = x.grad is None
        x.grad = gradient * 2
        return same, gone

    check(f, floats(3, requires_grad=True), floats(3))


def test_one_tensor_is_the_gradient_of_two():
    def f(x, y):
        x.grad = y.grad = torch.zeros(3)
        (x * y).sum().backward()
        return x.grad is y.grad, x.grad

    check(f, floats(3, requires_grad=True), floats(3, requires_grad=True))


def test_a_closure_is_evaluated_by_the_optimizer():
    def step(module, optimizer, x, target):
        def closure():
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(x), target)
            loss.backward()
            return loss

        return optimizer.step(closure)

    check(training(OPTIMIZERS["sgd momentum"], step), *DATA, graphs=2, recompiles=1, calls=4)


def test_groups_with_settings_of_their_own():
    def optimizer(parameters):
        first, *rest = parameters
        return torch.optim.AdamW(
            [{"params": [first], "lr": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=0.01
        )

    check(training(optimizer, plain_step), *DATA, graphs=2, recompiles=1, calls=4)


def test_a_learning_rate_that_changes():
    def step(module, optimizer, x, target):
        loss = plain_step(module, optimizer, x, target)
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * 0.5
        return loss

    check(training(OPTIMIZERS["sgd"], step), *DATA, graphs=None, recompiles=None, calls=5)


def test_numbers_from_tensors():
    def step(module, optimizer, x, target):
        loss = plain_step(module, optimizer, x, target)
        return loss.item(), 0.9 * loss.item() + 0.1, 2 / loss.item(), loss.item() ** 2

    check(training(OPTIMIZERS["sgd"], step), *DATA, graphs=2, recompiles=1, calls=4)


def test_batch_statistics():
    def make():
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))

    check(training(OPTIMIZERS["adam"], plain_step, make), *DATA, graphs=2, recompiles=1, calls=4)


def test_frozen_layers():
    def make():
        module = net()
        module[0].requires_grad_(False)
        return module

    check(training(OPTIMIZERS["adamw"], plain_step, make), *DATA, graphs=2, recompiles=1, calls=4)


def test_tied_parameters():
    def make():
        module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
        module[2].weight = module[0].weight
        return module

    check(
        training(OPTIMIZERS["sgd momentum"], plain_step, make),
        floats(5, 4),
        integers(5, high=4),
        graphs=2,
        recompiles=1,
        calls=4,
    )


def test_an_average_of_the_parameters():
    def build():
        module = net()
        average = [parameter.detach().clone() for parameter in module.parameters()]
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)

        def step(x, target):
            loss = plain_step(module, optimizer, x, target)
            with torch.no_grad():
                for kept, parameter in zip(average, module.parameters(), strict=True):
                    kept.mul_(0.9).add_(parameter, alpha=0.1)
            return loss

        return Program(step, watch=lambda: (everything(module, optimizer)(), average))

    check(fresh(build), *DATA, graphs=2, recompiles=1, calls=4)


def test_mixed_precision():
    check(training(OPTIMIZERS["adamw"], mixed_step), *DATA, graphs=2, recompiles=1, calls=4)


def test_a_history_from_outside_is_a_break():
    def f(x):
        x.sum().backward()
        return x * 2

    check(
        f,
        inputs=lambda k: (torch.ones(3, requires_grad=True) * (k + 2),),
        graphs=None,
        breaks=None,
        reason="Automatic differentiation",
        recompiles=None,
        runs=None,
    )


def test_a_hook_on_a_leaf_is_a_break():
    def leaf(k):
        x = torch.ones(3, requires_grad=True)
        x.register_hook(lambda gradient: gradient * 2)
        return (x,)

    def f(x):
        (x * 3).sum().backward()
        return x.grad + 1

    check(f, inputs=leaf, graphs=None, breaks=None, recompiles=None, frames=("<lambda>",))
