"""Arithmetic of Python's numbers that does not have a result for all of them.

Python raises where it has none: a divisor of zero, the root of a negative number. Compiled code does not ask;
there the result is an infinity, or the process ends. So of numbers that are known when a graph is captured it
is a condition that they have one (``capture/datamodel/numbers.py``), and of numbers from data, which Python
computes when the graph runs, the graph knows that the call may raise.
"""

from __future__ import annotations

import functools
import math
import operator
import sys

from framelift import torch_internals

DIVISIONS = (operator.truediv, operator.floordiv, operator.mod)
"""By anything but zero."""

SHIFTS = (operator.lshift, operator.rshift)
"""By anything that is not negative."""

_GREATEST = sys.float_info.max
DOMAINS = {
    math.sqrt: (0.0, _GREATEST),
    math.log2: (math.ulp(0.0), _GREATEST),
    math.acos: (-1.0, 1.0),
    math.asin: (-1.0, 1.0),
    math.cosh: (-710.0, 710.0),
    math.sinh: (-710.0, 710.0),
    math.sin: (-_GREATEST, _GREATEST),
    math.cos: (-_GREATEST, _GREATEST),
    math.tan: (-_GREATEST, _GREATEST),
}
"""From where to where functions of ``math`` give a float."""


def real_power(base: float, exponent: float) -> float:
    """``base ** exponent``, where it is a float: the graph has a float for it."""
    result = base**exponent
    if type(result) is complex:
        raise ArithmeticError(f"{base} ** {exponent} is a complex number, which a graph can't hold")
    return result


@functools.cache
def raising_functions() -> frozenset[object]:
    """What may raise for some numbers; functions of ``math`` as graphs call them."""
    in_graphs = torch_internals.symbolic_math()
    of_math = (in_graphs[function] for function in DOMAINS if function in in_graphs)
    return frozenset((*DIVISIONS, operator.pow, real_power, *of_math))
