"""Conditions: Python's arithmetic on symbols, in both engines and as Python itself computes it."""

from __future__ import annotations

import math
import operator

import pytest
import sympy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils._sympy import functions

from framelift import _native
from framelift.guards import GuardSet, ReferenceTree, build
from framelift.guards.conditions import InexpressibleCondition, postfix
from framelift.guards.sources import Argument
from tests.guards.engines import explain, holds

X, Y = Argument(0, "x"), Argument(1, "y")
N, M = sympy.Symbol("n", integer=True), sympy.Symbol("m", integer=True)


def over_sizes(*conditions):
    made = GuardSet()
    made.bind(N, X, "size", 0)
    made.bind(M, Y, "size", 0)
    for condition in conditions:
        made.condition(condition)
    return made


def sized(n, m):
    return torch.empty(n), torch.empty(m)


@pytest.mark.parametrize(
    ("condition", "good", "bad"),
    [
        (sympy.Eq(N, M, evaluate=False), (3, 3), (3, 4)),
        (sympy.Ne(N, M, evaluate=False), (3, 4), (3, 3)),
        (N < M, (3, 4), (4, 4)),
        (N >= 2 * M + 1, (9, 4), (8, 4)),
        (sympy.Eq(functions.Mod(N, 4), 0), (8, 1), (9, 1)),
        (sympy.Eq(functions.FloorDiv(N, M), 3), (7, 2), (8, 2)),
        (sympy.Eq(functions.ModularIndexing(N, 2, 3), 1), (8, 1), (6, 1)),
        (sympy.Eq(functions.Max(N, M), 5), (5, 2), (4, 2)),
        (sympy.Eq(functions.Min(N, M, 3), 2), (5, 2), (4, 3)),
        (sympy.And(N > 2, M > 2), (3, 3), (3, 2)),
        (sympy.Or(N > 2, M > 2), (3, 0), (2, 2)),
        (sympy.Not(sympy.And(N > 2, M > 2)), (1, 3), (3, 3)),
        (sympy.Eq(N**2, M), (3, 9), (3, 8)),
        (functions.IntTrueDiv(N, M) > 1.5, (7, 4), (6, 4)),
        (sympy.Eq(N * sympy.Rational(1, 2), M), (6, 3), (7, 3)),
        (sympy.Eq(functions.TruncToInt(functions.IntTrueDiv(N, 2)), M), (7, 3), (8, 3)),
        (sympy.Eq(functions.CeilToInt(functions.IntTrueDiv(N, 2)), M), (7, 4), (7, 3)),
    ],
    ids=str,
)
def test_conditions_over_sizes(condition, good, bad):
    assert holds(over_sizes(condition), *sized(*good))
    assert not holds(over_sizes(condition), *sized(*bad))


def test_strides_offsets_and_numbers():
    made = GuardSet()
    stride, offset, number, real = sympy.symbols("stride offset number real", integer=True)
    made.bind(stride, X, "stride", 0)
    made.bind(offset, X, "storage_offset")
    made.bind(number, Y, "int")
    made.condition(sympy.Eq(stride, number))
    made.condition(sympy.Eq(offset, 2))
    assert holds(made, torch.zeros(4, 3)[:, 2:], 3)
    assert not holds(made, torch.zeros(4, 3)[:, 1:], 3)
    assert not holds(made, torch.zeros(4, 3)[:, 2:], 4)
    assert not holds(made, torch.zeros(4, 3)[:, 2:], 2**70)
    assert not holds(made, torch.zeros(4, 3)[:, 2:], "3")
    floats = GuardSet()
    floats.bind(real, X, "float")
    floats.condition(real > 1.5)
    assert holds(floats, 1.75)
    assert not holds(floats, 1.5)
    assert not holds(floats, float("nan"))
    assert not holds(floats, 2)


def test_a_dimension_that_is_not_there_fails():
    made = GuardSet()
    made.bind(N, X, "size", 2)
    made.condition(N >= 0)
    assert holds(made, torch.zeros(1, 1, 1))
    assert not holds(made, torch.zeros(1, 1))


def test_text():
    assert explain(over_sizes(N >= 4), *sized(3, 1)) == "x.size(0) >= 4 does not hold: x.size(0) = 3"
    assert str(over_sizes(N >= 4)).splitlines()[-1] == "x.size(0) >= 4"


def test_what_cannot_be_expressed_is_refused():
    with pytest.raises(InexpressibleCondition, match="sin"):
        build(over_sizes(sympy.sin(N) > 0), 2)
    with pytest.raises(InexpressibleCondition, match="no input"):
        postfix(sympy.Symbol("unbound") > 0, {})
    with pytest.raises(InexpressibleCondition, match="64 bits"):
        postfix(N > 2**64, {N: 0})


A, B, C = sympy.symbols("a b c", integer=True)


def expressions(depth):
    """Integer expressions over three numbers, with what Python computes for them: ``(sympy, function)``."""
    leaves = st.one_of(
        st.sampled_from([(A, lambda a, b, c: a), (B, lambda a, b, c: b), (C, lambda a, b, c: c)]),
        st.integers(-9, 9).map(lambda n: (sympy.Integer(n), lambda a, b, c: n)),
    )
    if depth == 0:
        return leaves
    parts = expressions(depth - 1)
    return st.one_of(leaves, st.builds(combined, st.sampled_from(sorted(COMBINED)), parts, parts))


