"""Classes of torch: what kind of object is this?

Used of torch: the C class below ``Tensor``, and how classes that pybind11 has bound look from Python.
"""

from __future__ import annotations

import functools

import torch


def is_tensor_class(cls: type) -> bool:
    """Whether C methods of this class are methods of tensors: ``Tensor``, or the C class below it."""
    return cls is torch.Tensor or cls is torch._C.TensorBase


@functools.cache
def constant_classes() -> frozenset[type]:
    """Classes whose instances are immutable values: dtypes, devices, sizes and the like."""
    names = ("dtype", "device", "layout", "memory_format", "qscheme", "Size", "finfo", "iinfo")
    return frozenset(getattr(torch, name) for name in names)


def is_bound_class(cls: type) -> bool:
    """Whether a class is C++ made visible by pybind11: its methods are opaque. Python subclasses are not."""
    return (
        type(type(cls)) is type
        and type(cls).__name__ == "pybind11_type"
        and (vars(torch._C).get(cls.__name__) is cls)
    )


def plain_value_types() -> list[type]:
    """Classes of torch whose values compare in C without calling anybody."""
    return [torch.device]
