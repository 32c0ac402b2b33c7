"""Compiling one model three ways and timing its calls: what the demo and ``models.py`` have in common."""

from __future__ import annotations

import contextlib
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch._inductor import utils as inductor_utils
from torch.utils import _pytree

import framelift

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Model:
    """A module and the arguments of its calls, all on one device."""

    name: str
    module: torch.nn.Module
    arguments: tuple = ()
    keywords: Mapping[str, object] = field(default_factory=dict)
    device: torch.device = CPU

    def on(self, device: torch.device) -> Model:
        """The same model elsewhere; its module is moved."""

        def moved(value: object) -> object:
            return value.to(device) if isinstance(value, torch.Tensor) else value

        return replace(
            self,
            module=self.module.to(device),
            arguments=_pytree.tree_map(moved, self.arguments),
            keywords=_pytree.tree_map(moved, self.keywords),
            device=device,
        )

    def call(self, module: Callable[..., object]) -> object:
        """The result, when the device has computed it."""
        result = module(*self.arguments, **self.keywords)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return result


@dataclass(slots=True)
class Figures:
    """What was found out about one model. Times are in seconds, those of a call by compiler."""

    graphs: int = 0
    breaks: int = 0
    guards: int = 0
    capture: float = 0.0
    compile: float = 0.0
    peer_first_call: float = 0.0
    difference: float = 0.0
    calls: dict[str, float] = field(default_factory=dict)


Progress = Callable[[str], None]


def measure(model: Model, backend: str, seconds: float, progress: Progress) -> Figures:
    """Compile ``model`` with both compilers and the same ``backend``, and time calls for ``seconds``.

    Each compiler starts with an empty cache, so that neither profits from the other's work.
    """
    figures = Figures()
    with torch.no_grad():
        progress("loading the backend")
        _load(backend)
        progress("eager")
        expected = model.call(model.module)
        with _empty_cache():
            progress("framelift: capture and compile")
            explanation = framelift.explain(model.module, backend=backend)(*model.arguments, **model.keywords)
            figures.graphs, figures.breaks = explanation.graph_count, explanation.graph_break_count
            figures.guards = len(explanation.out_guards)
            figures.capture, figures.compile = explanation.capture_seconds, explanation.compile_seconds
            ours = framelift.compile(model.module, backend=backend)
            figures.difference = largest_difference(expected, model.call(ours))
        with _empty_cache():
            progress("torch.compile: capture and compile")
            theirs = torch.compile(model.module, backend=backend)
            start = time.perf_counter()
            model.call(theirs)
            figures.peer_first_call = time.perf_counter() - start
        progress("timing calls")
        candidates = {"eager": model.module, "torch.compile": theirs, "framelift": ours}
        figures.calls = _time_calls(model, candidates, seconds)
    return figures


@functools.cache
def _load(backend: str) -> None:
    """What the backend imports at its first graph is not the time of the compiler that comes first."""
    framelift.compile(torch.sin, backend=backend)(torch.ones(2))


def _empty_cache() -> contextlib.AbstractContextManager[object]:
    """While it is entered, Inductor has nothing compiled before, neither on disk nor in this process."""
    return inductor_utils.fresh_cache()


def _time_calls(
    model: Model, candidates: Mapping[str, Callable[..., object]], seconds: float
) -> dict[str, float]:
    """Median time of a call. The candidates take turns, so that a busy moment hits all of them."""
    for candidate in candidates.values():
        for _ in range(3):
            model.call(candidate)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, times.values())) < 5:
        for name, candidate in candidates.items():
            start = time.perf_counter()
            model.call(candidate)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def largest_difference(expected: object, actual: object) -> float:
    """Largest absolute difference between the tensors of two results; infinite if their structure differs."""
    left, structure = _pytree.tree_flatten(expected)
    right, other = _pytree.tree_flatten(actual)
    if structure != other:
        return float("inf")
    worst = 0.0
    for one, two in zip(left, right, strict=True):
        if isinstance(one, torch.Tensor):
            if one.shape != two.shape or one.dtype != two.dtype:
                return float("inf")
            worst = max(worst, (one.double() - two.double()).abs().max().item() if one.numel() else 0.0)
    return worst
