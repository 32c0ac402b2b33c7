"""An inventory of calls by family: what a node promises is what eager gives, and the graph computes it."""

from __future__ import annotations

import operator

import pytest
import torch
import torch.nn.functional as F


class In:
    """The input with this number among the arguments of a row."""

    def __init__(self, index):
        self.index = index


X, Y, Z = In(0), In(1), In(2)


def row(target, *args, **kwargs):
    name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    shown = [repr(argument) for argument in args if not isinstance(argument, In | tuple | list | dict)]
    return pytest.param(target, args, kwargs, id="-".join([name, *shown, *kwargs]))


POINTWISE = [
    row(torch.add, X, Y, alpha=2),
    row(torch.add, X, 1),
    row(operator.add, 1, X),
    row(operator.mul, X, 2.5),
    row(operator.truediv, X, Y),
    row(operator.pow, X, 2),
    row(operator.gt, X, 0),
    row(operator.neg, X),
    row(torch.relu, X),
    row(torch.where, Z, X, Y),
    row(torch.clamp, X, min=-0.5, max=0.5),
    row(torch.exp, X),
    row(torch.lerp, X, Y, 0.3),
    row("sigmoid", X),
    row("masked_fill", X, Z, 0.0),
    row(torch.addcmul, X, Y, Y, value=0.5),
]

CONVERSIONS = [
    row("to", X, torch.float64),
    row("to", X, "cpu"),
    row("half", X),
    row("bool", X),
    row("type_as", X, Z),
    row("contiguous", X),
    row("clone", X),
    row("detach", X),
    row("type", X, torch.int32),
]

REDUCTIONS = [
    row(torch.sum, X),
    row("sum", X, -1, True),
    row("mean", X, (0, 1)),
    row(torch.max, X),
    row(torch.max, X, 0),
    row("argmax", X, dim=1),
    row(torch.softmax, X, -1),
    row(torch.log_softmax, X, 0),
    row(torch.cumsum, X, 1),
    row(torch.var_mean, X, 0),
    row(torch.sort, X),
    row(torch.topk, X, 2),
    row(torch.any, Z),
    row("norm", X),
    row(torch.logsumexp, X, 1),
    row(torch.std, X, 0),
]

VIEWS = [
    row("view", X, -1),
    row("view", X, (3, 4)),
    row("reshape", X, 2, 6),
    row("t", X),
    row("transpose", X, 0, 1),
    row("permute", X, 1, 0),
    row("expand", X, 2, 4, 3),
    row("unsqueeze", X, 0),
    row("squeeze", X),
    row("flatten", X),
    row("narrow", X, 0, 1, 2),
    row("select", X, 1, 0),
    row("chunk", X, 2),
    row("split", X, [1, 3]),
    row("unbind", X, 1),
    row("diagonal", X),
    row("unfold", X, 0, 2, 1),
    row("view_as", X, Y),
    row(getattr, X, "T"),
    row(getattr, X, "mT"),
    row(torch.movedim, X, 0, 1),
    row(torch.as_strided, X, (2, 2), (1, 2)),
]

INDEXING = [
    row(operator.getitem, X, 0),
    row(operator.getitem, X, (slice(None), 1)),
    row(operator.getitem, X, (Ellipsis, slice(0, None, 2))),
    row(operator.getitem, X, (None, slice(1, 3))),
    row(operator.getitem, X, [0, 2]),
    row(torch.gather, X, 0, In(3)),
    row("index_select", X, 0, In(4)),
    row("scatter", X, 0, In(3), 1.0),
    row(torch.take_along_dim, X, In(3), 0),
    row(torch.roll, X, 1),
    row(torch.flip, X, (0,)),
    row(torch.tril, X),
]

COMBINING = [
    row(torch.cat, [X, Y], 1),
    row(torch.stack, (X, Y)),
    row(torch.hstack, (X, Y)),
    row(torch.broadcast_tensors, X, In(5)),
    row(torch.einsum, "ij,kj->ik", X, Y),
    row(torch.meshgrid, In(4), In(4), indexing="ij"),
]

MATRICES = [
    row(operator.matmul, X, In(6)),
    row(torch.mm, X, In(6)),
    row(torch.addmm, In(7), X, In(6)),
    row(torch.bmm, In(8), In(8)),
    row(torch.linalg.vector_norm, X),
    row(torch.linalg.qr, X),
    row(torch.outer, In(5), In(5)),
    row(torch.dot, In(5), In(5)),
]

NEURAL = [
    row(F.linear, X, Y),
    row(F.layer_norm, X, (3,)),
    row(F.gelu, X),
    row(F.silu, X),
    row(F.leaky_relu, X, 0.1),
    row(F.embedding, In(4), X),
    row(F.conv1d, In(8), In(9)),
    row(F.conv2d, In(10), In(11), padding=1),
    row(F.max_pool2d, In(10), 2),
    row(F.avg_pool2d, In(10), 2),
    row(F.interpolate, In(10), scale_factor=2.0),
    row(F.pad, X, (1, 1)),
    row(F.cross_entropy, X, In(12)),
    row(F.mse_loss, X, Y),
    row(F.scaled_dot_product_attention, In(8), In(8), In(8)),
    row(F.group_norm, In(10), 1),
    row(F.batch_norm, X, In(5), In(5)),
    row(F.one_hot, In(4), 5),
    row(F.normalize, X),
    row(F.dropout, X, 0.5, False),
]

FACTORIES = [
    row(torch.zeros, 2, 3),
    row(torch.ones, (2,), dtype=torch.int64),
    row(torch.full, (2, 2), 7.0),
    row(torch.arange, 5),
    row(torch.arange, 0, 1, 0.25),
    row(torch.linspace, 0, 1, 5),
    row(torch.eye, 3),
    row(torch.tensor, [1.0, 2.0]),
    row(torch.zeros_like, X),
    row("new_ones", X, (2,)),
    row(torch.scalar_tensor, 3.0),
]

