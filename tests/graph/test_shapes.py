"""Dynamic sizes and numbers: symbols, the nodes that compute with them, and what a graph assumes."""

from __future__ import annotations

import math
import operator

import pytest
import sympy
import torch
import torch.nn.functional as F

from framelift.graph import UnsupportedOperator
from framelift.graph.shapes import static_sizes_and_strides
from tests.graph.conftest import Input
from tests.harness.naming import without_addresses

X, Y = Input(0), Input(1)


def holds(recording, tensors, numbers=()):
    """Whether the conditions of a recording hold for other inputs, read as the guards would read them."""
    found = recording.builder.shape_conditions()
    values = {}
    sources = {"xyzwvu"[i]: tensor for i, tensor in enumerate(tensors)}
    sources.update(numbers)
    for bound in found.bindings:
        outside = sources[str(bound.source)]
        match bound.what:
            case "size":
                values[bound.symbol] = outside.size(bound.dimension)
            case "stride":
                values[bound.symbol] = outside.stride(bound.dimension)
            case "storage_offset":
                values[bound.symbol] = outside.storage_offset()
            case _:
                values[bound.symbol] = outside
    return all(
        bool(condition.xreplace({k: sympy.sympify(v) for k, v in values.items()}))
        for condition in found.conditions
    )


def test_sizes_are_numbers_unless_dynamic(recorder, value):
    recording = recorder(torch.rand(4, 3), dynamic=[{0}])
    size = value(recording.nodes[0]).size()
    assert isinstance(size[0], torch.SymInt)
    assert size[1] == 3
    assert type(size[1]) is int
    assert static_sizes_and_strides(value(recording.nodes[0])) == ((None, 3), (3, 1))


def test_a_static_graph_assumes_nothing(recorder):
    recording = recorder(torch.rand(4, 3))
    recording.finish(recording.call("view", X, -1))
    found = recording.builder.shape_conditions()
    assert found.bindings == found.conditions == ()


def test_a_graph_for_all_sizes(recorder):
    recording = recorder(torch.rand(4, 3), dynamic=[{0}])
    finished = recording.finish(recording.call(torch.softmax, X, -1))
    for rows in (2, 4, 100):
        x = torch.rand(rows, 3)
        assert holds(recording, [x])
        torch.testing.assert_close(finished.module(x)[0], torch.softmax(x, -1))
    assert not holds(recording, [torch.rand(1, 3)])  # 0 and 1 are always specialised
    assert not holds(recording, [torch.rand(0, 3)])
    assert not holds(recording, [torch.rand(3, 4).t()])  # other strides


@pytest.mark.parametrize("rows", [0, 1])
def test_a_dynamic_size_of_zero_or_one_is_a_number_and_guarded(recorder, value, rows):
    recording = recorder(torch.rand(rows, 3), dynamic=[{0}])
    assert type(value(recording.nodes[0]).size(0)) is int
    assert holds(recording, [torch.rand(rows, 3)])
    assert not holds(recording, [torch.rand(2, 3)])


def test_sizes_that_must_agree(recorder):
    recording = recorder(torch.rand(4, 3), torch.rand(4, 3), dynamic=[{0}, {0}])
    recording.finish(recording.call(torch.add, X, Y))
    assert holds(recording, [torch.rand(7, 3), torch.rand(7, 3)])
    assert not holds(recording, [torch.rand(7, 3), torch.rand(6, 3)])


def test_equal_sizes_need_not_agree(recorder):
    recording = recorder(torch.rand(4, 3), torch.rand(4, 3), dynamic=[{0}, {0}])
    recording.finish(recording.call(torch.cat, [X, Y]))
    assert holds(recording, [torch.rand(7, 3), torch.rand(6, 3)])


def test_a_view_that_divides(recorder):
    recording = recorder(torch.rand(4, 3), dynamic=[{0}])
    finished = recording.finish(recording.call("view", X, 2, -1, 3))
    assert holds(recording, [torch.rand(10, 3)])
    assert not holds(recording, [torch.rand(9, 3)])
    assert finished.module(torch.rand(10, 3))[0].shape == (2, 5, 3)


def test_a_decision_becomes_a_condition(recorder, value):
    recording = recorder(torch.rand(8, 3), dynamic=[{0}])
    size = value(recording.nodes[0]).size(0)
    assert size > 5
    assert holds(recording, [torch.rand(6, 3)])
    assert not holds(recording, [torch.rand(5, 3)])


def test_a_size_that_turned_out_to_be_fixed(recorder, value):
    recording = recorder(torch.rand(8, 3), torch.rand(8, 3), dynamic=[{0}])
    recording.call(torch.add, X, Y)
    size = value(recording.nodes[0]).size(0)
    assert recording.builder.scalar(size) == 8
    assert holds(recording, [torch.rand(8, 3)])
    assert not holds(recording, [torch.rand(9, 3)])


def test_strides_follow_from_sizes(recorder):
    recording = recorder(torch.rand(4, 5, 6), dynamic=[{1, 2}])
    recording.finish(recording.call("view", X, 4, -1))
    assert holds(recording, [torch.rand(4, 7, 8)])
    assert not holds(recording, [torch.rand(4, 8, 7).transpose(1, 2)])
    assert not holds(recording, [torch.rand(4, 7, 9)[:, :, :8]])


