"""``torch.autograd.Function``: one node of the graph, with the gradients of the program's own backward.

CPython runs the backward, when the engine does; with a compiler it has run while the graph was compiled.
"""

from __future__ import annotations

import pytest
import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

import framelift
from tests.harness import check, each, floats, fresh, made
from tests.harness.program import Program

BACKWARD = ("backward", "double")
INDUCTOR = dict(backend="inductor", tolerance=1e-5, references=False)


class Square(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * 3 * x


class Scaled(Function):
    """Numbers, a size and a text on the context; an argument that is no tensor."""

    @staticmethod
    def forward(ctx, x, scale, name="none"):
        ctx.scale, ctx.shape, ctx.names = scale, x.shape, [name, {"k": (1, 2)}]
        return (x * scale).sum()

    @staticmethod
    def backward(ctx, gradient):
        ctx.names.append("seen")
        assert ctx.names[1]["k"] == (1, 2)
        assert len(ctx.names) == 3
        return gradient.expand(ctx.shape) * ctx.scale, None, None


class SetUp(Function):
    """The other way to write a forward."""

    @staticmethod
    def forward(x, y):
        return x * y, x + y

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, y = inputs
        ctx.save_for_backward(x, y, output[0])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx, gradient, _):
        x, y, product = ctx.saved_tensors
        return gradient * y + product, gradient * x


