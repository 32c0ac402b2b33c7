"""Backends: what can be asked for, which graphs go where, and that results are eager's."""

from __future__ import annotations

import gc
import operator
import weakref

import pytest
import torch
import torch.nn.functional as F

import framelift
from framelift import torch_internals
from framelift.codegen import compile_graph, resolve
from framelift.graph import GraphBuilder
from framelift.graph.shapes import OpenSizes
from framelift.observe.errors import Misuse, UnknownBackend


def layer(*, dynamic=frozenset(), weight_grad=False):
    """A builder, its graph (a layer with several kinds of results), and its inputs."""
    torch.manual_seed(0)
    tensors = torch.randn(4, 3), torch.nn.Parameter(torch.randn(5, 3), requires_grad=weight_grad)
    builder = GraphBuilder(check=True)
    x = builder.tensor_input(tensors[0], "x", OpenSizes(dynamic))
    weight = builder.tensor_input(tensors[1], "weight")
    if weight_grad:
        builder.call_function(torch._C._set_grad_enabled, (False,))
    out = builder.call_function(torch.softmax, (builder.call_function(F.linear, (x, weight)), -1))
    if weight_grad:
        builder.call_function(torch._C._set_grad_enabled, (True,))
    results = [
        out,
        builder.call_method("t", (x,)),
        builder.call_method("detach", (weight,)),
        builder.call_function(torch.full, ((x.meta["example_value"].size(0),), 2.0)),
        x,
    ]
    return builder, builder.finish(results), tensors


def one_call(target, *tensors, **kwargs):
    """A finished graph of one call."""
    builder = GraphBuilder(check=True)
    nodes = [builder.tensor_input(tensor, "xyz"[i]) for i, tensor in enumerate(tensors)]
    make = builder.call_method if isinstance(target, str) else builder.call_function
    return builder.finish([make(target, nodes, kwargs)])


def assert_equal(results, expected):
    assert len(results) == len(expected)
    for result, other in zip(results, expected, strict=True):
        torch.testing.assert_close(result, other)
        assert result.stride() == other.stride()
        assert result.requires_grad == other.requires_grad


@pytest.fixture
def no_hook():
    """TorchDynamo's frame hook is never installed by us."""
    assert torch_internals.dynamo_hook() is None
    yield
    assert torch_internals.dynamo_hook() is None


@pytest.mark.parametrize("weight_grad", [False, True], ids=["inference", "no_grad inside"])
def test_the_default_is_inductor_for_inference(no_hook, weight_grad):
    _, graph, (x, weight) = layer(weight_grad=weight_grad)
    printed = str(graph)
    compiled = compile_graph(resolve(None), graph)
    assert (compiled.used, compiled.reason) == ("inductor", "")
    expected = graph.module(x, weight)
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            results = compiled.run(x, weight)
            assert_equal(results, expected)
            assert results[1]._base is x
            assert results[2].data_ptr() == weight.data_ptr()
            assert results[4] is x
    assert str(graph) == printed


def test_inductor_for_all_sizes():
    builder, graph, (_, weight) = layer(dynamic=frozenset({0}))
    compiled = compile_graph(resolve("inductor"), graph)
    assert compiled.used == "inductor"
    assert len(builder.shape_conditions().conditions) >= 1
    for rows in (2, 4, 9):
        x = torch.randn(rows, 3)
        assert_equal(compiled.run(x, weight), graph.module(x, weight))


def test_inductor_under_no_grad_with_weights_that_train(no_hook):
    with torch.no_grad():
        graph = one_call(F.linear, torch.randn(4, 3), torch.nn.Parameter(torch.randn(5, 3)))
        compiled = compile_graph(resolve(None), graph)
        x, weight = graph.example_inputs
        assert compiled.used == "inductor"
        assert_equal(compiled.run(x, weight), [F.linear(x, weight)])


def test_inductor_in_inference_mode(no_hook):
    with torch.inference_mode():
        graph = one_call(torch.softmax, torch.randn(4, 3), dim=-1)
        compiled = compile_graph(resolve("inductor"), graph)
        x = torch.randn(4, 3)
        (result,) = compiled.run(x)
        torch.testing.assert_close(result, torch.softmax(x, -1))
        assert result.is_inference()


def test_inductor_with_autocast_inside():
    builder = GraphBuilder(check=True)
    x = builder.tensor_input(torch.randn(4, 4), "x")
    builder.call_function(torch.set_autocast_enabled, ("cpu", True))
    product = builder.call_function(torch.mm, (x, x))
    builder.call_function(torch.set_autocast_enabled, ("cpu", False))
    graph = builder.finish([builder.call_function(torch.mul, (product, 2))])
    compiled = compile_graph(resolve("inductor"), graph)
    x = torch.randn(4, 4)
    (result,) = compiled.run(x)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result, graph.module(x)[0])
    assert not torch.is_autocast_enabled("cpu")


