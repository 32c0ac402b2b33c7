"""Arithmetic on symbols.

Integers follow torch's shape environment: the expression is the number, and what was assumed about it is
a condition. Floats don't: ``(s + 0.1) + 0.2`` is not ``s + 0.3``, ``s * 0`` is not 0, and a nan is not
itself, so the algebra of real numbers gives other results than Python. Arithmetic on a float symbol is
therefore a node of the graph that repeats the operation, and ``concrete`` is what Python makes of it in
this call. Where the program asks what such a number is, the entry becomes valid for these very inputs only.
Comparing an input itself with an input or a number is exact, and stays a condition. A float from the data of
a tensor can be computed with, and be a result; asking what it is is a break.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import torch

from framelift import torch_internals
from framelift.capture.datamodel import constants, tensors
from framelift.capture.exceptions import raised
from framelift.capture.values import Constant, Symbol, Value
from framelift.graph.arithmetic import DIVISIONS, DOMAINS, SHIFTS
from framelift.observe import reasons
from framelift.observe.errors import Break

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
        if not is_defined(vm, function, operands):
            return apply_to_known(vm, function, operands)
        result = function(*_as_numbers(operands))
    except ZeroDivisionError as error:
        raise raised(ZeroDivisionError, *error.args) from None
    except torch_internals.data_dependent_errors() as error:
        raise Break(reasons.DATA_DEPENDENT_VALUE, f"{function.__name__}: {error}") from error
    except (TypeError, NotImplementedError, AttributeError):
        return apply_to_known(vm, function, operands)
    vm.graph.assumed.note()
    if not is_symbolic(result):
        return constants.from_host(vm, result)
    return Symbol(result, inputs=inputs_of(operands), concrete=concrete_result(function, operands))


def _as_numbers(operands: tuple[Symbol | Constant, ...]) -> list[Any]:
    """The operands; beside a symbolic int a truth value is a number, which torch's algebra does not know."""
    numbers = [host_number(item) for item in operands]
    if any(isinstance(number, torch.SymBool) for number in numbers):
        return numbers
    return [int(number) if isinstance(number, bool) else number for number in numbers]


def is_defined(vm, function, operands: tuple[Symbol | Constant, ...]) -> bool:
    """Whether Python has a result for these operands; that it has one is a condition from now on.

    Compiled code does not ask: a division by zero gives infinity there, or ends the process.
    """
    if function in DIVISIONS and isinstance(operands[1], Symbol):
        return holds(vm, operator.ne, operands[1], 0)
    if function in SHIFTS and isinstance(operands[1], Symbol):
        return holds(vm, operator.ge, operands[1], 0)
    if function in DOMAINS:
        least, greatest = DOMAINS[function]
        return holds(vm, operator.ge, operands[0], least) and holds(vm, operator.le, operands[0], greatest)
    return True


def holds(vm, relation, value: Symbol, bound: int | float) -> bool:
    """Whether a symbol is related to a number, which becomes a condition; of numbers from data it is assumed,
    and the graph checks it."""
    condition = relation(value.symbolic, bound)
    if not is_symbolic(condition):
        return bool(condition)
    from_data = bool(torch_internals.unbacked_symbols(condition))
    found = torch_internals.assume(condition) if from_data else bool(condition)
    vm.graph.assumed.note()
    return found


