"""Marking a Python function as what a C callable means.

A polyfill is plain Python. Capture inlines it in place of the C callable; the same function run by CPython
must do the same, which ``tests/capture/polyfills`` checks row by row.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def polyfill(*callables: object) -> Callable:
    """Decorator: inline this function where one of ``callables`` is called."""

    def mark(function: Callable) -> Callable:
        function.replaces = callables
        return function

    return mark


def rebuilt_as(cls: Callable, *parameters: str) -> Callable:
    """Decorator of a generator that is an iterator's polyfill: half-way, ``cls(*parameters)`` goes on.

    The names are those of the generator's parameters, which at every ``yield`` must hold what is left to do;
    a name with a star is a list of arguments.
    """

    def mark(function: Callable) -> Callable:
        function.rebuilt_as = (cls, parameters)
        return function

    return mark


def words_of(error: type[Exception], function: Callable, *arguments: object) -> str:
    """What this version of CPython says when ``function`` refuses ``arguments``."""
    try:
        function(*arguments)
    except error as refusal:
        return str(refusal)
    raise RuntimeError(f"{function} takes {arguments}")


def in_any_order(iterable: object) -> list:
    """``list(iterable)`` for a caller to whom the order makes no difference (of a set it is not known)."""
    return list(iterable)


def owns_storage(tensor: torch.Tensor) -> bool:
    """Whether a tensor covers its storage without gaps or repetitions (during capture: its fake does)."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= int(size)
    is_all = tensor.untyped_storage().nbytes() == expected * tensor.element_size()
    return is_all and tensor.storage_offset() == 0 and not tensor.is_inference()


def leave_to_cpython(what: str) -> None:
    """A polyfill meets something it does not cover: in capture a break, not the program's exception."""
    raise NotImplementedError(what)


def place_of_warning(stacklevel: int) -> tuple[str, int, dict]:
    """File, line and globals of the frame that a warning is about (known during capture only)."""
    raise NotImplementedError(stacklevel)


def give_warning(message: str, category: type, file: str, line: int, module: str, namespace: dict) -> None:
    """Give a warning about a place of the program (during capture: when the segment has run)."""
    raise NotImplementedError(message)


def apply_transform(
    transform: Callable, function: Callable, options: dict, args: tuple, kwargs: dict
) -> object:
    """A call of what a transform of ``torch.func`` gives (during capture it becomes one node)."""
    return transform(function, **options)(*args, **kwargs)
