"""Facts of numbers and other plain values: equal is not the same."""

from __future__ import annotations

import enum
import math
import types

import numpy as np
import torch

from tests.harness import Program
from tests.soundness.facts import fact, setting


def value(first):
    """A program whose state holds ``value``, used as a factor and for its type."""
    one = types.SimpleNamespace(value=first)

    def f(x):
        return x * one.value, type(one.value).__name__

    return Program(f, one)


@fact(*setting("value", True, 1.0, 1))
def one_and_true():
    return value(1)


@fact(*setting("value", -0.0, 0.0, 0))
def zeros():
    return value(0.0)


@fact(*setting("value", math.nan, 2.0, -math.nan))
def not_a_number():
    return value(1.0)


@fact(*setting("value", math.inf, -math.inf))
def infinities():
    return value(1.0)


@fact(*setting("value", 2**31, 2**53 + 1, 2**62))
def large_integers():
    return value(3)


@fact(*setting("value", 2j, 1 + 0j))
def complex_numbers():
    return value(1)


class Level(enum.IntEnum):
    LOW = 1


@fact(*setting("value", Level.LOW))
def an_enumeration_for_an_int():
    return value(1)


class Metres(float):
    def __rmul__(self, other):
        return other * 100


@fact(*setting("value", Metres(1.0)))
def a_subclass_for_a_float():
    return value(1.0)


@fact(*setting("value", np.float32(1.5), np.float64(1.5), np.int64(1)))
def numbers_of_numpy():
    return value(1.5)


@fact(*setting("value", torch.tensor(1.5)))
def a_tensor_for_a_float():
    return value(1.5)


@fact(*setting("value", None, "text", None, ()))
def none_and_others():
    one = types.SimpleNamespace(value=3)

    def f(x):
        if one.value is None:
            return x
        return x * 2 if isinstance(one.value, int) else x * len(one.value) - 1

    return Program(f, one)


@fact(*setting("value", "relu", "abs", "Relu"))
def strings():
    one = types.SimpleNamespace(value="sin")

    def f(x):
        return getattr(torch, one.value.lower())(x) * len(
            one.value + one.value[0].upper() * one.value[0].isupper()
        )

    return Program(f, one)


@fact(*setting("value", bytes([1, 9])))
def bytes_of_a_length():
    one = types.SimpleNamespace(value=bytes([1, 2]))

    def f(x):
        return x * one.value[1]

    return Program(f, one)


@fact(*setting("value", slice(1, None), slice(None, None, 2), slice(0, 2)))
def slices():
    one = types.SimpleNamespace(value=slice(0, 1))

    def f(x):
        return x[one.value]

    return Program(f, one)


@fact(*setting("value", range(3), range(1, 3), range(2, 0, -1)))
def ranges():
    one = types.SimpleNamespace(value=range(2))

    def f(x):
        for number in one.value:
            x = x * 2 + number
        return x

    return Program(f, one)


@fact(*setting("value", ..., NotImplemented))
def singletons():
    one = types.SimpleNamespace(value=None)

    def f(x):
        return x * (2 if one.value is None else 3 if one.value is ... else 5)

    return Program(f, one)


@fact(*setting("value", torch.channels_last, torch.preserve_format))
def memory_formats():
    one = types.SimpleNamespace(value=torch.contiguous_format)

    def f(x):
        return x.reshape(1, 3, 1, 1).repeat(2, 1, 2, 2).clone(memory_format=one.value)

    return Program(f, one)


@fact(*setting("value", torch.Size([1, 3])))
def sizes():
    one = types.SimpleNamespace(value=torch.Size([3, 1]))

    def f(x):
        return x.reshape(one.value)

    return Program(f, one)
