"""The table of reasons: rows are complete and unique, and every name that the package uses is there."""

import pathlib
import re

import pytest

from framelift.observe import reasons
from framelift.observe.reference import page

PACKAGE = pathlib.Path(reasons.__file__).parent.parent
ROWS = list(reasons.every_reason())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_row_reads_well(row):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row.slug)
    assert row.title
    assert not row.title.endswith(".")
    assert row.explanation.endswith(".")
    assert all(hint.rstrip("`").endswith((".", ")")) for hint in row.hints)


def test_every_row_has_a_name_by_which_it_can_be_raised():
    constants = [
        value for name, value in vars(reasons).items() if isinstance(value, reasons.Reason) and name.isupper()
    ]
    assert sorted(constants, key=lambda row: row.code) == ROWS


def test_a_taken_code_slug_or_title_is_refused():
    taken = reasons.LOCK
    for code, slug, title in (
        (taken.code, "new-slug", "New title"),
        ("FL199", taken.slug, "New title"),
        ("FL199", "new-slug", taken.title),
    ):
        with pytest.raises(ValueError, match="collides"):
            reasons.reason(code, slug, title, "Explanation.")
    assert reasons.find("FL199") is None


@pytest.mark.parametrize("code", ["FL901", "XX101", "FL1", "FL1001", "FL1x1"])
def test_a_code_outside_of_the_areas_is_refused(code):
    with pytest.raises(ValueError, match="a code is one of"):
        reasons.reason(code, "new-slug", "New title", "Explanation.")


def test_find():
    assert reasons.find("fl107") is reasons.DATA_DEPENDENT_BRANCH
    assert reasons.find("FL999") is None


def test_every_reason_that_the_package_names_exists():
    named = set()
    for path in PACKAGE.rglob("*.py"):
        named |= set(re.findall(r"\breasons\.([A-Z][A-Z_]+)\b", path.read_text()))
    named -= {"SOME_ROW"}
    assert named
    assert not {name for name in named if not isinstance(getattr(reasons, name, None), reasons.Reason)}


def test_page_has_each_row_under_the_anchor_that_messages_name():
    text = page()
    for row in ROWS:
        heading = row.anchor.split("#")[1].replace("-", " ", 1).upper().split(" ")[0]
        assert f"### {heading} {row.slug}\n" in text
        assert row.explanation in text
        assert row.anchor == f"docs/reasons.md#{row.code.lower()}-{row.slug}"


def test_the_documentation_is_this_page():
    """`python -m framelift reasons > docs/reasons.md` writes it."""
    assert (PACKAGE.parent.parent / "docs" / "reasons.md").read_text() == page()
