"""The table of ``torch_internals`` says where each name is; its files are loaded when they are asked."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from framelift import torch_internals

FOLDER = Path(torch_internals.__file__).parent
FILES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def defined(file: str) -> set[str]:
    """The public names that a file gives a meaning to."""
    names = set()
    for statement in ast.parse((FOLDER / f"{file}.py").read_text()).body:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("file", FILES)
def test_the_table_names_what_others_use_of_a_file(file):
    listed = {name for name, home in torch_internals._FILE_OF.items() if home == file}
    assert listed <= defined(file)
    assert listed
    for name in listed:
        found = getattr(torch_internals, name)
        assert found is getattr(sys.modules[f"framelift.torch_internals.{file}"], name)


def test_every_file_is_in_the_table():
    assert sorted(torch_internals._FILES) == FILES
    names = [name for names in torch_internals._FILES.values() for name in names.split()]
    assert len(names) == len(set(names))


def test_no_file_is_called_like_a_name():
    """The attribute of the package would be the file or the name, depending on who was first."""
    assert not set(FILES) & set(torch_internals._FILE_OF)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        torch_internals.no_such_name  # noqa: B018


def test_importing_framelift_loads_no_shapes():
    program = "import sys, torch; before = {*sys.modules}; import framelift; print(*{*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "framelift.torch_internals" in loaded
    assert not [name for name in loaded if name.startswith(("sympy", "framelift.torch_internals."))]
