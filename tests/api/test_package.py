"""The package itself: what it exports, what importing it loads, and its commands."""

import inspect
import subprocess
import sys

import torch

import framelift
from framelift import __main__ as command
from framelift import exc

HEAVY = ("torch._dynamo", "torch._inductor", "sympy", "transformers", "torchvision", "triton")
WHAT_IMPORT_LOADS = f"""
import sys, torch
before = set(sys.modules)
import framelift
print([name for name in {HEAVY} if name in set(sys.modules) - before])
"""


def test_everything_exported_is_there():
    for name in framelift.__all__:
        assert getattr(framelift, name) is not None
    assert framelift.config.verbose in (True, False)


def test_compile_takes_what_torch_compile_takes():
    ours = inspect.signature(framelift.compile).parameters
    theirs = inspect.signature(torch.compile).parameters
    for name, parameter in theirs.items():
        assert ours[name].kind is parameter.kind
        default = None if parameter.default == "inductor" else parameter.default  # its name before torch 2.12
        assert ours[name].default == default


def test_import_loads_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", WHAT_IMPORT_LOADS], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_importing_prints_and_warns_nothing():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import framelift"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_commands(capsys):
    assert command.main(["config"]) == 0
    assert "cache_size_limit" in capsys.readouterr().out
    assert command.main(["reasons", "fl107"]) == 0
    assert capsys.readouterr().out.startswith("FL107 data-dependent-branch: ")
    assert command.main(["reasons", "FL999"]) == 1
    assert "no reason FL999" in capsys.readouterr().err
    assert command.main(["reasons"]) == 0
    assert "### FL107 data-dependent-branch" in capsys.readouterr().out


def test_errors_are_importable_by_their_public_names():
    assert exc.Unsupported.__module__ == "framelift.observe.errors"
    assert framelift.exc is exc
