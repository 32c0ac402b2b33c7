"""Everyday functions for breaks at every instruction: each uses what its name says, around tensor work.

To add one, decorate a function with the parts of its arguments (``tests/harness/inputs.py``); ``fresh`` for
a function that changes what it closes over: it is then a function that makes the program.

PYTEST_DONT_REWRITE: the assertions here belong to the programs.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

import framelift
from tests.harness import each, floats
from tests.harness import fresh as made_fresh
from tests.harness.program import instantiate


@dataclass(frozen=True, slots=True, eq=False)
class Everyday:
    """``program`` as ``check`` takes it; ``function`` is one instance, for its code."""

    name: str
    program: object
    parts: tuple
    function: Callable = field(repr=False)

    def __str__(self) -> str:
        return self.name


PROGRAMS: list[Everyday] = []


def program(*parts: object, fresh: bool = False) -> Callable[[Callable], Callable]:
    """Enter the decorated function with the parts of its arguments."""

    def enter(function: Callable) -> Callable:
        given = made_fresh(function) if fresh else function
        PROGRAMS.append(Everyday(function.__name__, given, parts, instantiate(given).call))
        return function

    return enter


class Layer:
    """A plain object with a method, a property and attributes that programs set."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.calls = 0
        self.last = None

    @property
    def doubled(self) -> float:
        return self.scale * 2

    def forward(self, x: torch.Tensor, bias: float = 0.0) -> torch.Tensor:
        self.calls += 1
        return x * self.scale + bias


@dataclass
class Point:
    x: torch.Tensor
    y: float
    tags: list = field(default_factory=list)

    def moved(self, by: float) -> Point:
        return Point(self.x + by, self.y + by, [*self.tags, "moved"])


class Noted:
    """A context manager that notes what passes, and may swallow it."""

    def __init__(self, notes: list, swallow: bool = False) -> None:
        self.notes = notes
        self.swallow = swallow

    def __enter__(self) -> Noted:
        self.notes.append("enter")
        return self

    def __exit__(self, kind: type | None, error: object, trace: object) -> bool:
        self.notes.append(("exit", kind.__name__ if kind else None))
        return self.swallow


@contextlib.contextmanager
def scaled(notes: list):
    notes.append("in")
    try:
        yield 3.0
    finally:
        notes.append("out")


def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def with_break_inside(x: torch.Tensor, by: float) -> torch.Tensor:
    y = x + by
    framelift.graph_break()
    return y * by


def outer_of_break(x: torch.Tensor, notes: list) -> torch.Tensor:
    notes.append("before")
    y = with_break_inside(x.sin(), 2.0)
    notes.append("after")
    return y.cos()


@framelift.disable
def refuse(kind: type[Exception] | None) -> None:
    """A break that may raise."""
    if kind is not None:
        raise kind("refused")


@framelift.disable
def shown(error: BaseException | None) -> list:
    """An exception with its contexts, and their lines here."""
    found = []
    while error is not None:
        lines = [place.lineno for place in traceback.extract_tb(error.__traceback__)]
        found.append((repr(error), lines, repr(error.__cause__), error.__suppress_context__))
        error = error.__context__
    return found


@program(floats(3), each(ValueError, None, ValueError), [])
def break_raises(x, kind, notes):
    y = x.sin()
    try:
        y = y + 1
        refuse(kind)
        y = y * 2
    except KeyError:
        notes.append("another")
    except ValueError as error:
        notes.append(str(error))
        notes.append(shown(sys.exc_info()[1]))
        y = y.cos()
    else:
        y = y.exp()
    finally:
        y = y - 1
        notes.append(sys.exc_info()[0])
    return y.abs()


@program(floats(3), [])
def raised_again(x, notes):
    for i in range(4):
        try:
            try:
                refuse(ValueError if i % 2 else None)
                if i == 2:
                    continue
                x = x + i
            except ValueError as error:
                x = x.sin()
                if i == 1:
                    raise KeyError(i) from error
                raise
            finally:
                x = x.cos()
        except (KeyError, ValueError) as error:
            notes.append(shown(error))
            if i == 3:
                break
    else:
        x = x.tan()
    return x


@program(floats(3), [], each(True, False, True))
def managers_that_see_it(x, notes, swallow):
    with Noted(notes, swallow=True), torch.no_grad():
        with Noted(notes, swallow=swallow):
            x = x.sin()
            refuse(ValueError)
        with contextlib.suppress(KeyError):
            x = x.cos()
            refuse(KeyError)
        with scaled(notes) as by:
            x = x * by
            refuse(IndexError)
    return x.tan(), torch.is_grad_enabled()


@program(floats(3), [])
def contexts(x, notes):
    try:
        {}["first"]
    except KeyError:
        try:
            x = x.sin()
            [][len(notes)]
        except IndexError as error:
            notes.append(shown(error))
            notes.append(traceback.format_exc().count("refuse"))
            try:
                refuse(ValueError)
            except ValueError as last:
                notes.append(shown(last))
        x = x.cos()
        notes.append(repr(sys.exc_info()[1]))
    return x, sys.exc_info()


