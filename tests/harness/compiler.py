"""What the harness needs to know of a compiler, so that it can be tried on compilers that are wrong on
purpose."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch

with (
    warnings.catch_warnings()
):  # Inductor loads it at its first graph, and old torches warn there of themselves
    warnings.simplefilter("ignore", DeprecationWarning)
    importlib.import_module("torch.utils.mkldnn")


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals so far."""

    graphs: int = 0
    breaks: Mapping[str, int] = field(default_factory=dict)
    recompiles: Mapping[str, int] = field(default_factory=dict)
    fallbacks: int = 0

    def since(self, earlier: Counts) -> Counts:
        return Counts(
            self.graphs - earlier.graphs,
            _minus(self.breaks, earlier.breaks),
            _minus(self.recompiles, earlier.recompiles),
            self.fallbacks - earlier.fallbacks,
        )


def _minus(now: Mapping[str, int], earlier: Mapping[str, int]) -> dict[str, int]:
    return {
        name: number - earlier.get(name, 0) for name, number in now.items() if number != earlier.get(name, 0)
    }


class Compiler(Protocol):
    """Something like framelift."""

    def compile(
        self, program: Callable, *, backend: object, fullgraph: bool, dynamic: bool | None
    ) -> Callable: ...

    def reset(self) -> None: ...

    def counts(self) -> Counts: ...

    def strict(self) -> contextlib.AbstractContextManager:
        """While this is on, internal errors raise and guards are checked twice."""
        ...


class Recorder:
    """The backend ``eager``, which keeps the graphs it was given and counts how often each is run."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []
        self.runs = 0

    def __call__(self, graph: torch.fx.GraphModule, example_inputs: list) -> Callable:
        self.graphs.append(graph)
        forward = graph.forward

        def run(*inputs: object) -> object:
            self.runs += 1
            return forward(*inputs)

        return run

    def operators(self) -> list[str]:
        """What the graphs call, by name, in order."""
        called = ("call_function", "call_method", "call_module")
        return [node.name for graph in self.graphs for node in graph.graph.nodes if node.op in called]
