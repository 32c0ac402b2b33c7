"""Programs with graph breaks under a debugger, a tracer, a profiler: what those see is what CPython shows.

Each watcher sees a call before anything is compiled, and calls that find everything compiled.
"""

from __future__ import annotations

import cProfile
import functools
import pstats
import sys
import trace
import traceback
from collections.abc import Callable

import pytest
import torch

import framelift

CALLS = 3


def helper(x: torch.Tensor, number: int) -> torch.Tensor:
    y = x * number
    framelift.graph_break()
    return y + 1


def breaks(x, number):
    total = x.sin()
    for i in range(2):
        total = total + helper(x, number)
    try:
        framelift.graph_break()
        raise ValueError(number)
    except ValueError as error:
        number = error.args[0]
    return total.cos(), number


def breaks_in_a_manager(x, number):
    with torch.no_grad():
        y = helper(x, number)
    made = [helper(y, i) for i in range(2)]
    return made[1], number


def events_of(install: Callable, call: Callable) -> list[tuple]:
    """Events in this file's functions."""
    found: list[tuple] = []

    def watch(frame, event, argument):
        if frame.f_code.co_filename != __file__:
            return None
        found.append((event, frame.f_code.co_qualname, frame.f_lineno))
        return watch

    before = sys.gettrace() if install is sys.settrace else sys.getprofile()
    install(watch)
    try:
        call()
    finally:
        install(before)
    return found


def traced(call: Callable) -> object:
    return events_of(sys.settrace, call)


def profiled(call: Callable) -> object:
    return events_of(sys.setprofile, call)


def counted_by_cprofile(call: Callable) -> object:
    profile = cProfile.Profile()
    profile.runcall(call)
    stats = pstats.Stats(profile).stats
    return {place[2]: calls[:2] for place, calls in stats.items() if place[0] == __file__}


def covered(call: Callable) -> object:
    """How often each line runs, as tools for coverage count it."""
    tracer = trace.Trace(count=1, trace=0)
    before = sys.gettrace()
    try:
        tracer.runfunc(call)
    finally:
        sys.settrace(before)
    return {line: count for (file, line), count in tracer.results().counts.items() if file == __file__}


@pytest.mark.parametrize("watcher", [traced, profiled, counted_by_cprofile, covered])
@pytest.mark.parametrize("program", [breaks, breaks_in_a_manager])
def test_a_watcher_of_the_whole_call(program, watcher):
    x = torch.ones(2)
    expected = watcher(functools.partial(program, x, 3))
    result = program(x, 3)
    framelift.reset()
    compiled = framelift.compile(program, backend="eager")
    assert expected
    for _ in range(CALLS):
        assert watcher(functools.partial(compiled, x, 3)) == expected
        found = compiled(x, 3)
        assert torch.equal(found[0], result[0])
        assert found[1] == result[1]
    assert framelift.counters["graphs"].total() >= 2


def test_breakpoint(monkeypatch):
    """The hook is called in the frame of the program, with its locals and line."""
    seen: list[tuple] = []

    def hook(*arguments: object) -> None:
        frame = sys._getframe(1)
        seen.append((arguments, frame.f_code.co_name, frame.f_lineno, sorted(frame.f_locals)))

    def stops(x, number):
        y = x * number
        breakpoint()
        names = []
        for i in range(2):
            names.append(i)
            breakpoint(i)
        return y + number

    monkeypatch.setattr(sys, "breakpointhook", hook)
    x = torch.ones(2)
    result = stops(x, 3)
    expected, seen[:] = list(seen), []
    framelift.reset()
    compiled = framelift.compile(stops, backend="eager")
    for _ in range(CALLS):
        assert torch.equal(compiled(x, 3), result)
        assert seen == expected
        seen.clear()
    assert framelift.counters["graphs"].total() == 2


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile])
def test_a_watcher_that_starts_and_ends_inside(install):
    """From the break on that installs it, up to the one that removes it."""
    found: list[tuple] = []
    before = sys.gettrace() if install is sys.settrace else sys.getprofile()

    def watch(frame, event, argument):
        if frame.f_code.co_filename == __file__ and event in ("call", "return"):
            found.append((event, frame.f_code.co_qualname))
        return watch

    @framelift.disable
    def start():
        install(watch)

    @framelift.disable
    def end():
        install(before)

    def partly(x, number):
        y = helper(x, number)
        start()
        z = helper(y, number)
        end()
        return helper(z, number)

    x = torch.ones(2)
    result = partly(x, 3)
    expected, found[:] = [one for one in found if "start" not in one[1]], []
    assert ("call", "helper") in expected
    framelift.reset()
    compiled = framelift.compile(partly, backend="eager")
    for _ in range(CALLS):
        assert torch.equal(compiled(x, 3), result)
        assert [one for one in found if "start" not in one[1]] == expected
        found.clear()


