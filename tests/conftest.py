"""Settings for all tests.

Nothing here imports torch: the tests of frames and of decoding run on every CPython that is supported, also
on one that has no torch. There the packages around what they test, which import it, are replaced by empty
ones.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON_SOURCES = ROOT / "python"
sys.path.insert(0, str(ROOT))

if importlib.util.find_spec("torch") is None:
    for package in ("framelift", "framelift.capture"):
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = [str(PYTHON_SOURCES / package.replace(".", "/"))]


MANY = 100_000
"""So many old objects make a collection slow, and most tests ask for one."""


def pytest_runtest_teardown() -> None:
    """What tests and the libraries that they load have left for good is out of the collector's sight."""
    if len(gc.get_objects(2)) > MANY:
        gc.collect()
        gc.freeze()


def pytest_sessionfinish() -> None:
    """Everything can be freed when the process ends: what is not would be reported as leaked."""
    gc.unfreeze()


def pytest_collection_finish(session: pytest.Session) -> None:
    """One thread, so that sums are equal bit by bit; and collections that skip what the imports have made."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
        torch.set_warn_always(True)
    gc.collect()
    gc.freeze()
