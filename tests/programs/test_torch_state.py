"""Grad mode, inference mode, autocast, default dtype: inside the program, and around it."""

import torch

import framelift
from tests.harness import check, floats, fresh, warm


def test_no_grad_block():
    def f(x, w):
        with torch.no_grad():
            a = x * w
        return a, x * w, a.requires_grad, torch.is_grad_enabled()

    check(f, floats(3), floats(3, requires_grad=True), backward=True)


def test_nested_grad_modes():
    def f(w):
        with torch.no_grad():
            a = w * 2
            with torch.enable_grad():
                b = w * 3
            with torch.set_grad_enabled(False):
                c = w * 4
        return a, b, c, a.requires_grad, b.requires_grad

    check(f, floats(3, requires_grad=True))


def test_no_grad_as_a_decorator():
    @torch.no_grad()
    def inner(w):
        return w * 2

    def f(w):
        return inner(w), w * 3

    check(f, floats(3, requires_grad=True))


def test_grad_mode_set_and_restored():
    def f(w):
        before = torch.is_grad_enabled()
        torch.set_grad_enabled(False)
        a = w * 2
        torch.set_grad_enabled(before)
        return a, w * 3

    check(f, floats(3, requires_grad=True))


def test_grad_mode_left_changed():
    def f(w):
        y = w * 2
        torch.set_grad_enabled(False)
        return y, w * 3

    check(f, floats(3, requires_grad=True), context=torch.enable_grad)


def test_grad_mode_after_an_exception():
    def f(w):
        try:
            with torch.no_grad():
                a = w * 2
                raise ValueError
        except ValueError:
            return a, w * 3, torch.is_grad_enabled()

    check(f, floats(3, requires_grad=True))


def test_autocast_block():
    def f(x, w):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            a = x @ w
            b = a.float() @ w
        return a, b, x @ w, torch.is_autocast_enabled("cpu")

    check(f, floats(3, 3), floats(3, 3))


def test_autocast_off_inside():
    def f(x, w):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.autocast("cpu", enabled=False):
                a = x @ w
            return a, x @ w

    check(f, floats(3, 3), floats(3, 3))


def test_called_under_no_grad():
    def f(x, w):
        return x * w, torch.is_grad_enabled()

    check(f, floats(3), floats(3, requires_grad=True), context=torch.no_grad)


def test_called_under_inference_mode():
    def f(x):
        return x * 2, torch.is_inference_mode_enabled()

    check(f, floats(3), context=torch.inference_mode)


def test_called_under_autocast():
    def f(x, w):
        return x @ w

    check(f, floats(3, 3), floats(3, 3), context=lambda: torch.autocast("cpu", dtype=torch.bfloat16))


def test_inference_mode_block():
    def f(x):
        with torch.inference_mode():
            y = x * 2
        return y, y.is_inference()

    check(f, floats(3))


def test_break_inside_inference_mode():
    def f(x):
        with torch.inference_mode():
            y = x * 2
            framelift.graph_break()
            z = y + 1
        after = x * 3
        return [one.is_inference() for one in (y, z, after)], z, after, torch.is_inference_mode_enabled()

    # The second break is leaving the mode, which was entered before the first.
    check(f, floats(3), graphs=3, breaks=2)


def test_grad_mode_is_guarded():
    def f(w):
        return w * 2

    session = warm(f, floats(3, requires_grad=True))
    with torch.no_grad():
        assert session.call().recompiles
        session.must_hit()
    session.must_hit()


def test_default_dtype_is_guarded():
    def f(x):
        return x + torch.ones(3)

    session = warm(f, floats(3))
    try:
        session.must_miss(lambda function: torch.set_default_dtype(torch.float64))
    finally:
        torch.set_default_dtype(torch.float32)


def test_autocast_is_guarded():
    def f(x, w):
        return x @ w

    session = warm(f, floats(3, 3), floats(3, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert session.call().recompiles
    session.must_hit()


def test_default_device_is_guarded():
    def f(x):
        return x + 1, torch.ones(2)

    session = warm(f, floats(2))
    with torch.device("cpu"):
        counts = session.call()
    assert counts.recompiles or counts.breaks or counts.fallbacks
    session.must_hit()


def test_manual_seed_and_fork():
    def f(x):
        return torch.bernoulli(torch.full_like(x, 0.5)) + torch.rand_like(x), torch.randperm(4)

    check(f, floats(3))


def test_module_state_under_no_grad_decorated_forward():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 3)

        @torch.no_grad()
        def forward(self, x):
            return self.linear(x)

    check(fresh(Net), floats(2, 3))


def test_sdpa_and_flags_are_readable():
    def f(x):
        return (
            x + 1,
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
        )

    check(f, floats(2))


def test_compiling_flags():
    import framelift

    def build():
        def f(x):
            if torch.compiler.is_compiling() and framelift.is_compiling():
                return x + 1
            return x - 1

        return f

    compiled = framelift.compile(build(), backend="eager")
    x = torch.zeros(2)
    assert torch.equal(compiled(x), x + 1)
    assert torch.equal(build()(x), x - 1)
    assert not torch.compiler.is_compiling()
    assert not framelift.is_compiling()
