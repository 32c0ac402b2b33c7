"""Recipes for arguments: equal in both worlds, fresh objects at every call, other values from call to call.

A test names parts: ``check(f, floats(3, 4), [floats(2), floats(2)], 2.0)``. A part that is a recipe is made
anew for each call ``k``; anything else is copied. The same recipe object used twice in one call gives the
same
object twice, which is how a test passes one tensor as two arguments.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True, slots=True)
class Arguments:
    """What one call is given."""

    positional: tuple = ()
    keywords: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """Makes one argument. ``make(k, generator)``: call ``k`` of this world, a generator seeded for it."""

    make: Callable[[int, torch.Generator], object]


def floats(
    *shape: int, dtype: torch.dtype = torch.float32, requires_grad: bool = False, positive: bool = False
) -> Recipe:
    """A tensor of normal values (their absolute values plus 0.1 with ``positive``)."""

    def make(_: int, generator: torch.Generator) -> torch.Tensor:
        values = torch.randn(shape, generator=generator).to(dtype)
        if positive:
            values = values.abs() + 0.1
        return values.requires_grad_(requires_grad)

    return Recipe(make)


def integers(*shape: int, low: int = 0, high: int = 10, dtype: torch.dtype = torch.int64) -> Recipe:
    """A tensor of integers in ``[low, high)``."""
    return Recipe(lambda _, generator: torch.randint(low, high, shape, generator=generator).to(dtype))


def booleans(*shape: int) -> Recipe:
    """A tensor of truth values."""
    return Recipe(lambda _, generator: torch.rand(shape, generator=generator) > 0.5)


def each(*values: object) -> Recipe:
    """A copy of ``values[k]`` at call ``k``; the last one from then on."""
    return Recipe(lambda k, _: copy.deepcopy(values[min(k, len(values) - 1)]))


def made(make: Callable[[int], object]) -> Recipe:
    """Whatever ``make(k)`` returns; it must return equal fresh objects for equal ``k``."""
    return Recipe(lambda k, _: make(k))


class _Maker:
    """Fills in the recipes of one call."""

    def __init__(self, call: int) -> None:
        self.call = call
        self.made: dict[int, object] = {}
        self.copies: dict[int, object] = {}

    def fill(self, part: object) -> object:
        match part:
            case Recipe():
                if id(part) not in self.made:
                    generator = torch.Generator().manual_seed(7919 * self.call + len(self.made))
                    self.made[id(part)] = part.make(self.call, generator)
                return self.made[id(part)]
            case list() if type(part) is list:
                return [self.fill(item) for item in part]
            case tuple() if type(part) is tuple:
                return tuple(self.fill(item) for item in part)
            case dict() if type(part) is dict:
                return {key: self.fill(value) for key, value in part.items()}
            case _:
                return copy.deepcopy(part, self.copies)


def arguments(parts: tuple, keywords: dict[str, object] | None) -> Callable[[int], Arguments]:
    """The recipe for all arguments of a call, from its parts."""

    def make(call: int) -> Arguments:
        maker = _Maker(call)
        positional = tuple(maker.fill(part) for part in parts)
        return Arguments(positional, {name: maker.fill(part) for name, part in (keywords or {}).items()})

    return make


def from_factory(factory: Callable[[int], object]) -> Callable[[int], Arguments]:
    """``factory(k)`` returns Arguments, or a tuple of positional ones."""

    def make(call: int) -> Arguments:
        given = factory(call)
        return given if isinstance(given, Arguments) else Arguments(tuple(given))

    return make
