"""Symbols: sizes, strides, offsets and numbers that a graph leaves open, and what it assumed about them.

A symbol comes from one place of one input, its ``Binding``, or from a node that reads data (``unbacked``:
it has no value while the graph is made, and what is assumed of it is checked inside the graph). What the
shape environment concluded while the graph was made, what its symbols' ranges say (a size that is a symbol is
at least 2: sizes of 0 and 1 are always specialised), and how strides follow from sizes are ``conditions``:
the graph is right for an input exactly when all of them hold for it. They are complete only when the backend
has compiled the graph, because a backend may assume more.

``ShapeExpressions`` goes the other way: it writes the computation of a symbolic number into the graph.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sympy
import torch
from torch import fx

from framelift import torch_internals
from framelift.graph.errors import UnsupportedOperator

if TYPE_CHECKING:
    from framelift.guards.sources import Source

Number = int | float | bool
Symbolic = torch.SymInt | torch.SymFloat | torch.SymBool


@dataclass(frozen=True, slots=True)
class Binding:
    """Where the value of ``symbol`` is read at a call.

    ``what`` is "size", "stride" (of ``dimension``), "storage_offset", "int" or "float".
    """

    symbol: sympy.Symbol
    source: Source
    what: str
    dimension: int = 0


@dataclass(frozen=True, slots=True)
class OpenSizes:
    """The dimensions of an input whose sizes a graph leaves open.

    Those in ``unbacked`` have no value in this call either: nothing is decided by them. ``required`` must
    not turn out to be a number, ``ranges`` are promised by the program.
    """

    dynamic: frozenset[int] = frozenset()
    unbacked: frozenset[int] = frozenset()
    required: frozenset[int] = frozenset()
    ranges: Mapping[int, torch_internals.Range] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.dynamic)


NO_OPEN_SIZES = OpenSizes()


@dataclass(frozen=True, slots=True)
class ShapeConditions:
    """All that a graph assumes about its symbols: what must hold (over bound symbols), and their bindings."""

    bindings: tuple[Binding, ...]
    conditions: tuple[sympy.Basic, ...]

    def __str__(self) -> str:
        lines = [f"{bound.symbol} = {describe_binding(bound)}" for bound in self.bindings]
        return "\n".join([*lines, *(str(condition) for condition in self.conditions)])


def describe_binding(bound: Binding) -> str:
    """A binding in the user's spelling: ``x.size(0)``."""
    match bound.what:
        case "size" | "stride":
            return f"{bound.source}.{bound.what}({bound.dimension})"
        case "storage_offset":
            return f"{bound.source}.storage_offset()"
        case _:
            return str(bound.source)


def is_symbolic(value: object) -> bool:
    """Whether ``value`` is a symbolic number."""
    return isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool)


def static_sizes_and_strides(
    fake: torch.Tensor,
) -> tuple[tuple[int | None, ...], tuple[int | None, ...] | None]:
    """The sizes and strides of a fake input that are numbers; None where a symbol is; no strides for layouts
    that have none. This is what a guard on the input compares; ``conditions`` covers the rest."""
    sizes = tuple(None if is_symbolic(size) else size for size in fake.size())
    if fake.layout is not torch.strided:
        return sizes, None
    return sizes, tuple(None if is_symbolic(stride) else stride for stride in fake.stride())