RANDOM = [
    row(torch.rand, 3),
    row(torch.randn_like, X),
    row(torch.randint, 0, 10, (4,)),
    row(torch.randperm, 6),
    row(torch.bernoulli, In(13)),
    row(F.dropout, X, 0.5, True),
]

IN_PLACE = [
    row("add_", X, Y),
    row("zero_", X),
    row(operator.iadd, X, Y),
    row("copy_", X, Y),
    row("clamp_", X, min=0.0),
    row("fill_", X, 2.0),
]

NOT_TENSORS = [
    row("size", X),
    row("size", X, 0),
    row("dim", X),
    row("numel", X),
    row("stride", X),
    row("is_contiguous", X),
    row("is_floating_point", X),
    row("element_size", X),
    row(torch.is_complex, X),
    row(getattr, X, "shape"),
    row(getattr, X, "dtype"),
    row(getattr, X, "device"),
    row(torch.result_type, X, 1),
    row(torch.is_grad_enabled),
]

ALL = [
    *POINTWISE,
    *CONVERSIONS,
    *REDUCTIONS,
    *VIEWS,
    *INDEXING,
    *COMBINING,
    *MATRICES,
    *NEURAL,
    *FACTORIES,
    *RANDOM,
    *IN_PLACE,
    *NOT_TENSORS,
]


def make_inputs(grad):
    """The tensors that the rows speak of; the floating ones need gradients if ``grad``."""
    torch.manual_seed(1)
    tensors = [
        torch.randn(4, 3),
        torch.randn(4, 3),
        torch.randn(4, 3) > 0,
        torch.randint(0, 4, (2, 3)),
        torch.tensor([0, 2]),
        torch.rand(3),
        torch.randn(3, 5),
        torch.randn(4, 5),
        torch.randn(2, 3, 3),
        torch.randn(4, 3, 2),
        torch.randn(1, 2, 6, 6),
        torch.randn(3, 2, 3, 3),
        torch.tensor([0, 1, 2, 0]),
        torch.rand(4),
    ]
    return [tensor.requires_grad_() if grad and i < 2 else tensor for i, tensor in enumerate(tensors)]


def used_inputs(argument):
    """Numbers of the inputs in an argument."""
    if isinstance(argument, In):
        return {argument.index}
    if isinstance(argument, tuple | list):
        return set().union(*(used_inputs(item) for item in argument))
    if isinstance(argument, dict):
        return used_inputs(list(argument.values()))
    return set()


def put(argument, values):
    """An argument with inputs replaced by values."""
    if isinstance(argument, In):
        return values[argument.index]
    if type(argument) in (tuple, list):
        return type(argument)(put(item, values) for item in argument)
    return argument


def call(target, args, kwargs, values):
    args = put(args, values)
    kwargs = {key: put(item, values) for key, item in kwargs.items()}
    return (
        getattr(args[0], target)(*args[1:], **kwargs) if isinstance(target, str) else target(*args, **kwargs)
    )


def assert_same_metadata(fake, real):
    """``fake`` promises exactly what ``real`` is."""
    if isinstance(real, torch.Tensor):
        assert isinstance(fake, torch.Tensor)
        for name in ("shape", "dtype", "device", "layout", "requires_grad", "is_leaf"):
            assert getattr(fake, name) == getattr(real, name), name
        assert fake.stride() == real.stride()
        assert fake.storage_offset() == real.storage_offset()
        assert fake.is_inference() == real.is_inference()
        assert (fake.grad_fn is None) == (real.grad_fn is None)
    elif isinstance(real, tuple | list):
        assert type(fake) is type(real)
        assert len(fake) == len(real)
        for one, other in zip(fake, real, strict=True):
            assert_same_metadata(one, other)
    else:
        assert type(fake) is type(real)
        assert fake == real


MODES = {"grad": torch.enable_grad, "no_grad": torch.no_grad, "inference": torch.inference_mode}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("target", "args", "kwargs"), ALL)
def test_a_call_is_what_eager_does(recorder, target, args, kwargs, mode):
    in_place = any(row.values[0] is target and row.values[1] is args for row in IN_PLACE)
    with MODES[mode]():
        inputs = make_inputs(grad=mode == "grad" and not in_place)
        recording = recorder(*[inputs[i] for i in range(6)])
        nodes = dict(enumerate(recording.nodes))
        needed = used_inputs(list(args)) | used_inputs(kwargs)
        for index in sorted(needed - nodes.keys()):
            nodes[index] = recording.builder.tensor_input(inputs[index], f"input{index}")
        arguments, named = put(args, nodes), {key: put(item, nodes) for key, item in kwargs.items()}
        if isinstance(target, str):
            node = recording.builder.call_method(target, arguments, named)
        else:
            node = recording.builder.call_function(target, arguments, named)

        copies = [tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in inputs]
        torch.manual_seed(7)
        expected = call(target, args, kwargs, copies)
        assert_same_metadata(node.meta["example_value"], expected)

        if any(row.values[0] is target and row.values[1] is args for row in NOT_TENSORS):
            return
        finished = recording.finish(node)
        torch.manual_seed(7)
        (result,) = finished.module(*finished.example_inputs)
        assert_same_metadata(result, expected)
        torch.testing.assert_close(result, expected, rtol=0, atol=0, equal_nan=True)
        assert finished.uses_rng == any(row.values[0] is target and row.values[1] is args for row in RANDOM)
        assert finished.mutated_inputs == in_place
