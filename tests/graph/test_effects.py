"""What a graph does to the world: writes, random numbers, torch state. Such nodes are never dropped."""

from __future__ import annotations

import operator

import pytest
import torch
import torch.nn.functional as F

from tests.graph.conftest import Input

TWICE = pytest.mark.parametrize("warm", [False, True], ids=["first time", "again"])
GRAD_MODES = pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])

X, Y, Z = Input(0), Input(1), Input(2)

WRITES = {  # calls that write to the first input, not always at once
    "method": [("add_", X, 1)],
    "operator": [(operator.iadd, X, 1)],
    "item assignment": [(operator.setitem, X, 0, 5.0)],
    "out argument": [(torch.add, Y, Y, dict(out=X))],
    "inplace flag": [(F.relu, X, dict(inplace=True))],
    "through a view": [("view", X, -1), ("mul_", "last", 2)],
    "through detach": [("detach", X), ("zero_", "last")],
    "through data": [(getattr, X, "data"), ("zero_", "last")],
    "list of tensors": [(torch._foreach_add_, [Y, X], 1.0)],
    "shape": [("t_", X)],
    "size": [("resize_", X, (2, 2))],
    "storage": [("set_", X, Y)],
    "running statistics": [(F.batch_norm, Y, X, Z, dict(training=True))],
    "renormalised embedding": [(F.embedding, Input(3), X, dict(max_norm=1.0))],
    "gradient flag": [("requires_grad_", X)],
    "copy": [("copy_", X, Y)],
    "overload": [(torch.ops.aten.add_.Tensor, X, Y)],
}

READS = {
    "method": [("add", X, 1)],
    "a copy of it": [("clone", X), ("add_", "last", 1)],
    "evaluation": [(F.batch_norm, Y, X, Z, dict(training=False))],
    "dropout": [(F.dropout, X, 0.5)],
    "inside an operator": [(F.one_hot, Input(3), 5)],
}


def play(recording, steps):
    """Record calls; "last" stands for the node before."""
    last = None
    for target, *args in steps:
        kwargs = args.pop() if isinstance(args[-1], dict) else {}
        args = [last if isinstance(arg, str) and arg == "last" else arg for arg in args]
        last = recording.call(target, *args, **kwargs)
    return last


def inputs(name):
    torch.manual_seed(0)
    shape = (3,) if "statistics" in name or name == "evaluation" else (4, 3)
    y = torch.randn(4, 3)
    return torch.rand(shape), y, torch.rand(3), torch.tensor([0, 2])


@TWICE
@GRAD_MODES
@pytest.mark.parametrize("name", WRITES)
def test_a_write_to_an_input_is_noticed_and_stays(recorder, name, mode, warm):
    """Also when fake tensors remember the result of the same call and run nothing (``warm``)."""
    with mode():
        for _ in range(1 + warm):
            recording = recorder(*inputs(name))
            play(recording, WRITES[name])
            finished = recording.finish()
            assert finished.mutated_inputs
            assert finished.operator_count == len(WRITES[name])


@GRAD_MODES
@pytest.mark.parametrize("name", READS)
def test_no_write(recorder, name, mode):
    with mode():
        recording = recorder(*inputs(name))
        play(recording, READS[name])
        finished = recording.finish()
        assert not finished.mutated_inputs


def test_a_write_to_an_inference_tensor_is_noticed(recorder):
    with torch.inference_mode():
        x = torch.ones(3)
        recording = recorder(x)
        recording.call("add_", X, 1)
    assert recording.finish().mutated_inputs


def test_a_written_temporary_is_not_taken_for_a_later_input(recorder):
    recording = recorder(torch.rand(4, 3))
    for _ in range(20):
        recording.call(F.dropout, X, 0.5)
    for i in range(50):
        recording.builder.tensor_input(torch.rand(4, 3), f"late{i}")
    assert not recording.finish().mutated_inputs