@program(floats(3), each(1, 2, 1), [])
def left_by_finally(x, how, notes):
    for i in range(3):
        try:
            if how == i:
                refuse(ValueError)
            x = x + 1
        finally:
            notes.append(i)
            if how == 1:
                continue
            if how == 2 and i == 2:
                return x.sin()  # noqa: B012
    return x.cos()


@program(floats(3), [floats(3), floats(3)])
def loop_enumerate(x, items):
    total = x
    for i, item in enumerate(items, 1):
        total = total + item * i
    else:
        total = total - 1
    return total, i


@program([floats(2), floats(2), floats(2)], each([1.0, 2.0], [3.0, 4.0]))
def loop_zip(items, factors):
    made = []
    for item, factor in zip(items, factors):
        made.append(item * factor)
    return made


@program(floats(2), each(2, 3))
def loop_range(x, n):
    for i in range(n):
        x = x.sin() + i
        if i == 2:
            break
    else:
        x = x + 100
    return x


@program({"a": floats(2), "b": floats(2)})
def loop_dict_items(table):
    out = {}
    for name, value in table.items():
        if name == "zz":
            continue
        out[name.upper()] = value + len(name)
    for name in table:
        out[name] = 1
    table["c"] = out["A"]
    return out


@program(floats(2, 2))
def loop_nested(x):
    rows = []
    for i in range(2):
        row = []
        for j in range(2):
            if i == j:
                continue
            row.append(x[i, j] * 2)
        rows.append(row)
    return rows


@program(floats(3, requires_grad=True))
def with_no_grad(x):
    with torch.no_grad():
        y = x * 2
        inside = torch.is_grad_enabled()
    z = x * 3
    return y, z, y.requires_grad, z.requires_grad, inside


@program(floats(3), [])
def with_user_managers(x, notes):
    with Noted(notes) as noted, scaled(notes) as factor:
        x = x * factor
        noted.notes.append("inside")
    return x + 1


@program(floats(3), [])
def with_swallowed(x, notes):
    with Noted(notes, swallow=True):
        x = x + 1
        raise ValueError("swallowed")
    with contextlib.suppress(KeyError):
        {}["missing"]
    return x * 2


@program(floats(3), each(0, 1, 2))
def try_except_else_finally(x, kind):
    notes = []
    try:
        x = x + 1
        if kind == 1:
            raise ValueError("one")
        if kind == 2:
            raise KeyError("two")
    except ValueError as error:
        notes.append(str(error))
        x = x * 2
    except KeyError:
        notes.append("key")
    else:
        notes.append("else")
    finally:
        x = x - 1
        notes.append("finally")
    return x, notes


@program(floats(3), each({"a": 1}, {}))
def try_raises_out(x, table):
    try:
        y = x + table["a"]
    except KeyError as error:
        raise ValueError("no a") from error
    finally:
        table["seen"] = True
    return y


@program(floats(3))
def try_in_loop(x):
    for i in range(3):
        try:
            if i == 1:
                continue
            x = x + i
        finally:
            x = x * 2
    return x


@program([floats(2), floats(2)], 3.0)
def comprehensions(items, by):
    doubled = [item * by for item in items if by > 1]
    table = {i: item + by for i, item in enumerate(items)}
    numbers = {i % 2 for i in range(3)}
    total = sum(item.shape[0] for item in doubled)
    return doubled, table, numbers, total


@program([floats(2), floats(2)], 3.0)
def comprehensions_with_breaks(items, by):
    doubled = [with_break_inside(item, by) for item in items if by > 1]
    table = {i: with_break_inside(item, i) for i, item in enumerate(items)}
    nested = [[with_break_inside(x, y) for x in items] for y in (1, 2)]
    numbers = {with_break_inside(items[0], i).shape[0] + i for i in range(3)}
    return doubled, table, nested, numbers


@program([floats(2), floats(2)], [])
def callees_with_breaks(items, notes):
    layer = Layer(2.0)

    def step(x, *rest, scale=1.0, **options):
        total = x
        for i, other in enumerate(rest):
            try:
                notes.append(i)
                total = layer.forward(with_break_inside(total, scale), bias=1.0) + other
            finally:
                notes.append("done")
        return total, [*rest, *options], {**options, "scale": scale}

    return step(items[0], *items, scale=2.0), step(items[1], **{"more": 1}), layer.calls


@program(floats(2), fresh=True)
def closure_with_nonlocal():
    count = 0

    def run(x):
        nonlocal count
        local = 1

        def add(y):
            nonlocal local
            local += 1
            return y + count + local

        count += 1
        x = add(x)
        x = add(x)
        return x, local, count

    return run


@program(floats(2), each(2, 3))
def generator_consumed(x, n):
    def parts(k):
        for i in range(k):
            yield x + i
        return

    total = x
    for part in parts(n):
        total = total + part
    first, *rest = parts(n)
    return total, first, rest


