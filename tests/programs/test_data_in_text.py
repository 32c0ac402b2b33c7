"""Text made of tensors: free as long as nobody looks at it, a break where it was made when somebody does."""

import pytest
import torch

from framelift.observe import reasons
from tests.harness import Mismatch, check, each, floats

VALUE = reasons.DATA_DEPENDENT_VALUE.title


def test_message_of_a_check_that_holds():
    def require(condition, message):
        if not condition:
            raise ValueError(message)

    def f(x):
        require(x.shape[0] == 2, f"wanted two rows, not {x!r} with mean {x.mean():.3f}")
        return x + 1

    check(f, floats(2, 3))


def test_message_kept_in_a_variable():
    def f(x):
        message = f"rows: {x.sum(1)}"
        text = message if x.dim() > 2 else "fine"
        return x + 1, text

    check(f, floats(2, 3))


def test_message_that_is_returned():
    def f(x):
        y = x + 1
        message = f"first: {y}"
        z = y * 2
        return z, message

    check(f, floats(2), graphs=None, breaks=1, recompiles=None, reason=VALUE)


def test_message_that_is_looked_at_later():
    def f(x):
        first, second = f"{x}", str(x * 2)
        z = x * 3
        return z + len(second), first.count("tensor")

    check(f, floats(2), graphs=None, breaks=None, recompiles=None, reason=VALUE)


def test_message_shows_the_tensor_as_it_was():
    def f(x):
        message = f"before: {x}"
        x.add_(1)
        return x * 2, message

    check(f, floats(2), graphs=None, breaks=1, recompiles=None, reason=VALUE)


def test_message_of_a_check_in_a_callee_that_fails():
    def require(x, most):
        message = f"too large: {x}"
        if x.shape[0] > most:
            raise ValueError(message)
        return x * 2

    def f(x, most):
        try:
            return require(x + 1, most)
        except ValueError as error:
            return str(error)[:9], x - 1

    check(f, floats(3), 3)
    check(f, floats(3), 2, graphs=None, breaks=None, recompiles=None)


@pytest.mark.parametrize("rows", [2, 3])
def test_assertion_about_all_numbers(rows):
    def f(x, mask):
        y = x * 2
        torch._check_tensor_all(mask)
        return y + 1

    check(f, floats(rows), each(torch.ones(rows, dtype=torch.bool)))


def test_assertion_that_fails_is_the_programs_own():
    def f(x, mask):
        y = x * 2
        torch._check_tensor_all(mask)
        return y + 1

    masks = torch.tensor([True, True]), torch.tensor([True, False])
    with pytest.raises(Mismatch, match="fallbacks: none expected, 1 counted"):
        check(f, floats(2), each(*masks), calls=2)
    check(f, floats(2), each(*masks), calls=2, breaks=None)


def test_operator_whose_check_looks_at_data():
    window = torch.hann_window(16)

    def f(x):
        spectrum = torch.stft(x, 16, 4, window=window, return_complex=True)
        return torch.istft(spectrum * 2, 16, 4, window=window)

    check(f, floats(2, 64))