class Needs(Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        ctx.needed = ctx.needs_input_grad
        return x @ y

    @staticmethod
    def backward(ctx, gradient):
        x, y = ctx.saved_tensors
        assert ctx.needs_input_grad == ctx.needed
        first = gradient @ y.t() if ctx.needs_input_grad[0] else None
        return first, x.t() @ gradient * 2 if ctx.needs_input_grad[1] else None


class Reversed(Function):
    """Gives back its argument."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


class Same(Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 5


class Rounded(Function):
    """A straight-through estimator."""

    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Partial(Function):
    """Of two outputs one may get no gradient."""

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3, 7, None

    @staticmethod
    def backward(ctx, first, second, *rest):
        assert rest == (None, None)
        if first is None:
            return None if second is None else second * 30
        return first * 20 if second is None else first * 20 + second * 30


class Once(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].cos() * 2


class InPlace(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(3)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 4


class Nested(Function):
    @staticmethod
    def forward(ctx, x):
        with torch.enable_grad():
            inside = x.detach().requires_grad_()
            outside = Square.apply(inside).sum()
        ctx.save_for_backward(inside, outside)
        return outside.detach()

    @staticmethod
    def backward(ctx, gradient):
        inside, outside = ctx.saved_tensors
        return torch.autograd.grad(outside, inside)[0] * gradient if outside.requires_grad else gradient


class Dropped(Function):
    @staticmethod
    def forward(ctx, x):
        mask = torch.rand_like(x) > 0.5
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0]


class Listed(Function):
    """Tensors in a list are not differentiated, and those of a closure neither."""

    @staticmethod
    def forward(ctx, x, others):
        ctx.others = others
        return x * others[0] + others[1]

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.others[0], None


def squared(x, y):
    return Square.apply(x * 2) + y


def applied_by_another_name(x, y):
    square = Square.apply
    return square(square(x)) + y.detach()


def scaled(x, y):
    return Scaled.apply(x, 2.5, "a") * y + Scaled.apply(y, 3)


def set_up(x, y):
    product, total = SetUp.apply(x, y)
    return product, total, product * total


def needed(x, y):
    return Needs.apply(x, y.t()) + Needs.apply(x.detach(), y.t()) + Needs.apply(x, y.t().detach())


def reversed_gradient(x, y):
    return Reversed.apply(x) * y, Reversed.apply(y)


def given_back(x, y):
    z = Same.apply(x)
    return z * y, z is x


def rounded(x, y):
    return Rounded.apply(x * 3) * y


def only_the_first(x, y):
    first, _, number, nothing = Partial.apply(x)
    return first * y, number, nothing


def only_the_second(x, y):
    return Partial.apply(x)[1] + y


def once(x, y):
    return Once.apply(x) * y


def in_place(x, y):
    z = x * y
    return InPlace.apply(z), z * 2


def dropped(x, y):
    return Dropped.apply(x) + torch.rand_like(y)


def listed(x, y):
    return Listed.apply(x, [y.detach() * 2, y])


def without_gradients(x, y):
    with torch.no_grad():
        return Square.apply(x) + y


def nested(x, y):
    return Nested.apply(x) + y


PROGRAMS = [
    squared,
    applied_by_another_name,
    scaled,
    set_up,
    needed,
    reversed_gradient,
    given_back,
    rounded,
    only_the_first,
    only_the_second,
    once,
    in_place,
    dropped,
    listed,
    without_gradients,
    nested,
]
NODE_BY_NODE = {only_the_first, only_the_second, in_place, nested}
"""Compilers do not get these: their backward depends on more than the forward knows."""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_functions(program):
    inputs = (floats(2, 3, requires_grad=True), floats(2, 3, requires_grad=True))
    check(program, *inputs, backward=True, frames=BACKWARD)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_functions_with_inductor(program, monkeypatch):
    monkeypatch.setattr(framelift.config, "fallback_random", True)
    inputs = (floats(2, 3, requires_grad=True), floats(2, 3, requires_grad=True))
    frames = BACKWARD if program in NODE_BY_NODE else ()
    check(program, *inputs, backward=True, frames=frames, **INDUCTOR)
    assert set(framelift.counters["graphs"]) == {"eager" if program in NODE_BY_NODE else "inductor"}


@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_sizes_that_change(backend):
    def f(x):
        return Scaled.apply(Square.apply(x) * 2, 2.0) + x.shape[0]

    options = INDUCTOR if backend == "inductor" else {}
    rows = made(lambda k: torch.ones(2 + k, 3, requires_grad=True))
    check(f, rows, backward=True, graphs=2, recompiles=1, calls=4, frames=BACKWARD, **options)


def test_a_gradient_of_a_gradient():
    def f(x):
        y = Square.apply(x).sum()
        (first,) = torch.autograd.grad(y, x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        return first, second

    check(f, floats(3, requires_grad=True), frames=("Square.backward",))


def test_a_gradient_of_a_gradient_behind_the_call():
    def gradients(function):
        x = torch.arange(3.0, requires_grad=True)
        (first,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(2).sum(), x)
        return first, second

    expected = gradients(Square.apply)
    found = gradients(framelift.compile(lambda x: Square.apply(x), backend="eager", fullgraph=True))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_the_second_derivative_of_what_has_only_one():
    def error(function):
        x = torch.arange(3.0, requires_grad=True)
        (first,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
        with pytest.raises(RuntimeError) as caught:
            first.sum().backward()
        return str(caught.value)

    compiled = framelift.compile(lambda x: Once.apply(x), backend="eager", fullgraph=True)
    assert error(compiled) == error(Once.apply)


def test_a_saved_tensor_that_is_written_to():
    def error(function):
        x = torch.arange(3.0, requires_grad=True)
        y = x * 2
        z = function(y)
        y.add_(1)
        with pytest.raises(RuntimeError) as caught:
            z.sum().backward()
        return str(caught.value)

    compiled = framelift.compile(lambda x: Square.apply(x), backend="eager", fullgraph=True)
    assert error(compiled) == error(Square.apply)


def test_the_node_of_autograd_is_the_programs():
    compiled = framelift.compile(lambda x: Square.apply(x), backend="eager", fullgraph=True)
    result = compiled(torch.ones(2, requires_grad=True))
    node = result.grad_fn
    assert type(node) is Square._backward_cls
    assert node.saved_tensors[0].shape == (2,)


def counting_backward():
    """A function whose backward notes its calls and depends on their number, and the notes."""
    calls = []

    class Counting(Function):
        @staticmethod
        def forward(ctx, x):
            return x.exp()

        @staticmethod
        def backward(ctx, gradient):
            calls.append(len(calls))
            return gradient * len(calls)

    return Counting, calls


def test_a_backward_that_counts_its_calls():
    """It does so each time the engine runs it, so no compiler may run it once and for all."""

    def build():
        counting, calls = counting_backward()
        return Program(lambda x: counting.apply(x) * 2, calls)

    for options in ({}, INDUCTOR):
        check(fresh(build), floats(3, requires_grad=True), backward=True, frames=BACKWARD, **options)


def test_a_backward_that_counts_its_calls_inside():
    """It must not count what capture does."""

    def build():
        counting, calls = counting_backward()

        def step(x):
            (counting.apply(x) * 2).sum().backward()
            return x.grad + 1

        return Program(step, calls)

    x = floats(3, requires_grad=True)
    check(fresh(build), x, graphs=None, breaks=None, runs=None, recompiles=None, frames=BACKWARD)


def test_a_forward_that_counts_its_calls():
    def build():
        class Counting(Function):
            calls = []

            @staticmethod
            def forward(ctx, x):
                Counting.calls.append(1)
                ctx.number = len(Counting.calls)
                return x.exp()

            @staticmethod
            def backward(ctx, gradient):
                return gradient * ctx.number

        return Program(lambda x: Counting.apply(x) * 2, Counting.calls)

    x = floats(3, requires_grad=True)
    check(fresh(build), x, backward=True, frames=BACKWARD, graphs=None, recompiles=None)


FACTOR = 2.0


class Global(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, gradient):
        return gradient * FACTOR


@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_a_global_that_changes_before_the_backward(backend, monkeypatch):
    compiled = framelift.compile(lambda x: Global.apply(x).sum(), backend=backend, fullgraph=True)
    for factor in (2.0, 3.0):
        x = torch.ones(3, requires_grad=True)
        loss = compiled(x)
        monkeypatch.setitem(globals(), "FACTOR", factor)
        loss.backward()
        assert x.grad.tolist() == [factor] * 3


def test_training_with_a_function():
    def build():
        layer = torch.nn.Linear(3, 3)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

        def step(x):
            optimizer.zero_grad()
            loss = Square.apply(layer(x)).mean()
            loss.backward()
            optimizer.step()
            return loss

        return Program(step, watch=lambda: list(layer.parameters()))

    check(fresh(build), floats(4, 3), graphs=2, recompiles=1, calls=4, frames=("Square.backward",))


def test_mixed_precision():
    class Cast(Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu")
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x @ y

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, gradient):
            x, y = ctx.saved_tensors
            return gradient @ y.t().to(gradient.dtype), x.t().to(gradient.dtype) @ gradient

    def f(x, y):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return Cast.apply(x, y), Cast.apply(x @ y, y)

    matrix = floats(3, 3, requires_grad=True)
    check(f, matrix, floats(3, 3, requires_grad=True), backward=True, frames=(*BACKWARD, "decorate_bwd"))


# -- what is left to CPython ---------------------------------------------------------------------------------


def left(program, *inputs):
    check(
        program,
        *inputs,
        backward=True,
        graphs=None,
        breaks=None,
        recompiles=None,
        runs=None,
        frames=BACKWARD,
    )


def test_a_context_that_is_kept():
    def build():
        contexts = []

        class Kept(Function):
            @staticmethod
            def forward(ctx, x):
                contexts.append(ctx)
                return x * 2

            @staticmethod
            def backward(ctx, gradient):
                return gradient * (ctx in contexts)

        return Program(lambda x: Kept.apply(x) + 1, watch=lambda: len(contexts))

    left(fresh(build), floats(3, requires_grad=True))


def test_an_object_on_the_context():
    class Holder:
        factor = 3.0

    class Attached(Function):
        @staticmethod
        def forward(ctx, x, holder):
            ctx.holder, ctx.function = holder, lambda gradient: gradient * holder.factor
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return ctx.function(gradient) * ctx.holder.factor, None

    left(lambda x: Attached.apply(x, Holder()) + 1, floats(3, requires_grad=True))


def test_wrong_numbers_of_gradients():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    compiled = framelift.compile(lambda x: Wrong.apply(x, x), backend="eager", fullgraph=True)
    for function in (lambda x: Wrong.apply(x, x), compiled):
        with pytest.raises(RuntimeError, match="incorrect number of gradients"):
            function(torch.ones(2, requires_grad=True)).sum().backward()


def test_an_error_in_the_forward():
    class Failing(Function):
        @staticmethod
        def forward(ctx, x):
            return x @ torch.ones(7, 7)

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    def f(x):
        try:
            return Failing.apply(x) + 1
        except RuntimeError as error:
            return str(error)

    check(f, each(torch.ones(2, 3)), graphs=None, breaks=None, recompiles=None, runs=None)