class InputSymbols:
    """The symbols of the inputs met so far, their bindings, and the conditions that tie strides to sizes."""

    __slots__ = ("bindings", "equalities", "nodes", "unbacked")

    def __init__(self) -> None:
        self.unbacked: dict[sympy.Symbol, fx.Node] = {}
        """Numbers from data, by the node that computes each."""
        self.bindings: dict[sympy.Symbol, Binding] = {}
        self.equalities: list[sympy.Basic] = []
        self.nodes: dict[sympy.Symbol, fx.Node] = {}
        """The placeholder that a symbol is read from (a tensor, or the number itself)."""

    def add_tensor(self, fake: torch.Tensor, source: Source, node: fx.Node, dynamic: frozenset[int]) -> None:
        """Bind the symbols in the metadata of a new input with ``dynamic`` dimensions.

        A dynamic size of 0 or 1 is a number, and a condition says so; so are strides.
        """
        for dimension in sorted(dynamic):
            self._tie(fake.size(dimension), source, "size", dimension, node)
        for dimension, stride in enumerate(fake.stride()):
            self._tie(stride, source, "stride", dimension, node)
        offset = fake.storage_offset()
        if is_symbolic(offset):
            self._tie(offset, source, "storage_offset", 0, node)

    def add_number(self, symbolic: Symbolic, source: Source, node: fx.Node) -> None:
        """Bind the symbol of an input that is a number."""
        what = "int" if isinstance(symbolic, torch.SymInt) else "float"
        self._tie(symbolic, source, what, 0, node)

    def require_offset(self, fake: torch.Tensor, source: Source) -> None:
        """The graph depends on the storage offset of this input, which is a number: make it a condition."""
        offset = fake.storage_offset()
        if not is_symbolic(offset):
            self._equal(sympy.Integer(offset), source, "storage_offset", 0)

    def _tie(self, value: object, source: Source, what: str, dimension: int, node: fx.Node) -> None:
        number = not is_symbolic(value)
        expression = sympy.Integer(value) if number else torch_internals.symbolic_expression(value)
        if isinstance(expression, sympy.Symbol) and expression not in self.bindings:
            self.bindings[expression] = Binding(expression, source, what, dimension)
            self.nodes[expression] = node
        else:
            self._equal(expression, source, what, dimension)

    def _equal(self, expression: sympy.Basic, source: Source, what: str, dimension: int) -> None:
        """Require that what is read at a place equals an expression over other places."""
        symbol = sympy.Symbol(f"{what}_{len(self.bindings)}", integer=True)
        self.bindings[symbol] = Binding(symbol, source, what, dimension)
        self.equalities.append(sympy.Eq(symbol, expression, evaluate=False))


def collect_conditions(shape_env: Any, symbols: InputSymbols) -> ShapeConditions:
    """What holds for every call that the graph is right for, as known at this moment."""
    conditions: dict[sympy.Basic, None] = {}
    for symbol, bound in symbols.bindings.items():
        if torch_internals.is_unbacked(symbol):
            continue  # the graph checks what is assumed of it
        least, greatest = torch_internals.symbol_range(shape_env, symbol)
        if least is not None and not (bound.what in ("size", "stride", "storage_offset") and least <= 0):
            conditions[sympy.Ge(symbol, least, evaluate=False)] = None
        if greatest is not None:
            conditions[sympy.Le(symbol, greatest, evaluate=False)] = None
    for expression in (*torch_internals.shape_guards(shape_env), *symbols.equalities):
        if expression is not sympy.true:
            conditions[expression] = None
    used = {symbol for condition in conditions for symbol in condition.free_symbols}
    missing = used - symbols.bindings.keys()
    if missing:
        names = ", ".join(sorted(map(str, missing)))
        error = NotImplementedError(names)
        raise UnsupportedOperator(error, "shape conditions", f"no input gives the value of {names}")
    return ShapeConditions(tuple(symbols.bindings.values()), tuple(conditions))


