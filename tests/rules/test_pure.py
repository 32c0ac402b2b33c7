"""What may be called during capture when its arguments are constants."""

from __future__ import annotations

import math
import operator
import re
import struct

import pytest
import torch

from framelift import rules


@pytest.mark.parametrize(
    "value",
    [
        math.sqrt, math.prod, operator.add, operator.index, operator.getitem, len, sum, str, int, "a".upper,
        str.join, (1).__add__, int.from_bytes, (1.5).is_integer, b"".hex, (1, 2).count, frozenset().union,
        complex.conjugate, struct.pack, re.compile, re.compile("a").match, torch.Size, torch.Size([1]).numel,
        torch.device, torch.finfo, range, slice(1).indices, str.maketrans,
    ],
)  # fmt: skip
def test_pure(value):
    assert rules.is_pure(value)


@pytest.mark.parametrize(
    "value",
    [
        print, open, input, id, iter, next, setattr, getattr, [].append, {}.get, list, dict, set,
        operator.setitem, operator.iadd, operator.itemgetter, torch.add, torch.Tensor.size, torch.manual_seed,
        "".__iter__, globals, torch.device("cpu").__enter__, object(), 3, math,
    ],
)  # fmt: skip
def test_not_pure(value):
    assert not rules.is_pure(value)
