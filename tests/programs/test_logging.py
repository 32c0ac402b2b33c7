"""Log records are written when the segment has run, as CPython would have written them."""

import functools
import io
import logging

import pytest
import torch

import framelift
from framelift.observe import reasons
from tests.harness import check, floats, fresh, made

LOGGER = logging.getLogger("tests.programs.logging")
FORMAT = "%(levelname)s %(filename)s:%(lineno)d %(funcName)s %(message)s"


def counts_rows(x):
    y = x.sin()
    LOGGER.warning("rows: %d", y.shape[0])
    return y.cos()


def in_a_callee(x):
    def note(level, text, *values):
        LOGGER.log(level, text, *values)

    for step in range(2):
        note(logging.ERROR, "step %s of %r, %.1f", step, (x.dtype, "two", None), 0.25)
        x = x + step
    return x


def quietly(x):
    LOGGER.info("not even written: %s", x)
    LOGGER.debug("nor this")
    return x + 1 if LOGGER.isEnabledFor(logging.INFO) else x - 1


def in_order(x):
    print("first")
    LOGGER.error("second")
    print("third")
    return x * 2


@pytest.fixture
def text():
    """What the logger writes, with the place and the function that the record names."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(FORMAT))
    LOGGER.addHandler(handler)
    LOGGER.propagate = False
    yield stream
    LOGGER.removeHandler(handler)
    LOGGER.propagate = True
    LOGGER.setLevel(logging.NOTSET)


def written(text, call, *arguments) -> list[str]:
    """The lines that a call logs."""
    text.seek(0)
    text.truncate()
    call(*arguments)
    return text.getvalue().splitlines()


PROGRAMS = [counts_rows, in_a_callee, quietly, in_order]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_record_is_no_break(program):
    check(program, floats(3))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_record_is_what_it_would_have_been(program, text):
    compiled = framelift.compile(program, backend="eager", fullgraph=True)
    x = torch.ones(3)
    expected = written(text, program, x)
    assert [written(text, compiled, x) for _ in range(3)] == [expected] * 3


def test_sizes_stay_open():
    check(counts_rows, made(lambda k: torch.ones(k + 3)), graphs=2, recompiles=1, calls=4)


def test_levels_are_facts(text):
    compiled = framelift.compile(quietly, backend="eager")
    x = torch.ones(3)
    LOGGER.setLevel(logging.ERROR)
    assert written(text, compiled, x) == []
    assert torch.equal(compiled(x), x - 1)
    LOGGER.setLevel(logging.DEBUG)
    assert written(text, compiled, x) == written(text, quietly, x)
    assert torch.equal(compiled(x), x + 1)
    logging.disable(logging.INFO)
    try:
        assert written(text, compiled, x) == []
        assert torch.equal(compiled(x), x - 1)
    finally:
        logging.disable(logging.NOTSET)


CHANGING = {
    "tensor": lambda x: LOGGER.error("x: %s", x),
    "list": lambda x: LOGGER.error("list: %s", [1, 2]),
    "dict": lambda x: LOGGER.error("%(a)s", {"a": 1}),
    "exception": lambda x: LOGGER.error("now", exc_info=True),
    "caller's caller": lambda x: LOGGER.error("now", stacklevel=2),
}


@pytest.mark.parametrize("name", CHANGING)
def test_what_may_change_is_written_at_once(name, text):
    def f(x):
        y = x + 1
        CHANGING[name](y)
        return y.mul_(2)

    report = check(f, floats(3), graphs=2, breaks=1)
    assert set(report.counts.breaks) == {reasons.INPUT_OUTPUT.title}


def test_a_memoised_warning_is_given_once(text):
    def build():
        @functools.lru_cache(None)
        def once(logger, message):
            logger.warning(message)

        def f(x):
            once(LOGGER, "only once")
            once(LOGGER, "this, too")
            once(LOGGER, "only once")
            return x + 1

        return f

    check(fresh(build), floats(3))
    x, program, compiled = torch.ones(3), build(), framelift.compile(build(), backend="eager")
    first = written(text, program, x)
    assert len(first) == 2
    assert written(text, compiled, x) == first
    assert written(text, compiled, x) == []


def test_a_memoised_method_that_prints():
    def build():
        class Notes:
            @functools.lru_cache(None)  # noqa: B019
            def note(self, message):
                print(message)

            @functools.lru_cache(None)  # noqa: B019
            def twice(self, number):
                return number * 2

        notes = Notes()

        def f(x):
            return x * notes.twice(3) + Notes.twice(notes, 4)

        return f

    check(fresh(build), floats(3))


def test_a_memoised_function_with_effects_is_left_to_cpython():
    def build():
        seen = []

        @functools.lru_cache(None)
        def remember(number):
            seen.append(number)
            return number * 2

        def f(x):
            y = x.sin() * remember(3)
            return y.cos() + len(seen)

        return f

    check(fresh(build), floats(3), graphs=None, breaks=1, recompiles=None)
