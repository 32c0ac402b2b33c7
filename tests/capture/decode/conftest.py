"""The option of the text cases."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    try:
        parser.addoption("--update", action="store_true", help="rewrite the expectations of text cases")
    except ValueError:
        pass  # the option is there already
