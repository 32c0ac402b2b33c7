# ruff: noqa: B905 (zip of equally many)
"""``copy.copy`` and ``copy.deepcopy`` in plain Python, with identity in place of addresses.

https://docs.python.org/3/library/copy.html
"""

from __future__ import annotations

import copy

import torch

from framelift.capture.polyfills.registry import leave_to_cpython, owns_storage, polyfill

PLAIN = (type(None), int, float, bool, complex, str, bytes, type(...))
ATOMIC = (*PLAIN, type, range, slice, type(len), type(lambda: 0))


@polyfill(copy.copy)
def copied(x):
    cls = type(x)
    if cls in ATOMIC or issubclass(cls, type) or cls in (tuple, frozenset):
        return x
    if cls in (list, dict, set):
        return cls(x)
    if hasattr(cls, "__copy__"):
        return cls.__copy__(x)
    return rebuilt(x, None)


@polyfill(copy.deepcopy)
def deeply_copied(x, memo=None):
    if memo:
        leave_to_cpython("copy.deepcopy with a memo")
    return deep_copy(x, [])


def deep_copy(x, done):
    """``done`` holds ``(original, copy)`` pairs: the memo, by identity."""
    cls = type(x)
    if cls in ATOMIC or issubclass(cls, type):
        return x
    for original, made in done:
        if original is x:
            return made
    if cls is list:
        new = []
        done.append((x, new))
        for item in x:
            new.append(deep_copy(item, done))
        return new
    if cls is dict:
        new = {}
        done.append((x, new))
        for key, value in x.items():
            new[deep_copy(key, done)] = deep_copy(value, done)
        return new
    if cls is tuple:
        items = [deep_copy(item, done) for item in x]
        for original, item in zip(x, items):
            if original is not item:
                return tuple(items)
        return x
    if cls is set:
        return {deep_copy(item, done) for item in x}
    if cls is torch.Tensor:
        new = copied_tensor(x, done)
        done.append((x, new))
        return new
    if hasattr(cls, "__deepcopy__"):
        leave_to_cpython(f"deepcopy of a {cls.__name__}")
    return rebuilt(x, done)


def copied_tensor(x, done):
    """A copy of the tensor's whole storage: a clone where it is all of it and nobody else's.

    Of two tensors with one storage the copies have one too, so there may be one tensor in what is copied.
    """
    for original, _ in done:
        if type(original) is torch.Tensor:
            leave_to_cpython("copy.deepcopy of several tensors")
    if x.requires_grad or not owns_storage(x) or x.__dict__:
        leave_to_cpython("copy.deepcopy of a tensor with a gradient, attributes or a shared storage")
    return x.clone()


def rebuilt(x, done):
    """An object by its ``__dict__``; classes with reduction hooks or state hooks are left alone."""
    cls = type(x)
    for name in ("__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__", "__slots__"):
        if name != "__getstate__" and hasattr(cls, name):
            leave_to_cpython(f"copy of a {cls.__name__}")
    if cls.__reduce_ex__ is not object.__reduce_ex__ or isinstance(x, (list, dict, set, tuple)):
        leave_to_cpython(f"copy of a {cls.__name__}")
    new = object.__new__(cls)
    if done is None:
        new.__dict__.update(x.__dict__)
        return new
    done.append((x, new))
    for name, value in x.__dict__.items():
        new.__dict__[name] = deep_copy(value, done)
    return new