def test_writes_come_before_later_reads(recorder):
    recording = recorder(torch.zeros(3))
    recording.call("add_", X, 1)
    twice = recording.call("mul", X, 2)
    finished = recording.finish(twice)
    x = torch.zeros(3)
    assert finished.module(x)[0].tolist() == [2, 2, 2]
    assert x.tolist() == [1, 1, 1]


def test_an_in_place_result_is_the_tensor_itself(recorder, value):
    recording = recorder(torch.zeros(3))
    node = recording.call("add_", X, 1)
    assert value(node) is value(recording.nodes[0])
    assert recording.builder.node_of(value(node)) is recording.nodes[0]


RANDOM = {
    "rand": [(torch.rand, 3)],
    "randn_like": [(torch.randn_like, X)],
    "dropout": [(F.dropout, X, 0.5)],
    "dropout2d": [(F.dropout2d, Input(4), 0.5)],
    "alpha dropout": [(F.alpha_dropout, X, 0.5, True)],
    "bernoulli": [(torch.bernoulli, X)],
    "in place": [("uniform_", Y)],
    "multinomial": [(torch.multinomial, X, 2)],
    "rrelu": [(F.rrelu, X, dict(training=True))],
    "gumbel": [(F.gumbel_softmax, X)],
    "attention": [(F.scaled_dot_product_attention, Input(4), Input(4), Input(4), dict(dropout_p=0.5))],
    "lstm": [(torch.lstm, Input(5), [Input(6)] * 2, [Input(7)] * 4, False, 2, 0.5, True, False, False)],
}
NOT_RANDOM = {
    "dropout off": [(F.dropout, X, 0.5, False)],
    "dropout module call off": [(torch.dropout, X, 0.5, False)],
    "attention": [(F.scaled_dot_product_attention, Input(4), Input(4), Input(4))],
    "rrelu off": [(F.rrelu, X)],
    "lstm off": [(torch.lstm, Input(5), [Input(6)] * 2, [Input(7)] * 4, False, 2, 0.5, False, False, False)],
    "empty": [(torch.empty, 3)],
    "zeros": [(torch.zeros, 3)],
}


def random_inputs():
    return (
        torch.rand(4, 3),
        torch.rand(4, 3),
        torch.rand(3),
        torch.tensor([0, 2]),
        torch.rand(1, 2, 4, 4),
        torch.rand(2, 1, 3),
        torch.rand(2, 1, 3),
        torch.rand(12, 3),
    )


@TWICE
@GRAD_MODES
@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_are_noticed_and_their_nodes_stay(recorder, name, mode, warm):
    with mode():
        for _ in range(1 + warm):
            recording = record_named(recorder)
            play(recording, RANDOM[name])
            finished = recording.finish()
            assert finished.uses_rng
            assert finished.operator_count == 1


def record_named(recorder):
    """A recorder over more inputs than have letters."""
    recording = recorder()
    recording.nodes = [
        recording.builder.tensor_input(tensor, f"input{i}") for i, tensor in enumerate(random_inputs())
    ]
    return recording


@GRAD_MODES
@pytest.mark.parametrize("name", NOT_RANDOM)
def test_no_random_numbers(recorder, name, mode):
    with mode():
        recording = record_named(recorder)
        play(recording, NOT_RANDOM[name])
        assert not recording.finish().uses_rng


def test_attention_module_with_dropout(recorder):
    attention = F.multi_head_attention_forward
    embed = torch.rand(3, 1, 4)
    recording = recorder(embed, torch.rand(12, 4), torch.rand(4, 4))
    out = recording.call(attention, X, X, X, 4, 2, Y, None, None, None, False, 0.5, Z, None, training=True)
    assert recording.finish(recording.builder.item(out, 0)).uses_rng


def test_recording_draws_no_random_numbers(recorder):
    recording = record_named(recorder)
    before = torch.get_rng_state()
    for steps in RANDOM.values():
        play(recording, steps)
    assert torch.equal(torch.get_rng_state(), before)


