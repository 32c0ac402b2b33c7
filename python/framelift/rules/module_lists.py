"""Lists of modules whose Python functions are inlined or skipped, as patterns.

The user's patterns come before ours, and in each pair the inline list before the skip list; what neither
names is inlined. ``"pkg.mod"`` names one module, ``"pkg.*"`` a package with everything below it; ``*``
elsewhere stands for any letters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import final

from framelift.observe.reasons import Reason
from framelift.rules.rule import Rule, RuleKind


@final
@dataclass(frozen=True, slots=True)
class Modules:
    """One rule for the Python functions of several modules; ``patterns`` are separated by spaces.

    ``breaks_with`` is the row of a break at their calls.
    """

    patterns: str
    kind: RuleKind
    reason: str
    breaks_with: Reason | None = None


def matches(pattern: str, module: str) -> bool:
    """Whether a pattern names a module."""
    if pattern.endswith(".*") and "*" not in pattern[:-2]:
        package = pattern[:-2]
        return module == package or module.startswith(package + ".")
    return module == pattern or ("*" in pattern and fnmatchcase(module, pattern))


INLINED_BY_DEFAULT = Rule(RuleKind.INLINE, "Python code is inlined", "default")


@final
@dataclass(slots=True)
class ModuleLists:
    """The patterns in force."""

    built_in: Iterable[Modules]
    inlined: dict[str, Rule] = field(default_factory=dict)
    skipped: dict[str, Rule] = field(default_factory=dict)

    def inline(self, pattern: str) -> None:
        """Adds to the user's inline list; the same pattern leaves the skip list."""
        self.skipped.pop(pattern, None)
        self.inlined[pattern] = Rule(RuleKind.INLINE, f"{pattern} is inlined", "framelift.rules.inline")

    def skip(self, pattern: str, reason: str) -> None:
        """Adds to the user's skip list; the same pattern leaves the inline list."""
        self.inlined.pop(pattern, None)
        self.skipped[pattern] = Rule(RuleKind.SKIP, reason, "framelift.rules.skip")

    def clear(self) -> None:
        """Forgets the user's patterns."""
        self.inlined.clear()
        self.skipped.clear()

    def user_rule(self, module: str) -> Rule | None:
        """What the user's patterns say of a module."""
        for rules in (self.inlined, self.skipped):
            for pattern, rule in rules.items():
                if matches(pattern, module):
                    return rule
        return None

    def rule(self, module: str) -> Rule:
        """The rule for a module's Python functions that have none of their own."""
        rule = self.user_rule(module)
        if rule is not None:
            return rule
        named = [rows for rows in self.built_in if any(matches(p, module) for p in rows.patterns.split())]
        for rows in sorted(named, key=lambda rows: rows.kind is not RuleKind.INLINE):
            return Rule(rows.kind, rows.reason, "rules/modules.py", breaks_with=rows.breaks_with)
        return INLINED_BY_DEFAULT
