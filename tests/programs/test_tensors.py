"""Tensors: attributes and metadata, sizes, dtype and device, indexing, views, in-place operators."""

import torch

from tests.harness import booleans, check, each, floats, integers, made


def test_metadata():
    def f(x):
        return (
            x + 1,
            x.shape,
            x.size(),
            x.size(0),
            x.dim(),
            x.ndim,
            x.numel(),
            len(x),
            x.dtype,
            x.device,
            x.layout,
            x.requires_grad,
            x.is_leaf,
            x.stride(),
            x.storage_offset(),
            x.is_contiguous(),
            x.element_size(),
            x.is_floating_point(),
            x.is_complex(),
            x.is_cuda,
            x.device.type,
            x.grad is None,
        )

    check(f, floats(2, 3))


def test_shape_is_a_size():
    def f(x):
        rows, *rest = x.shape
        return (
            x.view(x.shape[0], -1),
            rest,
            x.shape[1:],
            x.shape.numel(),
            x.shape + (1,),
            tuple(x.shape),
            x.shape[-1],
        )

    check(f, floats(2, 3, 4))


def test_shape_compared():
    def f(x, y):
        return (
            x + 1 if x.shape == y.shape else x - 1,
            x.shape == (2, 3),
            x.size() != y.size(),
            [2, 3] == list(x.shape),
        )

    check(f, floats(2, 3), floats(2, 3))
    check(f, floats(2, 3), floats(2, 1))


def test_dtypes_and_conversion():
    def f(x):
        return (
            x.to(torch.float64),
            x.half().dtype,
            x.to("cpu"),
            x.type(torch.int32),
            x.long(),
            x.bool(),
            torch.finfo(x.dtype).max,
            torch.iinfo(torch.int8).min,
            x.double().to(x),
            x.dtype.is_floating_point,
            torch.promote_types(torch.int8, x.dtype),
            torch.result_type(x, 1.0),
        )

    check(f, floats(2, 3))


def test_creation():
    def f(x):
        return (
            torch.zeros(2, 3),
            torch.ones_like(x),
            torch.full((2,), 3.0),
            torch.arange(0, 10, 2),
            torch.tensor([1.0, 2.0]),
            torch.tensor(3),
            x.new_zeros(2),
            x.new_tensor([1.0]),
            torch.eye(2),
            torch.linspace(0, 1, 3),
            torch.empty(0),
            torch.zeros(x.shape, dtype=x.dtype, device=x.device),
        )

    check(f, floats(2, 3))


def test_random_numbers_follow_the_generator():
    def f(x):
        return (
            torch.rand(3) + torch.randn_like(x),
            torch.randint(0, 9, (3,)),
            torch.nn.functional.dropout(x, 0.5),
        )

    check(f, floats(3))


def test_operators_and_methods():
    def f(x, y):
        z = torch.relu(x @ y.t()) + x.sum(-1, keepdim=True)
        return (
            z.softmax(-1),
            z.mean(),
            z.max(dim=-1),
            z.argmax(-1),
            torch.where(z > 0, z, -z),
            z.clamp(min=0.5),
        )

    check(f, floats(2, 3), floats(4, 3))


def test_named_results():
    def f(x):
        top = x.topk(2)
        low = x.min(dim=0)
        return top.values + 1, top.indices, low, x.sort(descending=True)[0], torch.max(x, 1).indices

    check(f, floats(3, 4))


def test_indexing():
    def f(x, index):
        return (
            x[0],
            x[-1, 1:],
            x[..., 0],
            x[None],
            x[:, None, ::2],
            x[index],
            x[[0, 1]],
            x[:, index, ...],
            x[0][1],
        )

    check(f, floats(3, 4), integers(2, high=3))


def test_indexing_with_scalars_of_tensors():
    def f(x):
        return (
            x[torch.tensor(1)],
            x[x.shape[0] - 1],
            x.select(0, 1),
            x.narrow(1, 0, 2),
            x.index_select(0, torch.arange(2)),
        )

    check(f, floats(3, 4))


def test_slicing_assignment():
    def f(x, index, mask):
        y = x.clone()
        y[0] = 1.0
        y[1:, 2] = x[1:, 0]
        y[index] = 5
        y[mask] = 0
        y[..., -1] += 2
        return y

    check(f, floats(3, 4), integers(2, high=3), booleans(3, 4))


def test_assignment_into_an_argument():
    def f(x):
        x[0] = 1.0
        x[:, 1] *= 3
        return x.sum()

    check(f, floats(3, 4))


def test_in_place_methods_on_an_argument():
    def f(x, y):
        x.add_(y).mul_(2)
        y.zero_()
        torch.relu_(x)
        x.t_()
        return x + 1

    check(f, floats(3, 3), floats(3, 3))


def test_in_place_on_a_view_of_an_argument():
    def f(x):
        row = x[0]
        row.add_(1)
        x.view(-1)[1] = 7
        return row * 2, x.sum()

    check(f, floats(3, 4))


def test_augmented_assignment_changes_the_argument():
    def f(x, y):
        x += 1
        y = y * 2
        y += x
        x -= y
        return y

    check(f, floats(3), floats(3))


def test_out_arguments():
    def f(x, out):
        torch.add(x, 1, out=out)
        return torch.mul(x, 2, out=torch.empty_like(x))

    check(f, floats(3), floats(3))


