"""The tables by module, and registering a module's rows when it is first met."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from types import ModuleType
from typing import final

from framelift.rules import framelift_functions, pure, standard_library, torch_functions, torch_state
from framelift.rules.rows import PureNames, Rows, is_loading, loaded_module, named_objects, rule_of
from framelift.rules.rule import Rule

TABLES: dict[str, tuple[Rows, ...]] = {
    "torch_functions": torch_functions.TABLE,
    "torch_state": torch_state.TABLE,
    "standard_library": standard_library.TABLE,
    "framelift_functions": framelift_functions.TABLE,
}
"""Every table by the name of its file."""


@final
class Registry:
    """Which modules' rows have been turned into rules of objects.

    ``assign`` and ``assign_pure`` are told the objects. A module that is not loaded, or still running its
    body, is asked again at its next object.
    """

    def __init__(self, assign: Callable[[object, Rule], None], assign_pure: Callable[[object], None]) -> None:
        self._assign = assign
        self._assign_pure = assign_pure
        self._rows: dict[str, list[tuple[str, Rule]]] = defaultdict(list)
        for table, rows_of_table in TABLES.items():
            for rows in rows_of_table:
                rule = rule_of(rows, table)
                self._rows[rows.module].extend((name, rule) for name in rows.names.split())
        self._pure: dict[str, list[PureNames]] = defaultdict(list)
        for names in pure.PURE:
            self._pure[names.module].append(names)
        self._settled: set[str] = set()

    def clear(self) -> None:
        """Every module's rows will be registered again."""
        self._settled.clear()

    def settle(self, module_names: Iterable[str]) -> tuple[bool, bool]:
        """Registers these modules; whether any was new, and whether all are done for good."""
        news, settled = False, True
        for name in module_names:
            if name in self._settled:
                continue
            if name not in self._rows and name not in self._pure:
                self._settled.add(name)
                continue
            module = loaded_module(name)
            if module is None:
                settled = False
                continue
            news = True
            self._register(module, name)
            if is_loading(module):
                settled = False
            else:
                self._settled.add(name)
        return news, settled

    def _register(self, module: ModuleType, name: str) -> None:
        # A name written out is the last word over one with a star.
        for row, rule in sorted(self._rows.get(name, ()), key=lambda row: "*" not in row[0]):
            for found in named_objects(module, row):
                self._assign(found, rule)
        for names in self._pure.get(name, ()):
            but_not = names.but_not.split()
            for row in names.names.split():
                prefix = row.rpartition(".")[0]
                for found in named_objects(module, row):
                    full = ".".join(filter(None, (prefix, getattr(found, "__name__", ""))))
                    if not any(fnmatchcase(full, pattern) for pattern in but_not):
                        self._assign_pure(found)
