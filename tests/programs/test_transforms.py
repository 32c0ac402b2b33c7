"""Function transforms of ``torch.func``: a call of what they give is one node."""

import warnings

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.func import functional_call, grad, grad_and_value, hessian, jacfwd, jacrev, vmap

import framelift
from framelift.guards import torch_state
from framelift.observe import reasons
from tests.harness import check, floats, fresh, integers, made

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    jacfwd(torch.sin)(torch.ones(1))  # loads, and warns, once in a process

TRANSFORM = reasons.FUNCTION_TRANSFORM.title


def test_gradient():
    def f(x):
        return grad(lambda y: (y.sin() * y).sum())(x) + 1

    check(f, floats(4))


def test_gradient_that_is_differentiated_again():
    def f(x):
        return grad(lambda y: grad(lambda z: (z**3).sum())(y).sum())(x)

    check(f, floats(4))


def test_gradients_for_a_dict_and_a_second_argument():
    def loss(weights, x, scale, power=2):
        return ((x @ weights["w"] + weights["b"]) * scale).pow(power).sum()

    def f(w, b, x):
        first, second = grad(loss, argnums=(0, 2))({"w": w, "b": b}, x, torch.ones(()), power=3)
        return first["w"], first["b"], second

    check(f, floats(3, 2), floats(2), floats(4, 3))


def test_value_and_further_results():
    def loss(x):
        y = x * 2
        return y.sum(), {"twice": y, "first": [y[0]]}

    def f(x):
        slope, (value, more) = grad_and_value(loss, has_aux=True)(x)
        return slope, value, more["twice"], more["first"]

    check(f, floats(3))


def test_mapping_over_dimensions():
    def f(x, y):
        rows = vmap(lambda a, b: a.dot(b))(x, y)
        columns = vmap(lambda a, b: a * b.sum(), in_dims=(1, None), out_dims=1)(x, y)
        return rows, columns

    check(f, floats(3, 4), floats(3, 4))


def test_per_sample_gradients_of_a_closure():
    weight = torch.randn(5)

    def f(x, target):
        offset = x.mean()

        def loss(w, row, goal):
            return ((row * w).sum() + offset - goal).square()

        return vmap(grad(loss), in_dims=(None, 0, 0))(weight, x, target)

    check(f, floats(4, 5), floats(4))


def test_per_sample_gradients_of_a_module():
    def build():
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

        def f(x):
            weights = {name: item.detach() for name, item in model.named_parameters()}

            def loss(weights, row):
                return functional_call(model, weights, (row,)).sum()

            found = vmap(grad(loss), in_dims=(None, 0))(weights, x)
            return [found[name] for name in sorted(found)]

        return f

    check(fresh(build), floats(2, 3))


def test_jacobians_and_hessians():
    def f(x):
        def square(y):
            return y**2

        def cubes(y):
            return (y**3).sum()

        return jacrev(torch.sin)(x), jacfwd(square)(x), hessian(cubes)(x)

    check(f, floats(3), frames=("<lambda>",))  # one of torch's own


def test_gradient_outside_of_a_transform():
    def f(x):
        return vmap(lambda row: row.sin().sum())(x)

    check(f, floats(2, 3, requires_grad=True), backward=True)


def test_writing_to_what_was_made_inside():
    def f(x):
        def row(y):
            z = y.clone()
            z[0] = 1
            z.add_(2)
            return z

        return vmap(row)(x)

    check(f, floats(2, 3))


def test_writing_to_an_argument():
    def f(x):
        y = x + 1
        return vmap(lambda row: row.mul_(2))(y), y

    check(f, floats(2, 3), graphs=None, breaks=1, recompiles=None, reason=TRANSFORM)


def test_side_effect_of_the_function():
    def f(x):
        kept = []
        y = vmap(lambda row: kept.append(row.shape) or row * 2)(x)
        return y, len(kept)

    check(f, floats(2, 3))


def test_break_inside():
    def f(x):
        def loss(y):
            print(float(y[0]) * 0)
            return y.sum()

        return grad(loss)(x) + 1

    check(f, floats(2), graphs=None, breaks=None, recompiles=None)


