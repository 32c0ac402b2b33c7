"""One side of a comparison: a program, how it is called, and a step that calls it once on fresh arguments."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.utils import _pytree

from tests.harness.inputs import Arguments
from tests.harness.outcome import Outcome, observe, seed
from tests.harness.program import Globals, Program
from tests.harness.shape import is_atom, is_immutable_container, reachable, shape_of


class References:
    """How often the objects of a call's arguments were referred to before the call."""

    __slots__ = ("before", "objects")

    def __init__(self, arguments: Arguments) -> None:
        self.objects = countable((arguments.positional, arguments.keywords))
        self.before = [sys.getrefcount(one) for one in self.objects]

    def changes(self) -> list[tuple[str, int]]:
        """By how much the count of each differs now."""
        now = [sys.getrefcount(one) for one in self.objects]
        return [
            (type(one).__qualname__, later - earlier)
            for one, earlier, later in zip(self.objects, self.before, now, strict=True)
        ]


@dataclass(slots=True)
class Step:
    """One call: what it was given, what it did, how often that is referred to (not asked in a last call)."""

    arguments: Arguments
    outcome: Outcome
    state: object
    references: References | None
    gradients: list[object]


@dataclass(slots=True)
class World:
    """``call`` is the program, or what the compiler made of it."""

    program: Program
    call: Callable
    inputs: Callable[[int], Arguments]
    globals: Globals
    context: Callable[[], contextlib.AbstractContextManager]
    backward: bool = False
    given_tensors: list[weakref.ref] = field(default_factory=list)

    def prepare(self, index: int) -> Arguments:
        arguments = self.inputs(index)
        given = reachable((arguments.positional, arguments.keywords))
        self.given_tensors += [weakref.ref(one) for one in given if isinstance(one, torch.Tensor)]
        return arguments

    def state(self) -> object:
        return {"state": self.program.current_state(), "globals": self.globals.values}

    def step(self, index: int, arguments: Arguments, last: bool = False) -> Step:
        """Call once, with arguments of the caller's.

        In the last call they are left alone until it has been made, and frames that CPython enters are noted.
        """
        references = None if last else References(arguments)
        seed(index)
        with self.globals:
            outcome = observe(
                lambda: self.call(*arguments.positional, **arguments.keywords),
                self.context(),
                last,
            )
        gradients = self._run_backward(outcome) if self.backward else []
        return Step(arguments, outcome, self.state(), references, gradients)

    def _run_backward(self, outcome: Outcome) -> list[object]:
        """Gradients of the sum of everything differentiable in the result reach the arguments and the
        state."""
        leaves = _pytree.tree_leaves(outcome.result)
        roots = [leaf.sum() for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.requires_grad]
        if roots:
            torch.autograd.backward(roots)
        state = self.program.current_state()
        parameters = list(state.parameters()) if isinstance(state, torch.nn.Module) else []
        return [parameter.grad for parameter in parameters]

    def still_alive(self) -> list[int]:
        """Which of all argument tensors ever given are still alive, by position."""
        return [index for index, reference in enumerate(self.given_tensors) if reference() is not None]


def countable(roots: object) -> list[object]:
    """What is reachable, without the tuples of plain values that code objects share with the whole
    process."""
    return [one for one in reachable(roots) if not _may_be_constant(one)]


def _may_be_constant(value: object) -> bool:
    """Tuples of plain values belong to code objects and are shared by the whole process."""
    return is_immutable_container(value) and all(is_atom(child) for _, child in shape_of(value).children)
