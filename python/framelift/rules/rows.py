"""Rows of the tables, and the objects they name.

A row names callables by the module they were written in, because that is what an object met during capture
can tell: a function by its globals, a C function by its ``__module__``, a descriptor by its class. The rows
of a module are turned into objects when the first object of that module is looked up; a row never imports
anything, and one whose object this torch or Python does not have says nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import ModuleType
from typing import final

from framelift.observe.reasons import Reason
from framelift.rules.rule import Rule, RuleKind


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """One rule for several callables of one module.

    ``names`` are separated by spaces; ``Class.method`` reaches into a class, ``*`` stands for any letters. A
    name written out takes precedence over one with a star. ``breaks_with`` is the row of a break at their
    calls.
    """

    module: str
    names: str
    kind: RuleKind
    reason: str
    breaks_with: Reason | None = None
    state_setter: bool = False
    constant_result: bool = False
    reads_setting: bool = False
    recursive: bool = False


@final
@dataclass(frozen=True, slots=True)
class PureNames:
    """Callables of one module without effects, whose results depend on their arguments alone."""

    module: str
    names: str
    but_not: str = ""


def rule_of(rows: Rows, table: str) -> Rule:
    """The rule these rows stand for; ``table`` is the file that holds them."""
    return Rule(
        rows.kind,
        rows.reason,
        f"rules/{table}.py",
        state_setter=rows.state_setter,
        constant_result=rows.constant_result,
        reads_setting=rows.reads_setting,
        recursive=rows.recursive,
        breaks_with=rows.breaks_with,
    )


def loaded_module(name: str) -> ModuleType | None:
    """The module of this name if it is loaded, also one that is only an attribute of its package."""
    module = sys.modules.get(name)
    if module is None and "." in name:
        package, _, last = name.rpartition(".")
        parent = loaded_module(package)
        module = vars(parent).get(last) if parent is not None else None
    return module if isinstance(module, ModuleType) else None


def is_loading(module: ModuleType) -> bool:
    """Whether the module's body is still running: rows may name what it has yet to define."""
    return bool(getattr(vars(module).get("__spec__"), "_initializing", False))


def named_objects(module: ModuleType, name: str) -> Iterator[object]:
    """The callables a row's name stands for, without making a module's lazy attributes."""
    owner: object = module
    *path, last = name.split(".")
    for part in path:
        owner = vars(owner).get(part)
        if not isinstance(owner, type):
            return
    for attribute, value in list(vars(owner).items()):
        if attribute == last or ("*" in last and fnmatchcase(attribute, last)):
            # By the exact type: `isinstance` asks `__class__`, which some modules answer with a warning.
            function = value.__func__ if type(value) in (staticmethod, classmethod) else value
            if callable(function):
                yield function
