"""What ``check`` gives back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.harness.compiler import Counts


@dataclass(frozen=True, slots=True)
class Report:
    """What was compiled, for tests that look closer."""

    compiled: Callable
    counts: Counts
    operators: list[str]
    runs: int | None
    """How often a graph was run, None where only the backend knows."""

    @property
    def calls(self) -> Counter[str]:
        """How often the graphs call each operator, without the numbers that they give to its calls."""
        return Counter(name.rstrip("0123456789").rstrip("_") for name in self.operators)
