"""Settings for all tests. Nothing here imports torch: the tests of decoding run on Pythons that have none."""

from __future__ import annotations

import gc
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def pytest_collection_finish(session: pytest.Session) -> None:
    """One thread, so that sums are equal bit by bit; and collections that skip what the imports have made."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
        torch.set_warn_always(True)
    gc.collect()
    gc.freeze()
