"""Driven frames in a hostile life: threads, collections, signals, forks, finalisers, callables that vanish.

Every function here breaks at each of its instructions. ``make stress`` does the same many times over.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest

from tests.frames.corpus import CASES, Case
from tests.frames.drivers import Stepping, outcome
from tests.threads import run_in_threads

ROUNDS = 100 if os.environ.get("FRAMELIFT_STRESS") else 1
ALL = 10**9

pytestmark = pytest.mark.stress


@pytest.fixture
def often_collected() -> Iterator[None]:
    """The garbage collector runs at nearly every allocation of a container."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


class Interrupt(Exception):
    """What the signal handler raises."""


@pytest.fixture
def timer() -> Iterator[Callable[[Callable], None]]:
    """Starts a timer, whose handler is given, that fires all the time."""

    def start(handle: Callable) -> None:
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)

    before = signal.getsignal(signal.SIGALRM)
    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


class Disturbed(Stepping):
    """Each question for an entry is used to pull away what the call stands on."""

    def miss(self, callable_, arguments, failures, offset):
        entry = super().miss(callable_, arguments, failures, offset)
        number = len(self.offsets)
        if number % 2:
            callable_.clear()
        if number % 3 == 0:
            callable_.on_miss = self.miss
        if number % 5 == 0:
            gc.collect(0)
        if number % 7 == 0:
            callable_.__defaults__ = callable_.__defaults__
        return entry


@pytest.mark.parametrize("case", CASES, ids=str)
def test_everything_is_collected_and_cleared_all_the_time(case: Case, often_collected: None) -> None:
    expected = outcome(case.fresh(), case.arguments(), case.keywords)
    for keeps in (False, True):
        for _ in range(ROUNDS):
            disturbed = Disturbed(case.fresh(), ALL, keeps=keeps)
            assert outcome(disturbed.compiled, case.arguments(), case.keywords) == expected


def test_signals_whose_handler_does_nothing(timer: Callable) -> None:
    came = []
    expected = [outcome(case.fresh(), case.arguments(), case.keywords) for case in CASES]
    timer(lambda number, frame: came.append(frame.f_lineno))
    for _ in range(5 * ROUNDS):
        calls = [Stepping(case.fresh(), ALL, keeps=True).compiled for case in CASES]
        assert [
            outcome(call, case.arguments(), case.keywords) for call, case in zip(calls, CASES)
        ] == expected
    assert came


def test_signals_whose_handler_raises(timer: Callable) -> None:
    def count(limit):
        caught = passed = 0
        while caught < limit:
            try:
                for passed in range(10**9):
                    passed = passed + 1
            except Interrupt:
                caught = caught + 1
        return caught, passed > 0

    def interrupt(number, frame):
        if frame.f_code is count.__code__ and frame.f_lineno - count.__code__.co_firstlineno in (4, 5):
            raise Interrupt

    call = Stepping(count, ALL, keeps=True).compiled
    timer(interrupt)
    assert call(20 * ROUNDS)[0] == 20 * ROUNDS


def worker(number, rounds):
    """Loops, raises, catches, makes cells and garbage; what comes out depends on the arguments alone."""
    total = []
    for index in range(rounds):
        holder = [number, index]
        holder.append(holder)
        try:
            if index % 3 == number % 3:
                raise ValueError(index)
            total.append(sum([one + number for one in range(index)]))
        except ValueError as error:
            total.append((number, error.args[0]))
        finally:
            del holder
    if number == 7:
        raise KeyError(len(total))
    return total


def test_eight_threads(often_collected: None) -> None:
    """They call the same callable, break everywhere, compile anew; the last one always raises."""
    calls = [Stepping(worker, ALL, keeps=True).compiled, Disturbed(worker, ALL, keeps=True).compiled]
    expected = {number: outcome_of(worker, number) for number in range(8)}
    wrong: list[object] = []

    def run(number: int) -> None:
        for _ in range(3 * ROUNDS):
            for call in calls:
                found = outcome_of(call, number)
                if found != expected[number]:
                    wrong.append((number, found))

    run_in_threads(run, [(number,) for number in range(8)])
    assert not wrong


def outcome_of(call: Callable, number: int) -> object:
    try:
        return call(number, 9)
    except KeyError as error:
        return repr(error)


def test_a_fork_in_the_middle() -> None:
    """Parent and child both go on in the frame, and can call again."""

    def forks(a):
        total = a
        for step in range(4):
            if step == 2:
                child = os.fork()
            total = total + step
        return child, total

    call = Stepping(forks, ALL, keeps=True).compiled
    for _ in range(ROUNDS):
        child, total = call(10)
        if child == 0:
            os._exit(0 if total == 16 and worked(call) else 1)
        assert total == 16
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def worked(call: Callable) -> bool:
    """Whether a forked child can call, fork and wait again."""
    child, total = call(1)
    if child == 0:
        os._exit(0 if total == 7 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_recursion_to_the_limit_in_a_thread() -> None:
    def down(n, seen):
        try:
            return call(n + 1, seen)
        except RecursionError:
            seen.append(n)
            raise
        finally:
            seen.append("finally")

    call = Stepping(down, ALL, keeps=True).compiled

    def run() -> None:
        seen: list[object] = []
        with pytest.raises(RecursionError):
            call(0, seen)
        depth = seen.count("finally")
        results.append(depth > 50 and seen.count(0) == 1)

    results: list[bool] = []
    for _ in range(ROUNDS):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert results == [True] * ROUNDS


def test_a_finaliser_that_calls_again() -> None:
    class Last:
        def __init__(self, depth):
            self.depth = depth

        def __del__(self):
            finished.append(self.depth)
            if self.depth:
                call(self.depth - 1)
            if self.depth == 1 and call is not loses:
                call.clear()
                gc.collect()

    def loses(depth):
        one = Last(depth)
        one = [Last(depth)]
        one = None
        [Last(depth), 1].pop()
        for other in (Last(depth),):
            pass
        del other
        try:
            raise KeyError(Last(depth))
        except KeyError:
            pass
        Last(depth) is Last(depth)
        return one

    call = loses
    finished: list[int] = []
    assert call(2) is None
    expected = list(finished)
    for stepping in (Stepping, Disturbed):
        for _ in range(ROUNDS):
            finished.clear()
            call = stepping(loses, ALL, keeps=True).compiled
            assert call(2) is None
            assert finished == expected


def test_the_callable_dies_in_its_own_call() -> None:
    class Thing:
        pass

    def drops(box, thing):
        kept = thing
        box.clear()
        gc.collect()
        for _ in range(3):
            kept = [kept]
        return kept

    for _ in range(ROUNDS):
        stepping = Stepping(drops, ALL, keeps=True)
        thing = Thing()
        dead = weakref.ref(stepping), weakref.ref(stepping.compiled), weakref.ref(thing)
        box = [stepping.compiled]
        del stepping
        result = box[0](box, thing)
        assert result[0][0][0] is thing
        del result, thing
        gc.collect()
        assert [one() for one in dead] == [None, None, None]


def changes(a):
    changes.__code__ = other.__code__
    b = a + 1
    return [b, list(range(a))]


def other(a):
    return "other"


def test_the_function_gets_other_code_in_its_own_call() -> None:
    code = changes.__code__
    for keeps in (False, True):
        changes.__code__ = code
        call = Stepping(changes, ALL, keeps=keeps).compiled
        assert call(2) == [3, [0, 1]]
        assert call(2) == "other"
