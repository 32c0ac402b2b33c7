"""``install``: programs that call ``torch.compile`` are compiled by framelift."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import framelift


@pytest.fixture
def installed() -> Iterator[None]:
    framelift.install()
    yield
    framelift.uninstall()


def test_torch_compile_is_ours_while_installed() -> None:
    own = torch.compile, torch.nn.Module.compile
    framelift.install()
    framelift.install()
    assert torch.compile is framelift.compile
    framelift.uninstall()
    assert (torch.compile, torch.nn.Module.compile) == own
    framelift.uninstall()
    assert (torch.compile, torch.nn.Module.compile) == own


def test_a_decorated_function_is_captured(installed: None) -> None:
    @torch.compile(backend="eager", fullgraph=True)
    def f(x: torch.Tensor) -> torch.Tensor:
        return x + 1

    framelift.reset()
    assert torch.equal(f(torch.ones(2)), torch.full((2,), 2.0))
    assert framelift.counters["graphs"].total() == 1


def test_module_compile_is_in_place(installed: None) -> None:
    module = torch.nn.Linear(2, 3)
    keys = list(module.state_dict())
    framelift.reset()
    x = torch.randn(4, 2)
    expected = module(x)
    module.compile(backend="eager", fullgraph=True)
    assert torch.equal(module(x), expected)
    assert framelift.counters["graphs"].total() == 1
    assert list(module.state_dict()) == keys


def test_what_another_package_put_there_stays() -> None:
    own = torch.compile
    framelift.install()
    try:
        other = lambda model: model  # noqa: E731
        torch.compile = other
        framelift.uninstall()
        assert torch.compile is other
    finally:
        torch.compile = own


def test_run_a_script(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import sys, torch, framelift\n"
        "@torch.compile(backend='eager')\n"
        "def f(x): return x * 2\n"
        "f(torch.ones(2))\n"
        "print(sys.argv[1:], __name__, framelift.counters['graphs'].total())\n"
    )
    command = [sys.executable, "-m", "framelift", "run", str(script), "--flag", "word"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "['--flag', 'word'] __main__ 1\n"
