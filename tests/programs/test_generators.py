"""Generators and coroutines that are compiled themselves: there are segments between their suspensions."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import inspect
import signal
import sys
import traceback
import types
import weakref
from collections.abc import Callable

import pytest
import torch

import framelift
from framelift.observe.counters import counters
from tests.threads import run_in_threads

NEXT = object()
CLOSE = object()


@pytest.fixture(autouse=True)
def strict():
    framelift.reset()
    with framelift.config.patch(raise_internal_errors=True, check_guards=True):
        yield
    gc.collect()
    assert frames_go_to_cpython()


def frames_go_to_cpython() -> bool:
    """Whether no function is set that is given every frame."""
    api = ctypes.pythonapi
    api.PyInterpreterState_Get.restype = api._PyInterpreterState_GetEvalFrameFunc.restype = ctypes.c_void_p
    api._PyInterpreterState_GetEvalFrameFunc.argtypes = (ctypes.c_void_p,)
    default = ctypes.cast(api._PyEval_EvalFrameDefault, ctypes.c_void_p).value
    return api._PyInterpreterState_GetEvalFrameFunc(api.PyInterpreterState_Get()) == default


def compiled(function: Callable) -> Callable:
    return framelift.compile(function, backend="eager")


def plain(value):
    if isinstance(value, torch.Tensor):
        return "tensor", value.tolist(), value.dtype, value.requires_grad
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return repr(value) if isinstance(value, BaseException) else value


def say(generator, word):
    if word is CLOSE:
        return generator.close()
    if isinstance(word, type):
        return generator.throw(word("thrown"))
    return generator.send(None if word is NEXT else word)


def talk(function: Callable, arguments: tuple, words: list) -> list:
    """What every word was answered with, with the lines of exceptions."""
    generator, said = function(*arguments), []
    for word in words:
        try:
            said.append(("yielded", plain(say(generator, word))))
        except StopIteration as stop:
            said.append(("returned", plain(stop.value)))
        except Exception as error:
            places = [
                (place.name, place.lineno, place.colno)
                for place in traceback.extract_tb(error.__traceback__)
                if place.name != "say" and place.name != "talk"
            ]
            said.append(("raised", repr(error), repr(error.__context__), places))
    return said


def same(function: Callable, make: Callable[[], tuple], *conversations: list) -> Callable:
    """Has every conversation three times with the function and compiled; the third needs nothing new."""
    call = compiled(function)
    for words in conversations:
        for number in range(3):
            misses = call.misses
            arguments = make()
            assert talk(call, arguments, words) == talk(function, arguments, words)
            assert number < 2 or call.misses == misses
    assert hits(call) > 0 or all(words[0] is not NEXT for words in conversations)
    return call


def hits(call) -> int:
    return sum(entry.hits for offset in call.resume_points for entry in call.entries_at(offset))


def vector():
    return (torch.randn(4),)


WEIGHT = torch.randn(4, 4)


def test_the_work_between_yields_is_compiled():
    def stream(x):
        for _ in range(3):
            x = torch.relu(x @ WEIGHT)
            yield x
        return x + 1

    call = same(stream, vector, [NEXT] * 5)
    assert call.fallbacks == 0
    # Up to the first yield, from one to the next, behind the loop.
    assert set(counters["graphs"].values()) == {3}


def test_it_is_a_generator_of_cpython():
    def stream(x):
        x = x + 1
        yield x
        yield x * 2

    call = compiled(stream)
    for _ in range(2):
        x = torch.ones(2)
        generator = call(x)
        assert type(generator) is types.GeneratorType
        assert inspect.getgeneratorstate(generator) == inspect.GEN_CREATED
        assert generator.__name__ == "stream"
        assert generator.gi_code is stream.__code__
        next(generator)
        assert inspect.getgeneratorstate(generator) == inspect.GEN_SUSPENDED
        assert set(inspect.getgeneratorlocals(generator)) == {"x"}
        assert torch.equal(inspect.getgeneratorlocals(generator)["x"], x + 1)
        assert generator.gi_frame.f_lineno == stream.__code__.co_firstlineno + 2
        assert generator.gi_frame.f_back is None
        assert len(list(generator)) == 1
        assert inspect.getgeneratorstate(generator) == inspect.GEN_CLOSED
        assert generator.gi_frame is None


def test_values_are_sent():
    def running_mean(x):
        total, count = torch.zeros_like(x), 0
        while True:
            got = yield total / max(count, 1)
            if got is None:
                return total
            total = total + got
            count += 1

    words = [NEXT, *[torch.full((4,), float(number)) for number in range(4)], NEXT, NEXT]
    same(running_mean, vector, words)


@pytest.mark.parametrize("count", range(5))
@pytest.mark.parametrize("error", [KeyError, ValueError, GeneratorExit])
def test_exceptions_are_thrown_in(count, error):
    def guarded(x):
        for number in range(2):
            try:
                x = x * 2
                yield x
                x = x + number
            except KeyError as caught:
                x = x - 1
                yield repr(caught)
                x = x + 3
            finally:
                x = x.relu()
        yield x
        return x + 5

    with contextlib.suppress(GeneratorExit):
        same(guarded, vector, [*[NEXT] * count, error, *[NEXT] * 5])


@pytest.mark.parametrize("count", range(4))
def test_close_runs_what_is_due(count):
    def cleans(x):
        try:
            x = x + 1
            yield x
            with torch.no_grad():
                yield x * 2
        finally:
            done.append(plain(x.sum() * 2))

    done: list = []
    same(cleans, vector, [*[NEXT] * count, CLOSE, NEXT])
    assert done[0::2] == done[1::2]


def test_what_it_raises_has_the_lines_of_the_program():
    def fails(x):
        x = x + 1
        yield x
        if x.shape[0] == 4:
            x = x * 2
            raise ValueError(f"{x.shape}")

    def stops(x):
        yield x + 1
        raise StopIteration(x.shape)

    def wrong_shapes(x):
        yield x + 1
        yield x @ torch.ones(3, 3)

    for function in (fails, stops, wrong_shapes):
        same(function, vector, [NEXT] * 3)


def double(x):
    x = x + 1
    got = yield x
    x = x * 2 if got is None else x * got
    yield x
    return x - 1


def test_delegation():
    def outer(x):
        first = yield from double(x)
        second = yield from [first, x * 3]
        yield first + 1
        return second

    words = [NEXT, NEXT, NEXT, NEXT, NEXT, NEXT]
    call = same(outer, vector, words, [NEXT, 3, NEXT, NEXT], [NEXT, KeyError, NEXT], [NEXT, NEXT, CLOSE])
    assert call.resume_points


def test_generators_inside_a_generator():
    def outer(x):
        for left, right in zip(double(x), (x * number for number in range(5)), strict=False):
            yield left + right
        yield sum(item.sum() for item in double(x))

    same(outer, vector, [NEXT] * 4)


def test_recursion_and_nesting():
    def tree(x, depth):
        yield x + depth
        if depth:
            yield from call(x * 2, depth - 1)
            yield from call(x * 3, depth - 1)

    call = tree
    expected = [plain(item) for item in tree(torch.ones(2), 5)]
    call = compiled(tree)
    for _ in range(2):
        assert [plain(item) for item in call(torch.ones(2), 5)] == expected

    def chain(x, depth):
        got = (yield from chain_call(x, depth - 1)) if depth else (yield x + 1)
        return got

    chain_call = chain
    expected = talk(chain, (torch.ones(2), 200), [NEXT, 5, NEXT])
    chain_call = compiled(chain)
    for _ in range(2):
        assert talk(chain_call, (torch.ones(2), 200), [NEXT, 5, NEXT]) == expected


def test_far_down_in_a_recursion():
    """Calls that are not compiled go as deep as they do otherwise while a generator is alive."""

    def down(depth):
        return 0 if depth == 0 else down(depth - 1) + 1

    def far(depth):
        return next(call(torch.ones(2))) if depth == 0 else far(depth - 1)

    generator = compiled(double)(torch.ones(2))
    next(generator)
    call = compiled(double)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(60_000)
    try:
        assert down(50_000) == 50_000
        assert torch.equal(far(5_000), torch.full((2,), 2.0))
    finally:
        sys.setrecursionlimit(limit)
    misses = generator.gi_frame is not None
    assert misses
    assert len(list(generator)) == 1


def test_calls_of_a_compiled_function():
    def outer(x):
        out = []
        for item in call(x):
            out.append(item + 1)
        return out

    call = compiled(double)
    whole = compiled(outer)
    for _ in range(3):
        x = torch.randn(4)
        assert plain(whole(x)) == plain([item + 1 for item in double(x)])


def test_a_method_and_a_module():
    class Streams(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 4)

        def forward(self, x):
            for _ in range(2):
                x = self.layer(x).relu()
                yield x

        def other(self, x, *rest, scale=2):
            yield self.layer(x) * scale
            yield rest

    module = Streams()
    for call, eager in ((compiled(module), module), (compiled(module.other), module.other)):
        for _ in range(3):
            x = torch.randn(4)
            assert plain(list(call(x))) == plain(list(eager(x)))
    call = compiled(module.other)
    for _ in range(2):
        assert plain(list(call(x, 1, scale=3))) == plain(list(module.other(x, 1, scale=3)))


def test_closures_are_shared_with_the_outside():
    def make(wrap):
        factor = 1

        def stream(x):
            nonlocal factor
            for _ in range(4):
                factor += 1
                yield x * factor

        def change(value):
            nonlocal factor
            factor = value

        return wrap(stream), change

    def run(wrap):
        stream, change = make(wrap)
        out = []
        for index, item in enumerate(stream(torch.ones(2))):
            out.append(plain(item))
            change(index * 10)
        return out

    assert run(compiled) == run(lambda function: function)


def test_locals_written_by_a_debugger_are_seen():
    def stream(x):
        scale = 2
        yield x * scale
        yield x * scale

    def run(function):
        generator = function(torch.ones(2))
        out = [plain(next(generator))]
        frame = generator.gi_frame
        frame.f_locals["scale"] = 7
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), 0)
        return [*out, plain(next(generator))]

    call = compiled(stream)
    for _ in range(2):
        assert run(call) == run(stream)


def test_one_generator_and_two_threads():
    def stream(x):
        for _ in range(400):
            x = x + 1
            yield x

    call = compiled(stream)
    list(call(torch.zeros(1)))
    generator, seen, errors = call(torch.zeros(1)), [], []

    def take():
        while True:
            try:
                seen.append(next(generator).item())
            except ValueError as error:
                errors.append(str(error))
            except StopIteration:
                return

    run_in_threads(take, [()] * 2)
    assert sorted(seen) == [float(number) for number in range(1, 401)]
    assert set(errors) <= {"generator already executing"}


def test_it_resumes_itself():
    def stream(x):
        yield x + 1
        try:
            next(generator)
        except ValueError as error:
            yield str(error)

    call = compiled(stream)
    for function in (stream, call, call):
        generator = function(torch.ones(2))
        next(generator)
        assert next(generator) == "generator already executing"


def test_the_callable_goes_and_the_generator_stays():
    def stream(x):
        for _ in range(3):
            x = x + 1
            yield x

    call = compiled(stream)
    list(call(torch.ones(2)))
    generator = call(torch.ones(2))
    next(generator)
    gone = weakref.ref(call)
    del call
    gc.collect()
    assert gone() is not None  # the generator goes on with its segments
    assert plain(list(generator)) == plain([torch.full((2,), 3.0), torch.full((2,), 4.0)])
    del generator
    framelift.reset()
    gc.collect()
    assert gone() is None


def test_cycles_are_collected():
    class Thing:
        pass

    def stream(x, thing):
        yield x + 1
        yield thing

    def cycle():
        call, thing = compiled(stream), Thing()
        thing.generator = call.generator = call(torch.ones(2), thing)
        next(thing.generator)
        return weakref.ref(thing)

    for _ in range(2):
        gone = cycle()
        gc.collect()
        framelift.reset()
        gc.collect()
        assert gone() is None
    assert frames_go_to_cpython()


def test_the_shim_stays_while_one_is_alive():
    call = compiled(double)
    first, second = call(torch.ones(2)), call(torch.ones(2))
    assert not frames_go_to_cpython()
    next(first)
    del second
    assert not frames_go_to_cpython()
    frame = first.gi_frame
    list(first)
    assert frames_go_to_cpython()  # although somebody has the frame
    assert frame.f_code is double.__code__
    third = call(torch.ones(2))
    with pytest.raises(KeyError):
        third.throw(KeyError)
    assert frames_go_to_cpython()


def test_nothing_grows_in_ten_thousand_resumes():
    class Thing:
        pass

    def stream(x, thing):
        while True:
            got = yield x + 1, thing
            x = x * 1 if got is None else got

    call, thing, x = compiled(stream), Thing(), torch.ones(2)

    def counted():
        gc.collect()
        held = (thing, x, stream, stream.__code__, call, None)
        return [sys.getrefcount(item) for item in held[:-1]], len(gc.get_objects())

    def rounds():
        for _ in range(10):
            generator = call(x, thing)
            for number in range(1000):
                generator.send(x if number % 3 == 1 else None)

    rounds()
    counted()
    references, objects = counted()
    rounds()
    after = counted()
    assert after[0] == references
    assert after[1] - objects < 100


def test_under_a_tracer():
    def stream(x):
        x = x + 1
        yield x
        yield x * 2

    call = compiled(stream)
    list(call(torch.ones(2)))

    def traced(function):
        events = []

        def trace(frame, event, argument):
            if frame.f_code is stream.__code__:
                events.append((event, frame.f_lineno))
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            list(function(torch.ones(2)))
        finally:
            sys.settrace(before)
        return events

    assert traced(call) == traced(stream) != []


def test_a_consumer_that_never_checks_for_signals():
    def endless(x):
        while True:
            yield x

    call = compiled(endless)
    generator = call(1)
    for _ in range(3):
        next(generator)

    class Alarm(Exception):
        pass

    def set_off(generator):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        set(generator)

    def ring(number, frame):
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(Alarm):
            set_off(generator)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_the_code_changes_between_calls():
    def stream(x):
        yield x + 1
        yield x + 2

    def other(x):
        yield x * 2
        yield x * 3

    call = compiled(stream)
    assert len(list(call(torch.ones(2)))) == 2
    generator = call(torch.ones(2))
    next(generator)
    stream.__code__ = other.__code__
    assert plain(list(call(torch.ones(2)))) == plain([torch.full((2,), 2.0), torch.full((2,), 3.0)])
    assert plain(list(generator)) == plain([torch.full((2,), 3.0)])


def test_fullgraph_is_refused():
    def stream(x):
        yield x

    async def waits(x):
        return x

    for function, title in ((stream, "A generator leaves"), (waits, "Coroutine, `await`")):
        with pytest.raises(framelift.exc.Unsupported, match=title):
            framelift.compile(function, fullgraph=True)(torch.ones(2))


def test_explain_grows_with_the_generator():
    explanation = framelift.explain(double, backend="eager")(torch.ones(2))
    assert explanation.graph_count == 0
    list(explanation.result)
    assert explanation.graph_count == 3
    assert explanation.graph_break_count == 0


# -- coroutines


async def pause(count):
    left = count
    while left:
        await asyncio.sleep(0)
        left -= 1
    return count


def test_tasks_of_a_coroutine_take_turns():
    layer = torch.nn.Linear(4, 4)

    async def handler(x, count):
        h = layer(x)
        got = await pause(count)
        log.append(count)
        return h * 2 + got

    async def main(function):
        return await asyncio.gather(*[function(torch.full((4,), float(n)), n % 5) for n in range(20)])

    log: list = []
    call = compiled(handler)
    with torch.no_grad():
        for number in range(3):
            misses = call.misses
            found = asyncio.run(main(call))
            order, log[:] = list(log), []
            assert plain(found) == plain(asyncio.run(main(handler)))
            assert order == log
            log.clear()
            assert number < 2 or call.misses == misses
    assert call.fallbacks == 0
    assert counters["graph_break"] == {}


def test_a_coroutine_is_cancelled_and_times_out():
    async def handler(x, done):
        try:
            x = x + 1
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            done.append(plain(x * 2))
            raise
        finally:
            x = x + 1
            done.append(plain(x))
        return x

    async def main(function):
        done: list = []
        task = asyncio.ensure_future(function(torch.ones(2), done))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(function(torch.ones(2), done), 0.0)
        return done

    call = compiled(handler)
    for _ in range(2):
        assert asyncio.run(main(call)) == asyncio.run(main(handler))


def test_a_coroutine_that_is_never_awaited():
    async def handler(x):
        return x

    call = compiled(handler)
    with pytest.warns(RuntimeWarning, match="never awaited"):
        del [call(torch.ones(2))][0]
    coroutine = call(torch.ones(2))
    assert type(coroutine) is types.CoroutineType
    coroutine.close()
    assert inspect.iscoroutinefunction(call)


def test_coroutines_of_coroutines_with_breaks():
    async def inner(x, log):
        x = x + 1
        log.append(float(x.sum()))
        await pause(1)
        return x * 2

    async def outer(x, log):
        async with contextlib.AsyncExitStack():
            first = await inner(x, log)
        second, third = await asyncio.gather(inner(first, log), inner(first + 1, log))
        return first + second + third

    call = compiled(outer)
    for _ in range(3):
        x = torch.randn(4)
        here: list = []
        there: list = []
        assert plain(asyncio.run(call(x, here))) == plain(asyncio.run(outer(x, there)))
        assert here == there


def test_asynchronous_generators():
    async def stream(x):
        for number in range(3):
            x = torch.relu(x) + number
            got = yield x
            await pause(1)
            if got is not None:
                x = x * got

    async def main(function, x):
        out = [item async for item in function(x)]
        generator = function(x)
        out.append(await generator.asend(None))
        out.append(await generator.asend(3))
        with pytest.raises(KeyError):
            await generator.athrow(KeyError("thrown"))
        half = function(x)
        out.append(await anext(half))
        await half.aclose()
        return out

    call = compiled(stream)
    assert type(call(torch.ones(2))) is types.AsyncGeneratorType
    for number in range(3):
        misses = call.misses
        x = torch.randn(4)
        assert plain(asyncio.run(main(call, x))) == plain(asyncio.run(main(stream, x)))
        assert number < 2 or call.misses == misses
    assert hits(call) > 20