@pytest.mark.parametrize(
    "make",
    [
        lambda n: torch.rand(n, 6)[:, 1:4],
        lambda n: torch.rand(n + 3, 6)[3:],
        lambda n: torch.rand(6, n).t(),
        lambda n: torch.rand(1, 6).expand(n, 6),
        lambda n: torch.nn.Parameter(torch.rand(n, 6))[:, :4],
        lambda n: torch.nn.Parameter(torch.rand(n, 6)),
        lambda n: torch.rand(n, 6, requires_grad=True) * 2,
    ],
    ids=["columns", "rows", "transposed", "expanded", "view of parameter", "parameter", "with history"],
)
def test_dynamic_views(recorder, value, make):
    real = make(5)
    recording = recorder(real, dynamic=[{0}])
    fake = value(recording.nodes[0])
    assert fake.requires_grad == real.requires_grad
    assert fake.is_leaf == real.is_leaf
    assert isinstance(fake, torch.nn.Parameter) == isinstance(real, torch.nn.Parameter)
    result = recording.call("sum", recording.call("clone", X), 1)
    finished = recording.finish(result)
    assert holds(recording, [real])
    for n in (3, 9):
        other = make(n)
        if holds(recording, [other]):
            torch.testing.assert_close(finished.module(other)[0], other.sum(1))
    assert not holds(recording, [torch.rand(5, real.shape[1], 2)[:, :, 0]])


def test_a_size_is_read_before_the_tensor_changes_shape(recorder, value):
    recording = recorder(torch.rand(4, 3), dynamic=[{0}])
    size = value(recording.nodes[0]).size(0)
    recording.call("t_", X)
    finished = recording.finish(recording.call(torch.zeros, (size,)))
    assert finished.module(torch.rand(6, 3))[0].shape == (6,)


@pytest.mark.parametrize("number", [0, 1, -3, 7])
def test_ints_as_inputs(recorder, number):
    recording = recorder(torch.rand(4))
    node, symbol = recording.builder.scalar_input(number, "k")
    product = recording.call(torch.mul, X, node)
    other = recording.call(torch.add, X, symbol + 1)
    finished = recording.finish(product, other)
    assert finished.inputs[1] == "k"
    assert recording.builder.shape_conditions().conditions == ()
    x = torch.rand(4)
    for k in (0, 1, 5, -2):
        product, other = finished.module(x, k)
        torch.testing.assert_close(product, x * k)
        torch.testing.assert_close(other, x + (k + 1))


def test_floats_as_inputs(recorder):
    recording = recorder(torch.rand(4))
    node, symbol = recording.builder.scalar_input(2.5, "k")
    finished = recording.finish(recording.call(torch.mul, X, node), recording.call(torch.mul, X, symbol / 2))
    x = torch.rand(4)
    whole, half = finished.module(x, 3.0)
    torch.testing.assert_close(whole, x * 3.0)
    torch.testing.assert_close(half, x * 1.5)


@pytest.mark.parametrize("number", [math.nan, math.inf, 2**63, True, "a"])
def test_numbers_that_cannot_be_symbols(recorder, number):
    with pytest.raises(UnsupportedOperator):
        recorder().builder.scalar_input(number, "k")


