"""What ``check`` gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.harness.compiler import Counts


@dataclass(frozen=True, slots=True)
class Report:
    """What was compiled, for tests that look closer."""

    compiled: Callable
    counts: Counts
    operators: list[str]