class Watcher:
    """Installs itself and raises, from inside of a break, as a debugger may that is started there."""

    def __init__(self, install: Callable, *, follows: bool) -> None:
        self.install = install
        self.follows = follows
        self.before = sys.gettrace() if install is sys.settrace else sys.getprofile()
        self.found: list[tuple] = []

    def __call__(self, frame, event, argument):
        if frame.f_code.co_filename == __file__ and frame.f_code.co_name not in ("start", "end"):
            what = None
            if event == "exception":
                kind, _, place = argument
                what = (kind.__name__, [line for _, line in traceback.walk_tb(place)][:1])
            self.found.append((event, frame.f_code.co_qualname, frame.f_lineno, what))
        return self

    @framelift.disable
    def start(self, error):
        self.install(self)
        frame = sys._getframe(1)
        while frame is not None and self.follows:
            if frame.f_code.co_filename == __file__:
                frame.f_trace = self
            frame = frame.f_back
        if error is not None:
            raise error("from inside")

    @framelift.disable
    def end(self):
        self.install(self.before)


def raises_in_a_block(x, watcher):
    y = x + 1
    try:
        with torch.no_grad():
            watcher.start(KeyError)
    except KeyError:
        y = y * 2
    finally:
        z = helper(y, 2)
    for _ in range(2):
        z = helper(z, 2)
    watcher.end()
    return z + 1


def raises(x, watcher):
    y = x + 1
    watcher.start(KeyError)
    return y


def raises_further_out(x, watcher):
    y = x.sin()
    try:
        raises(y, watcher)
    except KeyError:
        y = helper(y, 2)
    watcher.end()
    return y


def raises_out_of_all(x, watcher):
    raises(x.sin(), watcher)


def raises_in_a_generator(x, watcher):
    def parts():
        yield x + 1
        watcher.start(KeyError)
        yield x + 2

    kept = []
    try:
        for part in parts():
            kept.append(part * 2)
    except KeyError:
        kept.append(helper(x, 2))
    watcher.end()
    return kept[-1]


def raises_later(x, watcher):
    y = x.sin()
    watcher.start(None)
    y = helper(y, 2)
    try:
        raise ValueError
    except ValueError:
        y = y + 1
    try:
        y.nothing
    except AttributeError:
        y = helper(y, 2)
    watcher.end()
    return y


RAISING = [
    raises_in_a_block,
    raises_further_out,
    raises_out_of_all,
    raises_in_a_generator,
    raises_later,
]


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile])
@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize("program", RAISING)
def test_a_watcher_that_starts_in_a_break_that_raises(program, follows, install):
    def watched(call):
        watcher = Watcher(install, follows=follows and install is sys.settrace)
        try:
            result = call(torch.ones(2), watcher).tolist()
        except KeyError as error:
            result = str(error)
        finally:
            watcher.install(watcher.before)
        return result, watcher.found

    expected = watched(program)
    framelift.reset()
    compiled = framelift.compile(program, backend="eager")
    for _ in range(CALLS):
        found = watched(compiled)
        assert found[0] == expected[0]
        here, there = ([one for one in events if one[1] != "watched"] for events in (found[1], expected[1]))
        assert here == there
    assert framelift.counters["graphs"].total() >= 1
