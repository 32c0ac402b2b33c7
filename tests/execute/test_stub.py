"""``_native.pyi`` says what there is: the same names in the module and in each of its classes."""

from __future__ import annotations

import ast
from pathlib import Path

from framelift import _native

STUB = ast.parse(Path(_native.__file__).with_name("_native.pyi").read_text())


def names(body: list[ast.stmt]) -> set[str]:
    """What the statements define."""
    found = set()
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def public(defined: set[str]) -> set[str]:
    return {name for name in defined if not name.startswith("__")}


def test_module():
    assert public(names(STUB.body)) == public(set(vars(_native)))


def test_classes():
    classes = [statement for statement in STUB.body if isinstance(statement, ast.ClassDef)]
    for statement in classes:
        native_class = getattr(_native, statement.name)
        assert public(names(statement.body)) == public(set(vars(native_class))), statement.name
        assert native_class.__module__ == "framelift._native"
