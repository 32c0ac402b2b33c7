"""Backends by name: torch's registry, what is passed on to them, and what they are not given."""

from __future__ import annotations

import pytest
import torch

import framelift
from tests.harness import check, floats, made


def trained(*shape):
    return made(lambda k: torch.ones(shape).mul(k + 1).requires_grad_())


def layer(x, w):
    return torch.relu(x @ w).sum(), x.t(), (x * 2) > 1


def scaled(x, w):
    x.mul_(w)
    return x.sum(), x


NAMES = ["aot_eager", "aot_eager_decomp_partition", "eager_noexcept"]


@pytest.mark.parametrize("name", NAMES)
def test_training(name):
    check(layer, trained(2, 3), trained(3, 3), backward=True, backend=name, tolerance=1e-6, references=False)
    assert set(framelift.counters["graphs"]) == {name}


@pytest.mark.parametrize("name", NAMES)
def test_writes_to_an_input(name):
    check(scaled, floats(2, 3), trained(2, 3), backward=True, backend=name, tolerance=1e-6, references=False)
    assert set(framelift.counters["graphs"]) == {name}


def test_sizes_that_change():
    rows = made(lambda k: torch.ones(2 + k, 3) * k)
    check(layer, rows, floats(3, 3), backend="aot_eager", tolerance=1e-6, graphs=2, recompiles=1, calls=4)


def test_what_a_compiler_would_get_wrong_runs_eagerly():
    framelift.reset()
    compiled = framelift.compile(lambda x: x.t_(), backend="aot_eager", fullgraph=True)
    x = torch.ones(2, 3)
    assert compiled(x) is x
    assert x.shape == (3, 2)
    assert set(framelift.counters["graphs"]) == {"eager"}


@pytest.fixture
def recorded():
    """A backend in torch's registry that notes what it is given."""
    from torch._dynamo.backends import registry

    seen = []

    def record(module, example_inputs, **named):
        seen.append((type(example_inputs[0]), named))
        return module.forward

    registry.register_backend(record, name="framelift_test")
    yield seen
    del registry._BACKENDS["framelift_test"], registry._COMPILER_FNS["framelift_test"]


def test_a_backend_that_the_program_has_registered(recorded):
    x = torch.ones(3)
    assert "framelift_test" in framelift.list_backends()
    framelift.compile(torch.sin, backend="framelift_test")(x)
    framelift.compile(torch.sin, backend="framelift_test", mode="default")(x)
    framelift.compile(torch.sin, backend="framelift_test", mode="fast")(x)
    framelift.compile(torch.sin, backend="framelift_test", options={"level": 3})(x)
    named = [{}, {}, {"mode": "fast"}, {"options": {"level": 3}}]
    assert recorded == [(torch.Tensor, one) for one in named]


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_graphs_need_cuda():
    with pytest.raises(framelift.exc.Misuse, match="CUDA is not available"):
        framelift.compile(torch.sin, backend="cudagraphs")


def compiled_by_aot(module, example_inputs):
    from functorch.compile import aot_module_simplified, nop

    return aot_module_simplified(module, example_inputs, fw_compiler=nop)


def test_a_callable_that_uses_aotautograd():
    check(
        layer,
        trained(2, 3),
        trained(3, 3),
        backward=True,
        backend=compiled_by_aot,
        tolerance=1e-6,
        references=False,
    )
    rows = made(lambda k: torch.ones(2 + k, 3)[:, 1:] * k)
    check(layer, rows, floats(2, 3), backend=compiled_by_aot, tolerance=1e-6, graphs=2, recompiles=1, calls=4)


def test_a_callable_that_uses_aotautograd_and_inputs_that_overlap():
    def program(x, y):
        x.mul_(2)
        return x + y

    compiled = framelift.compile(program, backend=compiled_by_aot, fullgraph=True, recompile_limit=20)
    for begin in (0, 4, 2, 1, 9, 0, 1, 2):
        for start in (0, 1):
            expected, found = torch.arange(20.0), torch.arange(20.0)
            views = [memory[start:][:4] for memory in (expected, found)]
            others = [memory[start + begin :][:4] for memory in (expected, found)]
            assert torch.equal(program(views[0], others[0]), compiled(views[1], others[1]))
            assert torch.equal(expected, found)
