"""Where the time of a training step goes: its phases, and what stands around the compiled code.

Eager, ``torch.compile`` and framelift run the same module in one process, in turn; each figure is the least
of many repetitions, in microseconds. With ``OMP_NUM_THREADS=1`` torch's threads do not wait for each other.

    OMP_NUM_THREADS=1 python bench/training_time.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch._dynamo.backends.registry import lookup_backend

import framelift

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Size:
    """A model and a batch for it."""

    name: str
    width: int
    layers: int
    batch: int


SIZES = (Size("4 wide", 4, 4, 2), Size("256 wide", 256, 4, 64))


def model(size: Size) -> nn.Module:
    """Layers as they stand in any network."""
    torch.manual_seed(0)
    parts = [part for _ in range(size.layers) for part in (nn.Linear(size.width, size.width), nn.GELU())]
    return nn.Sequential(*parts, nn.LayerNorm(size.width))


def least(calls: dict[str, Call], seconds: float) -> dict[str, float]:
    """The least time of each call in microseconds; they take turns."""
    found = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        for _ in range(10):
            call()
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end:
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            found[name] = min(found[name], time.perf_counter() - started)
    return {name: value * 1e6 for name, value in found.items()}


@dataclass(slots=True)
class InGraph:
    """A backend around another one that notes how long each run of a graph took."""

    compiler: Callable
    last: float = 0.0

    def __call__(self, module: torch.fx.GraphModule, examples: list) -> Callable:
        run = self.compiler(module, examples)

        def timed(*inputs: object) -> object:
            started = time.perf_counter()
            try:
                return run(*inputs)
            finally:
                self.last = time.perf_counter() - started

        return timed


def around_the_graph(size: Size, compiler: Callable, seconds: float) -> tuple[float, float]:
    """A forward call of framelift: what is not in the graph (entry, guards, exit), and the graph."""
    backend = InGraph(compiler)
    run = framelift.compile(model(size), backend=backend, fullgraph=True)
    x = torch.randn(size.batch, size.width)
    for _ in range(10):
        run(x)
    around = inside = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        run(x)
        whole = time.perf_counter() - started
        around, inside = min(around, whole - backend.last), min(inside, backend.last)
    return around * 1e6, inside * 1e6


OPTIMIZERS = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, foreach=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=1e-3, foreach=True),
}


def phases(size: Size, seconds: float) -> dict[str, dict[str, float]]:
    """Forward, backward and the steps of optimizers, by who runs them."""
    x = torch.randn(size.batch, size.width)
    table: dict[str, dict[str, float]] = {}
    makers = {"eager": lambda f: f, "torch.compile": torch.compile, "framelift": framelift.compile}
    forwards, backwards = {}, {}
    steps: dict[str, dict[str, Call]] = {kind: {} for kind in OPTIMIZERS}
    for name, compiled in makers.items():
        module = model(size)
        run = compiled(module)
        run(x).sum().backward()
        forwards[name] = lambda run=run: run(x)
        backwards[name] = lambda run=run: run(x).sum().backward()
        for kind, make in OPTIMIZERS.items():
            optimizer = make(module.parameters())
            steps[kind][name] = compiled(lambda optimizer=optimizer: optimizer.step())
    table["forward"] = least(forwards, seconds)
    table["forward and backward"] = least(backwards, seconds)
    for kind, calls in steps.items():
        table[f"step of {kind}"] = least(calls, seconds)
    return table


def whole_steps(size: Size, optimizer_name: str, seconds: float) -> dict[str, float]:
    """The step as one function."""

    def step_of(module: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor) -> Call:
        def step() -> torch.Tensor:
            optimizer.zero_grad()
            loss = module(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        return step

    calls = {}
    makers = {
        "eager": lambda f: f,
        "torch.compile": torch.compile,
        "framelift": framelift.compile,
        "framelift, node by node": lambda f: framelift.compile(f, backend="eager"),
    }
    for name, compiled in makers.items():
        module = model(size)
        optimizer = OPTIMIZERS[optimizer_name](module.parameters())
        calls[name] = compiled(step_of(module, optimizer, torch.randn(size.batch, size.width)))
    return least(calls, seconds)


def show(title: str, figures: dict[str, float]) -> None:
    """One line."""
    print(f"  {title:34}" + "  ".join(f"{name} {value:8.1f}" for name, value in figures.items()), flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    seconds = options.parse_args().seconds
    node_by_node = lambda module, examples: module.forward  # noqa: E731
    inductor = lookup_backend("inductor")
    for size in SIZES:
        print(f"{size.name}, {size.layers} layers, batch {size.batch} (us)")
        for title, figures in phases(size, seconds).items():
            show(title, figures)
        for name in OPTIMIZERS:
            show(f"whole step in one function, {name}", whole_steps(size, name, seconds))
        for name, compiler in (("node by node", node_by_node), ("Inductor", inductor)):
            around, inside = around_the_graph(size, compiler, seconds)
            show(f"forward, {name}", {"entry, guards, exit": around, "graph": inside})


if __name__ == "__main__":
    main()
