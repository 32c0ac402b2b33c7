"""Inputs: the fake of an outside tensor is that tensor without its data."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from framelift.graph import GraphBuilder, UnsupportedOperator
from framelift.guards.sources import Argument, DictItem, InstanceDict, ListItem

X = Argument(0, "x")


TENSORS = {
    "plain": lambda: torch.randn(4, 3),
    "scalar": lambda: torch.tensor(2.5),
    "empty": lambda: torch.randn(0, 3),
    "channels_last": lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "permuted": lambda: torch.randn(2, 3, 4).permute(2, 0, 1).contiguous().permute(1, 2, 0),
    "transposed": lambda: torch.randn(4, 3).t(),
    "slice": lambda: torch.randn(8, 3)[2:6],
    "strided slice": lambda: torch.randn(8, 6)[::2, 1::2],
    "expanded": lambda: torch.randn(1, 3).expand(4, 3),
    "parameter": lambda: torch.nn.Parameter(torch.randn(4, 3)),
    "frozen parameter": lambda: torch.nn.Parameter(torch.randn(4, 3), requires_grad=False),
    "leaf with gradient": lambda: torch.randn(4, 3, requires_grad=True),
    "result with gradient": lambda: torch.randn(4, 3, requires_grad=True) * 2,
    "view of parameter": lambda: torch.nn.Parameter(torch.randn(4, 3))[1:],
    "detached": lambda: torch.randn(4, 3, requires_grad=True).detach(),
    "part of a storage": lambda: torch.randn(20).set_(torch.randn(20).untyped_storage(), 3, (2, 2), (5, 1)),
    "bool": lambda: torch.randn(4) > 0,
    "int64": lambda: torch.arange(5),
    "bfloat16": lambda: torch.randn(4).bfloat16(),
    "float8": lambda: torch.randn(4).to(torch.float8_e4m3fn),
    "complex": lambda: torch.randn(4, dtype=torch.complex64),
    "conjugate": lambda: torch.randn(4, dtype=torch.complex64).conj(),
    "negative": lambda: torch.randn(4, dtype=torch.complex64).conj().imag,
    "buffer": lambda: torch.nn.Buffer(torch.randn(3)),
}


def assert_same(fake, real):
    for name in ("shape", "dtype", "device", "layout", "requires_grad", "is_leaf"):
        assert getattr(fake, name) == getattr(real, name), name
    for name in (
        "stride",
        "storage_offset",
        "is_inference",
        "is_conj",
        "is_neg",
        "is_contiguous",
        "_is_view",
    ):
        assert getattr(fake, name)() == getattr(real, name)(), name
    assert (fake.grad_fn is None) == (real.grad_fn is None)
    assert isinstance(fake, torch.nn.Parameter) == isinstance(real, torch.nn.Parameter)
    assert fake.untyped_storage().nbytes() == real.untyped_storage().nbytes()


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside inference mode"])
@pytest.mark.parametrize("name", TENSORS)
def test_metadata(name, inside):
    real = TENSORS[name]()
    with torch.inference_mode(inside):
        node = GraphBuilder().tensor_input(real, X)
    assert_same(node.meta["example_value"], real)


@pytest.mark.parametrize("name", TENSORS)
def test_the_quick_conversion_is_the_general_one(name):
    real = TENSORS[name]()
    builder = GraphBuilder()
    quick = builder.tensor_input(real, X).meta["example_value"]
    general = GraphBuilder().fake_mode.from_tensor(real, static_shapes=True)
    assert torch._C._dispatch_keys(quick) == torch._C._dispatch_keys(general)
    assert_same(quick, general)
    assert builder.fake_mode.from_tensor(real, static_shapes=True) is quick


def test_a_builder_is_freed_with_all_it_holds():
    real = torch.nn.Parameter(torch.ones(3))
    builder = GraphBuilder()
    fake_mode = weakref.ref(builder.fake_mode)
    builder.call_function(torch.relu, (builder.tensor_input(real, X),))
    reference = weakref.ref(real)
    del builder, real
    gc.collect()
    gc.collect()  # tensors die in the first round, what only they held in the second
    assert reference() is None
    assert fake_mode() is None


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside inference mode"])
@pytest.mark.parametrize("name", ["plain", "slice"])
def test_inference_tensors(name, inside):
    with torch.inference_mode():
        real = TENSORS[name]()
    with torch.inference_mode(inside):
        node = GraphBuilder().tensor_input(real, X)
    assert_same(node.meta["example_value"], real)


def test_conversion_leaves_grad_mode_and_inference_mode_alone():
    with torch.inference_mode():
        GraphBuilder().tensor_input(torch.nn.Parameter(torch.ones(2)).detach().clone(), X)
        assert torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        made_inside = torch.ones(2)
    GraphBuilder().tensor_input(made_inside, X)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("base_first", [True, False])
def test_views_share_storage_with_their_base(base_first):
    base = torch.randn(4, 3)
    view = base[1:]
    builder = GraphBuilder()
    pair = (base, view) if base_first else (view, base)
    one, other = (builder.tensor_input(tensor, Argument(i, "ab"[i])) for i, tensor in enumerate(pair))
    one, other = one.meta["example_value"], other.meta["example_value"]
    assert one.untyped_storage()._cdata == other.untyped_storage()._cdata
    one.add_(1)
    assert one._version == other._version == 1


def test_tensors_made_by_detach_share_storage():
    real = torch.randn(4, requires_grad=True)
    builder = GraphBuilder()
    one = builder.tensor_input(real, Argument(0, "a")).meta["example_value"]
    other = builder.tensor_input(real.detach(), Argument(1, "b")).meta["example_value"]
    assert one.untyped_storage()._cdata == other.untyped_storage()._cdata


def test_the_real_tensor_is_not_touched():
    real = torch.nn.Parameter(torch.ones(3))
    real.grad = torch.ones(3)
    builder = GraphBuilder()
    node = builder.tensor_input(real, X)
    with torch.no_grad():
        builder.call_method("add_", (node, 1))
    assert real.tolist() == [1, 1, 1]
    assert real._version == 0
    assert real.grad.tolist() == [1, 1, 1]


class Tagged(torch.Tensor):
    """A subclass that nobody knows."""


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(3).as_subclass(Tagged),
        lambda: torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.quint8),
    ],
    ids=["subclass", "quantized"],
)
def test_refused(make):
    with pytest.raises(UnsupportedOperator, match="can't be an input"):
        GraphBuilder().tensor_input(make(), X)


def test_argument_names_remind_of_sources():
    module = Argument(0, "self")
    sources = [
        module,
        DictItem(InstanceDict(ListItem(DictItem(InstanceDict(module), "layers"), 3)), "weight"),
        Argument(1, "class"),
        Argument(2, "3d"),
        Argument(3, "x"),
        Argument(4, "x"),
    ]
    builder = GraphBuilder()
    names = [builder.tensor_input(torch.ones(1), source).name for source in sources]
    assert names == ["input_self", "self_layers_3_weight", "input_class", "input_3d", "x", "x_1"]


def test_placeholders_stand_in_front_although_inputs_are_met_late():
    builder = GraphBuilder(check=True)
    x = builder.tensor_input(torch.ones(2), Argument(0, "x"))
    y = builder.call_function(torch.relu, (x,))
    z = builder.tensor_input(torch.ones(2), Argument(1, "z"))
    finished = builder.finish([builder.call_function(torch.add, (y, z))])
    assert [str(source) for source in finished.inputs] == ["x", "z"]


def test_a_late_first_input():
    builder = GraphBuilder(check=True)
    ones = builder.call_function(torch.ones, (2,))
    x = builder.tensor_input(torch.ones(2), X)
    finished = builder.finish([builder.call_function(torch.add, (ones, x))])
    assert finished.module(torch.tensor([1.0, 2.0]))[0].tolist() == [2, 3]


def test_unused_inputs_are_left_out():
    builder = GraphBuilder(check=True)
    x, y, z = (builder.tensor_input(torch.ones(2), Argument(i, "xyz"[i])) for i in range(3))
    builder.call_function(torch.mul, (x, y))  # dropped, and x with it
    finished = builder.finish([builder.call_function(torch.add, (y, 1)), z])
    assert [str(source) for source in finished.inputs] == ["y", "z"]
    assert finished.operator_count == 1
    assert [out.tolist() for out in finished.module(torch.zeros(2), torch.ones(2))] == [[1, 1], [1, 1]]
