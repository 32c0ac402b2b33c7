"""Arithmetic of shape expressions: torch's sympy functions by meaning, and ``math`` on symbols.

Used of torch: the classes of ``torch.utils._sympy.functions`` and ``torch._sym_sin`` and its like. A class
that this release does not have is left out, so whoever translates an expression asks for meanings only.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch.utils._sympy import functions


@dataclass(frozen=True, slots=True)
class ShapeFunctions:
    """The sympy functions that torch adds for Python's arithmetic, by meaning; absent ones are left out."""

    floor_division: tuple[type, ...]
    remainder: tuple[type, ...]
    true_division: tuple[type, ...]
    power: tuple[type, ...]
    maximum: tuple[type, ...]
    minimum: tuple[type, ...]
    to_float: tuple[type, ...]
    truncate: tuple[type, ...]
    ceiling: tuple[type, ...]
    floor: tuple[type, ...]
    round_to_int: tuple[type, ...]
    modular_index: tuple[type, ...]
    choice: tuple[type, ...]
    shift_left: tuple[type, ...]
    shift_right: tuple[type, ...]
    bitwise_and: tuple[type, ...]
    bitwise_or: tuple[type, ...]
    bitwise_xor: tuple[type, ...]
    square_root: tuple[type, ...]
    by_function: dict[type, Callable[..., Any]]
    """Functions of one float, which take the functions of ``symbolic_math``."""


@functools.cache
def shape_functions() -> ShapeFunctions:
    """The classes of ``torch.utils._sympy.functions`` that occur in shape expressions."""

    def present(*names: str) -> tuple[type, ...]:
        return tuple(getattr(functions, name) for name in names if hasattr(functions, name))

    return ShapeFunctions(
        floor_division=present("FloorDiv", "CleanDiv"),
        remainder=(*present("Mod", "PythonMod"), sympy.Mod),
        true_division=present("IntTrueDiv", "FloatTrueDiv"),
        power=present("PowByNatural", "FloatPow"),
        maximum=(*present("Max"), sympy.Max),
        minimum=(*present("Min"), sympy.Min),
        to_float=present("ToFloat"),
        truncate=present("TruncToInt"),
        ceiling=present("CeilToInt"),
        floor=present("FloorToInt"),
        round_to_int=present("RoundToInt"),
        modular_index=present("ModularIndexing"),
        choice=present("Where"),
        shift_left=present("LShift"),
        shift_right=present("RShift"),
        bitwise_and=present("BitwiseFn_bitwise_and"),
        bitwise_or=present("BitwiseFn_bitwise_or"),
        bitwise_xor=present("BitwiseFn_bitwise_xor"),
        square_root=present("OpaqueUnaryFn_sqrt"),
        by_function={
            kind: function
            for function in symbolic_math()
            for kind in present(f"OpaqueUnaryFn_{function.__name__}")
        },
    )


def symbolic_math() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Functions of ``math`` on floats, and torch's that do the same, on symbolic numbers too."""
    names = ["acos", "asin", "atan", "cos", "cosh", "log2", "sin", "sinh", "sqrt", "tan", "tanh"]
    found = {getattr(math, name): getattr(torch, f"_sym_{name}", None) for name in names}
    return {function: symbolic for function, symbolic in found.items() if symbolic is not None}
