"""NumPy on numbers known during capture: the calls are made now, on arrays of capture's own.

An array that the program makes from constants is a constant too, except that it has an identity and may be
written to. So it is a real array, made during this capture and seen by nobody else: NumPy computes on it,
writes to it and makes views of it as always. ``torch.tensor`` takes its numbers into the graph. If it
escapes, the exit makes a copy of its last state. Arrays from outside, random numbers and files are left to
CPython.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch

from framelift.capture.datamodel import mapping
from framelift.capture.values import (
    Constant,
    DictObject,
    HostArray,
    IteratorObject,
    ListObject,
    SliceObject,
    Symbol,
    TupleObject,
    Value,
)
from framelift.observe import reasons
from framelift.observe.errors import Break

try:
    import numpy
except ImportError:  # torch goes without
    numpy = None

LARGEST = 1 << 16
"""Numbers in an array that capture keeps: the program of an entry is no place for data."""

# fmt: off
LEFT_OUT = frozenset([
    "save", "savez", "savez_compressed", "savetxt", "load", "loadtxt", "genfromtxt", "fromfile",
    "fromregex", "memmap", "tofile", "dump", "dumps", "seterr", "seterrcall", "setbufsize", "geterr",
    "geterrcall", "set_printoptions", "get_printoptions", "printoptions", "errstate", "show_config",
    "show_runtime", "info", "test", "frombuffer", "from_dlpack", "fromiter", "vectorize", "frompyfunc",
    "__array__", "__array_ufunc__", "__array_function__", "__dlpack__", "__reduce__", "__reduce_ex__",
    "setflags", "resize", "empty", "empty_like", "__iter__", "getfield", "base", "ctypes", "data",
    "flat", "nditer",
    # Text follows the print options, which no entry guards.
    "__str__", "__repr__", "__format__", "array2string", "array_repr", "array_str",
])
# fmt: on
"""Functions and methods that do more than compute, or whose results hold no numbers of their own."""

ROOMS = ("numpy", "numpy.linalg", "numpy.fft", "numpy._core", "numpy.lib", "numpy.ma")


class NotHost(Exception):
    """A value that NumPy can't be given during capture."""


def call(vm, real: Any, arguments: list[Value], keywords: dict[str, Value]) -> Value | None:
    """What NumPy's ``real`` gives for these arguments, None where it has to be left to CPython."""
    name = getattr(real, "__name__", "")
    if name == "__iter__" and isinstance(arguments[0], HostArray) and arguments[0].array.ndim:
        rows = [value_of(row, {}) for row in arguments[0].array]
        return IteratorObject(rows, type(iter([])))
    if numpy is None or not computes(real, name):
        return None
    owners: dict[int, Value] = {}
    try:
        host = [host_of(vm, item, owners) for item in arguments]
        named = {key: host_of(vm, item, owners) for key, item in keywords.items()}
    except NotHost:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return value_of(real(*host, **named), owners)
    except NotHost:
        return None
    except Exception as error:
        raise Break(reasons.NUMPY, f"{name}: {type(error).__name__}: {error}") from None


def computes(real: Any, name: str) -> bool:
    """Whether ``real`` only computes (and writes to arrays it is given)."""
    if name in LEFT_OUT:
        return False
    owner = getattr(real, "__objclass__", None)
    if owner is not None:
        return issubclass(owner, (numpy.ndarray, numpy.generic, numpy.ufunc, numpy.dtype))
    if isinstance(real, type):
        return issubclass(real, (numpy.generic, numpy.dtype))
    module = getattr(real, "__module__", None) or "numpy"
    return ".random" not in module and module.startswith(ROOMS)


def host_of(vm, value: Value, owners: dict[int, Value]) -> Any:
    """The host object for a value; ``owners`` remembers which value an array belongs to."""
    value = vm.look(value)
    match value:
        case HostArray():
            owners[id(value.array)] = value
            return value.array
        case Constant() if isinstance(value.value, PLAIN) or is_numpy(value.value):
            return value.value
        case Constant() if isinstance(value.value, type) and value.value in (
            bool,
            int,
            float,
            complex,
            object,
        ):
            return value.value
        case Symbol():
            return vm.specialize(value)
        case TupleObject() if value.cls in (tuple, torch.Size):
            return tuple(host_of(vm, item, owners) for item in value.items)
        case ListObject() if value.cls is list:
            return [host_of(vm, item, owners) for item in value.items]
        case DictObject() if value.cls is dict:
            pairs = mapping.items(vm, value)
            return {host_of(vm, key, owners): host_of(vm, item, owners) for key, item in pairs}
        case SliceObject():
            return slice(*(host_of(vm, part, owners) for part in (value.start, value.stop, value.step)))
    raise NotHost


PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), range)


def is_numpy(value: object) -> bool:
    """Whether a constant is an immutable object of NumPy, or a type that names one of its own."""
    if isinstance(value, type):
        return issubclass(value, numpy.generic) or value in (bool, int, float, complex)
    return isinstance(value, (numpy.generic, numpy.dtype, numpy.ufunc))


def value_of(result: Any, owners: dict[int, Value]) -> Value:
    """The value of what NumPy gave."""
    known = owners.get(id(result))
    if known is not None:
        return known
    cls = type(result)
    if cls is numpy.ndarray and result.dtype.kind in "biufc" and result.size <= LARGEST:
        made = owners[id(result)] = HostArray(result)
        return made
    if isinstance(result, (*PLAIN, type(NotImplemented))) or is_numpy(result):
        return Constant(result)
    if cls is tuple:
        return TupleObject([value_of(item, owners) for item in result])
    if isinstance(result, tuple) and hasattr(cls, "_make"):
        return TupleObject([value_of(item, owners) for item in result], cls)
    if cls is list:
        return ListObject([value_of(item, owners) for item in result])
    raise NotHost


def attribute(array: HostArray, descriptor: Any, name: str) -> Value:
    """An attribute that is written in C: ``shape``, ``dtype``, ``T``, ..."""
    if name not in LEFT_OUT:
        try:
            return value_of(descriptor.__get__(array.array), {id(array.array): array})
        except NotHost:
            pass
    raise Break(reasons.NUMPY, f"ndarray.{name}")


def plain(constant: object) -> object:
    """A number of NumPy as Python's own, as torch takes it; anything else as it is."""
    return constant.item() if numpy is not None and isinstance(constant, numpy.generic) else constant


def share(left: HostArray, right: HostArray) -> bool:
    """Whether a write to one array may be seen in the other."""
    return numpy.may_share_memory(left.array, right.array)


def numbers(array: HostArray) -> ListObject | Constant:
    """The numbers of an array as nested lists."""
    return nested(array.array.tolist())


def nested(host: object) -> ListObject | Constant:
    """Lists of numbers as values."""
    return ListObject([nested(item) for item in host]) if isinstance(host, list) else Constant(host)


def tensor_dtype(array: HostArray) -> torch.dtype:
    """The type of the tensor that ``torch.tensor`` makes of an array."""
    return torch.tensor(array.array[..., :0] if array.array.ndim else array.array).dtype
