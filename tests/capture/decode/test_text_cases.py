"""What is printed of decoded functions; ``pytest tests/capture/decode --update`` rewrites it."""

from __future__ import annotations

import pytest

from tests.capture.decode import text_cases


@pytest.fixture(scope="session", autouse=True)
def _updated(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update", default=False):
        text_cases.update()


@pytest.mark.parametrize("case", text_cases.all_cases(), ids=lambda case: f"{case.file.stem}-{case.name}")
def test_text_case(case: text_cases.Case) -> None:
    if not case.runs_here:
        pytest.skip(f"its syntax is new in CPython {case.since}")
    [current] = [again for again in text_cases.read(case.file) if again.name == case.name]
    assert case.printed() == current.expected.get(text_cases.RUNNING)