COMBINED = {
    "+": (lambda left, right: left + right, operator.add),
    "-": (lambda left, right: left - right, operator.sub),
    "*": (lambda left, right: left * right, operator.mul),
    "//": (functions.FloorDiv, operator.floordiv),
    "%": (functions.PythonMod, operator.mod),
    "max": (functions.Max, max),
    "min": (functions.Min, min),
    "&": (functions.BitwiseFn_bitwise_and, operator.and_),
    "|": (functions.BitwiseFn_bitwise_or, operator.or_),
    "^": (functions.BitwiseFn_bitwise_xor, operator.xor),
    "trunc": (
        lambda left, right: functions.TruncToInt(functions.IntTrueDiv(left, right)),
        lambda left, right: int(left / right),
    ),
    "ceil": (
        lambda left, right: functions.CeilToInt(functions.IntTrueDiv(left, right)),
        lambda left, right: math.ceil(left / right),
    ),
}


def combined(name, left, right):
    """One expression of two."""
    symbolic, python = COMBINED[name]
    try:
        expression = symbolic(left[0], right[0])
    except ZeroDivisionError:
        return left
    return expression, lambda a, b, c: python(left[1](a, b, c), right[1](a, b, c))


RELATIONS = {
    "==": (sympy.Eq, operator.eq),
    "!=": (sympy.Ne, operator.ne),
    "<": (sympy.Lt, operator.lt),
    "<=": (sympy.Le, operator.le),
    ">": (sympy.Gt, operator.gt),
    ">=": (sympy.Ge, operator.ge),
}
WHOLE = st.one_of(
    st.integers(-30, 30),
    st.sampled_from([2**31, -(2**31), 2**62, 2**63 - 1, -(2**63), 3_037_000_500]),
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(sorted(RELATIONS)),
    expressions(3),
    expressions(2),
    st.lists(WHOLE, min_size=3, max_size=3),
)
def test_expressions_mean_what_python_means(relation, left, right, numbers):
    """A condition holds natively only if Python says so; where all steps fit 64 bits, exactly then."""
    symbolic, python = RELATIONS[relation]
    try:
        condition = symbolic(left[0], right[0])
    except (TypeError, ZeroDivisionError):  # sympy has found a division by zero
        return
    made = GuardSet()
    for place, symbol in enumerate((A, B, C)):
        made.bind(symbol, Argument(place, str(symbol)), "int")
    made.condition(condition)
    native = build(made, 3).tree.check(tuple(numbers)) is not None
    plain = ReferenceTree(made).check(tuple(numbers)) is not None
    try:
        expected = python(left[1](*numbers), right[1](*numbers))
    except (ZeroDivisionError, OverflowError):
        return  # the program would not have come to this condition
    assert plain or not native
    if native or max(map(abs, numbers)) <= 30:
        assert native == plain == expected


BINARY = {
    **{
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": operator.truediv,
        "//": operator.floordiv,
    },
    **{"%": operator.mod, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne},
    **{">": operator.gt, ">=": operator.ge, "min": min, "max": max, "**": operator.pow},
    **{"and": lambda left, right: left and right, "or": lambda left, right: left or right},
    **{"&": operator.and_, "|": operator.or_, "^": operator.xor},
}
INTEGERS = st.one_of(
    st.integers(-20, 20), st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**53, 2**53 + 1, 2**62])
)
FLOATS = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 0.5, 2.0**53, 2.0**63, -(2.0**63), 1e308]))
NUMBERS = st.one_of(INTEGERS, FLOATS)


def native_equals(sign, left, right, expected):
    """Whether the native engine computes ``expected``."""
    what = "float" if isinstance(expected, float) else "int"
    symbols = [
        (0, "float" if isinstance(left, float) else "int", 0),
        (1, "float" if isinstance(right, float) else "int", 0),
    ]
    nodes = [(-1, ("argument", place), [], -1) for place in range(3)]
    program = [("symbol", 0), ("symbol", 1), (sign,), ("symbol", 2), ("==",)]
    tree = _native.GuardTree(nodes, [program], [*symbols, (2, what, 0)], [], None, 3)
    return tree.check((left, right, expected)) is not None


@given(st.sampled_from(sorted(BINARY)), NUMBERS, NUMBERS)
def test_operations_mean_what_python_means(sign, left, right):
    if sign == "**" and isinstance(left, int) and isinstance(right, int) and abs(right) > 64:
        return
    try:
        expected = BINARY[sign](left, right)
    except (TypeError, ZeroDivisionError, OverflowError):
        assert not native_equals(sign, left, right, 0.0)
        return
    if isinstance(expected, complex) or expected != expected:
        assert not native_equals(sign, left, right, 0.0)
    elif isinstance(expected, int) and not -(2**63) <= expected < 2**63:
        assert not native_equals(sign, left, right, 0)
    elif (
        sign == "/"
        and isinstance(left, int)
        and isinstance(right, int)
        and max(abs(left), abs(right)) > 2**53
    ):
        assert not native_equals(sign, left, right, expected)
    elif sign == "**" and isinstance(expected, float):
        return
    else:
        assert native_equals(sign, left, right, int(expected) if isinstance(expected, bool) else expected)
