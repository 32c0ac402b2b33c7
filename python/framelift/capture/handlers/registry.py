"""Marking a function as the handler of an instruction class."""

from __future__ import annotations

from collections.abc import Callable


def handler(*instructions: type) -> Callable:
    """Decorator: the function carries out these instructions; the folder's table collects it."""

    def mark(function: Callable) -> Callable:
        function.handles = instructions
        return function

    return mark


def collect(*modules: object) -> dict[type, Callable]:
    """The table of all marked functions of some modules; two handlers for one instruction are an error."""
    table: dict[type, Callable] = {}
    for module in modules:
        for function in vars(module).values():
            for inst in getattr(function, "handles", ()):
                if inst in table:
                    raise RuntimeError(f"two handlers for {inst.__name__}")
                table[inst] = function
    return table