def test_inductor_with_a_number_as_input():
    builder = GraphBuilder(check=True)
    x = builder.tensor_input(torch.randn(4), "x")
    number, symbol = builder.scalar_input(3, "k")
    scaled = builder.call_function(torch.mul, (x, number))
    graph = builder.finish([scaled, builder.call_function(torch.zeros, ((symbol * 2,),))])
    compiled = compile_graph(resolve("inductor"), graph)
    x = torch.randn(4)
    for k in (3, 5):
        assert_equal(compiled.run(x, k), graph.module(x, k))


def grad_of_a_sum():
    builder = GraphBuilder(check=True)
    x = builder.tensor_input(torch.randn(3, requires_grad=True), "x")
    total = builder.call_function(torch.sum, (x,))
    grads = builder.call_function(torch.autograd.grad, (total, [x]))
    return builder.finish([builder.item(grads, 0)])


def overlapping_inputs():
    memory = torch.zeros(5)
    return one_call("mul_", memory[:3], memory[:3].view(3))


NOT_FOR_INDUCTOR = {
    "runs autograd": (grad_of_a_sum, "runs autograd"),
    "shape of an input": (lambda: one_call("t_", torch.randn(2, 3)), "in another way"),
    "needs a gradient from now on": (lambda: one_call("requires_grad_", torch.randn(3)), "in another way"),
    "overlap": (overlapping_inputs, "shares memory"),
}


@pytest.mark.parametrize("backend", [None, "inductor"])
@pytest.mark.parametrize("name", NOT_FOR_INDUCTOR)
def test_what_inductor_would_get_wrong_runs_eagerly(name, backend):
    make, why = NOT_FOR_INDUCTOR[name]
    graph = make()
    compiled = compile_graph(resolve(backend), graph)
    assert compiled.used == "eager"
    assert why in compiled.reason
    compiled.run(*graph.example_inputs)


@pytest.mark.parametrize("function", [operator.and_, operator.or_])
def test_operators_that_are_named_almost_as_keywords_write_nothing(function):
    graph = one_call(function, torch.tensor([True, False, False]), torch.tensor([True, True, False]))
    compiled = compile_graph(resolve(None), graph)
    assert (compiled.used, compiled.reason) == ("inductor", "")
    assert_equal(compiled.run(*graph.example_inputs), graph.module(*graph.example_inputs))


def test_gradients_turned_on_inside_run_eagerly():
    with torch.no_grad():
        builder = GraphBuilder(check=True)
        x = builder.tensor_input(torch.randn(3, requires_grad=True), "x")
        before = builder.call_method("mul", (x, 2))
        builder.call_function(torch._C._set_grad_enabled, (True,))
        after = builder.call_method("mul", (x, 3))
        builder.call_function(torch._C._set_grad_enabled, (False,))
        graph = builder.finish([before, after])
        torch._C._set_grad_enabled(False)
        compiled = compile_graph(resolve("inductor"), graph)
        assert compiled.used == "eager"
        assert [result.requires_grad for result in compiled.run(*graph.example_inputs)] == [False, True]


def gradient_of_what_changed():
    """Its backward fails in eager too, when somebody runs it."""
    builder = GraphBuilder(check=True)
    x = builder.tensor_input(torch.randn(3), "x")
    weight = builder.tensor_input(torch.randn(3, requires_grad=True), "weight")
    out = builder.call_method("mul", (x, weight))
    builder.call_method("add_", (x, 1))
    return builder.finish([out])


@pytest.mark.filterwarnings("ignore:Error detected")
def test_where_inductor_fails_the_default_is_eager_and_says_so(caplog):
    framelift.reset()
    graph = gradient_of_what_changed()
    compiled = compile_graph(resolve(None), graph)
    assert compiled.used == "eager"
    assert "Inductor failed: RuntimeError: one of the variables" in compiled.reason
    assert framelift.counters["fallbacks"] == {"Inductor failed": 1}
    assert caplog.text.count("runs node by node") == 1
    assert compiled.run(*graph.example_inputs)[0].requires_grad
    with pytest.raises(RuntimeError, match="one of the variables"):
        compile_graph(resolve("inductor"), gradient_of_what_changed())


def failing_inside(enter, leave):
    """A graph that raises at run time between two changes of state."""
    builder = GraphBuilder(check=True)
    x = builder.tensor_input(torch.rand(3), "x")
    index = builder.tensor_input(torch.tensor([0]), "index")
    entered = builder.call_function(*enter)
    picked = builder.call_function(torch.index_select, (x, 0, index))
    builder.call_function(leave[0], leave[1] or (entered,))
    return builder.finish([picked])


STATES = {
    "grad mode": ((torch._C._set_grad_enabled, (False,)), (torch._C._set_grad_enabled, (True,))),
    "autocast": (
        (torch.set_autocast_enabled, ("cpu", True)),
        (torch.set_autocast_enabled, ("cpu", False)),
    ),
    "inference mode": (
        (torch.autograd.grad_mode._enter_inference_mode, (True,)),
        (torch.autograd.grad_mode._exit_inference_mode, ()),
    ),
}


