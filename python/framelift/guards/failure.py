"""Why a call missed an entry, as counters, logs and messages say it."""

from __future__ import annotations

from dataclasses import dataclass

from framelift.guards.kinds import Guard
from framelift.guards.sources import Source


@dataclass(frozen=True, slots=True)
class GuardFailure:
    """The first guard that did not hold. What was expected and found is text: nothing of the call is kept."""

    source: Source | None
    """None for what is not about one object: torch's state, aliasing, conditions on shapes."""
    guard: Guard | None
    expected: str
    found: str
    text: str
    """One line for the reader: ``x: expected tensor f32[8], found tensor f32[16]``."""

    def __str__(self) -> str:
        return self.text
