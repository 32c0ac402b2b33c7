"""Many calls, compilations, models and threads, and a fork among them: memory stays flat and nothing is lost.

A sample runs with all tests; under ``FRAMELIFT_STRESS=1`` the numbers are those that a long life has.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable

import torch

import framelift
from tests.threads import run_in_threads, running

STRESS = bool(os.environ.get("FRAMELIFT_STRESS"))
CALLS = 100_000 if STRESS else 4_000
RECOMPILES = 1_000 if STRESS else 40
MODELS = 200 if STRESS else 8
THREADS = 64 if STRESS else 6
SECONDS = 60 if STRESS else 0
"""How long the threads go on after each has done its least."""
MEGABYTES = 16
"""What the process may grow by: the allocators of C and of torch keep some of what they were given back."""

A_COMPILATION = 16
"""Blocks that one may leave: torch remembers names and numbers of what it has seen."""

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * PAGE


def census() -> tuple[int, int]:
    """Objects the collector tracks, and blocks of the allocator in use."""
    gc.collect()
    return len(gc.get_objects()), sys.getallocatedblocks()


def stays_flat(one_round: Callable[[int], None], rounds: int, warm_up: int, small: int = 1) -> None:
    """``rounds`` rounds leave less than one object and ``small`` blocks each, and no memory to speak of."""
    for number in range(warm_up):
        one_round(number)
    objects, blocks = census()
    memory = resident()
    for number in range(warm_up, warm_up + rounds):
        one_round(number)
    objects_after, blocks_after = census()
    assert objects_after - objects < rounds
    assert blocks_after - blocks < small * rounds
    assert resident() - memory < MEGABYTES << 20


class Block(torch.nn.Module):
    """A model with a break, a callee with a break, and state that its calls change."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8))
        self.seen: dict[str, torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        framelift.graph_break()
        self.seen["last"] = y
        return self.scaled(y)

    def scaled(self, y: torch.Tensor) -> torch.Tensor:
        framelift.graph_break()
        return y * 2


def test_many_calls():
    model = Block()
    compiled, x = framelift.compile(model, backend="eager"), torch.ones(2, 8)
    with torch.no_grad():
        stays_flat(lambda number: compiled(x), CALLS, 100)
        assert torch.equal(compiled(x), model(x))


def test_many_compilations_of_one_function():
    def f(x, name):
        y = x.sin()
        framelift.graph_break()
        return y * len(name)

    x = torch.ones(3)
    compiled = framelift.compile(f, backend="eager")
    names = ["a" * length for length in range(1, 6)]

    def again(number):
        name = names[number % len(names)]
        if name == "a":
            framelift.reset()
        assert torch.equal(compiled(x, name), f(x, name))
        assert not framelift.counters["limits"]

    framelift.reset()
    stays_flat(again, RECOMPILES, 2 * len(names), A_COMPILATION)


def test_models_that_are_dropped():
    alive: list[weakref.ref] = []

    def one(number):
        model = Block()
        compiled = framelift.compile(model, backend="eager")
        with torch.no_grad():
            compiled(torch.ones(2, 8))
        entries = compiled._framelift_call.entries
        assert entries
        alive[:] = [weakref.ref(each) for each in (model, compiled, *model.parameters(), *entries)]

    stays_flat(one, MODELS, 4, A_COMPILATION)
    gc.collect()
    assert [reference() for reference in alive] == [None] * len(alive)


def test_threads_that_call_and_compile():
    """Each calls what all share and compiles functions of its own. Whoever compiles is not waited for.

    Sizes of the latter are fixed: torch keeps the last environments of symbols, however many are alike.
    """
    shared = Block()
    compiled = framelift.compile(shared, backend="eager")
    inputs = [torch.full((size, 8), 0.5) for size in (1, 2, 3, 5)]
    with torch.no_grad():
        expected = [shared(x) for x in inputs]
    wrong: list[object] = []
    finished: list[int] = []

    def own(index):
        def f(x, extra):
            y = x + index
            framelift.graph_break()
            return y * len(extra)

        return f

    def live(index):
        until, done = time.monotonic() + SECONDS, 0
        with torch.no_grad():
            while done < 3 or time.monotonic() < until:
                function = own(index)
                mine = framelift.compile(function, backend="eager", dynamic=False)
                for number, (x, result) in enumerate(zip(inputs, expected, strict=True)):
                    if not torch.equal(compiled(x), result):
                        wrong.append((index, number, "shared"))
                    extra = [None] * (1 + number % 2)
                    if not torch.equal(mine(x, extra), function(x, extra)):
                        wrong.append((index, number, "own"))
                done += 1
        finished.append(index)

    def all_threads():
        run_in_threads(live, [(index,) for index in range(THREADS)])

    all_threads()
    all_threads()  # who could not compile the first time, as somebody else did, does so now
    before = census()[0]
    memory = resident()
    all_threads()
    assert wrong == []
    assert sorted(finished) == sorted([*range(THREADS)] * 3)
    assert census()[0] - before < 100 * THREADS
    assert resident() - memory < 4 * MEGABYTES << 20


def test_a_fork_while_another_thread_compiles():
    """The child has neither that thread nor its compilation: it calls what is there, compiles what is new."""

    def slow(graph, inputs):
        inside.set()
        assert go_on.wait(120)
        return graph

    def f(x):
        return x + 1

    def g(x):
        return x * 3

    inside, go_on = threading.Event(), threading.Event()
    x = torch.ones(3)
    ready = framelift.compile(f, backend="eager")
    assert torch.equal(ready(x), f(x))
    halted = framelift.compile(g, backend=slow)
    results = []
    with running(lambda: results.append(halted(x)), [()]):
        assert inside.wait(120)
        child = os.fork()
        if child == 0:
            signal.alarm(120)
            go_on.set()
            fresh = framelift.compile(lambda x: x - 5, backend="eager")
            right = torch.equal(ready(x), x + 1) and torch.equal(fresh(x), x - 5) and bool(fresh.entries)
            os._exit(0 if right and torch.equal(halted(x), x * 3) else 1)
        go_on.set()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert torch.equal(results[0], g(x))
    assert len(halted.entries) == 1
