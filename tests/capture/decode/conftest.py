"""The tests of decoding run on every CPython that is supported, also on one that has no torch: there the
packages around ``decode``, which import it, are replaced by empty ones."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PYTHON_SOURCES = Path(__file__).resolve().parents[3] / "python"


def pytest_addoption(parser: pytest.Parser) -> None:
    try:
        parser.addoption("--update", action="store_true", help="rewrite the expectations of text cases")
    except ValueError:
        pass  # the option is there already


if importlib.util.find_spec("torch") is None:
    for package in ("framelift", "framelift.capture"):
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = [str(PYTHON_SOURCES / package.replace(".", "/"))]
