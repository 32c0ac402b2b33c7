"""Compilers that are wrong on purpose, one way each: what the harness is tried on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch

from tests.harness.compiler import Counts


class Identity:
    """Compiles by running a copy of the program that the harness can't tell from a graph.

    ``graphs`` and ``breaks`` are what it claims to have counted. Subclasses are wrong in one way.
    """

    def __init__(self, graphs: int = 1, breaks: dict[str, int] | None = None, fallbacks: int = 0) -> None:
        self.claimed = Counts(graphs, breaks or {}, {}, fallbacks)
        self.counted = Counts()

    def compile(
        self, program: Callable, *, backend: object, fullgraph: bool, dynamic: bool | None
    ) -> Callable:
        graph = torch.fx.symbolic_trace(lambda x: x + 1)
        graphs = [backend(graph, [torch.ones(1)]) for _ in range(self.claimed.graphs)]
        quiet = self._without_frames(program)

        def compiled(*args: object, **kwargs: object) -> object:
            self.counted = self.claimed
            for run in graphs[:1]:
                run(torch.ones(1))
            return self.call(quiet, args, kwargs)

        return compiled

    def call(self, program: Callable, args: tuple, kwargs: dict) -> object:
        return program(*args, **kwargs)

    def _without_frames(self, program: Callable) -> Callable:
        """The same function with a file name the harness takes for the compiler's."""
        code = program.__code__.replace(co_filename="/framelift/stand-in")
        copied = type(program)(
            code, program.__globals__, program.__name__, program.__defaults__, program.__closure__
        )
        copied.__kwdefaults__ = program.__kwdefaults__
        return copied

    def reset(self) -> None:
        self.counted = Counts()

    def counts(self) -> Counts:
        return self.counted

    def strict(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()


class Wrong(Identity):
    """Does the right thing, then applies ``change`` to arguments and result."""

    def __init__(self, change: Callable[[tuple, object], object], **claims: object) -> None:
        super().__init__(**claims)
        self.change = change

    def call(self, program: Callable, args: tuple, kwargs: dict) -> object:
        return self.change(args, program(*args, **kwargs))


class Raising(Identity):
    """Raises ``error`` from inside the program's own lines, as a broken compiler would."""

    def __init__(self, error: Callable[[], BaseException]) -> None:
        super().__init__()
        self.error = error

    def call(self, program, args, kwargs):
        raise self.error()


class Faithful(Identity):
    """Leaves everything to CPython."""

    def _without_frames(self, program):
        return program


class Caching(Identity):
    """Guards nothing but ``scale`` of the state: a new value is a new graph."""

    def __init__(self, watched: tuple[str, ...]) -> None:
        super().__init__()
        self.watched = watched
        self.entries: dict[tuple, object] = {}
        self.answers: dict[tuple, object] = {}

    def compile(self, program, *, backend, fullgraph, dynamic):
        graph = torch.fx.symbolic_trace(lambda x: x + 1)
        quiet = self._without_frames(program)

        def compiled(x):
            config = program.__closure__[0].cell_contents
            key = tuple(config[name] for name in self.watched)
            if key not in self.entries:
                self.entries[key] = (backend(graph, []), dict(config))
                self.counted = Counts(len(self.entries))
            run, known = self.entries[key]
            run(torch.ones(1))
            current, config_before = dict(config), config
            config_before.update(known)
            try:
                return quiet(x)
            finally:
                config_before.update(current)

        return compiled
