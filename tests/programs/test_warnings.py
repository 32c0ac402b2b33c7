"""Warnings are no breaks: they are given when the segment has run, for the line and the module that gave
them."""

import functools
import warnings

import pytest
import torch

import framelift
from framelift.observe import reasons
from tests.harness import check, floats


class Odd(UserWarning):
    """A category of the program."""


def careful(x):
    y = x * 2
    warnings.warn(f"rows: {x.shape[0]}", stacklevel=1)
    return y + 1


def helper(level):
    warnings.warn("from the helper", Odd, stacklevel=level)


def of_the_caller(x):
    helper(2)
    helper(1)
    return x + 1


def several(x):
    for number in range(3):
        warnings.warn("again", DeprecationWarning, 1)
        warnings.warn(str(number), category=Odd, stacklevel=0)
    return x.sin()


@pytest.mark.parametrize("program", [careful, of_the_caller, several])
def test_a_warning(program):
    check(program, floats(3))


def given(function, *filters):
    """What is shown of the warnings of three calls, and where, under these filters, the last one first."""
    globals().pop("__warningregistry__", None)
    shown = []
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, category, file, line, *_: shown.append(
            (str(message), category, file, line)
        )
        warnings.resetwarnings()
        for arguments in filters:
            warnings.filterwarnings(**arguments)
        for _ in range(3):
            try:
                function(torch.ones(3))
            except Warning as error:
                shown.append((str(error), type(error), "raised", error.__traceback__.tb_next.tb_lineno))
    return shown


FILTERS = {
    "none": (),
    "always": ({"action": "always"},),
    "once": ({"action": "once"},),
    "error": ({"action": "error"},),
    "by category": ({"action": "always"}, {"action": "ignore", "category": Odd}),
    "by text": ({"action": "always"}, {"action": "ignore", "message": "from|1"}),
    "by module": ({"action": "ignore"}, {"action": "always", "module": __name__.replace(".", r"\\.")}),
    "another module's error": ({"action": "always"}, {"action": "error", "module": "another"}),
    "by line": ({"action": "always"}, {"action": "ignore", "lineno": 21}),
    "an error of one kind": ({"action": "always"}, {"action": "error", "category": Odd}),
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("program", [careful, of_the_caller, several])
def test_filters(program, name):
    compiled = framelift.compile(program, backend="eager")
    expected = given(program, *FILTERS[name])
    assert given(compiled, *FILTERS[name]) == expected


def test_filters_are_facts():
    compiled = framelift.compile(of_the_caller, backend="eager")
    for name in (*FILTERS, *FILTERS):
        assert given(compiled, *FILTERS[name]) == given(of_the_caller, *FILTERS[name])


def test_an_error_is_handled_by_the_program():
    def f(x):
        try:
            warnings.warn("now", Odd, stacklevel=1)
        except Odd as error:
            return x * 2, str(error)
        return x + 1, ""

    compiled = framelift.compile(f, backend="eager")
    for action in ("error", "ignore", "error"):
        with warnings.catch_warnings():
            warnings.simplefilter(action)
            (number, text), (wanted, message) = compiled(torch.ones(3)), f(torch.ones(3))
        torch.testing.assert_close(number, wanted)
        assert text == message


OTHERS = {
    "a warning object": lambda: warnings.warn(Odd("text"), stacklevel=1),
    "a source": lambda: warnings.warn("text", source=[], stacklevel=1),
    "the caller's frame": functools.partial(helper, 3),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_left_to_cpython(name):
    def f(x):
        y = x + 1
        OTHERS[name]()
        return y * 2

    check(f, floats(3), graphs=None, breaks=None, runs=None, recompiles=None, fullgraph=False)


def test_a_text_that_may_change_is_given_at_once():
    def f(x):
        y = x + 1
        warnings.warn(f"sum {y}", stacklevel=1)
        return y.mul_(2)

    check(f, floats(3), graphs=None, breaks=None, recompiles=None)


def test_the_reason():
    def f(x):
        warnings.warn("text", stacklevel=2)
        return x + 1

    report = check(f, floats(3), graphs=1, breaks=1, fullgraph=False)
    assert set(report.counts.breaks) == {reasons.LIVE_FRAME.title}
