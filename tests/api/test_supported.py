"""Where framelift can't run, importing it says so, and what to do."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import torch

import framelift
from framelift import supported

SOURCES = pathlib.Path(framelift.__file__).parent.parent

NEEDED = "framelift needs CPython 3.11 to 3.13"
IN_A_SUBINTERPRETER = """
import sys
if {first}:
    import framelift
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters
try:
    failed = interpreters.run_string(interpreters.create(), "import framelift")
    print(failed.formatted)
except interpreters.RunFailedError as error:
    print(error)
"""


def imported(python: str, program: str = "import framelift", *flags: str, **environment: str) -> str:
    """What ``program`` prints in another process, the last line only."""
    done = subprocess.run(
        [python, *flags, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCES), **environment},
    )
    return (done.stdout + done.stderr).strip().rpartition("\n")[2]


@pytest.mark.parametrize(
    ("implementation", "version", "free_threaded", "part"),
    [
        ("CPython", "3.10.13", False, f"{NEEDED}; this is CPython 3.10.13"),
        ("CPython", "3.14.0", False, "python3.13 -m venv"),
        ("CPython", "3.14.0", True, NEEDED),
        ("CPython", "4.11.0", False, NEEDED),
        ("PyPy", "3.11.11", False, "this is PyPy 3.11.11"),
        ("CPython", "3.13.5", True, "python3.13 in place of python3.13t"),
    ],
)
def test_an_interpreter_that_is_refused(implementation, version, free_threaded, part):
    assert part in supported.about_interpreter(implementation, version, free_threaded=free_threaded)


@pytest.mark.parametrize("version", ["3.11.0", "3.12.1", "3.12.13", "3.13.0+", "3.13.5"])
def test_an_interpreter_that_is_supported(version):
    assert supported.about_interpreter("CPython", version, free_threaded=False) is None


@pytest.mark.parametrize(
    ("version", "part"),
    [
        (None, "has none. Install it: "),
        ("2.10.0+cu128", "this is 2.10.0+cu128. Install a newer one"),
        ("1.13.1", "pip install 'torch>=2.11,<2.16'"),
        ("2.16.0.dev20260101", "FRAMELIFT_UNTESTED_TORCH=1"),
        ("3.0.0", "Install a newer framelift"),
    ],
)
def test_a_torch_that_is_refused(version, part):
    assert part in supported.about_torch(version, allow_newer=False)


def test_a_newer_torch_on_request_and_no_older_one():
    assert supported.about_torch("2.16.0", allow_newer=True) is None
    assert supported.about_torch("2.10.0", allow_newer=True) is not None
    assert supported.about_torch(None, allow_newer=True) is not None


@pytest.mark.parametrize("version", ["2.11.0", "2.12.1+cpu", "2.15.0a0+git1234", torch.__version__])
def test_a_torch_that_is_supported(version):
    assert supported.about_torch(version, allow_newer=False) is None


def test_what_the_package_says_it_needs():
    """``pip`` refuses what importing would."""
    text = (SOURCES.parent / "pyproject.toml").read_text()
    assert f'"{supported.TORCH_REQUIREMENT}"' in text
    (first, least), (_, newest) = supported.PYTHONS[0], supported.PYTHONS[-1]
    assert f'requires-python = ">={first}.{least},<{first}.{newest + 1}"' in text


def test_without_torch():
    without = f"import sys; sys.path.insert(0, {str(SOURCES)!r}); import framelift"
    said = imported(sys.executable, without, "-I", "-S")
    assert said.startswith("ImportError: framelift needs PyTorch 2.11 to 2.15;")
    assert said.endswith("-m pip install 'torch>=2.11,<2.16'")


def test_an_old_torch(tmp_path):
    (tmp_path / "torch.py").write_text("__version__ = '2.10.0'")
    said = imported(sys.executable, PYTHONPATH=f"{tmp_path}{os.pathsep}{SOURCES}")
    assert said.startswith("ImportError: framelift needs PyTorch 2.11 to 2.15; this is 2.10.0.")


def test_a_torch_that_is_broken_says_so_itself(tmp_path):
    (tmp_path / "torch.py").write_text("import missing_part_of_torch")
    said = imported(sys.executable, PYTHONPATH=f"{tmp_path}{os.pathsep}{SOURCES}")
    assert said == "ModuleNotFoundError: No module named 'missing_part_of_torch'"


def test_without_the_native_extension(tmp_path):
    shutil.copytree(
        SOURCES / "framelift", tmp_path / "framelift", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    said = imported(sys.executable, PYTHONPATH=str(tmp_path))
    assert said.startswith("ImportError: framelift has no native extension for this interpreter (cpython-3")
    assert said.endswith(f"make build PYTHON={sys.executable}")


@pytest.mark.parametrize("first", [False, True], ids=["alone", "beside the main one"])
def test_in_a_subinterpreter(first):
    said = imported(sys.executable, IN_A_SUBINTERPRETER.format(first=first))
    assert said.endswith(supported.SUBINTERPRETER)
    assert "ImportError" in said


def refused_interpreters() -> list[str]:
    """Those of this machine from 3.8 on, if any: on the path or of pyenv."""
    homes = pathlib.Path.home().glob(".pyenv/versions/3.*/bin/python")
    names = [found for minor in (9, 10, 14, 15) if (found := shutil.which(f"python3.{minor}"))]
    refused = "from sys import exit, version_info as v; exit(v < (3, 8) or (3, 11) <= v < (3, 14))"
    found = [*names, *map(str, homes)]
    return [one for one in found if not subprocess.run([one, "-c", refused], capture_output=True).returncode]


def test_another_cpython():
    others = refused_interpreters()
    if not others:
        pytest.skip("this machine has no CPython that is refused")
    for other in others:
        assert imported(other).startswith(f"ImportError: {NEEDED}; this is CPython 3.")
