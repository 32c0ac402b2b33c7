"""Symbols: sizes and numbers of a graph that are not fixed, and what has been assumed of them.

Used of torch: ``ShapeEnv``, which makes symbols, collects conditions and knows ranges; sympy expressions
behind ``SymInt`` and ``SymFloat``; the paths by which a result shows the symbols that a call has made.

A *backed* symbol has a value in this call, and a condition on it becomes a guard. An *unbacked* one comes
from data: it has no value before the graph runs, and a condition on it becomes an assertion in the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.fx.experimental.symbolic_shapes import (
    CallMethodKey,
    ConvertIntKey,
    DimDynamic,
    DivideByKey,
    PendingUnbackedSymbolNotFound,
    ShapeEnv,
    compute_unbacked_bindings,
    expect_true,
    free_unbacked_symbols,
)
from torch.utils._pytree import MappingKey, SequenceKey
from torch.utils._sympy.symbol import SymT, symbol_is_type
from torch.utils._sympy.value_ranges import bound_sympy

from framelift.torch_internals.fake_tensors import Range, ShapeSource, value_range

if TYPE_CHECKING:
    import sympy


def symbolic_int(shape_env: ShapeEnv, value: int, name: str) -> torch.SymInt:
    """A fresh symbol for an int of the program: any value, 0 and 1 included."""
    source = ShapeSource(name)
    symbol = shape_env.create_unspecified_symbol(value, source=source, dynamic_dim=DimDynamic.DYNAMIC)
    return shape_env.create_symintnode(symbol, hint=value, source=source)


def symbolic_float(shape_env: ShapeEnv, value: float, name: str) -> torch.SymFloat:
    """A fresh symbol for a finite float of the program."""
    source = ShapeSource(name)
    symbol = shape_env.create_unspecified_symbol(value, source=source, dynamic_dim=DimDynamic.DYNAMIC)
    return shape_env.create_symfloatnode(symbol, hint=value, source=source)


def symbolic_data(shape_env: ShapeEnv) -> torch.SymFloat:
    """A fresh symbol for a float of which nothing is known before the graph runs."""
    symbolic = shape_env.create_unbacked_symfloat()
    # Those that the next fake call must show in its result.
    pending = shape_env.pending_fresh_unbacked_symbols
    pending[:] = [symbol for symbol in pending if symbol != symbolic.node.expr]
    return symbolic


def symbolic_expression(symbolic: torch.SymInt | torch.SymFloat | torch.SymBool) -> sympy.Basic:
    """The expression a symbolic number stands for, with what is known by now put in."""
    node = symbolic.node
    return node.expr


def with_what_is_known(shape_env: ShapeEnv, numbers: Iterable[int | sympy.Basic]) -> tuple[Any, ...]:
    """Expressions of ``symbolic_expression`` from some time ago, and numbers, as they are by now."""
    return tuple(number if isinstance(number, int) else shape_env.replace(number) for number in numbers)


def symbol_hint(symbolic: torch.SymInt | torch.SymFloat | torch.SymBool) -> int | float | bool | None:
    """The number a symbolic number has in this call, without assuming it; None where it depends on data."""
    node = symbolic.node
    return node.hint if node.has_hint() else None


def shape_guards(shape_env: ShapeEnv) -> list[sympy.Basic]:
    """Every condition over inputs that the shape environment has assumed so far, in order."""
    return [guard.expr for guard in shape_env.guards]


def symbol_values(shape_env: ShapeEnv) -> Mapping[sympy.Symbol, sympy.Basic]:
    """What the symbols of inputs are in this call."""
    return shape_env.backed_var_to_val


def runtime_asserts(shape_env: ShapeEnv) -> list[sympy.Basic]:
    """Every condition over numbers from data that it has assumed so far: the graph has to check them."""
    return [
        assertion.expr for deferred in shape_env.deferred_runtime_asserts.values() for assertion in deferred
    ]


def assumption_counts(shape_env: ShapeEnv) -> tuple[int, int]:
    """How many conditions ``shape_guards`` and ``runtime_asserts`` have."""
    return len(shape_env.guards), shape_env.num_deferred_runtime_asserts


def known_number(shape_env: ShapeEnv, symbol: sympy.Symbol) -> int | None:
    """The number that a symbol has turned out to be, None while it is open."""
    found = shape_env.replace(symbol)
    return int(found) if found.is_Integer else None


def holds_in_range(condition: sympy.Basic, symbol: sympy.Symbol, promised: Range) -> bool:
    """Whether a condition on one symbol is true for every value in a range."""
    try:
        found = bound_sympy(condition, {symbol: value_range(*promised)})
    except Exception:
        return False
    return bool(found.is_singleton() and found.lower)


KeyPath = tuple[Any, ...]


def fresh_unbacked_symbols(shape_env: ShapeEnv, value: object) -> dict[sympy.Symbol, KeyPath]:
    """The symbols without a value that a call has just made, and where in its result each of them is found.

    Raises ``NotImplementedError`` if the result does not show one of them.
    """
    if not shape_env.pending_fresh_unbacked_symbols:
        return {}
    try:
        return compute_unbacked_bindings(shape_env, value) or {}
    except PendingUnbackedSymbolNotFound as error:
        raise NotImplementedError(f"a number from data that its result does not show: {error}") from error


def forget_fresh_symbols(shape_env: ShapeEnv) -> None:
    """A call has failed: the symbols that it made are nowhere."""
    shape_env.pending_fresh_unbacked_symbols.clear()
    shape_env.ignorable_fresh_unbacked_symbols.clear()


_ANSWERS = tuple(member for member in vars(ShapeEnv).values() if hasattr(member, "cache_clear"))


def forget_answers_about_sizes() -> None:
    """Let go of shape environments: caches at methods of the class keep every one alive that
    was ever asked. One that is asked again finds the answer again."""
    for method in _ANSWERS:
        method.cache_clear()


def key_steps(path: KeyPath) -> list[tuple[str, Any]]:
    """A path of ``fresh_unbacked_symbols`` as steps: an "item" by index, a "method" without arguments, a
    "number" made of a truth value, a "quotient" by a number."""
    steps: list[tuple[str, Any]] = []
    for key in path:
        match key:
            case SequenceKey():
                steps.append(("item", key.idx))
            case MappingKey():
                steps.append(("item", key.key))
            case CallMethodKey():
                steps.append(("method", key.name))
            case ConvertIntKey():
                steps.append(("number", None))
            case DivideByKey():
                steps.append(("quotient", key.divisor))
            case _:
                raise NotImplementedError(f"a number from data at {key}")
    return steps


def unbacked_symbols(symbolic: torch.SymInt | torch.SymFloat | torch.SymBool) -> frozenset[sympy.Symbol]:
    """The symbols without a value that a symbolic number depends on."""
    return frozenset(free_unbacked_symbols(symbolic))


def assume(condition: torch.SymBool) -> bool:
    """Assume a condition on numbers from data: False if it is known not to hold, else it becomes a runtime
    assert."""
    return bool(expect_true(condition))


UNBACKED_BINDINGS = "unbacked_bindings"
"""The key of ``fx.Node.meta`` under which AOTAutograd looks for the symbols that a node makes."""


def is_unbacked(symbol: sympy.Symbol) -> bool:
    """Whether a symbol has no value while a graph is made."""
    return symbol_is_type(symbol, (SymT.UNBACKED_INT, SymT.UNBACKED_FLOAT))


def symbol_range(shape_env: ShapeEnv, symbol: sympy.Symbol) -> tuple[int | float | None, int | float | None]:
    """The least and the greatest value assumed for a symbol; None where there is no bound."""
    bounds = shape_env.var_to_range.get(symbol)
    if bounds is None:
        return None, None
    return _finite(bounds.lower), _finite(bounds.upper)


def _finite(bound: Any) -> int | float | None:
    """A bound as a number; None for the infinities."""
    if bound.is_Integer:
        return int(bound)
    if bound.is_Float:
        return float(bound)
    return None
