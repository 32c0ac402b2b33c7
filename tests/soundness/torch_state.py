"""Facts of torch's state: modes, defaults and settings, read by the program or by what it calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from tests.soundness.facts import fact


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """What the changes of this file change is as before at the end."""
    dtype = torch.get_default_dtype()
    autocast, low = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    precision, gradients = torch.get_float32_matmul_precision(), torch.is_grad_enabled()
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_autocast_enabled("cpu", autocast)
        torch.set_autocast_dtype("cpu", low)
        torch.set_float32_matmul_precision(precision)
        torch.set_grad_enabled(gradients)
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = ALLOWED


ALLOWED = torch.backends.cudnn.allow_tf32
WEIGHT = torch.ones(3, requires_grad=True)


@fact(lambda _: torch.set_grad_enabled(False), lambda _: torch.set_grad_enabled(True))
def gradients_are_recorded():
    return lambda x: ((x * WEIGHT).requires_grad, x + 1)


@fact(lambda _: torch.set_grad_enabled(False))
def gradients_are_asked_about():
    return lambda x: x * (2 if torch.is_grad_enabled() else 3)


@fact(lambda _: torch.set_default_dtype(torch.float64), lambda _: torch.set_default_dtype(torch.float32))
def default_element_type():
    return lambda x: x + torch.ones(3).div(3)


@fact(lambda _: torch.set_default_dtype(torch.float64))
def default_element_type_that_is_read():
    return lambda x: x * (2 if torch.get_default_dtype() == torch.float32 else 3)


@fact(lambda _: torch.set_autocast_enabled("cpu", True), lambda _: torch.set_autocast_enabled("cpu", False))
def autocast():
    return lambda x: (x.reshape(1, 3) @ x.reshape(3, 1)).dtype.itemsize * x


@fact(lambda _: torch.set_autocast_enabled("cpu", True))
def autocast_is_asked_about():
    return lambda x: x * (3 if torch.is_autocast_enabled("cpu") else 2)


def autocast_in_half(_):
    torch.set_autocast_enabled("cpu", True)
    torch.set_autocast_dtype("cpu", torch.float16)


@fact(autocast_in_half)
def element_type_of_autocast():
    def f(x):
        with torch.autocast("cpu"):
            return str((x.reshape(1, 3) @ x.reshape(3, 1)).dtype), x

    return f


@fact(lambda _: torch.use_deterministic_algorithms(True))
def deterministic_algorithms():
    return lambda x: x * (3 if torch.are_deterministic_algorithms_enabled() else 2)


@fact(lambda _: torch.set_float32_matmul_precision("high"))
def precision_of_products():
    return lambda x: x * (3 if torch.get_float32_matmul_precision() == "high" else 2)


@fact(lambda _: torch.set_num_threads(3))
def number_of_threads():
    return lambda x: x * torch.get_num_threads()


@fact(lambda _: setattr(torch.backends.cudnn, "allow_tf32", not ALLOWED))
def setting_of_a_library():
    return lambda x: x * (3 if torch.backends.cudnn.allow_tf32 == ALLOWED else 2)
