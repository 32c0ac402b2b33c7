"""Hooks on tensors and modules: called as in eager, by whoever runs the backward, with the same gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import framelift
from tests.harness import check, floats, fresh
from tests.harness.program import Program

INDUCTOR = dict(backend="inductor", tolerance=1e-5)
ANYTHING = dict.fromkeys(("graphs", "breaks", "recompiles", "runs"))


def any_way(program, *inputs, **options):
    """Right with and without a compiler, whatever is captured."""
    for backend in ({}, INDUCTOR):
        check(program, *inputs, references=False, **ANYTHING, **{**backend, **options})


def build_with(run):
    """A program that notes what its hooks see."""

    def build():
        seen = []
        return Program(lambda *inputs: run(seen, *inputs), seen)

    return fresh(build)


def noting(seen, factor=None):
    def hook(gradient):
        seen.append(gradient.clone())
        return None if factor is None else gradient * factor

    return hook


def on_an_argument(seen, x):
    x.register_hook(noting(seen, 2))
    return x * 3


def on_a_result(seen, x):
    y = x * 3
    y.register_hook(noting(seen, 2))
    return y


def on_what_is_between(seen, x):
    y = x * 3
    y.register_hook(noting(seen, 2))
    return (y * y).sum() + y


def on_what_is_written_to_later(seen, x):
    y = x * 3
    y.register_hook(noting(seen, 2))
    y.mul_(5)
    y.register_hook(noting(seen, 3))
    return y * x


def removed_again(seen, x):
    y = x * 3
    handle = y.register_hook(noting(seen, 2))
    z = y * 2
    handle.remove()
    return z


def kept_gradients(seen, x):
    y = x * 3
    y.retain_grad()
    z = (y * y).sum()
    return y, z


def kept_and_used(seen, x):
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    return y.grad, x.grad


def hooks_and_backward_inside(seen, x):
    y = x * 3
    y.register_hook(noting(seen, 2))
    x.register_hook(noting(seen, 7))
    (y * y).sum().backward()
    return x.grad + 1


def after_accumulation(seen, x):
    x.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad.clone()))
    return x * 3


def after_accumulation_inside(seen, x):
    def drop(leaf):
        seen.append(leaf.grad.clone())
        leaf.grad = None

    x.register_post_accumulate_grad_hook(drop)
    (x * 3).sum().backward()
    return x.grad is None


def several_of_them(seen, x):
    y = x.sin()
    y.register_hook(noting(seen))
    y.register_hook(noting(seen, 2))
    y.register_hook(noting(seen, 3))
    return y.exp()


def on_the_node(seen, x):
    y = x * 3
    y.grad_fn.register_hook(lambda inputs, outputs: seen.append(len(inputs)))
    return y * 2


PROGRAMS = [
    on_an_argument,
    on_a_result,
    on_what_is_between,
    on_what_is_written_to_later,
    removed_again,
    kept_gradients,
    kept_and_used,
    hooks_and_backward_inside,
    after_accumulation,
    after_accumulation_inside,
    several_of_them,
    on_the_node,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_hooks_on_tensors(program):
    any_way(build_with(program), floats(3, requires_grad=True), backward=True)


def test_hooks_of_parameters_are_called():
    def build():
        first, second = [], []
        module = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
        module[0].weight.register_hook(noting(first, 2))
        module[2].bias.register_post_accumulate_grad_hook(lambda leaf: second.append(leaf.grad.clone()))
        return Program(module, watch=lambda: (first, second, [p.grad for p in module.parameters()]))

    any_way(fresh(build), floats(2, 3), backward=True)


def test_an_optimizer_in_the_backward():
    """Steps are made by hooks as soon as a gradient is there."""

    def build():
        module = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
        optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in module.parameters()}

        def step(parameter):
            optimizers[parameter].step()
            optimizers[parameter].zero_grad()

        for parameter in module.parameters():
            parameter.register_post_accumulate_grad_hook(step)

        def train(x):
            loss = module(x).square().mean()
            loss.backward()
            return loss

        return Program(train, watch=lambda: [(p, p.grad) for p in module.parameters()])

    any_way(fresh(build), floats(2, 3), calls=4)


# -- hooks on modules ----------------------------------------------------------------------------------------


def with_hooks(register):
    """A module whose hooks note what they see."""

    def build():
        seen = []
        module = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
        register(module, seen)
        return Program(module, watch=lambda: (seen, [p.grad for p in module.parameters()]))

    return fresh(build)


def before_the_forward(module, seen):
    module[0].register_forward_pre_hook(lambda layer, inputs: (inputs[0] * 2,))
    module[2].register_forward_pre_hook(lambda layer, args, kwargs: (args, kwargs), with_kwargs=True)


def behind_the_forward(module, seen):
    module[0].register_forward_hook(lambda layer, inputs, output: output.sin())
    module[1].register_forward_hook(lambda layer, inputs, output: seen.append(tuple(output.shape)))
    module.register_forward_hook(lambda layer, inputs, output: output + inputs[0], prepend=True)


def in_the_backward(module, seen):
    module[0].register_full_backward_hook(lambda layer, inputs, outputs: seen.append(outputs[0].clone()))
    module[2].register_full_backward_hook(lambda layer, inputs, outputs: (inputs[0] * 2,))


def before_the_backward(module, seen):
    module[0].register_full_backward_pre_hook(lambda layer, outputs: (outputs[0] * 3,))
    module.register_full_backward_pre_hook(lambda layer, outputs: seen.append(outputs[0].clone()))


def even_if_it_fails(module, seen):
    module[0].register_forward_hook(lambda *_: seen.append("called"), always_call=True)


REGISTER = [before_the_forward, behind_the_forward, in_the_backward, before_the_backward, even_if_it_fails]


@pytest.mark.parametrize("register", REGISTER, ids=lambda register: register.__name__)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_hooks_on_modules(register, requires_grad):
    any_way(with_hooks(register), floats(2, 3, requires_grad=requires_grad), backward=True)


@pytest.mark.parametrize("register", [before_the_forward, behind_the_forward])
def test_hooks_of_the_forward_are_captured(register):
    check(with_hooks(register), floats(2, 3, requires_grad=True), backward=True)


@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_the_program_looks_at_nodes_of_autograd(backend):
    def f(x):
        y = x.sin() * 2
        name = y.grad_fn.name()
        y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * 3, None))
        return y * x, name, type(y.grad_fn).__name__

    options = INDUCTOR if backend == "inductor" else {}
    check(f, floats(3, requires_grad=True), backward=True, references=False, **ANYTHING, **options)


@pytest.mark.parametrize("register", REGISTER, ids=lambda register: register.__name__)
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_hooks_that_come_and_go(register, backend):
    """They are registered when the module has been compiled, and removed again."""

    def results(compiles):
        torch.manual_seed(0)
        seen = []
        module = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
        run = framelift.compile(module, backend=backend) if compiles else module
        found = []
        for when in range(6):
            if when == 2:
                register(module, seen)
            if when == 4:
                for layer in module.modules():
                    for name in vars(layer):
                        if name.endswith("_hooks"):
                            vars(layer)[name].clear()
            x = torch.ones(2, 3, requires_grad=True)
            y = run(x * (when + 1))
            y.sum().backward()
            found.append((y, x.grad, [p.grad.clone() for p in module.parameters()]))
        return found, seen

    (left, seen), (right, expected) = results(True), results(False)
    torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)
    assert len(seen) == len(expected)
    for one, other in zip(seen, expected, strict=True):
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        else:
            assert one == other


@pytest.mark.parametrize("backend", ["eager", "inductor"])
@pytest.mark.parametrize(
    "register",
    [
        lambda seen: nn.modules.module.register_module_forward_hook(
            lambda layer, inputs, output: seen.append(type(layer).__name__)
        ),
        lambda seen: nn.modules.module.register_module_forward_pre_hook(
            lambda layer, inputs: seen.append(type(layer).__name__)
        ),
        lambda seen: nn.modules.module.register_module_full_backward_hook(
            lambda layer, inputs, outputs: seen.append(type(layer).__name__)
        ),
        lambda seen: nn.modules.module.register_module_full_backward_pre_hook(
            lambda layer, outputs: seen.append(outputs[0].sum().item())
        ),
    ],
    ids=["forward", "forward_pre", "backward", "backward_pre"],
)
def test_hooks_of_all_modules(register, backend):
    def results(compiles):
        torch.manual_seed(0)
        seen = []
        module = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        run = framelift.compile(module, backend=backend) if compiles else module
        found = []
        handle = None
        for when in range(6):
            if when == 2:
                handle = register(seen)
            if when == 4:
                handle.remove()
            x = torch.ones(2, 3, requires_grad=True)
            y = run(x * (when + 1))
            y.sum().backward()
            found.append((y, x.grad))
        # A compiled module is another instance, of a subclass.
        return found, [text if isinstance(text, float) else text.removeprefix("Compiled") for text in seen]

    (left, seen), (right, expected) = results(True), results(False)
    torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)
    assert len(seen) == len(expected)
