"""NumPy on numbers that are known: computed during capture, on arrays of capture's own."""

import numpy as np
import torch

from framelift.observe import reasons
from tests.harness import check, floats, made

NUMPY = reasons.NUMPY.title


def test_scalars_and_functions():
    def f(x, scale):
        a = np.sqrt(2.0) * scale
        b = np.float32(3) + np.pi
        return x * float(a) + b.item(), float(np.log(scale)), int(np.ceil(2.5)), np.int64(7) // 2

    check(f, floats(2), 3)


def test_scalars_beside_tensors():
    def f(x):
        return x * np.float64(2.0), np.float64(0.5) * x, x + np.sqrt(4.0)

    check(f, floats(2))


def test_array_made_written_and_given_to_torch():
    def f(x, rows):
        table = np.zeros((rows, 4), dtype=np.int32)
        for i in range(rows):
            table[i, :] = np.arange(4)[::-1] * i
        table[0][2] = 9
        index = torch.tensor(np.stack([table, table + 1], axis=0), dtype=torch.long)
        return x[index % 3], table.shape, table.sum(), table.tolist()

    check(f, floats(3), 3)


def test_types_that_torch_gives():
    def f(x):
        kinds = [np.float32, np.float64, np.int8, np.int64, np.bool_, np.complex64]
        made = [torch.tensor(np.ones(2, dtype=kind)) for kind in kinds]
        return [x.sum().to(t.dtype) + t for t in made[:2]], [t.dtype for t in made], torch.tensor(np.eye(2))

    check(f, floats(2))


def test_views_share_their_memory():
    def f(x):
        table = np.arange(6).reshape(2, 3)
        row = table[1]
        row += 10
        table *= 2
        return x + int(row.max()), table.copy(), len(table), [int(v) for v in row]

    check(f, floats(2))


def test_array_that_escapes_is_new_in_every_call():
    def f(x, kept):
        table = np.linspace(0, 1, 5)
        kept.append(table)
        table[0] = 7
        return x + 1, table

    check(f, floats(2), [])


def test_branches_and_comparisons():
    def f(x):
        table = np.array([1, 2, 3])
        if (table > 0).all() and table.any() and table[0] < table[-1]:
            x = x + table.mean()
        return (
            x,
            np.where(table > 1)[0].tolist(),
            table.dtype == np.dtype("int64"),
            table.ndim,
            bool(2 in table),
        )

    check(f, floats(2))


def test_linear_algebra():
    def f(x):
        q, r = np.linalg.qr(np.array([[2.0, 1.0], [1.0, 3.0]], dtype=np.float32))
        return x @ torch.tensor(q), np.diag(r).copy()

    check(f, floats(3, 2))


def test_random_numbers_are_left_to_cpython():
    def f(x):
        np.random.seed(0)
        return x + float(np.random.rand())

    check(f, floats(2), graphs=None, breaks=None, recompiles=None)


def test_array_from_outside():
    def f(x, table):
        y = x * 2
        return y + float(table.sum())

    check(
        f, floats(2), made(lambda k: np.arange(3.0)), graphs=None, breaks=None, recompiles=None, reason=NUMPY
    )


def test_array_with_a_tensor():
    def f(x):
        y = x.sin()
        return y.detach().numpy() + np.ones(2)

    check(f, floats(2), graphs=None, breaks=None, recompiles=None, reason=NUMPY)


def test_error_of_the_program():
    def f(x):
        try:
            return np.zeros(2)[5]
        except IndexError:
            return x + 1

    check(f, floats(2), graphs=None, breaks=None, recompiles=None)


def test_break_while_an_array_lives():
    def f(x):
        table = np.arange(3)
        y = x + int(table[1])
        n = y.sum().item()
        table[0] = 5
        return y * n, table

    check(f, floats(2), graphs=None, breaks=None, recompiles=None)
