"""Operators: what an overload is, and what it does besides computing.

Used of torch: the schemas and tags of ``torch.ops``, and how C functions of the namespace ``torch`` are
named. What a schema doesn't say (running statistics, numbers that are refused) is listed here by name.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch._ops import OpOverload


ArgumentPlace = tuple[int, str, Any]
"""Position, name and default of an operator's argument."""


@dataclass(frozen=True, slots=True)
class OperatorEffects:
    """What an operator overload may do to its arguments and to the random number generator.

    Arguments are given as position, name and default. ``written`` are those its schema says it writes to;
    ``statistics`` running statistics that it writes to without saying so, when ``training`` is true. With
    ``random``, it draws random numbers unless an argument of ``switches`` is false or 0. ``refuses``: it may
    raise for the numbers in its arguments; ``divides``: for whole ones, as they may be divided by zero.
    """

    written: tuple[ArgumentPlace, ...]
    statistics: tuple[ArgumentPlace, ...]
    training: ArgumentPlace | None
    random: bool
    switches: tuple[ArgumentPlace, ...]
    refuses: bool = False
    divides: bool = False

    @property
    def none(self) -> bool:
        return not (self.written or self.statistics or self.random or self.refuses or self.divides)


_RANDOM_SWITCHES = frozenset({"train", "training", "dropout", "dropout_p"})
_TRAINING_FLAGS = frozenset({"train", "training", "use_input_stats"})
_REFUSE_NUMBERS = re.compile(
    r"index|_?index_(put|put_impl|select|add|copy|fill|reduce)|gather|scatter(_add|_reduce)?|take|put"
    r"|_?embedding(_bag|_bag_forward_only|_renorm)?|nll_loss(2d)?(_forward)?|multi(label)?_margin_loss(_forward)?"
    r"|binary_cross_entropy|_?ctc_loss|bincount|histc|histogram|_histogramdd\w*|max_unpool[23]d"
    r"|multinomial|bernoulli|poisson|binomial|repeat_interleave|masked_scatter|segment_reduce"
    r"|_?linalg_(?!vector_norm|cross)\w+|cholesky\w*|inverse|_local_scalar_dense|_(functional_)?assert_(async|scalar)|resize"
)
"""Operators that look at numbers, or at memory, and may refuse them: at indices, classes, probabilities,
matrices, sizes. Those of others than torch may do so in any case."""


_DIVISIONS = frozenset({"div", "divide", "floor_divide", "remainder", "fmod"})
_WITH_PLAIN_NUMBER = frozenset({"float", "p", "float_out"})
_TORCHS_OWN = frozenset({"aten", "prim", "prims", "rngprims"})


@functools.cache
def operator_effects(operator: OpOverload) -> OperatorEffects:
    """What the schema and tags of an overload say about its effects."""
    schema = getattr(operator, "_schema", None)
    if schema is None:
        return OperatorEffects((), (), None, False, ())
    places = [
        (position, argument.name, argument.default_value if argument.has_default_value() else None)
        for position, argument in enumerate(schema.arguments)
    ]
    written = tuple(
        place
        for place, argument in zip(places, schema.arguments, strict=True)
        if argument.alias_info is not None and argument.alias_info.is_write
    )
    statistics: tuple[ArgumentPlace, ...] = ()
    training = None
    if not written and not schema.name.endswith("_functional"):
        statistics = tuple(place for place in places if place[1] in ("running_mean", "running_var"))
        training = next((place for place in places if place[1] in _TRAINING_FLAGS), None)
        if training is None:
            statistics = ()
    random = torch.Tag.nondeterministic_seeded in operator.tags
    switches = tuple(place for place in places if random and place[1] in _RANDOM_SWITCHES)
    namespace, _, name = schema.name.partition("::")
    name = name.rstrip("_")
    refuses = namespace not in _TORCHS_OWN or (
        _REFUSE_NUMBERS.fullmatch(name) is not None
        and not (random and schema.overload_name in _WITH_PLAIN_NUMBER)
    )
    return OperatorEffects(written, statistics, training, random, switches, refuses, name in _DIVISIONS)


def is_operator_function(function: object) -> bool:
    """Whether a C function is an operator of the namespace ``torch`` (``torch.relu``).

    They are static functions of one class, and keep its name in theirs when ``torch`` republishes them.
    """
    return getattr(function, "__qualname__", "").startswith("_VariableFunctionsClass.")


def is_operator(value: object) -> bool:
    """Whether a value is an operator of ``torch.ops`` that takes tensors, or one of its overloads."""
    return issubclass(type(value), torch._ops.OpOverload | torch._ops.OpOverloadPacket)


def is_higher_order_operator(value: object) -> bool:
    """Whether a value is an operator that takes functions (``torch.ops.higher_order.cond``)."""
    return issubclass(type(value), torch._ops.HigherOrderOperator)


def assert_scalar() -> OpOverload:
    """The operator that raises with a message unless a number is true; backends know it."""
    return torch.ops.aten._assert_scalar.default
