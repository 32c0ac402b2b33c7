"""The walks in docs/architecture.md go through functions that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEFINED = r"(\bdef|\bfn) {0}\b|^{0}\("


def steps() -> list[tuple[str, str]]:
    """File and function of each step; a row without a file is in that of the row before."""
    text = (ROOT / "docs/architecture.md").read_text()
    walks = text.partition("\n## Three walks\n")[2].partition("\n## ")[0]
    found, file = [], ""
    for first, second in re.findall(r"^\| *(?:`([^`]+)`)? *\| (`[^|]+`) \|", walks, re.MULTILINE):
        file = first or file
        found += [(file, function) for function in re.findall(r"`([^`]+)`", second)]
    return found


STEPS = steps()


@pytest.mark.parametrize(("file", "function"), dict.fromkeys(STEPS))
def test_a_step_exists(file, function):
    text = (ROOT / file).read_text()
    assert re.search(DEFINED.format(function), text, re.MULTILINE), f"{file} has no {function}"


def test_there_are_steps():
    assert len(STEPS) > 40
