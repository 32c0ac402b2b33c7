"""The driver: from segment to break to segment, with entries written by hand."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import traceback
import types
import weakref

import pytest

from framelift import _native
from framelift._native import UNBOUND, CompiledCallable, Entry, ExitProgram
from tests.frames.drivers import (
    Stepping,
    at_start,
    call_offset,
    callee_and_null,
    everything,
    instructions,
    offset_of,
    outcome,
    returns,
    slot_count,
    state,
    stops,
    unchanged,
)

seen = []


def spy(value):
    frame = sys._getframe(1)
    seen.append(
        (value, frame.f_code.co_name, frame.f_lineno - frame.f_code.co_firstlineno, dict(frame.f_locals))
    )
    return value + 100


def program(a, b):
    c = a + b
    r = spy(c)
    return r + 1


def stop_at_spy(*, c=7):
    """The entry that has done the addition and stops before the call."""
    return stops(program.__code__, call_offset(program.__code__), [3, 4, c], [*callee_and_null(spy), c], 2)


def compiled(function=program, *entries, on_miss=None):
    callable_ = CompiledCallable(function, None, on_miss)
    for entry in entries:
        callable_.add(entry)
    return callable_


def after_call(code, number=0):
    """The offset behind a call."""
    found = [inst.offset for inst in instructions(code)]
    start = [inst.offset for inst in instructions(code) if inst.opname in ("CALL", "CALL_KW")][number]
    return found[found.index(start) + 1]


@pytest.fixture(autouse=True)
def nothing_seen():
    seen.clear()
    yield
    assert _native.testing_start_at(program, after_call(program.__code__), [0, 0, 0, UNBOUND], [5]) == 6


class TestSegments:
    def test_cpython_finishes_the_frame(self):
        call = compiled(program, stop_at_spy())
        assert call(3, 4) == 108
        assert seen == [(7, "program", 2, {"a": 3, "b": 4, "c": 7})]

    def test_the_next_segment_gets_the_state(self):
        asked = []

        def on_miss(callable_, arguments, failures, offset):
            asked.append((arguments, failures(), offset))
            entry = returns("result", len(arguments))
            callable_.add(entry, offset)
            return entry

        call = compiled(program, stop_at_spy(), on_miss=on_miss)
        assert call(3, b=4) == "result"
        offset = after_call(program.__code__)
        assert asked == [((3, 4, 7, UNBOUND, 107), [], offset)]
        assert call.resume_points == (offset,)
        assert len(call.entries_at(offset)) == 1
        assert call(3, 4) == "result"
        assert (len(asked), call.misses, call.fallbacks) == (1, 1, 0)

    def test_entries_of_a_resume_point_are_tried_in_order(self):
        offset = after_call(program.__code__)
        nodes = [(-1, ("argument", 4), [("equals", 1)], 0)]
        never = Entry(
            _native.GuardTree(nodes, [], [], [], None, 5),
            None,
            [],
            ExitProgram([], 0, ("slot", 0)),
            False,
            None,
        )
        call = compiled(program, stop_at_spy())
        call.add(never, offset)
        call.add(returns("second", 5), offset=offset)
        assert call(3, 4) == "second"
        assert call.entries_at(offset)[1] is never

    def test_an_entry_for_cpython(self):
        offset = after_call(program.__code__)
        call = compiled(program, stop_at_spy())
        call.add(Entry.cpython(everything(5), None), offset)
        assert call(3, 4) == 108
        assert call.fallbacks == 1

    def test_a_break_without_progress_comes_after_an_instruction(self):
        stepping = Stepping(program, 100)
        assert stepping.compiled(3, 4) == 108
        assert len(stepping.offsets) > 8

    def test_clear_forgets_resume_points(self):
        call = compiled(program, stop_at_spy())
        call.add(returns(0, 5), after_call(program.__code__))
        call.clear()
        assert call.resume_points == ()
        assert call.entries == ()

    def test_what_add_refuses(self):
        call = compiled()
        with pytest.raises(ValueError, match="no such offset"):
            call.add(returns(0, 2), -2)
        with pytest.raises(TypeError, match="expected an Entry"):
            call.add(3, 8)

    def test_a_stop_needs_a_program_for_its_state(self):
        for result in (ExitProgram([], 0, ("const", (1, 2))), ExitProgram([], 0, ("slot", 0)), state(1)):
            with pytest.raises(ValueError, match="must result in a tuple of 3"):
                Entry(everything(1), None, [], result, False, None, stop=(0, 2, 1))
        assert Entry(everything(0), None, [], state(1, 2, 3), False, None, stop=(0, 2, 1)).stop == (0, 2, 1)

    @pytest.mark.parametrize("stop", [(0, 3, 0), (1, 4, 0), (1000, 4, 0), (0, 4, 100)])
    def test_a_stop_of_another_function_is_left_to_cpython(self, stop):
        called = []
        operations = [("call", ("const", called.append), [("const", 1)], ())]
        operations.append(("tuple", [("const", 0)] * (stop[1] + stop[2])))
        entry = Entry(
            everything(2), None, [], ExitProgram(operations, 2, ("result", 1)), False, None, stop=stop
        )
        call = compiled(program, entry)
        assert call(3, 4) == 108
        assert (called, call.fallbacks) == ([], 1)

    def test_a_return_in_a_loop_releases_the_operands(self):
        class Thing:
            pass

        def loop(things):
            for thing in things:
                spy(1)
            return thing

        thing = Thing()
        alive = weakref.ref(thing)
        code = loop.__code__
        stack = [iter([thing, thing]), *callee_and_null(spy), 1]
        entry = stops(code, call_offset(code), [(), thing], stack, 1)
        call = compiled(loop, entry)
        call.add(returns("early", slot_count(code) + 2), after_call(code))
        assert call(()) == "early"
        del thing, stack, entry, call
        seen.clear()
        gc.collect()
        assert alive() is None


class TestArguments:
    def test_every_way_of_passing(self):
        def many(a, /, b=2, *rest, c, d=4, **others):
            note = spy(1)
            return a, b, rest, c, d, others, note

        code = many.__code__
        start = at_start(many)
        call = compiled(many, start)
        assert call(1, c=3) == many(1, c=3)
        assert call(1, 5, 6, 7, c=3, d=9, e=10) == many(1, 5, 6, 7, c=3, d=9, e=10)
        assert start.hits == 2
        assert len(code.co_varnames) == 7

    def test_a_bound_self(self):
        call = CompiledCallable(program, 3, None)
        call.add(stop_at_spy())
        assert call(4) == 108
        assert call(b=4) == 108

    def test_a_method_in_a_class(self):
        class Thing:
            def method(self, a):
                return spy(a)

        Thing.method = call = compiled(Thing.method, at_start(Thing.method))
        assert Thing().method(1) == 101
        assert call.entries[0].hits == 1

    def test_what_does_not_bind_is_cpythons(self):
        with pytest.raises(TypeError, match=r"program\(\) missing 1 required positional argument: 'b'"):
            compiled(program, stop_at_spy())(3)


class TestExceptions:
    def test_in_a_break(self):
        def boom(value):
            raise ValueError(value)

        def guarded(a):
            try:
                boom(a)
            except ValueError as error:
                return "caught", error.__traceback__.tb_lineno - code.co_firstlineno
            finally:
                seen.append("finally")

        code = guarded.__code__
        slots = {"a": 5, "boom": types.CellType(boom), "code": types.CellType(code)}
        state_ = [slots.get(name, UNBOUND) for name in (*code.co_varnames, *code.co_freevars)]
        call = compiled(guarded, stops(code, call_offset(code), state_, [*callee_and_null(boom), 5], 1))
        assert call(5) == guarded(5) == ("caught", 2)
        assert seen == ["finally", "finally"]

    def test_from_on_miss_reaches_the_users_handlers(self):
        def guarded():
            try:
                spy(1)
                spy(2)
            except LookupError as error:
                return repr(error)

        asked = []

        def on_miss(callable_, arguments, failures, offset):
            asked.append(offset)
            if len(asked) == 1:
                raise LookupError("from on_miss")

        code = guarded.__code__
        call = compiled(
            guarded, stops(code, call_offset(code), [], [*callee_and_null(spy), 1], 0), on_miss=on_miss
        )
        assert call() == "LookupError('from on_miss')"
        assert asked == [after_call(code), offset_of(code, "PUSH_EXC_INFO") + 2]

    def test_of_a_graph(self):
        def fails(*inputs):
            raise RuntimeError("in the graph")

        count = slot_count(program.__code__)
        offset = after_call(program.__code__)
        for replayable in (True, False):
            result = ExitProgram([("tuple", [("graph", 0)] * count)], 1, ("result", 0))
            first = Entry(everything(2), fails, [0], result, replayable, None, stop=(0, count, 0))
            call = compiled(program, first)
            later = Entry(everything(5), fails, [0], ExitProgram([], 0, ("graph", 0)), replayable, None)
            other = compiled(program, stop_at_spy())
            other.add(later, offset)
            if replayable:
                assert call(3, 4) == 108
                assert other(3, 4) == 108
                assert (call.graph_errors, other.graph_errors, later.graph_errors) == (1, 1, 1)
            else:
                with pytest.raises(RuntimeError, match="in the graph"):
                    call(3, 4)
                with pytest.raises(RuntimeError, match="in the graph") as raised:
                    other(3, 4)
                names = [place.name for place in traceback.extract_tb(raised.value.__traceback__)]
                assert names[1:] == ["program", "fails"]


class TestRecursion:
    def test_through_the_driver(self):
        def count(n):
            return 0 if n == 0 else count(n - 1) + 1

        count = Stepping(count, 10**9).compiled
        assert count(50) == 50
        with pytest.raises(RecursionError):
            count(10**6)
        assert count(50) == 50

    def test_the_limit_is_that_of_cpython(self):
        def depth(n):
            try:
                return call(n + 1)
            except RecursionError:
                return n

        call = depth
        plain = depth(0)
        call = Stepping(depth, 10**9).compiled
        driven = call(0)
        assert driven <= plain
        assert driven > plain / 4


class TestOthers:
    def test_threads(self):
        call = compiled(program, stop_at_spy())
        call.add(returns("result", 5), after_call(program.__code__))
        wrong = []

        def run():
            for _ in range(2000):
                if call(3, 4) != "result" or other(1) != 2:
                    wrong.append(1)

        def other(x):
            return x + 1

        interval = sys.getswitchinterval()
        threshold = gc.get_threshold()
        sys.setswitchinterval(1e-6)
        gc.set_threshold(1)
        try:
            threads = [threading.Thread(target=run) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            gc.set_threshold(*threshold)
            sys.setswitchinterval(interval)
        assert not wrong

    def test_signals_in_a_loop_of_segments(self):
        def forever(box):
            while box:
                pass
            return "out"

        def handle(number, frame):
            if frame.f_code is forever.__code__:
                box.clear()

        box = [1]
        stepping = Stepping(forever, 10**9, keeps=True)
        before = signal.signal(signal.SIGALRM, handle)
        try:
            # Again and again: one may come while something else runs, such as an audit hook of a library.
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            assert stepping.compiled(box) == "out"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def test_an_exception_of_a_signal_handler(self):
        def forever():
            try:
                while True:
                    pass
            except KeyboardInterrupt:
                return "interrupted"

        def interrupt(number, frame):
            if frame.f_code is forever.__code__:
                raise KeyboardInterrupt

        stepping = Stepping(forever, 10**9, keeps=True)
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            assert stepping.compiled() == "interrupted"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    @pytest.mark.parametrize("install", [sys.settrace, sys.setprofile])
    def test_a_tracer_sees_everything(self, install):
        def events(function):
            found = []

            def trace(frame, event, argument):
                if frame.f_code is program.__code__:
                    found.append((event, frame.f_lineno))
                return trace

            before = sys.gettrace() if install is sys.settrace else sys.getprofile()
            install(trace)
            try:
                function(3, 4)
            finally:
                install(before)
            return found

        call = compiled(program, stop_at_spy())
        assert events(call) == events(program) != []
        assert call.fallbacks == 1

    def test_a_tracer_that_starts_in_a_break(self):
        found = []

        def trace(frame, event, argument):
            found.append((event, frame.f_lineno - frame.f_code.co_firstlineno))
            return trace

        def start():
            sys._getframe(1).f_trace = trace
            sys.settrace(trace)

        def traced(a):
            start()
            b = a
            return b

        before = sys.gettrace()

        def run(call):
            found.clear()
            try:
                call(1)
            finally:
                sys.settrace(before)
            return [event for event in found if event[0] == "line" and event[1] > 0]

        expected = run(traced)
        stepping = Stepping(traced, 10**9)
        assert run(stepping.compiled) == expected
        assert len(expected) == 2

    def test_generators_run_in_cpython(self):
        def generator(a):
            yield spy(a)

        call = compiled(generator, stops(generator.__code__, 0, [1], [], 1))
        assert list(call(2)) == [102]
        assert call.fallbacks == 1

    def test_passthrough_switched_on_in_a_break(self):
        def switch():
            call.passthrough = True

        def uses(a):
            switch()
            return spy(a)

        stepping = Stepping(uses, 10**9)
        call = stepping.compiled
        assert call(1) == 101
        assert stepping.offsets[-1] < after_call(uses.__code__)

    def test_a_frame_that_outlives_its_call(self):
        frames = []

        def keep():
            frames.append(sys._getframe(1))

        def kept(a):
            b = a
            keep()
            return b

        assert Stepping(kept, 10**9).compiled(5) == 5
        gc.collect()
        frame = frames[0]
        assert {name: frame.f_locals[name] for name in "ab"} == {"a": 5, "b": 5}
        assert frame.f_lineno - kept.__code__.co_firstlineno == 3
        assert frame.f_back.f_code.co_name == "test_a_frame_that_outlives_its_call"

    def test_nothing_leaks(self):
        class Thing:
            pass

        thing = Thing()
        alive = weakref.ref(thing)

        def uses(a, *rest, **others):
            b = [a, rest, others]
            for c in b:
                if c is a:
                    spy(1)
            try:
                b[9]
            except IndexError:
                return b

        for limit in range(0, 60, 7):
            stepping = Stepping(uses, limit)
            for _ in range(3):
                stepping.compiled(thing, thing, x=thing)
        stepping = Stepping(uses, 10**9, keeps=True)
        stepping.compiled(thing)
        gc.collect()
        before = sys.getrefcount(uses.__code__), sys.getrefcount(uses), sys.getrefcount(UNBOUND)
        for _ in range(50):
            stepping.compiled(thing)
        gc.collect()
        assert (sys.getrefcount(uses.__code__), sys.getrefcount(uses), sys.getrefcount(UNBOUND)) == before
        del thing, stepping
        seen.clear()
        gc.collect()
        assert alive() is None

    def test_the_collected_objects_go_after_the_segment(self):
        class Thing:
            pass

        def drops(things):
            thing = things.pop()
            alive = weakref.ref(thing)
            del thing
            spy(1)
            return alive()

        stepping = Stepping(drops, 10**9)
        assert stepping.compiled([Thing()]) is None


def test_unbound_is_one():
    import copy
    import pickle

    assert repr(UNBOUND) == "UNBOUND"
    assert pickle.loads(pickle.dumps(UNBOUND)) is UNBOUND
    assert copy.deepcopy(UNBOUND) is UNBOUND


def test_offsets_of_the_names_used_here():
    assert offset_of(program.__code__, "RESUME") == 0
    assert outcome(program, (3, 4), {})[0] == ("returned", 108)
    assert unchanged(program.__code__, 0, 4).stop == (0, 4, 0)