EXPRESSIONS = {
    "add": lambda a, b: a + b + 2,
    "subtract": lambda a, b: a - b * 2,
    "multiply": lambda a, b: 3 * a * b,
    "negate": lambda a, b: -a,
    "floor division": lambda a, b: (a + 10) // b,
    "remainder": lambda a, b: (a + 7) % b,
    "true division": lambda a, b: a / b,
    "power": lambda a, b: a**2,
    "maximum": lambda a, b: torch.sym_max(a, b),
    "minimum": lambda a, b: torch.sym_min(a, b),
    "to float": lambda a, b: torch.sym_float(a) * 0.5,
    "truncate": lambda a, b: math.trunc(a / b),
    "floor": lambda a, b: math.floor(a / b),
    "ceiling": lambda a, b: math.ceil(a / b),
    "absolute": lambda a, b: abs(a - b),
    "comparison": lambda a, b: a < b,
    "equality": lambda a, b: a == b,
    "inequality": lambda a, b: a != b,
    "not": lambda a, b: torch.sym_not(a >= b),
    "negative remainder": lambda a, b: (-a) % b,
    "negative floor division": lambda a, b: (-a) // b,
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_arithmetic_can_be_computed_in_the_graph(recorder, name):
    """Numbers computed in Python from symbols; the graph computes the same for other values."""
    compute = EXPRESSIONS[name]
    recording = recorder()
    _, a = recording.builder.scalar_input(9, "a")
    _, b = recording.builder.scalar_input(4, "b")
    node = recording.builder.scalar(compute(a, b))
    assert recording.builder.scalar(compute(a, b)) is node
    finished = recording.finish(node)
    for one, other in ((9, 4), (3, 8), (5, 5), (1, 2)):
        if holds(recording, (), {"a": one, "b": other}):
            arguments = [{"a": one, "b": other}[str(source)] for source in finished.inputs]
            result = finished.module(*arguments)[0]
            expected = compute(one, other)
            assert result == expected
            assert type(result) is type(expected)
    assert holds(recording, (), {"a": 9, "b": 4})


def test_size_nodes_are_shared(recorder, value):
    recording = recorder(torch.rand(4, 3), dynamic=[{0}])
    size = value(recording.nodes[0]).size(0)
    recording.call(torch.zeros, (size,))
    zeros = recording.call(torch.zeros, (size, size + 1))
    ones = recording.call(torch.ones, (size + 1,))
    finished = recording.finish(zeros, ones)
    calls = [node.target for node in finished.module.graph.nodes if node.op == "call_function"]
    assert calls.count(torch.ops.aten.sym_size.int) == 1
    assert calls.count(operator.add) == 1


def test_symbolic_results_are_values(recorder, value):
    recording = recorder(torch.rand(4, 3), dynamic=[{0}])
    size = value(recording.call("size", X, 0))
    assert isinstance(size, torch.SymInt)
    count = value(recording.call("numel", X))
    finished = recording.finish(recording.call(torch.zeros, (count - size,)))
    assert finished.module(torch.rand(5, 3))[0].shape == (10,)


def test_slices_with_symbols(recorder, value):
    recording = recorder(torch.rand(8, 3), dynamic=[{0}])
    size = value(recording.nodes[0]).size(0)
    half = recording.call(operator.getitem, X, slice(None, size // 2))
    finished = recording.finish(half)
    assert finished.module(torch.rand(12, 3))[0].shape == (6, 3)


def test_layers_over_dynamic_batch_and_length(recorder):
    recording = recorder(torch.rand(4, 6, 8), torch.rand(24, 8), dynamic=[{0, 1}])
    projected = recording.call(F.linear, X, Y)
    query, key, val = (
        recording.call(
            "unflatten", recording.builder.item(recording.call("chunk", projected, 3, -1), i), -1, (2, 4)
        )
        for i in range(3)
    )
    heads = [recording.call("transpose", part, 1, 2) for part in (query, key, val)]
    attended = recording.call(F.scaled_dot_product_attention, *heads)
    finished = recording.finish(recording.call("flatten", recording.call("transpose", attended, 1, 2), 2))
    for shape in ((4, 6, 8), (2, 9, 8)):
        x, w = torch.rand(shape), torch.rand(24, 8)
        assert holds(recording, [x, w])
        assert finished.module(x, w)[0].shape == shape


@pytest.mark.parametrize(
    "call",
    [("storage_offset", X), ("as_strided", X, (2,), (1,)), (torch.as_strided, X, (2,), (1,))],
    ids=without_addresses,
)
def test_a_storage_offset_that_was_read_is_guarded(recorder, call):
    recording = recorder(torch.rand(8)[2:6])
    recording.call(*call)
    assert holds(recording, [torch.rand(8)[2:6]])
    assert not holds(recording, [torch.rand(8)[3:7]])


def test_a_storage_offset_that_nobody_read_is_not(recorder):
    recording = recorder(torch.rand(8)[2:6])
    recording.call("add", X, 1)
    assert recording.builder.shape_conditions().conditions == ()


def test_printing(recorder, value):
    recording = recorder(torch.rand(4, 3), torch.nn.Parameter(torch.rand(5, 3)), dynamic=[{0}])
    recording.call(torch._C._set_grad_enabled, False)
    product = recording.call(F.linear, X, Y)
    recording.call(torch._C._set_grad_enabled, True)
    top = recording.call("topk", product, 2, sorted=False)
    size = value(recording.nodes[0]).size(0)
    zeros = recording.call(torch.zeros, (size, 1), dtype=torch.int64)
    finished = recording.finish(recording.builder.item(top, 0), zeros)
    symbol = str(size)
    assert str(finished).replace(symbol, "s") == (
        "input %x: f32[s, 3]\n"
        "input %y: f32[5, 3] grad\n"
        "%sym_size_int = sym_size.int(%x, 0)   # s\n"
        "%_set_grad_enabled = _set_grad_enabled(False)   # None\n"
        "%linear = linear(%x, %y)   # f32[s, 5]\n"
        "%_set_grad_enabled_1 = _set_grad_enabled(True)   # None\n"
        "%topk = .topk(%linear, 2, sorted=False)   # (f32[s, 2], i64[s, 2])\n"
        "%zeros = zeros((%sym_size_int, 1), dtype=torch.int64)   # i64[s, 1]\n"
        "%getitem = getitem(%topk, 0)   # f32[s, 2]\n"
        "return (%getitem, %zeros)"
    )
    assert f"{symbol} = x.size(0)" in str(recording.builder.shape_conditions())


def test_a_size_that_is_found_to_be_a_number_is_no_change_of_the_input(recorder):
    recording = recorder(torch.rand(8, 3), torch.rand(8, 3), dynamic=[{0}])
    finished = recording.finish(recording.call(torch.add, X, Y))
    assert not finished.mutated_inputs
    assert not finished.changes_metadata