class ShapeExpressions:
    """Writes symbolic numbers into a graph: one node per operation, shared by equal expressions.

    ``size_node`` gives the node that reads a symbol from its input; ``emit`` makes a call node with its
    value.
    """

    __slots__ = ("_emit", "_nodes", "_read", "_symbols")

    def __init__(
        self,
        symbols: InputSymbols,
        read: Callable[[Binding, fx.Node], fx.Node],
        emit: Callable[[Callable[..., Any], tuple[Any, ...]], fx.Node],
    ) -> None:
        self._symbols = symbols
        self._read = read
        self._emit = emit
        self._nodes: dict[sympy.Basic, fx.Node | Number] = {}

    def node(self, symbolic: Symbolic) -> fx.Node | Number:
        """The node that computes a symbolic number, or the number where it is known by now."""
        return self.write(torch_internals.symbolic_expression(symbolic))

    def remember(self, symbolic: Symbolic, node: fx.Node) -> None:
        """``node`` computes this number already."""
        self._nodes.setdefault(torch_internals.symbolic_expression(symbolic), node)

    def write(self, expression: sympy.Basic) -> fx.Node | Number:
        """The node that computes an expression."""
        found = self._nodes.get(expression)
        if found is None:
            found = self._nodes[expression] = self._make(expression)
        return found

    def _make(self, expression: sympy.Basic) -> fx.Node | Number:
        if expression.is_Integer:
            return int(expression)
        if expression.is_number and expression.is_Float:
            return float(expression)
        if expression is sympy.true or expression is sympy.false:
            return expression is sympy.true
        if isinstance(expression, sympy.Symbol):
            made = self._symbols.unbacked.get(expression)
            if made is not None:
                return made
            bound = self._symbols.bindings.get(expression)
            if bound is None:
                raise unwritable(expression)
            return self._read(bound, self._symbols.nodes[expression])
        return self._operation(expression)

    def _operation(self, expression: sympy.Basic) -> fx.Node | Number:
        functions = torch_internals.shape_functions()
        kind = type(expression)
        arguments = expression.args
        folded = _FOLDED.get(kind)
        if folded is None and kind in functions.maximum:
            folded = torch.sym_max
        if folded is None and kind in functions.minimum:
            folded = torch.sym_min
        if folded is not None:
            return self._fold(folded, [self.write(argument) for argument in arguments])
        direct = _DIRECT.get(kind) or _torch_function(kind, functions)
        if direct is not None:
            return self._emit(direct, tuple(self.write(argument) for argument in arguments))
        if kind is sympy.Pow:
            return self._power(*arguments)
        if kind in functions.modular_index:
            value, divisor, modulus = (self.write(argument) for argument in arguments)
            return self._emit(operator.mod, (self._emit(operator.floordiv, (value, divisor)), modulus))
        raise unwritable(expression)

    def _fold(self, function: Callable[..., Any], values: list[fx.Node | Number]) -> fx.Node | Number:
        result = values[0]
        for value in values[1:]:
            result = self._emit(function, (result, value))
        return result

    def _power(self, base: sympy.Basic, exponent: sympy.Basic) -> fx.Node | Number:
        """Powers: products for small whole exponents, so that ints stay ints; a root for one half."""
        if exponent.is_Integer and 0 < int(exponent) <= 8:
            return self._fold(operator.mul, [self.write(base)] * int(exponent))
        if exponent.is_Integer and int(exponent) == -1:
            return self._emit(operator.truediv, (1, self.write(base)))
        raise unwritable(base**exponent)


def unwritable(expression: sympy.Basic) -> UnsupportedOperator:
    """The failure for an expression that no node can compute."""
    error = NotImplementedError(str(expression))
    return UnsupportedOperator(error, "symbolic number", f"{expression} can't be computed in a graph")


_FOLDED: dict[type, Callable[..., Any]] = {
    sympy.Add: operator.add,
    sympy.Mul: operator.mul,
    sympy.And: operator.and_,
    sympy.Or: operator.or_,
}
"""Operations of any number of arguments, written from left to right."""

_DIRECT: dict[type, Callable[..., Any]] = {
    sympy.Eq: operator.eq,
    sympy.Ne: operator.ne,
    sympy.StrictLessThan: operator.lt,
    sympy.LessThan: operator.le,
    sympy.StrictGreaterThan: operator.gt,
    sympy.GreaterThan: operator.ge,
    sympy.Not: torch.sym_not,
    sympy.Abs: operator.abs,
    sympy.floor: math.floor,
    sympy.ceiling: math.ceil,
}
"""Operations with a Python function that takes the same arguments."""


def _torch_function(kind: type, functions: torch_internals.ShapeFunctions) -> Callable[..., Any] | None:
    """The Python function for one of torch's own sympy functions."""
    for classes, function in (
        (functions.floor_division, operator.floordiv),
        (functions.remainder, operator.mod),
        (functions.true_division, operator.truediv),
        (functions.power, operator.pow),
        (functions.to_float, torch.sym_float),
        (functions.truncate, math.trunc),
        (functions.ceiling, math.ceil),
        (functions.floor, math.floor),
        (functions.round_to_int, round),
        (functions.choice, torch.sym_ite),
        (functions.shift_left, operator.lshift),
        (functions.shift_right, operator.rshift),
        (functions.bitwise_and, operator.and_),
        (functions.bitwise_or, operator.or_),
        (functions.bitwise_xor, operator.xor),
    ):
        if kind in classes:
            return function
    symbolic = functions.by_function.get(kind)
    return None if symbolic is None else torch_internals.symbolic_math()[symbolic]