@program(floats(2), floats(2), 2.0)
def star_arguments(*tensors, **options):
    def take(first, *rest, scale=1.0, **more):
        return first * scale, len(rest), sorted(more)

    return take(*tensors, **options), take(*tensors[:2], scale=tensors[2], extra=1)


@program(floats(4), floats(4))
def keyword_calls(x, y):
    a = torch.add(x, y, alpha=2)
    b = torch.clamp(a, min=-1.0, max=1.0)
    layer = Layer(scale=2.0)
    return layer.forward(b, bias=1.0).sum(dim=0, keepdim=True)


@program(floats(2), each("left", "right"), each(1, 22))
def format_strings(x, name, n):
    text = f"{name!r:>10}|{n:03d}|{n}{name}|{x.shape[0]}"
    return x + n, text, "%s-%d" % (name, n)


@program(floats(2), each(1.0, 2.0))
def dataclasses_made(x, y):
    point = Point(x, y, tags=["new"])
    other = point.moved(2.0)
    other.y += 1
    point.tags.append("old")
    return point, other, other.x - point.x


@program(each(Layer(1.5), Layer(2.5)), floats(2))
def attribute_stores(layer, x):
    layer.last = x + layer.scale
    layer.scale += 1
    layer.extra = [layer.doubled]
    y = layer.forward(layer.last)
    del layer.extra
    return y


@program([1, 2, 3], {"k": 1}, floats(3))
def item_stores(items, table, x):
    items[0] = x * 2
    items[1] += 5
    table["k"], table["new"] = items[1], x + 1
    del items[-1]
    items[1:] = [7, 8]
    x[0] = 4.0
    table["k"] += 1
    return items, x


@program(floats(3), floats(3))
def in_place_operations(x, y):
    x.add_(1)
    x *= 2
    view = x[1:]
    view.mul_(y[1:])
    y += x
    return view, y.sum()


@program(floats(3), [])
def inlined_breaks(x, notes):
    y = outer_of_break(x, notes)
    notes.append("between")
    z = with_break_inside(y, 0.5) + twice(y)
    return z


@program(floats(3), each(0, 1, 2))
def early_returns(x, which):
    if which == 0:
        return x + 1
    for i in range(3):
        if i == which:
            return x * i
        x = x - 1
    return None


@program(floats(3), each(3, 4))
def while_loop(x, n):
    i = 0
    while i < n:
        i += 1
        if i == 2:
            continue
        x = x * i
        while True:
            break
    return x, i


@program((1, (2, 3)), [floats(2), 5, 6])
def unpacking(pair, items):
    a, (b, c) = pair
    first, *middle, last = items
    x, y = first * 2, last
    x, y = y, x
    return [a, b, c, *middle, x], {**{"y": y}, "z": 1}


@program(floats(2), each(1, 5, 9))
def chained_comparison(x, n):
    if 0 < n <= 5 != x.shape[0] < 3:
        x = x + 1
    return x, 1 < n < 8, n is not None, n in (5, 9), not n


@program(floats(2), each(None, 2), each("", "a"))
def boolean_operators(x, scale, name):
    scale = scale or 3
    label = name and name.upper() or "none"
    y = x * scale if name else x / scale
    return y, label, (scale > 2 and name) or None


@program([floats(2), floats(2), floats(2)])
def lambdas(items):
    keyed = sorted(range(3), key=lambda i: -i)
    apply = lambda f, v, by=2: f(v) * by  # noqa: E731
    return [apply(lambda v: v + 1, items[i]) for i in keyed], list(map(lambda v: v * 2, items))


@program(floats(2), each(1, 2))
def prints(x, n):
    y = x + n
    print("n is", n, end="!\n")
    z = y * 2
    print(f"{n} again")
    return z


@program(floats(2), each(1.0, -1.0))
def data_dependent(x, sign):
    y = (x.abs() + 1) * sign
    if y.sum() > 0:
        return y + 1
    number = y.sum().item()
    return y - 1, number < 0


@program(floats(2), each(True, False))
def asserts(x, fine):
    assert x.shape[0] == 2, "two"
    y = x + 1
    assert fine, f"not fine: {x.shape[0]}"
    return y


@program(floats(2))
def imports_and_globals(x):
    import math
    from math import floor as lower

    return x * math.pi, lower(2.5), PROGRAMS is not None, len("abc")


@program(floats(2), {"deep": [{"x": floats(2)}]})
def cyclic_and_shared(x, table):
    shared = [x + 1]
    both = {"one": shared, "two": shared}
    loop = [both]
    loop.append(loop)
    both["one"].append(table["deep"][0]["x"] * 2)
    iterator = iter(shared)
    first = next(iterator)
    return both, loop[1] is loop, first, list(iterator)


@program(floats(2), each(1, "a", [1, 2], {"k": 3}))
def match_statement(x, value):
    match value:
        case int():
            return x + value
        case [first, *rest]:
            return x * first, rest
        case {"k": number}:
            return x - number
        case _:
            return x
