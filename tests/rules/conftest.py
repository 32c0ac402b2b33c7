"""Rules are process-wide: each test starts and ends with the tables alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from framelift import rules


@pytest.fixture(autouse=True)
def _tables_alone() -> Iterator[None]:
    rules.reset()
    yield
    rules.reset()
