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


def of_classes(classes: Iterable[type], *names: str) -> tuple:
    """The raw methods of several classes under some names."""
    found = []
    for cls in classes:
        for name in names:
            real = getattr(cls, name, None)
            if real is not None and real not in found:
                found.append(real)
    return tuple(found)