def test_error_of_the_program_inside():
    def f(x):
        def loss(y):
            raise ValueError("no loss")

        try:
            return grad(loss)(x)
        except ValueError as error:
            return x + 1, str(error)

    check(f, floats(2))


def test_random_numbers():
    def f(x):
        return vmap(lambda row: row + torch.rand(3), randomness="different")(x)

    check(f, floats(2, 3))


def test_result_that_is_no_scalar():
    def f(x):
        try:
            return grad(torch.sin)(x)
        except RuntimeError as error:
            return str(error)[:20]

    check(f, floats(2), graphs=None, breaks=None, recompiles=None)


@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(reverse):
    from torch._higher_order_ops.associative_scan import associative_scan

    def combine(left, right):
        return left[0] * right[0], right[0] * left[1] + right[1]

    def f(x, y):
        return associative_scan(combine, (x, y), dim=1, reverse=reverse, combine_mode="generic")

    check(f, floats(2, 5), floats(2, 5))


def test_sizes_that_change():
    def f(x):
        return vmap(grad(lambda row: row.sin().sum()))(x)

    check(f, made(lambda k: torch.arange(6.0 + 3 * k).reshape(2 + k, 3)), graphs=2, recompiles=1)


def test_inputs_that_are_not_differentiable():
    def f(x, index):
        return vmap(lambda row, i: row[i], in_dims=(0, None))(x, index)

    check(f, floats(2, 3), integers(2, high=3))


def test_compiled_function_called_by_a_transform():
    framelift.counters.clear()
    compiled = framelift.compile(lambda row: row.sin() * 2, backend="eager")
    x = torch.randn(3, 2)
    for _ in range(2):
        assert torch.equal(vmap(compiled)(x), x.sin() * 2)
        assert torch.equal(compiled(x), x.sin() * 2)
    assert framelift.counters["graphs"] == {"eager": 1}


@pytest.mark.parametrize("mode", ["grad", "vmap", "fake tensors"])
def test_the_first_call_in_a_process_may_come_from_a_transform(mode):
    """What guards learn once about tensors, they learn from plain ones."""

    def program(x):
        torch_state.calibrate.__wrapped__()
        return x.sum()

    if mode == "fake tensors":
        with FakeTensorMode():
            program(torch.ones(3))
    else:
        (grad if mode == "grad" else vmap)(program)(torch.ones(3))


@pytest.mark.parametrize("transform", [grad, vmap, jacrev])
def test_compiled_functions_inside_transforms(transform):
    """They run in CPython there, and are compiled where they are called outside."""

    def f(x):
        return (x.sin() * x).sum()

    compiled = framelift.compile(f, backend="eager")
    x = torch.ones(2, 3)
    for function in (transform(compiled), compiled, transform(compiled)):
        expected = transform(f)(x) if function is not compiled else f(x)
        torch.testing.assert_close(function(x), expected)
    assert framelift.counters["graphs"]


def test_tensors_that_are_left_of_a_transform():
    """``vjp`` keeps them for its result; graphs have no fakes that know their history."""

    def f(x):
        value, pull = torch.func.vjp(lambda a: a.sin() * a, x)
        return value, pull(torch.ones_like(value))[0] + 1

    check(f, floats(3), graphs=None, breaks=None, runs=None, forced=False, fullgraph=False, recompiles=None)


def test_a_gradient_of_what_is_left_of_a_transform():
    def build():
        left = []
        _, pull = torch.func.vjp(lambda a: (left.append(a), a.sin() * a)[1], torch.ones(3))
        outputs = dict(zip(pull.__code__.co_freevars, pull.__closure__))["flat_primals_out"].cell_contents

        def f(weights):
            return torch.autograd.grad(outputs, left, [weights], allow_unused=True, retain_graph=True)

        return f

    compiled, plain = framelift.compile(build(), backend="eager"), build()
    torch.testing.assert_close(compiled(torch.ones(3)), plain(torch.ones(3)))
