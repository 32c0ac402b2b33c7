"""Generators and coroutines, and what is said to them: values are sent, exceptions thrown.

Each may be had any number of times; what one does must not depend on the others.
"""

from __future__ import annotations

import gc
import sys
import traceback
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.frames.corpus import LOG, Manager, note


class Asked:
    """Can be awaited: yields ``count`` times to whoever drives the coroutine; returns what it was sent."""

    def __init__(self, count: int, ends: object = None) -> None:
        self.count = count
        self.ends = ends

    def __await__(self):
        got = []
        for number in range(self.count):
            try:
                got.append((yield ("asked", number)))
            except KeyError as error:
                got.append(repr(error))
        if isinstance(self.ends, Exception):
            raise self.ends
        return got


class Unawaitable:
    def __init__(self, gives: object) -> None:
        self.gives = gives

    def __await__(self):
        return self.gives


class AsyncManager:
    async def __aenter__(self):
        return await Asked(1)

    async def __aexit__(self, kind, *rest):
        note(("aexit", kind and kind.__name__))
        await Asked(1)
        return kind is KeyError


class AsyncItems:
    """An asynchronous iterator that is no generator; every second item has to be waited for."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.left == 0:
            raise StopAsyncIteration
        self.left -= 1
        if self.left % 2:
            await Asked(1)
        return self.left


def counts(count):
    total = 0
    for number in range(count):
        got = yield note((number, total))
        total += number if got is None else got
    return total


def survives(count):
    for number in range(count):
        try:
            yield number
        except KeyError as error:
            got = yield repr(error), sys.exc_info()[0].__name__
            note((got, sys.exc_info()[0].__name__))
        except ValueError:
            note("value")
            raise TypeError("from value") from None
        finally:
            note("finally")
            if number == 2:
                yield "in finally"
    return "survived"


def held(a):
    with Manager(suppresses=True) as manager:
        got = yield note(a)
        with Manager():
            yield got
        raise IndexError(got)
    yield note("after")
    return manager is None


def delegates(a):
    first = yield from counts(a)
    note(first)
    second = yield from [a, first]
    third = yield from iter(range(2))
    try:
        fourth = yield from survives(a)
    except TypeError as error:
        fourth = repr(error)
    return first, second, third, fourth


def delegates_to_nothing(a):
    try:
        yield from a
    except TypeError as error:
        yield str(error)
    yield from a


def recursive(depth):
    yield depth
    if depth:
        got = yield from recursive(depth - 1)
        note(got)
    return depth


def closes_over(a):
    b = a

    def inner():
        nonlocal b
        b += 1
        return b

    while b < a + 3:
        got = yield inner()
        b += got or 0
    return b


def stops(a):
    yield a
    raise StopIteration(a)


def ignores_exit(a):
    for _ in range(2):
        try:
            yield a
        except GeneratorExit:
            note("ignored")


def collected(a):
    """Objects are dropped, and the garbage collector runs, while the generator is driven."""

    class Loud:
        def __del__(self):
            LOG.append(("collected", gc.collect(1) >= 0))

    for number in range(a):
        items = [Loud(), (Loud(), [number]), {number: Loud()}]
        yield len(items)
        del items
        (Loud(), Loud())[0].other = Loud()
    return [Loud()] and a


async def waits(a):
    first = await Asked(a)
    note(first)
    second = await waits_once(a)
    return first, second


async def waits_once(a):
    return await Asked(1), a


async def waits_in_vain(a):
    out = []
    for thing in (3, Unawaitable(4), Unawaitable(waits_once(1)), Unawaitable(iter([a]))):
        try:
            out.append(await thing)
        except TypeError as error:
            out.append(str(error))
        finally:
            if isinstance(thing, Unawaitable) and hasattr(thing.gives, "close"):
                thing.gives.close()
    again = waits_once(2)
    out.append(await again)
    try:
        await again
    except RuntimeError as error:
        out.append(str(error))
    return out


async def asynchronous(a):
    out = []
    async with AsyncManager() as manager:
        out.append(manager)
        async for item in AsyncItems(a):
            out.append(note(item))
        out += [item async for item in AsyncItems(a) if item]
        raise KeyError(a)
    async for item in agenerator(a):
        out.append(item)
    return out


async def agenerator(a):
    for number in range(a):
        got = await Asked(1)
        note((yield number, got))


async def talks_to_agenerator(a):
    out = []
    generator = agenerator(a)
    out.append(await generator.asend(None))
    out.append(await generator.asend("sent"))
    try:
        await generator.athrow(KeyError("thrown"))
    except (KeyError, StopAsyncIteration) as error:
        out.append(repr(error))
    await generator.aclose()
    return out


@types.coroutine
def old_coroutine(a):
    got = yield a
    second = yield from waits_once(a)
    return got, second


def far_jump(a):
    # A distance of more than 255 units, twice.
    for number in range(a):
        yield number
        # fmt: off
        b = [a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a]
        c = [b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b]
        d = a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a + a
        e = d + d + d + d + d + d + d + d + d + d + d + d + d + d + d + d + d + d + d + d + d + d + d + d + d
        # fmt: on
    return a and len(b) + len(c) + d + e


NEXT = object()
CLOSE = object()


def say(generator: Any, word: object) -> Any:
    if word is CLOSE:
        return generator.close()
    if isinstance(word, BaseException):
        return generator.throw(type(word)(*word.args))
    if word is NEXT:
        return next(generator) if hasattr(generator, "__next__") else generator.send(None)
    return generator.send(word)


def places(error: BaseException) -> list[tuple]:
    found = traceback.extract_tb(error.__traceback__)
    ours = [place for place in found if place.filename == __file__]
    return [(place.name, place.lineno, place.colno, place.end_colno) for place in ours]


def look(generator: Any) -> tuple:
    """What can be seen of a generator from outside."""
    prefix = {types.GeneratorType: "gi", types.CoroutineType: "cr", types.AsyncGeneratorType: "ag"}
    name = prefix[type(generator)]
    frame = getattr(generator, f"{name}_frame")
    held = getattr(generator, f"{name}_await" if name != "gi" else "gi_yieldfrom")
    seen = None
    if frame is not None:
        local = {key: value for key, value in frame.f_locals.items() if isinstance(value, int | str)}
        seen = (frame.f_lineno, frame.f_lasti, local, frame.f_back is None)
    return type(held).__name__, seen, getattr(generator, f"{name}_running"), generator.__qualname__


@dataclass(frozen=True)
class Talk:
    """A function, its argument, and what is said to what it returns."""

    function: types.FunctionType
    argument: object
    words: tuple

    def __str__(self) -> str:
        said = "-".join(
            "next" if word is NEXT else "close" if word is CLOSE else str(word) for word in self.words
        )
        return f"{self.function.__name__}-{self.argument}-{said}"

    def had_with(self, call: Callable) -> list:
        """What every word was answered with, and what happened meanwhile."""
        LOG.clear()
        said: list = []
        argument = self.argument() if callable(self.argument) else self.argument
        generator = call(argument)
        for word in self.words:
            try:
                said.append(("yielded", say(generator, word)))
            except StopIteration as stop:
                said.append(("returned", stop.value))
            except (Exception, GeneratorExit) as error:
                context = repr(error.__cause__), repr(error.__context__)
                said.append(("raised", repr(error), places(error), context))
                del error
            said.append(look(generator))
        return [said, list(LOG)]


def talks(function: Callable, argument: object, *conversations: Iterable) -> list[Talk]:
    return [Talk(function, argument, tuple(words)) for words in conversations]


ALL = [NEXT] * 12
THROWS = [[*[NEXT] * count, KeyError("thrown"), *[NEXT] * 6] for count in range(7)]
FAILS = [[*[NEXT] * count, ValueError("thrown"), NEXT] for count in range(6)]
CLOSES = [[*[NEXT] * count, CLOSE, NEXT] for count in range(6)]
SENDS = [[NEXT, 5, 7, NEXT, 9, 11, 13, NEXT]]

TALKS = [
    *talks(counts, 3, ALL, *THROWS, *CLOSES, *SENDS),
    *talks(survives, 3, ALL, *THROWS, *FAILS, *CLOSES, *SENDS, [NEXT, KeyError("a"), KeyError("b"), NEXT]),
    *talks(held, 3, ALL, *THROWS, *CLOSES, *SENDS),
    *talks(delegates, 3, ALL, *THROWS, *FAILS, *CLOSES, *SENDS),
    *talks(delegates_to_nothing, 3, ALL),
    *talks(recursive, 6, ALL, *THROWS, *CLOSES),
    *talks(closes_over, 3, ALL, *SENDS),
    *talks(stops, 3, ALL),
    *talks(ignores_exit, 3, *CLOSES, *SENDS),
    *talks(collected, 3, ALL, *THROWS),
    *talks(waits, 3, ALL, *THROWS, *FAILS, *CLOSES, *SENDS),
    *talks(waits_in_vain, 3, ALL, *SENDS),
    *talks(asynchronous, 3, ALL, *THROWS, *FAILS, *CLOSES, *SENDS),
    *talks(talks_to_agenerator, 3, ALL, *THROWS, *CLOSES, *SENDS),
    *talks(old_coroutine, 3, ALL, *THROWS, *CLOSES, *SENDS),
    *talks(far_jump, 2, ALL),
]