def test_views_and_shapes():
    def f(x):
        return (
            x.view(-1),
            x.reshape(3, 2),
            x.t(),
            x.transpose(0, 1).contiguous(),
            x.permute(1, 0),
            x.unsqueeze(0).squeeze(),
            x.expand(4, 2, 3),
            x.flatten(),
            x.T,
            x.mT,
            x.unfold(1, 2, 1),
            x.movedim(0, 1),
        )

    check(f, floats(2, 3))


def test_split_chunk_unbind_cat_stack():
    def f(x):
        a, b = x.chunk(2, dim=1)
        first, *rest = x.unbind(0)
        return torch.cat([a, b], 0), torch.stack(rest), x.split([1, 3], dim=1), first, torch.hsplit(x, 2)

    check(f, floats(3, 4))


def test_strided_and_offset_arguments():
    def f(x):
        return x + 1, x.is_contiguous(), x.stride(), x.storage_offset()

    check(f, made(lambda k: (torch.arange(24.0) + k).view(4, 6)[1:, ::2].t()))


def test_zero_dimensional_and_empty():
    def f(scalar, empty):
        return scalar * 2 + 1, empty.sum(), torch.cat([empty, scalar[None]]), empty.shape[0] == 0

    check(f, floats(), floats(0))


def test_requires_grad_and_detach():
    def f(x, w):
        y = (x * w).sum()
        return y, y.requires_grad, y.detach() + 1, w.is_leaf, y.is_leaf

    check(f, floats(3), floats(3, requires_grad=True), backward=True)


def test_gradients_flow_to_the_arguments():
    def f(x, w, b):
        return torch.tanh(x @ w + b)

    check(f, floats(2, 3), floats(3, 4, requires_grad=True), floats(4, requires_grad=True), backward=True)


def test_non_leaf_argument():
    def f(x):
        return x * 2, x.is_leaf

    check(f, made(lambda k: torch.ones(3, requires_grad=True) * (k + 1)))


def test_tensor_attributes_set_by_the_user():
    def f(x):
        y = x * x.factor
        y.note = "made"
        x.seen = True
        return y

    def make(k):
        x = torch.ones(2) * k
        x.factor = 2.0
        return x

    check(f, made(make))


def test_tensor_subclass_parameter():
    def f(p):
        return p * 2, isinstance(p, torch.nn.Parameter), type(p)

    check(f, made(lambda k: torch.nn.Parameter(torch.ones(2) * k)))


def test_comparison_and_logic():
    def f(x, y):
        return (
            (x > y) & (y != 0),
            x.eq(y),
            ~(x < 0),
            torch.equal(x, x) if False else None,
            x.isnan().any(),
            x == x,
        )

    check(f, floats(3), floats(3))


def test_other_sizes_become_dynamic():
    def f(x):
        return (x * x.shape[0]).sum(0)

    check(f, each(*[torch.ones(n, 3) for n in (2, 3, 4, 7, 9)]), calls=5, graphs=2, recompiles=1)


def test_other_dtype_is_another_entry():
    def f(x):
        return x + 1

    check(f, each(torch.ones(2), torch.ones(2).double(), torch.ones(2)), graphs=2, recompiles=1)


def test_other_strides_are_another_entry():
    def f(x):
        return x + 1 if x.is_contiguous() else x - 1

    check(f, each(torch.ones(2, 3), torch.ones(3, 2).t(), torch.ones(2, 3)), graphs=2, recompiles=1)


def test_einsum_and_linear_algebra():
    def f(x, y):
        return (
            torch.einsum("ij,kj->ik", x, y),
            torch.linalg.norm(x),
            torch.bmm(x[None], y.t()[None]),
            x.matmul(y.mT),
        )

    check(f, floats(2, 3), floats(4, 3))


def test_complex_and_fft():
    def f(x):
        z = torch.fft.rfft(x)
        return z.abs(), z.conj(), torch.view_as_real(z), torch.fft.irfft(z * z.conj()), z.real, z.imag

    check(f, floats(2, 8))


def test_integer_tensors():
    def f(x, n):
        return (
            x // n,
            x % 3,
            x << 1,
            x & 3,
            torch.zeros(5, 10).scatter_(1, x[:, None], 1.0),
            x.cumsum(0),
        )

    check(f, integers(5), 2)


def test_scaled_dot_product_attention():
    def f(q, k, v, mask):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    check(f, floats(1, 2, 3, 4), floats(1, 2, 3, 4), floats(1, 2, 3, 4), booleans(3, 3), tolerance=1e-5)


def test_shape_dependent_python():
    def f(x):
        if x.dim() == 2 and x.size(1) % 2 == 0:
            pad = 4 - x.shape[1] % 4
            x = torch.nn.functional.pad(x, (0, pad))
        return x.reshape(x.shape[0], 2, x.shape[1] // 2)

    check(f, floats(3, 6))


def test_clone_copy_and_memory_format():
    def f(x):
        return x.clone(memory_format=torch.channels_last), torch.empty_like(x).copy_(x), x.contiguous() is x

    check(f, floats(1, 2, 3, 3))


def test_parts_of_a_tensor_are_tuples():
    def f(x):
        return (
            x.split(2),
            torch.split(x, 2),
            x.chunk(2),
            x.unbind(0),
            torch.meshgrid(x[0], x[1], indexing="ij"),
        )

    check(f, floats(4, 3))
