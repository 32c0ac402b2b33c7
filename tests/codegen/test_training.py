"""Training and writes to inputs with Inductor: results, gradients and what else is seen are as in eager.

Each program is checked by value with gradients, and for the place of its results in autograd. References are
not counted: what is saved for backward is a Python object here and none in eager.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import framelift
from tests.harness import check, floats, fresh, made

EXACT = dict(backend="inductor", tolerance=1e-5, references=False)


def trained(*shape):
    return made(
        lambda k: torch.arange(1.0, 1 + torch.Size(shape).numel()).add(k).div(7).view(shape).requires_grad_()
    )


@pytest.fixture(autouse=True)
def random_numbers_as_in_eager(monkeypatch):
    monkeypatch.setattr(framelift.config, "fallback_random", True)


def used_inductor():
    return set(framelift.counters["graphs"]) == {"inductor"}


def layer(x, w):
    return torch.relu(x @ w).sum(), (x * 2).detach(), x.t(), x


def several_results(x, w):
    y = x * w
    return y, y.t(), y.view(-1), y > 0, y.double(), y.argmax(), w


def in_place_inside(x, w):
    y = x * w
    y.add_(1).mul_(w)
    y[0] = 3.0
    return y


def without_gradients_inside(x, w):
    with torch.no_grad():
        a = x * w
    return a, a + x * w


def detached(x, w):
    y = (x * w).detach()
    y.add_(1)
    return y, y * x


def drops(x, w):
    return F.dropout(x @ w.t(), 0.5), x + torch.randn(2, 3), torch.rand_like(x)


def loss(x, w):
    return F.cross_entropy(x @ w.t(), torch.tensor([0, 1]))


TRAINING = [layer, several_results, in_place_inside, without_gradients_inside, detached, drops, loss]


@pytest.mark.parametrize("program", TRAINING, ids=lambda program: program.__name__)
def test_training(program):
    shape = (3, 3) if program is layer else (2, 3)
    check(program, trained(2, 3), trained(*shape), backward=True, **EXACT)
    assert used_inductor()


def scaled_in_place(x, w):
    x.mul_(w)
    return x.sum(), x


def written_row(x, w):
    x[0] = w[0]
    return x.clone(), w * 2


def written_through_a_view(x, w):
    row = x[1:]
    row.add_(1)
    return row, x.sum(), w + 1


def overwritten(x, w):
    x.copy_(w)


def average(x, w):
    with torch.no_grad():
        x.mul_(0.9).add_(w.mean() * 0.1)
    return x * w


WRITING = [scaled_in_place, written_row, written_through_a_view, overwritten, average]


@pytest.mark.parametrize("program", WRITING, ids=lambda program: program.__name__)
@pytest.mark.parametrize("weight", [trained(2, 3), floats(2, 3)], ids=["trained", "fixed"])
def test_writes_to_an_input(program, weight):
    check(program, floats(2, 3), weight, backward=True, **EXACT)
    assert used_inductor()


def not_a_leaf(k):
    return torch.ones(2, 3, requires_grad=True) * (k + 1)


@pytest.mark.parametrize("program", [scaled_in_place, written_row], ids=lambda program: program.__name__)
def test_writes_to_an_input_with_a_history(program):
    check(program, made(not_a_leaf), trained(2, 3), backward=True, **EXACT)
    assert used_inductor()


def test_a_write_to_a_leaf_is_the_programs_error():
    check(scaled_in_place, trained(2, 3), floats(2, 3), backend="inductor", graphs=0, breaks=None)


def step(parameter, change):
    with torch.no_grad():
        parameter.add_(change, alpha=-0.1)


def test_a_write_without_gradients_is_seen_by_autograd():
    def one(compiled):
        p = torch.ones(3, requires_grad=True)
        square = p * p
        before = p._version
        compiled(p, torch.ones(3))
        assert p._version > before
        square.sum().backward()

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        one(step)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        one(framelift.compile(step, backend="inductor"))


def normalized(x, w):
    """The backward needs the direction behind the write to it, which is computed from the one before."""
    with torch.no_grad():
        direction = F.normalize(w @ F.normalize(w.t() @ x, dim=0), dim=0)
        x.copy_(direction)
    direction = x.clone()
    return w / torch.dot(direction, w @ F.normalize(w.t() @ direction, dim=0).detach())


def test_what_is_written_to_is_not_computed_from_again():
    check(normalized, floats(3), trained(3, 3), backward=True, **EXACT)
    assert used_inductor()


def test_what_is_written_to_behind_its_use_is_the_programs_error():
    def f(x, buffer):
        y = (x * buffer).sin()
        with torch.no_grad():
            buffer.add_(1)
        return y

    x, buffer = torch.ones(3, requires_grad=True), torch.ones(3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        framelift.compile(f, backend="inductor")(x, buffer).sum().backward()


def test_running_statistics():
    def build():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 4), torch.nn.Tanh())

    check(fresh(build), floats(5, 3), backward=True, **{**EXACT, "tolerance": 1e-3})
    assert used_inductor()


def test_autocast():
    def f(x, w):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return x @ w, (x @ w).float().sum()

    check(f, trained(2, 3), trained(3, 3), backward=True, backend="inductor", tolerance=2e-2)
    assert used_inductor()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize(
    "program", [layer, written_row, scaled_in_place], ids=lambda program: program.__name__
)
def test_modes_around_the_call(program, context):
    shape = (3, 3) if program is layer else (2, 3)
    check(program, floats(2, 3), floats(*shape), context=context, **EXACT)
    assert used_inductor()


def test_sizes_that_change():
    def f(x, w):
        return torch.sin(x @ w / 10)

    rows = made(lambda k: torch.ones(2 + k, 3, requires_grad=True) * k)
    check(f, rows, trained(3, 3), backward=True, graphs=2, recompiles=1, calls=4, **EXACT)
    assert used_inductor()


def test_backward_twice_and_hooks():
    w = torch.randn(3, 3, requires_grad=True)
    compiled = framelift.compile(lambda x: (x @ w).sin(), backend="inductor")
    x = torch.randn(4, 3, requires_grad=True)
    seen = []
    w.register_hook(lambda gradient: seen.append(gradient.clone()))
    result = compiled(x)
    result.register_hook(lambda gradient: gradient * 2)
    result.sum().backward(retain_graph=True)
    result.sum().backward()
    torch.testing.assert_close(x.grad, 4 * torch.autograd.grad((x @ w).sin().sum(), x)[0])
    assert len(seen) == 2


def test_a_gradient_of_a_gradient_is_refused_by_torch():
    compiled = framelift.compile(lambda x: x.sin() * 2, backend="inductor")
    x = torch.randn(3, requires_grad=True)
    (gradient,) = torch.autograd.grad(compiled(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not currently support double backward"):
        gradient.sum().backward()


def made_by_a_factory(x):
    return x * torch.full((3,), 2.0, requires_grad=True)


def parameter(x):
    weight = torch.nn.Parameter(x.sum(0) * 2)
    return weight * x, weight, (weight * 3).detach()


def filled(x):
    out = torch.zeros(2, 3)
    out[0] = x[0] * torch.nn.Parameter(torch.ones(3))
    return out + x


@pytest.mark.parametrize("backend", ["inductor", "aot_eager"])
@pytest.mark.parametrize(
    "program", [made_by_a_factory, parameter, filled], ids=lambda program: program.__name__
)
def test_leaves_made_inside(program, backend):
    """What they give needs a gradient, as they do."""
    for x in (floats(2, 3), trained(2, 3)):
        check(program, x, backward=True, **EXACT | {"backend": backend})


def test_a_module_made_inside():
    def program(x):
        layer = torch.nn.Linear(3, 2)
        return layer(x * 2 + 1), layer.weight

    check(program, floats(2, 3), backward=True, graphs=None, breaks=None, **EXACT)
