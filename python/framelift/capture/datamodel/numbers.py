"""Arithmetic on symbols.

Integers follow torch's shape environment: the expression is the number, and what was assumed about it is
a condition. Floats don't: ``(s + 0.1) + 0.2`` is not ``s + 0.3``, ``s * 0`` is not 0, and a nan is not
itself, so the algebra of real numbers gives other results than Python. Arithmetic on a float symbol is
therefore a node of the graph that repeats the operation, and ``concrete`` is what Python makes of it in
this call. Where the program asks what such a number is, the entry becomes valid for these very inputs only.
Comparing an input itself with an input or a number is exact, and stays a condition.
"""

from __future__ import annotations

import operator

import torch

from framelift import torch_internals
from framelift.capture.datamodel import constants, tensors
from framelift.capture.exceptions import raised
from framelift.capture.values import Constant, Symbol, Value

COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
FLOAT_ARITHMETIC = (
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.neg,
    operator.pos,
    abs,
)
"""Functions of floats that give floats. (A negative number to the power of 0.5 is complex.)"""


def apply(vm, function, *operands: Symbol | Constant) -> Value:
    """``function`` of numbers, at least one of them a symbol."""
    if any(isinstance(item, Symbol) and item.cls is float for item in operands):
        return apply_to_floats(vm, function, operands)
    return apply_to_integers(vm, function, operands)


def apply_to_integers(vm, function, operands: tuple[Symbol | Constant, ...]) -> Value:
    """The shape environment keeps the expression."""
    try:
        result = function(*(host_number(item) for item in operands))
    except ZeroDivisionError as error:
        raise raised(ZeroDivisionError, *error.args) from None
    except (TypeError, NotImplementedError, AttributeError):
        return apply_to_known(vm, function, operands)
    if not is_symbolic(result):
        return constants.from_host(vm, result)
    return Symbol(result, inputs=inputs_of(operands), concrete=concrete_result(function, operands))


def apply_to_floats(vm, function, operands: tuple[Symbol | Constant, ...]) -> Value:
    """Comparisons of inputs are conditions, arithmetic is recorded; all else is done now."""
    if function in COMPARISONS:
        if all(is_plain(item) for item in operands):
            result = function(*(host_number(item) for item in operands))
            # Without symbols left, algebra has decided: it takes a nan for equal to itself.
            if is_symbolic(result) and torch_internals.symbolic_expression(result).free_symbols:
                return Symbol(result)
    elif function in FLOAT_ARITHMETIC:
        concrete = concrete_result(function, operands)
        if isinstance(concrete, float):
            nodes = tuple(tensors.graph_argument(vm, item) for item in operands)
            node = vm.graph.call_function(function, nodes)
            symbolic = node.meta["example_value"]
            if is_symbolic(symbolic):
                return Symbol(symbolic, inputs=inputs_of(operands), concrete=concrete, node=node)
    return apply_to_known(vm, function, operands)


def apply_to_known(vm, function, operands: tuple[Symbol | Constant, ...]) -> Value:
    """The entry becomes valid for these operands only."""
    return constants.run(vm, function, [constants.specialized(vm, item).value for item in operands], {})


def host_number(value: Symbol | Constant):
    """The number or torch's symbolic number that a value stands for."""
    return value.symbolic if isinstance(value, Symbol) else value.value


def inputs_of(operands: tuple[Symbol | Constant, ...]) -> tuple[Symbol, ...]:
    """The symbols that determine a result."""
    found: dict[int, Symbol] = {}
    for item in operands:
        if isinstance(item, Symbol):
            for part in item.inputs or (item,):
                found[id(part)] = part
    return tuple(found.values())


def concrete_result(function, operands: tuple[Symbol | Constant, ...]) -> object:
    """What Python makes of the operands in this call, None if that is an exception or not known."""
    known = [item.concrete if isinstance(item, Symbol) else item.value for item in operands]
    if any(item is None for item in known):
        return None
    try:
        return function(*known)
    except Exception:
        return None


def is_plain(value: Symbol | Constant) -> bool:
    """Whether a comparison with this is exact: an input, or a number that is not a nan."""
    if isinstance(value, Symbol):
        return value.source is not None
    return value.value == value.value


def is_symbolic(item: object) -> bool:
    """Whether a host number is one of torch's symbolic ones."""
    return isinstance(item, (torch.SymInt, torch.SymFloat, torch.SymBool))
