"""Which of many live entries is it? The cost of a call when 1, 8 or 64 of them are used in turn.

    pytest bench/lookup.py

The entries differ in a string argument, in the size of a tensor, or in a global string. The backend computes
nothing, so that what is measured is finding the entry. Look at the minimum; it is the time of all calls of a
round: divide by their number.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from workloads import nothing

import framelift

COMPILERS = {"torch.compile": torch.compile, "framelift": framelift.compile}
KEYS: dict[str, Callable[[int], tuple]] = {
    "strings": lambda k: (torch.ones(2), f"key {k}", "mode"),
    "sizes": lambda k: (torch.ones(k + 2), "key", "mode"),
    "globals": lambda k: (torch.ones(2), "key", f"mode {k}"),
}
MODE = ""
"""Set before each call."""


@pytest.mark.parametrize("entries", [1, 8, 64])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_lookup(benchmark, monkeypatch, compiler, key, entries):
    """One round calls every entry once."""
    monkeypatch.setattr(framelift.config, "cache_size_limit", 100)
    torch.compiler.reset()
    calls = [KEYS[key](k) for k in range(entries)]

    def program(x, key):
        return x + 1 if key and MODE else x

    with torch.no_grad(), torch.compiler.config.patch(recompile_limit=100):
        compiled = COMPILERS[compiler](program, backend=nothing, dynamic=False)

        def turn():
            global MODE
            for x, key, mode in calls:
                MODE = mode
                compiled(x, key)

        turn()
        turn()
        benchmark(turn)
    benchmark.extra_info["calls"] = entries
