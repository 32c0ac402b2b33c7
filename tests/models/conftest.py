"""``make stress`` runs all models, with breaks forced everywhere (``tests/harness/forced.py``)."""

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker("stress")