def test_state_is_changed_for_real_and_stays_in_the_graph(recorder, value):
    recording = recorder(torch.rand(3, requires_grad=True))
    recording.call(torch._C._set_grad_enabled, False)
    assert not torch.is_grad_enabled()
    inside = recording.call("mul", X, 2)
    recording.call(torch._C._set_grad_enabled, True)
    outside = recording.call("mul", X, 2)
    assert not value(inside).requires_grad
    assert value(outside).requires_grad
    finished = recording.finish(inside, outside)
    assert finished.operator_count == 4
    results = finished.module(torch.rand(3, requires_grad=True))
    assert [result.requires_grad for result in results] == [False, True]


def test_autocast(recorder, value):
    recording = recorder(torch.rand(3, 3), torch.rand(3, 3))
    recording.call(torch.set_autocast_enabled, "cpu", True)
    recording.call(torch.set_autocast_dtype, "cpu", torch.bfloat16)
    recording.call(torch.autocast_increment_nesting)
    product = recording.call(torch.mm, X, Y)
    recording.call(torch.autocast_decrement_nesting)
    recording.call(torch.clear_autocast_cache)
    recording.call(torch.set_autocast_enabled, "cpu", False)
    assert value(product).dtype == torch.bfloat16
    finished = recording.finish(product)
    assert finished.operator_count == 7
    assert finished.module(torch.rand(3, 3), torch.rand(3, 3))[0].dtype == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")


def test_inference_mode(recorder, value):
    grad_mode = torch.autograd.grad_mode
    recording = recorder(torch.rand(3, requires_grad=True))
    context = recording.call(grad_mode._enter_inference_mode, True)
    inside = recording.call("mul", X, 2)
    recording.call(grad_mode._exit_inference_mode, context)
    assert value(inside).is_inference()
    assert not torch.is_inference_mode_enabled()
    finished = recording.finish(inside)
    assert finished.operator_count == 3
    assert finished.module(torch.rand(3))[0].is_inference()


def test_an_inference_mode_left_open_is_closed(recorder):
    recording = recorder(torch.rand(3))
    recording.call(torch.autograd.grad_mode._enter_inference_mode, True)
    assert torch.is_inference_mode_enabled()
    recording.builder.close()
    assert not torch.is_inference_mode_enabled()


def test_unused_calls_without_effect_are_dropped(recorder):
    recording = recorder(torch.rand(4, 3))
    view = recording.call("view", X, -1)
    recording.call("sum", view)
    recording.call("size", X)
    recording.call("split", X, 2)
    kept = recording.call("relu", X)
    assert recording.finish(kept).operator_count == 1


def test_gradients_are_noticed(recorder):
    recording = recorder(torch.rand(3, requires_grad=True))
    assert recording.finish(recording.call("mul", X, 2)).trains
    recording = recorder(torch.rand(3, requires_grad=True))
    assert not recording.finish(recording.call("detach", recording.call("mul", X, 2))).trains
    recording = recorder(torch.rand(3, requires_grad=True))
    total = recording.call("sum", X)
    (grad,) = [recording.builder.item(recording.call(torch.autograd.grad, total, [X]), 0)]
    assert recording.finish(grad).trains
    with torch.no_grad():
        recording = recorder(torch.rand(3, requires_grad=True))
        assert not recording.finish(recording.call("mul", X, 2)).trains


def test_custom_operators_that_write_stay(recorder):
    with torch.library._scoped_library("framelift_tests", "FRAGMENT") as library:
        library.define("scale_(Tensor(a!) x, float by) -> ()")
        library.define("double(Tensor x) -> Tensor")
        for key in ("CPU", "Meta"):
            library.impl("scale_", lambda x, by: (x.mul_(by), None)[1], key)
            library.impl("double", lambda x: x * 2, key)
        recording = recorder(torch.ones(3), torch.ones(3))
        recording.call(torch.ops.framelift_tests.scale_.default, X, 3.0)
        recording.call(torch.ops.framelift_tests.double.default, Y)  # it may refuse its data
        recording.call(torch.neg, Y)
        finished = recording.finish()
        assert finished.mutated_inputs
        assert finished.operator_count == 2
        x = torch.ones(3)
        finished.module(x, torch.ones(3))
        assert x.tolist() == [3, 3, 3]
