"""Counters: what happened how often, since the process began or ``framelift.reset()``.

``framelift.counters["graph_break"]`` is a ``Counter`` by reason; the other groups are in ``GROUPS``. Counting
happens where something is compiled or given up, never on the way of a call that is served from the cache.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict

GROUPS = {
    "frames": "captures begun (`total`) and those that gave an entry (`ok`)",
    "graphs": "graphs compiled, by backend",
    "graph_break": "calls or parts of calls left to CPython, by title of the reason",
    "recompiles": "captures of a function that had entries already, by the guard that failed",
    "limits": "functions that reached a limit on their entries, by name",
    "fallbacks": "calls that CPython had to repeat or take over after a failure, by what failed",
}


class Counters(defaultdict[str, "Counter[str]"]):
    """The groups by name. ``clear()`` empties them all."""

    def __init__(self) -> None:
        super().__init__(Counter)
        self.clear()

    def clear(self) -> None:
        """Every group, empty."""
        super().clear()
        self.update({group: Counter() for group in GROUPS})

    def __repr__(self) -> str:
        return "\n".join(f"{group}: {dict(self[group])}" for group in self)


counters = Counters()


def count(group: str, name: str, number: int = 1) -> None:
    """Add to a counter, from any thread."""
    if group not in GROUPS:
        raise KeyError(f"no group of counters {group!r}; there are {', '.join(GROUPS)}")
    with _lock:
        counters[group][name] += number


# Re-entrant: a finaliser may run inside the addition and compile something.
_lock = threading.RLock()


def _unlock_after_fork() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_unlock_after_fork)
