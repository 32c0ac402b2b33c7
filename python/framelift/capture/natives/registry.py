"""Marking a function as the handler of C callables, known by identity."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def native(*callables: object) -> Callable:
    """Decorator: ``function(vm, arguments, keywords)`` stands for these C callables."""

    def mark(function: Callable) -> Callable:
        function.stands_for = (*getattr(function, "stands_for", ()), *callables)
        return function

    return mark


def marked(module: object) -> Iterable[tuple[object, Callable]]:
    """``(C callable, handler)`` for every mark in a module."""
    for function in vars(module).values():
        for real in getattr(function, "stands_for", ()):
            yield real, function
