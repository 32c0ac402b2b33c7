"""What a call costs on the host: eager, ``torch.compile`` and framelift side by side, hot and with cold
caches.

    pytest bench/overhead.py                                    all rows
    pytest bench/overhead.py -k "hot and linear"                some
    pytest bench/overhead.py --benchmark-json=overhead.json     then: python bench/compare.py overhead.json

Hot: the call in a loop; look at the minimum. Cold: 256 MiB are written before every call, which throws the
program out of the processor's caches as the rest of a server does; look at the median. One thread, no
gradients.
Both compilers use the backend that runs the graph as it is (or one that does nothing, where a row says
so), so the difference between them is entry, guards and dispatch. After the rows that measure guards alone,
one fact of each kind is changed: the guards must notice.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator

import pytest
import torch
from workloads import Row, Stack, changes, nothing, rows

import framelift

COMPILERS = ("eager", "torch.compile", "framelift")
COLD_CALLS = 40
KEPT_RESULTS = 64
NAMES = [row.name for row in rows()]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """No gradients, one thread, empty caches."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.compiler.reset()
    framelift.reset()
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def junk() -> torch.Tensor:
    """Larger than any processor's cache."""
    return torch.zeros(1 << 26)


def compiled(row: Row, compiler: str) -> Callable[..., object]:
    """``row``'s program under one compiler, called often enough to be warm."""
    backend = nothing if row.empty_backend else "eager"
    match compiler:
        case "eager":
            call = row.call
        case "torch.compile":
            call = torch.compile(row.call, backend=backend)
        case "framelift":
            call = framelift.compile(row.call, backend=backend)
    expected, result = row.call(*row.arguments), call(*row.arguments)
    torch.testing.assert_close(result, expected, rtol=0, atol=0)
    for _ in range(10):
        call(*row.arguments)
    return call


def keeping(call: Callable[..., object]) -> Callable[..., object]:
    """``call`` for a caller that holds its last results."""
    keep = collections.deque(maxlen=KEPT_RESULTS).append
    return lambda *arguments: keep(call(*arguments))


def chosen(name: str, compiler: str) -> Row:
    row = next(row for row in rows() if row.name == name)
    if row.empty_backend and compiler == "eager":
        pytest.skip("eager has no guards to measure alone")
    return row


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", NAMES)
def test_hot(benchmark: Callable[..., object], name: str, compiler: str) -> None:
    row = chosen(name, compiler)
    call = compiled(row, compiler)
    benchmark.group = f"{name} (hot)"
    benchmark.extra_info.update(row=name, compiler=compiler, caches="hot")
    benchmark(keeping(call) if row.keep_results else call, *row.arguments)
    if compiler == "framelift" and isinstance(row.call, Stack):
        check_guards(call, row)


def check_guards(call: Callable[..., object], row: Row) -> None:
    """What was measured is guards: each fact that changes is noticed."""
    with framelift.config.patch(cache_size_limit=100):
        for name, change in changes(row.call):
            change()
            before = framelift.counters["frames"]["total"]
            call(*row.arguments)
            assert framelift.counters["frames"]["total"] > before, (
                f"{name} has changed, and nothing was compiled"
            )


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", NAMES)
def test_cold(benchmark: Callable[..., object], junk: torch.Tensor, name: str, compiler: str) -> None:
    row = chosen(name, compiler)
    call = compiled(row, compiler)

    def evict() -> tuple[tuple, dict[str, object]]:
        junk.add_(1)
        return row.arguments, {}

    benchmark.group = f"{name} (cold)"
    benchmark.extra_info.update(row=name, compiler=compiler, caches="cold")
    benchmark.pedantic(call, setup=evict, rounds=COLD_CALLS, iterations=1)
