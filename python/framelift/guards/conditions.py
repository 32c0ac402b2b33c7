"""Conditions over symbols as postfix programs, the form in which the native tree evaluates them.

Expressions come from torch's shape environment: sympy's own operations and those torch adds for Python's
integer arithmetic. What has no counterpart raises ``InexpressibleCondition``; the caller then fixes the
symbols it is about or gives the call up.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import sympy

from framelift import torch_internals

Operation = tuple[object, ...]
Program = list[Operation]


class InexpressibleCondition(Exception):
    """A condition with an operation that guards cannot check."""


def is_expressible(expression: sympy.Basic) -> bool:
    """Whether guards can check a condition."""
    try:
        postfix(expression, dict.fromkeys(expression.free_symbols, 0))
    except InexpressibleCondition:
        return False
    return True


def postfix(expression: sympy.Basic, symbols: Mapping[sympy.Symbol, int]) -> Program:
    """The program that computes ``expression``; ``symbols`` numbers the bound symbols."""
    program: Program = []
    _write(expression, symbols, program)
    return program


@functools.cache
def _binary() -> dict[type, str]:
    """Operations of two operands, or of more where they can be done one after the other."""
    functions = torch_internals.shape_functions()
    table: dict[type, str] = {
        sympy.Add: "+",
        sympy.Mul: "*",
        sympy.Pow: "**",
        sympy.And: "and",
        sympy.Or: "or",
        sympy.Eq: "==",
        sympy.Ne: "!=",
        sympy.Lt: "<",
        sympy.Le: "<=",
        sympy.Gt: ">",
        sympy.Ge: ">=",
    }
    for names, sign in (
        (functions.floor_division, "//"),
        (functions.remainder, "%"),
        (functions.true_division, "/"),
        (functions.power, "**"),
        (functions.maximum, "max"),
        (functions.minimum, "min"),
        (functions.bitwise_and, "&"),
        (functions.bitwise_or, "|"),
        (functions.bitwise_xor, "^"),
        (functions.shift_left, "<<"),
        (functions.shift_right, ">>"),
    ):
        table.update(dict.fromkeys(names, sign))
    return table


@functools.cache
def _unary() -> dict[type, str]:
    functions = torch_internals.shape_functions()
    table: dict[type, str] = {sympy.Not: "not", sympy.Abs: "abs", sympy.floor: "floor", sympy.ceiling: "ceil"}
    for names, sign in (
        (functions.to_float, "float"),
        (functions.truncate, "trunc"),
        (functions.ceiling, "ceil"),
        (functions.floor, "floor"),
        (functions.round_to_int, "round"),
        (functions.square_root, "sqrt"),
    ):
        table.update(dict.fromkeys(names, sign))
    return table


def _write(expression: sympy.Basic, symbols: Mapping[sympy.Symbol, int], program: Program) -> None:
    """Append the operations that leave the value of ``expression``."""
    if isinstance(expression, sympy.Symbol):
        if expression not in symbols:
            raise InexpressibleCondition(f"no input gives the value of {expression}")
        program.append(("symbol", symbols[expression]))
    elif expression is sympy.true or expression is sympy.false:
        program.append(("const", int(expression is sympy.true)))
    elif isinstance(expression, sympy.Integer):
        _write_integer(int(expression), program)
    elif isinstance(expression, sympy.Float):
        program.append(("const", float(expression)))
    elif isinstance(expression, sympy.Rational):
        _write_integer(int(expression.p), program)
        _write_integer(int(expression.q), program)
        program.append(("/",))
    else:
        _write_operation(expression, symbols, program)


def _write_integer(value: int, program: Program) -> None:
    if not -(2**63) <= value < 2**63:
        raise InexpressibleCondition(f"{value} does not fit 64 bits")
    program.append(("const", value))


def _write_operation(expression: sympy.Basic, symbols: Mapping[sympy.Symbol, int], program: Program) -> None:
    functions = torch_internals.shape_functions()
    operands = expression.args
    if type(expression) in _unary() and len(operands) == 1:
        _write(operands[0], symbols, program)
        program.append((_unary()[type(expression)],))
    elif type(expression) in _binary() and len(operands) >= 2:
        if isinstance(expression, sympy.Pow) and operands[1] == sympy.Rational(1, 2):
            _write(operands[0], symbols, program)
            program.append(("sqrt",))
            return
        if isinstance(expression, sympy.Mul):
            operands = _fractions_last(operands)
        _write(operands[0], symbols, program)
        for operand in operands[1:]:
            if isinstance(expression, sympy.Mul) and isinstance(operand, sympy.Rational) and operand.q != 1:
                _write_fraction(operand, program)
                continue
            _write(operand, symbols, program)
            program.append((_binary()[type(expression)],))
    elif isinstance(expression, functions.modular_index):
        base, divisor, modulus = operands
        for part, sign in ((base, None), (divisor, "//"), (modulus, "%")):
            _write(part, symbols, program)
            if sign is not None:
                program.append((sign,))
    elif isinstance(expression, functions.choice):
        for operand in operands:
            _write(operand, symbols, program)
        program.append(("where",))
    elif type(expression).__name__ == "Identity" and len(operands) == 1:
        _write(operands[0], symbols, program)
    else:
        raise InexpressibleCondition(f"guards cannot check {expression} ({type(expression).__name__})")


def _fractions_last(operands: tuple[sympy.Basic, ...]) -> tuple[sympy.Basic, ...]:
    """Factors with fractions at the end: ``3/4 * n`` is ``n * 3 / 4``, exact where the product is whole."""
    return tuple(sorted(operands, key=lambda operand: isinstance(operand, sympy.Rational) and operand.q != 1))


def _write_fraction(factor: sympy.Rational, program: Program) -> None:
    """Multiply what is on top by a fraction."""
    if factor.p != 1:
        _write_integer(int(factor.p), program)
        program.append(("*",))
    _write_integer(int(factor.q), program)
    program.append(("/",))