@pytest.mark.parametrize(
    "backend", ["eager", lambda module, example_inputs: module], ids=["eager", "callable"]
)
@pytest.mark.parametrize("name", STATES)
def test_a_graph_that_fails_leaves_the_state_as_it_was(name, backend):
    graph = failing_inside(*STATES[name])
    run = compile_graph(resolve(backend), graph).run
    with pytest.raises(IndexError) as raised:
        run(torch.rand(3), torch.tensor([7]))
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert not torch.is_autocast_enabled("cpu")
    assert raised.traceback is not None
    assert run(torch.ones(3), torch.tensor([2]))[0].tolist() == [1]
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_inference_mode_inside_a_graph_is_left_to_eager():
    graph = failing_inside(*STATES["inference mode"])
    compiled = compile_graph(resolve(None), graph)
    assert compiled.used == "eager"
    assert compiled.run(*graph.example_inputs)[0].is_inference()


def test_a_graph_of_numbers_is_not_compiled():
    builder = GraphBuilder(check=True)
    x = builder.tensor_input(torch.rand(4, 3), "x", OpenSizes(frozenset({0})))
    graph = builder.finish([builder.scalar(x.meta["example_value"].size(0) * 2)])
    compiled = compile_graph(resolve(None), graph)
    assert compiled.used == "eager"
    assert compiled.run(torch.rand(5, 3)) == (10,)


def test_a_graph_that_computes_nothing_is_not_compiled():
    builder = GraphBuilder(check=True)
    graph = builder.finish([builder.tensor_input(torch.ones(2), "x")])
    compiled = compile_graph(resolve(None), graph)
    assert compiled.used == "eager"
    x = torch.ones(2)
    assert compiled.run(x)[0] is x


def test_eager_runs_the_graph():
    _, graph, (x, weight) = layer()
    compiled = compile_graph(resolve("eager"), graph)
    assert (compiled.used, compiled.reason) == ("eager", "")
    assert_equal(compiled.run(x, weight), graph.module(x, weight))


def test_a_callable_gets_module_and_real_inputs():
    seen = []

    def backend(module, example_inputs):
        seen.append((module, example_inputs))
        return module.forward

    _, graph, tensors = layer()
    compiled = compile_graph(resolve(backend), graph)
    ((module, example_inputs),) = seen
    assert compiled.used == "backend"
    assert isinstance(module, torch.fx.GraphModule)
    assert all(one is other for one, other in zip(example_inputs, tensors, strict=True))
    assert [node.target for node in module.graph.nodes][2] is F.linear
    assert compiled.run(*tensors)[4] is tensors[0]


def test_mode_and_options_reach_a_callable():
    seen = {}

    def backend(module, example_inputs, **named):
        seen.update(named)
        return module.forward

    compile_graph(resolve(backend, options={"level": 3}), layer()[1])
    assert seen == {"options": {"level": 3}}
    compile_graph(resolve(backend, mode="fast"), layer()[1])
    assert seen == {"options": {"level": 3}, "mode": "fast"}


def test_a_backends_exception_is_the_users():
    error = KeyError("mine")

    def backend(module, example_inputs):
        raise error

    with pytest.raises(KeyError) as raised:
        compile_graph(resolve(backend), layer()[1])
    assert raised.value is error


def test_a_backend_that_returns_nonsense():
    with pytest.raises(Misuse, match="returned None"):
        compile_graph(resolve(lambda module, example_inputs: None), layer()[1])


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (dict(backend="inducter"), UnknownBackend, "'inductor'"),
        (dict(backend="aot_eage"), UnknownBackend, "Did you mean 'aot_eager'"),
        (dict(backend="nothing like it"), UnknownBackend, "Allowed: .*'cudagraphs'.* or a callable"),
        (dict(backend=3), Misuse, "backend=3"),
        (dict(backend=None, mode="fastest"), Misuse, "max-autotune"),
        (dict(backend=None, options={"max_autotun": True}), Misuse, "max_autotun"),
        (dict(backend="inductor", options={"max_autotune": "yes"}), Misuse, "should be bool"),
        (dict(backend="inductor", mode="default", options={}), Misuse, "mode"),
        (dict(backend="eager", mode="max-autotune"), Misuse, "eager"),
        (dict(backend="eager", options={"a": 1}), Misuse, "eager"),
    ],
    ids=str,
)
def test_refused_before_anything_runs(arguments, kind, words):
    with pytest.raises(kind, match=words):
        resolve(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [dict(backend=None, mode="default"), dict(backend="inductor", options={"epilogue_fusion": True})],
)
def test_settings_for_inductor(arguments):
    assert resolve(**arguments).inductor == arguments.get("options", {})


def test_an_inference_graph_keeps_no_input_alive():
    builder, graph, (x, weight) = layer()
    compiled = compile_graph(resolve("eager"), graph)
    graph.example_inputs.clear()
    reference = weakref.ref(x)
    del x, weight, builder
    gc.collect()
    assert reference() is None
    assert callable(compiled.run)
