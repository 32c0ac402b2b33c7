"""Functions that between them use every kind of instruction, and what they are called with.

Each may be called any number of times; what one call does must not depend on the others.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LOG: list[Any] = []
"""What happened, in order; emptied before each call."""


def note(value: Any) -> Any:
    """Logs the value and what the caller looks like from here."""
    frame = sys._getframe(1)
    line = frame.f_lineno - frame.f_code.co_firstlineno
    local = {name: repr(kept) for name, kept in frame.f_locals.items() if isinstance(kept, int | str | list)}
    LOG.append((repr(value), frame.f_code.co_name, line, local, frame.f_back.f_code.co_name))
    return value


def boom(value: Any) -> Any:
    LOG.append("boom")
    raise ValueError(f"boom {value}")


class Manager:
    def __init__(self, suppresses: bool = False) -> None:
        self.suppresses = suppresses

    def __enter__(self) -> Manager:
        LOG.append("enter")
        return self

    def __exit__(self, kind: type | None, *rest: object) -> bool:
        LOG.append(("exit", kind and kind.__name__))
        return self.suppresses


class Odd:
    """Every operator is user code, which logs."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __add__(self, other: Any) -> Odd:
        note("add")
        return Odd(self.value + int(other))

    def __iadd__(self, other: Any) -> Odd:
        note("iadd")
        self.value += int(other)
        return self

    def __radd__(self, other: Any) -> Odd:
        note("radd")
        return Odd(other + self.value)

    def __neg__(self) -> Odd:
        note("neg")
        return Odd(-self.value)

    def __pos__(self) -> Odd:
        note("pos")
        return self

    def __invert__(self) -> int:
        note("invert")
        return ~self.value

    def __int__(self) -> int:
        return self.value

    def __bool__(self) -> bool:
        note("bool")
        return self.value > 0

    def __lt__(self, other: Any) -> Any:
        note("lt")
        return Odd(int(other) - self.value)

    def __eq__(self, other: object) -> bool:
        note("eq")
        return isinstance(other, Odd) and self.value == other.value

    def __hash__(self) -> int:
        note("hash")
        return self.value

    def __contains__(self, item: Any) -> bool:
        note("contains")
        return item == self.value

    def __getitem__(self, key: Any) -> Any:
        note("getitem")
        if key == "missing":
            raise KeyError(key)
        return key

    def __setitem__(self, key: Any, value: Any) -> None:
        note(("setitem", repr(key), value))

    def __delitem__(self, key: Any) -> None:
        note(("delitem", repr(key)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        note(("getattr", name))
        return len(name)

    def __len__(self) -> int:
        note("len")
        return 3

    def __iter__(self) -> Any:
        note("iter")
        return iter([1, 2, 3])

    def __format__(self, specification: str) -> str:
        note(("format", specification))
        return f"<{self.value}{specification}>"

    def __repr__(self) -> str:
        return f"Odd({self.value})"

    def method(self, *arguments: Any, **keywords: Any) -> Any:
        note("method")
        return arguments, keywords

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        note("call")
        return arguments, keywords


def straight(a, b):
    c = a + b
    d = [c, a, b]
    e = note(c) * 2
    return (d[0] * 2, len(d), max(a, b, key=abs), e)


def calls(a):
    bound = a.method
    first = a.method(1, x=2)
    second = a(*[1, 2], **{"k": 3})
    third = bound(3, 4, y=note(5))
    fourth = a(1)
    fifth = print is None
    sixth = sorted([3, 1, 2], reverse=True)
    seventh = a(*iter((1, 2)), 3)
    eighth = a.method(*(7, 8))
    return first, second, third, fourth, fifth, sixth, seventh, eighth


def many(a):
    return note((a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, a))


def operators(a, b):
    out = [-a, +a, ~a, not a, a + 1, 1 + a, a < 2, a == b]
    out += [a in (b, a), 3 in a, 4 not in a, a is b, a is not b]
    a += 2
    out.append(a and b)
    out.append(b or a)
    out.append(a if a else b)
    out.append(2**3 // 2 % 5 << 1 >> 1 & 7 | 8 ^ 1)
    out.append(1 < len(out) < 100)
    out.append(a < b < a)
    c = 7
    c -= 1
    c *= 3
    c //= 2
    c **= 2
    c %= 13
    c <<= 2
    c >>= 1
    c |= 1
    c &= 31
    c ^= 2
    d = 5 / 2
    d /= 2
    return out, c, d


def subscripts(a):
    a[1] = 2
    a[1:2] = 3
    del a[4]
    b = a[1], a[1:2], a[1:2:3], a["x"]
    c = [1, 2, 3, 4]
    c[1:3] = [9]
    del c[0]
    a.value = 8
    a.other = note(1)
    del a.other
    return b, c, a.value, a.color, a.shade


def missing_item(a):
    b = 1
    try:
        b = a["missing"]
    except KeyError as error:
        b = str(error)
    return b, a["missing"]


def loop(numbers):
    total = 0
    for index, number in enumerate(numbers):
        if number == 2:
            continue
        for inner in range(number):
            total += index * inner
            if note(total) > 8:
                break
        else:
            total += 1
    while total < 50:
        total += 7
        if total == 22:
            pass
    return total


def none_tests(a, b):
    out = []
    if a is None:
        out.append(1)
    if a is not None:
        out.append(2)
    while b is not None:
        b = None
    while b is None:
        b = 1
        out.append(note(3))
    return out


def branches(a):
    if a:
        x = 1
    else:
        x = 2
    if not a and x:
        x += 10
    y = a or x
    z = a and x
    return x, y, z, (1 if a < 1 else 2)


def unpacking(a):
    first, second, third = a
    [p, q] = (1, 2)
    r, (s, t) = 3, "ab"
    head, *middle, last = range(6)
    u, v, w = iter([7, 8, 9])
    return first, second, third, p, q, r, s, t, head, middle, last, u, v, w


def too_many(a):
    try:
        x, y = a
    except ValueError as error:
        x = str(error)
    x, y = note(a)
    return x, y


def too_few(a):
    try:
        x, y, z, w = a
    except ValueError as error:
        x = str(error)
    x, y, z, w = a
    return x


def not_iterable(a):
    try:
        x, y = a
    except TypeError as error:
        x = str(error)
    for y in a:
        pass
    return x, y


def strings(a, b):
    c = f"{a}|{b!r:>5}|{b!s}|{b!a}|{a:x}|{a:{b}}"
    return f"{c}", f"{note(b)}", c


def displays(a):
    b = [*a, 4]
    c = (*a, 5)
    d = {*a, 6}
    e = {"k": 1, **{"l": note(2)}}
    f = {"p": a, "q": b, "r": 1}
    g = {1: 2, 3: 4}
    h = {note(7), 8}
    i = [a, b]
    j = slice(1, note(2))
    return b, c, sorted(d), e, f, g, sorted(h), i, j, a[0:1], [1, 2, 3, 4, 5], {1, 2, 3}


def smaller_displays(a):
    b = {note("p"): a, "q": a}
    c = {"x": 1, "y": a, "z": note(3)}
    d = {a, note(4)}
    e = [*a, 4]
    f = slice(a, 2)
    g = a[1:2:3], (a, e)
    return b, c, len(d), e, f, g


def large_displays(a):
    # fmt: off
    b = [a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
         26, 27, 28, 29, 30, 31, 32, note(33)]
    c = {a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
         26, 27, 28, 29, 30, 31, 32, note(33)}
    d = {a: 1, 2: a, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1, 9: 1, 10: 1, 11: 1, 12: 1, 13: 1, 14: 1, 15: 1,
         16: 1, 17: 1, 18: 1, 19: 1, 20: 1, 21: 1, 22: 1, 23: 1, 24: 1, 25: 1, 26: 1, 27: 1, 28: 1,
         29: note(1)}
    # fmt: on
    return len(b), len(c), len(d)


def pairs(a):
    b, c = a, note(1)
    # fmt: off
    d = note(2); e = d  # noqa: E702
    # fmt: on
    if c:
        f = b
    return e, f, c, d


def until(a):
    while not a:
        a = note(1)
    return a


def mapping_pattern(a):
    match a:
        case {}:
            return "mapping"
        case []:
            return "empty"
    return "other"


def tuple_of_list(a):
    return (*a, note(5))


def unpacked_call(a):
    b = a.method(*a)
    c = a(*(1, 2))
    d = a(*[])
    return b, c, d


def format_values(a, b):
    c = f"{a!r:>5}"
    d = f"{a!s}", f"{a:{b}}", f"{b!a}"
    e = f"{note(a)}"
    return c, d, e


def inner_frames(n):
    a = [note(i) for i in range(n) if i != 1]
    b = {note(i) for i in range(n)}
    c = {i: note(-i) for i in range(n)}
    return a, b, c


def lengths(a):
    match a:
        case [x, y]:
            return note((x, y))
        case [x, y, *z]:
            return note((x, y, z))
    return None


def slices(a):
    a[1:2] = note(3)
    b = a[2:3]
    a[0] = b
    del a[4]
    return b


def comprehensions(n):
    x = 7
    a = [x + i for i in range(n) if i % 2]
    b = {i: [j for j in range(i)] for i in range(n)}
    c = list(x * i for i in range(3))
    d = {note(i) for i in (1, 2)}
    return x, a, b, c, sorted(d)


def with_statements(a):
    with Manager() as c, Manager(True):
        note(a)
        if a > 1:
            raise ValueError(a)
        note("z")
    note("after")
    return a * 2, c.suppresses


def not_a_manager(a):
    try:
        with a:
            pass
    except TypeError as error:
        note(str(error))
    with Manager(), a:
        pass


def handlers(a):
    r = []
    try:
        r.append(1)
        if a == 1:
            raise KeyError("k")
        try:
            r.append(10 // (a - 2))
            if a == 3:
                boom(a)
        except ZeroDivisionError as e:
            r.append(type(e).__name__)
            try:
                raise RuntimeError("x") from e
            except RuntimeError as e2:
                r.append(repr(e2.__cause__))
        finally:
            r.append(note("fin"))
    except (KeyError, TypeError) as e:
        r.append(str(e))
    except ValueError as e:
        r.append((str(e), e.__traceback__.tb_lineno - handlers.__code__.co_firstlineno))
    else:
        r.append("else")
    finally:
        r.append(str(sys.exc_info()[0]))
    return r


def uncaught(a):
    x = a
    with Manager():
        x = x + 1

        # fmt: off
        y = [x, boom(
            x,
        )]
        # fmt: on
    return y[5]


def closures(a, *args, k=3, **kw):
    s = a

    def inc(d):
        nonlocal s
        s += d * k
        return s

    out = [inc(1), inc(2), s, sorted(kw.items()), args]
    k = 10
    s = note(s)
    out.append(inc(1))
    return out, s


def make_free():
    value = 5
    values = [1]

    def free(x, y=2):
        nonlocal value
        value += x
        values.append(note(y))
        z = [value * q for q in values]
        if x > 100:
            del x
        return z, value, lambda: value + x

    return free


def unbound(a):
    try:
        if a:
            x = 1
        note(x)
        del x
        note(x)  # noqa: F821
    except UnboundLocalError as error:
        note(str(error))
    del a
    return a  # noqa: F821


COUNTER = 0


def globals_(a):
    global COUNTER
    COUNTER = a
    COUNTER += 1
    try:
        missing_global  # noqa: B018
    except NameError as error:
        note(str(error))
    return COUNTER, __name__, Manager, missing_global  # noqa: F821


def imports(a):
    import os.path as p
    import xml.dom
    from os import sep
    from os.path import join
    from xml import dom

    try:
        from os import nothing_there  # noqa: F401
    except ImportError as error:
        a = type(error).__name__
    assert p
    return sep, join is p.join, a, xml.dom is dom


def matching(a):
    match a:
        case int(z) if z > 3:
            r = ("big", z)
        case [1, 2]:
            r = 2
        case {"k": v, **rest}:
            r = (v, rest)
        case Odd(value=v):
            r = v
        case _:
            r = "other"
    return r


def groups(a):
    r = []
    try:
        if a:
            raise ExceptionGroup("g", [ValueError(1), TypeError(2), KeyError(3)])
    except* ValueError as e:
        r.append(len(e.exceptions))
    except* (TypeError, KeyError) as e:
        r.append(str(e.exceptions))
    return r


def assertion(a):
    note(a)
    assert a > 1, note("too small")
    return a


def long_jumps(a):
    t = 0
    for i in range(a):
        if i == 1:
            # fmt: off
            t += i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i
            t += i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i
            t += i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i
            t += i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i
            t += i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i
            t += i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i
            t += i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i
            t += i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i * i
            # fmt: on
        else:
            t -= 1
    return t


class Base:
    def run(self, n):
        return [n, note(self.__class__.__name__)]


class Derived(Base):
    def run(self, n):
        q = super().run(n)
        return q, self, __class__


def iteration_error(a):
    total = 0
    for x in broken():
        total += x
    return total


def broken():
    yield 1
    yield note(2)
    raise LookupError("no more")


def deleting(a):
    b = [a]
    del b[0], a
    c = {}
    c["x"] = b
    del c["x"]
    return b, c


def finally_return(a):
    for i in range(3):
        try:
            if i == a:
                return note("from try")
            boom(i) if i == 1 else None
        except ValueError:
            continue
        finally:
            note(("finally", i))
    return "end"


def chain(error):
    """An exception and what it came from, each with its lines in the functions here."""
    found = []
    while error is not None:
        lines = [
            (place.name, place.lineno)
            for place in traceback.extract_tb(error.__traceback__)
            if place.filename == __file__
        ]
        found.append((repr(error), lines, repr(error.__cause__), error.__suppress_context__))
        error = error.__context__
    return found


def reraised(a):
    r = []
    for i in range(4):
        try:
            try:
                try:
                    r.append(10 // (i - a))
                    boom(i)
                except ZeroDivisionError:
                    r.append(sys.exc_info()[0])
                    raise
                finally:
                    r.append(repr(sys.exc_info()[1]))
            except ArithmeticError as error:
                if i == 1:
                    raise KeyError(i) from error
                if i == 2:
                    raise KeyError(i) from None
                raise LookupError(i)  # noqa: B904
            except ValueError as error:
                error.args = ("changed",)
                raise error
        except Exception as error:
            r.append(chain(error))
            r.append(traceback.format_exc().count("line"))
        r.append(sys.exc_info())
    return r


def left_early(a):
    r = []
    for i in range(6):
        try:
            r.append(10 // (i - a))
            if i == 3:
                continue
            if i == 4:
                break
        except ZeroDivisionError:
            if i == 1:
                continue
            r.append(repr(sys.exc_info()[1]))
            if i == 2:
                break
        finally:
            r.append(("finally", sys.exc_info()[0]))
            if i == 0:
                continue
    else:
        r.append("else")
    try:
        boom(a)
    finally:
        return r  # noqa: B012


def handler_raises(a):
    try:
        with Manager(a > 1), Manager():
            try:
                boom(a)
            except ValueError:
                return undefined_name  # noqa: F821
            finally:
                if a:
                    {}["key"]
    finally:
        note(chain(sys.exc_info()[1]))
    return "suppressed"


def no_exception(a):
    try:
        raise  # noqa: PLE0704
    except RuntimeError as error:
        r = [str(error)]
    for wrong in (a, a.__class__, None, Manager):
        try:
            raise wrong
        except TypeError as error:
            r.append(str(error))
        try:
            raise ValueError from wrong
        except (TypeError, ValueError) as error:
            r.append(repr(error))
        try:
            try:
                raise ValueError
            except wrong:
                r.append("no class")
        except (TypeError, ValueError) as error:
            r.append((repr(error), repr(error.__context__)))
    return r


def unpacked_with_rest(a):
    r = []
    for items in (range(5), "abc", iter([1, 2]), {}, 3):
        try:
            first, second, *rest, last = items
            r.append((first, second, rest, last))
        except (TypeError, ValueError) as error:
            r.append(str(error))
    *start, end = a
    return r, start, end, {*a, *"xy"}


def merged(a):
    r = []
    for more in ({"b": 2}, {"a": 1}, {1: 2}, [("c", 3)], a):
        try:
            r.append(dict(a=0, **more, z=9))
        except TypeError as error:
            r.append(str(error))
        try:
            r.append({"a": 0, **more})
        except TypeError as error:
            r.append(str(error))
    try:
        r.append({1, *a, *3})
    except TypeError as error:
        r.append(str(error))
    return r


def definitions(a, b=2):
    class Local(Manager):
        kept = a

        def both(self, c: int = b, *, d=a) -> tuple:
            return super().__enter__().kept, self.suppresses, b, c, d  # noqa: F821

    made = Local()
    del b
    try:
        made.both()
    except NameError as error:
        return made.both.__annotations__, made.both.__kwdefaults__, Local.__qualname__, str(error)


def deleted_global(a):
    global counter
    counter = a
    del counter
    try:
        del counter
    except NameError as error:
        return str(error)


@dataclass(frozen=True)
class Case:
    """A function, or what makes one, and the arguments of one call."""

    function: Callable
    arguments: Callable[[], tuple]
    keywords: dict[str, Any] = field(default_factory=dict)
    made: bool = False

    def fresh(self) -> Callable:
        return self.function() if self.made else self.function

    def __str__(self) -> str:
        return self.function.__qualname__


def case(function: Callable, *arguments: Any, **keywords: Any) -> Case:
    return Case(function, lambda: arguments, keywords)


def odd(function: Callable, *values: int) -> Case:
    return Case(function, lambda: tuple(Odd(value) for value in values))


CASES = [
    case(straight, 1, 2),
    odd(calls, 1),
    case(many, 1),
    odd(operators, 1, 2),
    odd(operators, 0, 0),
    odd(subscripts, 1),
    odd(missing_item, 1),
    case(loop, (1, 2, 3, 4)),
    case(loop, ()),
    case(none_tests, None, 2),
    case(none_tests, 1, None),
    case(branches, 0),
    case(branches, 1),
    odd(branches, 0),
    odd(branches, 1),
    odd(unpacking, 1),
    case(unpacking, "abc"),
    odd(too_many, 1),
    case(too_many, (1, 2, 3)),
    odd(too_few, 1),
    case(too_few, [1]),
    case(not_iterable, 3),
    case(strings, 10, 8),
    case(displays, (1, 2)),
    odd(smaller_displays, 1),
    odd(tuple_of_list, 1),
    odd(large_displays, 1),
    case(pairs, 0),
    case(until, 0),
    odd(until, 0),
    case(mapping_pattern, {}),
    case(mapping_pattern, []),
    odd(mapping_pattern, 1),
    odd(unpacked_call, 1),
    case(format_values, 10, 8),
    odd(format_values, 10, 8),
    case(inner_frames, 3),
    case(lengths, [1, 2]),
    case(lengths, [1, 2, 3]),
    odd(slices, 1),
    case(comprehensions, 5),
    case(with_statements, 1),
    case(with_statements, 5),
    case(not_a_manager, 1),
    case(handlers, 0),
    case(handlers, 1),
    case(handlers, 2),
    case(handlers, 3),
    case(uncaught, 1),
    case(closures, 1, 8, 9, k=2, z=1),
    Case(make_free, lambda: (3,), made=True),
    case(unbound, 0),
    case(unbound, 1),
    case(globals_, 3),
    case(imports, 1),
    case(matching, 7),
    case(matching, {"k": 1, "m": 2}),
    odd(matching, 4),
    case(groups, 1),
    case(groups, 0),
    case(assertion, 1),
    case(assertion, 2),
    case(long_jumps, 3),
    Case(Derived.run, lambda: (Derived(), 4)),
    case(iteration_error, 1),
    case(deleting, 1),
    case(finally_return, 0),
    case(finally_return, 2),
    case(finally_return, 5),
    case(reraised, 0),
    case(reraised, 1),
    case(reraised, 2),
    case(reraised, 3),
    *[case(left_early, number) for number in range(6)],
    case(handler_raises, 0),
    case(handler_raises, 1),
    case(handler_raises, 2),
    case(no_exception, 1),
    case(unpacked_with_rest, (1, 2, 3)),
    odd(unpacked_with_rest, 1),
    case(merged, {}),
    odd(merged, 1),
    case(definitions, 1),
    case(deleted_global, 1),
]
