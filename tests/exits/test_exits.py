"""Each reason is reached by its program: it is counted, and the answer is CPython's; fullgraph raises it by
name."""

from __future__ import annotations

import pytest

import framelift
from framelift.observe import reasons
from tests.exits.programs import CASES, Case
from tests.harness import Mismatch, check
from tests.harness.inputs import arguments
from tests.harness.pairing import Pairing
from tests.harness.program import instantiate


def _rows() -> dict[str, reasons.Reason]:
    return {row.slug: row for row in reasons.every_reason() if row.code.startswith(("FL1", "FL2"))}


@pytest.mark.parametrize("slug", list(CASES))
def test_the_break_is_counted_under_its_reason(slug: str) -> None:
    case = CASES[slug]
    title = _rows()[slug].title
    check(case.program, *case.parts, graphs=None, breaks=None, recompiles=None, reason=title, **case.options)


@pytest.mark.parametrize("slug", [slug for slug, case in CASES.items() if case.whole])
def test_fullgraph_does_without_it(slug: str) -> None:
    check(CASES[slug].program, *CASES[slug].parts, fullgraph=True)


@pytest.mark.parametrize("slug", [slug for slug, case in CASES.items() if not case.whole])
def test_fullgraph_raises_it_and_leaves_the_arguments_alone(slug: str) -> None:
    case = CASES[slug]
    program = instantiate(case.program).call
    given, untouched = (arguments(case.parts, None)(0).positional for _ in range(2))
    compiled = framelift.compile(
        program, backend="eager", fullgraph=True, dynamic=case.options.get("dynamic")
    )
    with pytest.raises(framelift.exc.Unsupported) as caught, _around(case):
        compiled(*given)
    text, row = str(caught.value), _rows()[slug]
    assert row.title in text
    assert row.explanation in text
    assert all(hint in text for hint in row.hints)
    assert f'File "{program.__code__.co_filename}"' in text
    pairing = Pairing()
    pairing.inputs(untouched, given, "arguments")
    if pairing.differences:
        raise Mismatch("\n".join(pairing.differences))


def _around(case: Case):
    make = case.options.get("context")
    return make() if make else pytest.MonkeyPatch.context()


def test_every_reason_has_a_program():
    assert set(_rows()) == set(CASES)
