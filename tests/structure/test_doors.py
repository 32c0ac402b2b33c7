"""Doors: which room may import which, who may use what PyTorch does not promise, and where versions differ.

The rooms are those of docs/architecture.md. Imports for types alone don't count: nothing runs because of
them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import framelift

PACKAGE = Path(framelift.__file__).parent
ROOT = PACKAGE.parents[1]
FILES = sorted(PACKAGE.rglob("*.py"))

EVERYBODYS = {"_native", "config", "observe", "torch_internals"}
ROOMS = {
    "observe": set(),
    "torch_internals": set(),
    "rules": {"module"},
    "guards": {"marks"},
    "graph": set(),
    "capture": {"guards", "graph", "rules", "children", "controls", "marks", "module"},
    "codegen": {"graph"},
}
"""What the files of a room may import besides the room itself and what is everybody's."""

EXCEPTIONS = {
    ("codegen/piece.py", "guards"): "a part of a graph is captured anew, and its inputs have sources, too",
}

OTHERS = {
    "api": {"arguments", "module"},
    "arguments": set(),
    "children": {"rules"},
    "config": set(),
    "controls": {"module", "rules"},
    "exc": set(),
    "installation": {"api"},
    "marks": set(),
    "module": set(),
}
"""The same for files beside the rooms. ``pipeline`` knows all of them, and only the user's side knows it."""


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The modules that a file imports when it runs, with the lines."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending += node.orelse
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        pending += ast.iter_child_nodes(node)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    return name_of(path).partition("/")[0].removesuffix(".py")


@pytest.mark.parametrize("room", [*ROOMS, *OTHERS])
def test_a_room_imports_what_it_may(room):
    allowed = {**ROOMS, **OTHERS}[room] | EVERYBODYS | {room}
    found = set()
    for path in FILES:
        if room_of(path) != room:
            continue
        for module, _ in imports(ast.parse(path.read_text())):
            package, _, rest = module.partition(".")
            target = rest.partition(".")[0]
            if package == "framelift" and target not in allowed:
                found.add((name_of(path), target))
    assert found == {key for key in EXCEPTIONS if key[0].partition("/")[0] == room}


def test_every_file_is_in_a_room():
    outside = {"__init__", "__main__", "pipeline", "supported"}
    assert {room_of(path) for path in FILES} == {*ROOMS, *OTHERS, *outside}


def private_names(path: Path) -> Iterator[tuple[str, int]]:
    """Names of torch with an underscore that a file uses, or imports."""
    tree = ast.parse(path.read_text())
    known = {"torch": "torch"}
    for module, line in imports(tree):
        if module.partition(".")[0] == "torch":
            known[module.rpartition(".")[2]] = module
            if re.search(r"\._(?!_)", module):
                yield module, line
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner, _, rest = ast.unparse(node).partition(".")
            if owner in known:
                yield f"{known[owner]}.{rest}", node.lineno


def test_what_pytorch_does_not_promise_is_used_in_one_folder():
    used = {
        f"{name_of(path)}:{line}: {name}"
        for path in FILES
        if room_of(path) != "torch_internals"
        for name, line in private_names(path)
    }
    assert not used


def test_the_folder_uses_it():
    """So that the test before it can fail."""
    found = {name for path in FILES if room_of(path) == "torch_internals" for name, _ in private_names(path)}
    assert "torch._C._dispatch_keys" in found
    assert "torch._guards.Source" in found


VERSION_TESTS = {
    ".py": r"sys\.(version_info|hexversion)|platform\.python_version|torch\.(version\.)?__version__",
    ".h": r"PY_VERSION_HEX|PY_MINOR_VERSION",
    ".c": r"PY_VERSION_HEX|PY_MINOR_VERSION",
    ".rs": r"\bcfg!?\((not\()?Py_3_|PY_VERSION_HEX",
}
MAY_TEST_VERSIONS = {
    "python/framelift/supported.py": "says which versions are supported",
    "python/framelift/capture/decode/__init__.py": "takes the spelling of instructions",
    "csrc/frame.h": "takes the shape of frames",
    "rust/src/guards/iterators.rs": "the fields of an iterator over a range are others since 3.12",
    "rust/src/guards/python.rs": "the dictionary of a class is asked for since 3.12, and was a field before",
    "rust/src/guards/watchers.rs": "there are watchers since 3.12",
}


def test_versions_are_asked_for_where_they_differ():
    found = {}
    for folder in ("python", "csrc", "rust"):
        for path in sorted((ROOT / folder).rglob("*")):
            pattern = VERSION_TESTS.get(path.suffix)
            if pattern and re.search(pattern, path.read_text()):
                found[path.relative_to(ROOT).as_posix()] = True
    assert sorted(found) == sorted(MAY_TEST_VERSIONS)
