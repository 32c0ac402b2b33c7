"""Threads for tests: all at once, and changed as often as CPython can."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def running(run: Callable[..., object], arguments: Iterable[tuple[object, ...]]) -> Iterator[None]:
    """A thread for each of ``arguments`` calls ``run`` while the block runs; all have ended behind it."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=run, args=each) for each in arguments]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)


def run_in_threads(run: Callable[..., object], arguments: Iterable[tuple[object, ...]]) -> None:
    """``run`` with each of ``arguments``, in threads that have ended afterwards."""
    with running(run, arguments):
        pass