def apply_to_floats(vm, function, operands: tuple[Symbol | Constant, ...]) -> Value:
    """Comparisons of inputs are conditions, arithmetic is recorded; all else is done now."""
    from_data = any(depends_on_data(item) for item in operands)
    if not from_data and not is_defined(vm, function, operands):
        return apply_to_known(vm, function, operands)
    if function in COMPARISONS and not from_data:
        if all(is_plain(item) for item in operands):
            result = function(*(host_number(item) for item in operands))
            # Without symbols left, algebra has decided: it takes a nan for equal to itself.
            if is_symbolic(result) and torch_internals.symbolic_expression(result).free_symbols:
                return Symbol(result)
    elif from_data and (function in FLOAT_ARITHMETIC or function is operator.pow) and vm.graph.parent is None:
        nodes = tuple(tensors.graph_argument(vm, item) for item in operands)
        node = vm.graph.data_arithmetic(function, nodes)
        tensors.refuse_late_failure(vm, node, function)
        return Symbol(node.meta["example_value"], node=node)
    elif function in FLOAT_ARITHMETIC or (from_data and function in COMPARISONS):
        concrete = None if from_data else concrete_result(function, operands)
        if from_data or isinstance(concrete, float):
            nodes = tuple(tensors.graph_argument(vm, item) for item in operands)
            node = vm.graph.call_function(function, nodes)
            symbolic = node.meta["example_value"]
            if is_symbolic(symbolic):
                return Symbol(symbolic, inputs=inputs_of(operands), concrete=concrete, node=node)
    return apply_to_known(vm, function, operands)


ROUNDING = {
    int: torch.sym_int,
    math.trunc: torch.sym_int,
    math.floor: math.floor,
    math.ceil: math.ceil,
    round: round,
}
"""Functions of a float that give an integer, and what does the same to torch's symbolic numbers."""


def round_to_integer(vm, function, value: Symbol) -> Value:
    """An integer made of a number; ``function`` is a key of ``ROUNDING``.

    Exact where the expression is the number: inputs, and what one operation makes of integers. Of an infinity
    or a nan Python makes no integer: the node that stands for one raises as well.
    """
    if value.cls is not float:
        return value if value.cls is int else Constant(int(vm.specialize(value)))
    if not is_exact(vm, value):
        return apply_to_known(vm, function, (value,))
    return apply_to_integers(vm, ROUNDING[function], (value,))


def is_exact(vm, value: Symbol) -> bool:
    """Whether the expression of a number that is no integer is what Python has computed."""
    if value.node is not None:
        return vm.graph.is_symbol_of(value.symbolic, value.node)
    return bool(torch_internals.symbolic_expression(value.symbolic).free_symbols)


def float_function(vm, function, symbolic, value: Symbol) -> Value:
    """A function of ``math`` from a float to a float; ``symbolic`` does the same to symbolic numbers."""
    from_data = depends_on_data(value)
    known = not from_data and concrete_result(function, (value,)) is None
    if known or not (from_data or is_defined(vm, function, (value,))):
        return apply_to_known(vm, function, (value,))
    if value.cls is int or (value.cls is float and is_exact(vm, value) and not from_data):
        return apply_to_integers(vm, symbolic, (value,))
    if value.cls is not float:
        return apply_to_known(vm, function, (value,))
    node = vm.graph.call_function(symbolic, (tensors.graph_argument(vm, value),))
    tensors.refuse_late_failure(vm, node, function)
    result = node.meta["example_value"]
    if not is_symbolic(result):
        return apply_to_known(vm, function, (value,))
    concrete = concrete_result(function, (value,))
    return Symbol(result, inputs=inputs_of((value,)), concrete=concrete, node=node)


def is_integer(value: Value) -> bool:
    """Whether a value is an ``int``, a symbol or known."""
    if isinstance(value, Symbol):
        return value.cls is int
    return isinstance(value, Constant) and type(value.value) is int


def apply_to_any(vm, function, *operands: Symbol | Constant) -> Value:
    """``apply``, also where no operand is a symbol."""
    if any(isinstance(item, Symbol) for item in operands):
        return apply(vm, function, *operands)
    return constants.run(vm, function, [item.value for item in operands], {})


def depends_on_data(value: Symbol | Constant) -> bool:
    """Whether a number is known only when the graph runs."""
    return (
        isinstance(value, Symbol)
        and value.concrete is None
        and bool(torch_internals.unbacked_symbols(value.symbolic))
    )


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
