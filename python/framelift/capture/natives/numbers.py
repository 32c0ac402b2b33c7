"""Functions of numbers where a symbol is among them: rounding, roots, ``min`` and ``max``."""

from __future__ import annotations

import math

import torch

from framelift import torch_internals
from framelift.capture.datamodel import calls, constants, numbers
from framelift.capture.natives.registry import native
from framelift.capture.values import Symbol


def number_functions():
    """``(C function, handler)`` for functions of one number that torch's symbolic numbers have too."""
    for real in (math.floor, math.ceil, math.trunc):
        yield real, rounding(real)
    for real, symbolic in torch_internals.symbolic_math().items():
        yield real, math_function(real, symbolic)


def rounding(real):
    """A handler for ``math.floor`` and its kin."""

    def run(vm, arguments, keywords):
        value = vm.look(arguments[0]) if len(arguments) == 1 and not keywords else None
        if isinstance(value, Symbol):
            return numbers.round_to_integer(vm, real, value)
        return constants.fold(vm, real, arguments, keywords)

    return run


def math_function(real, symbolic):
    """A handler for a function from floats to floats."""

    def run(vm, arguments, keywords):
        value = vm.look(arguments[0]) if len(arguments) == 1 and not keywords else None
        if isinstance(value, Symbol):
            return numbers.float_function(vm, real, symbolic, value)
        return constants.fold(vm, real, arguments, keywords)

    return run


@native(min)
def minimum(vm, arguments, keywords):
    return extreme(vm, "smallest", torch.sym_min, arguments, keywords)


@native(max)
def maximum(vm, arguments, keywords):
    return extreme(vm, "largest", torch.sym_max, arguments, keywords)


def extreme(vm, name: str, symbolic, arguments, keywords):
    """``min`` and ``max`` of integers are an expression; of anything else they are a search."""
    values = [vm.look(item) for item in arguments]
    symbols = any(isinstance(value, Symbol) for value in values)
    if len(values) < 2 or keywords or not symbols or not all(map(numbers.is_integer, values)):
        return calls.call(vm, vm.polyfill(name), arguments, keywords)
    result = values[0]
    for value in values[1:]:
        result = vm.look(numbers.apply_to_any(vm, symbolic, result, value))
    return result
