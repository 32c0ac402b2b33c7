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


def operator_classes() -> tuple[type, ...]:
    """Classes of the operators of torch's library."""
    return (torch._ops.OpOverload, torch._ops.OpOverloadPacket, torch._ops.HigherOrderOperator)


def scripted_classes() -> tuple[type, ...]:
    """The class of classes that ``torch.jit.script`` made, as far as this release has it."""
    return (torch._C._ScriptClass,) if hasattr(torch._C, "_ScriptClass") else ()


def bound_method_class() -> type:
    """CPython's type of methods written in C++ (pybind11)."""
    return type(vars(torch._C._InferenceMode)["__enter__"])
