"""A program in one world: what is called, the state it may change, and the module globals it may rebind."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from tests.harness.outcome import seed


@dataclass(frozen=True, slots=True)
class Program:
    """``state`` is compared after each call and handed to mutations; where it is not one object, ``watch()``
    is asked for it each time."""

    call: Callable
    state: object = None
    watch: Callable[[], object] | None = None

    def current_state(self) -> object:
        return self.state if self.watch is None else self.watch()


@dataclass(frozen=True, slots=True)
class Fresh:
    """A program that is built once for each world."""

    build: Callable[[], object]


def fresh(build: Callable[[], object]) -> Fresh:
    """``build()`` returns a function, a module or a Program: for programs that change what they close
    over."""
    return Fresh(build)


def instantiate(given: object) -> Program:
    """The program of one world."""
    if isinstance(given, Fresh):
        seed(0)
        given = given.build()
    if isinstance(given, Program):
        return given
    if isinstance(given, torch.nn.Module):
        return Program(given, given)
    return Program(given)


_MISSING = types.SimpleNamespace(name="no such global")


@dataclass(slots=True)
class Globals:
    """Named globals of the program's module, as one world sees them; in place only inside ``with``."""

    namespace: dict[str, object]
    values: dict[str, object]
    _outside: dict[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Program, names: tuple[str, ...]) -> Globals:
        namespace = getattr(program.call, "__globals__", {})
        values = {name: copy.deepcopy(namespace[name]) if name in namespace else _MISSING for name in names}
        return cls(namespace, values)

    def __enter__(self) -> Globals:
        self._outside = {name: self.namespace.get(name, _MISSING) for name in self.values}
        _store(self.namespace, self.values)
        return self

    def __exit__(self, *_: object) -> None:
        self.values = {name: self.namespace.get(name, _MISSING) for name in self.values}
        _store(self.namespace, self._outside)


def _store(namespace: dict[str, object], values: dict[str, object]) -> None:
    for name, value in values.items():
        if value is _MISSING:
            namespace.pop(name, None)
        else:
            namespace[name] = value
