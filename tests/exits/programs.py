"""The smallest program for each reason of capture and of the rules (FL1xx and FL2xx).

A program is written for its reason alone: everything else in it can be captured. To add one, decorate a
function
with ``@exits("slug-of-the-reason")`` that returns a ``Case``.

PYTEST_DONT_REWRITE: the assertions here belong to the programs.
"""

from __future__ import annotations

import codecs
import contextlib
import decimal
import io
import itertools
import platform
import random
import sys
import threading
import time
import types
import weakref
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy
import torch

import framelift
from tests.harness import floats, made


@dataclass(frozen=True, slots=True)
class Case:
    """``options`` are those of ``check``. ``raises``: the program itself ends with an exception. ``whole``:
    with ``fullgraph=True`` it is captured."""

    program: object
    parts: tuple = ()
    options: dict[str, object] = field(default_factory=dict)
    raises: bool = False
    whole: bool = False


CASES: dict[str, Case] = {}


def exits(slug: str) -> Callable[[Callable[[], Case]], Callable[[], Case]]:
    """Enter the case that the decorated function returns."""

    def enter(build: Callable[[], Case]) -> Callable[[], Case]:
        CASES[slug] = build()
        return build

    return enter


@exits("unsupported-instruction")
def _():
    statement = compile("None", "<statement>", "single")  # its value goes to the hook of the prompt

    return Case(types.FunctionType(statement, {}))


@exits("unsupported-call")
def _():
    def f(x, data):
        return x + 1, len(memoryview(data))

    return Case(f, (floats(2), b"abc"))


@exits("unsupported-operation")
def _():
    price = decimal.Decimal("1.5")

    def f(x):
        return x + 1, price + 1

    return Case(f, (floats(2),))


@exits("unsupported-method")
def _():
    price = decimal.Decimal("1.5")

    def f(x):
        return x + 1, price.sqrt()

    return Case(f, (floats(2),))


@exits("unsupported-attribute")
def _():
    def f(x):
        y = x * 2
        return y, len(y.grad_fn.next_functions)

    return Case(f, (floats(2, requires_grad=True),))


@exits("unsupported-attribute-store")
def _():
    def one(x):
        return x + 1

    def two(x):
        return x + 2

    def f(x):
        one.__code__ = two.__code__
        return one(x)

    return Case(f, (floats(2),))


@exits("data-dependent-branch")
def _():
    def f(x):
        if x.sum() > 0:
            return x + 1
        return x - 1

    return Case(f, (floats(2),))


@exits("data-dependent-value")
def _():
    def f(x):
        return x + 1, "x" * x.sum().long().item()

    return Case(f, (floats(2),))


@exits("dynamic-output-shape")
def _():
    def f(x):
        return x[x > 0] * 2

    return Case(f, (floats(5),), whole=True)


@exits("user-graph-break")
def _():
    def f(x):
        y = x + 1
        framelift.graph_break()
        return y * 2

    return Case(f, (floats(2),))


@exits("disabled-call")
def _():
    @framelift.disable
    def outside(x):
        return x * 2

    def f(x):
        return outside(x + 1) - 1

    return Case(f, (floats(2),))


@exits("escaping-exception")
def _():
    def f(x):
        y = x + 1
        raise ValueError(y.shape[0])

    return Case(f, (floats(2),), raises=True)


@exits("operator-raised")
def _():
    def f(x, y):
        return (x + 1) @ y

    return Case(f, (floats(2, 3), floats(2, 3)), raises=True)


@exits("unsupported-operator")
def _():
    @torch.library.custom_op("framelift_tests::without_fake", mutates_args=())
    def without_fake(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    def f(x):
        return without_fake(x) + 1

    return Case(f, (floats(2),), {"frames": ("without_fake",)})


@exits("generator-escapes")
def _():
    def pieces(x):
        yield x + 1

    def f(x):
        return pieces(x)

    return Case(f, (floats(2),))


@exits("input-output")
def _():
    def f(x, stream):
        print("rows:", x.shape[0], file=stream)
        return x + 1

    return Case(f, (floats(2), made(lambda k: io.StringIO())))


@exits("lock")
def _():
    lock = threading.Lock()

    def f(x):
        with lock:
            return x + 1

    return Case(f, (floats(2),))


class Key:
    """A key whose hash is the program's own."""

    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        return self.name == other.name


@exits("user-hash")
def _():
    def f(x, table, key):
        table[key] = x + 1
        return x * len(table)

    return Case(f, (floats(2), {}, made(lambda k: Key("a"))))


@contextlib.contextmanager
def _not_loaded():
    sys.modules.pop("tests.exits.loaded_late", None)
    yield


@exits("import-runs-code")
def _():
    def f(x):
        from tests.exits.loaded_late import FACTOR

        return x * FACTOR

    return Case(f, (floats(2),), {"context": _not_loaded})


@exits("tensor-subclass")
def _():
    def f(x):
        return torch.sparse.sum(x) + 1

    return Case(f, (made(lambda k: (torch.eye(3) * k).to_sparse()),))


@exits("too-deep")
def _():
    def down(x, n):
        return x if n == 0 else down(x, n - 1)

    def f(x):
        return down(x, 300) + 1

    return Case(f, (floats(2),))


@exits("async-function")
def _():
    async def later(x):
        return x + 1

    def f(x):
        coroutine = later(x)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value

    return Case(f, (floats(2),))


@exits("class-definition")
def _():
    def f(x):
        class Local:
            factor = 3

        return x * Local.factor

    return Case(f, (floats(2),))


@exits("mutated-iterator-input")
def _():
    def f(x, items):
        return x + next(items)

    return Case(f, (floats(2), made(lambda k: (number for number in [1, 2, 3]))))


@exits("not-rebuildable")
def _():
    def f(x):
        return itertools.chain([x + 1])

    return Case(f, (floats(2),))


@exits("tensor-address")
def _():
    def f(x):
        return x + 1, x.data_ptr() == 0

    return Case(f, (floats(2),))


@exits("changed-while-iterated")
def _():
    def f(x):
        table = {"a": 1}
        try:
            for name in table:
                table[name + "b"] = 2
        except RuntimeError:
            return x + len(table)

    return Case(f, (floats(2),))


@exits("dynamic-code")
def _():
    def f(x):
        return x + eval("1 + 1")

    return Case(f, (floats(2),))


@exits("clock")
def _():
    def f(x):
        return x + 1, [time.monotonic()].clear()

    return Case(f, (floats(2),))


@exits("random-state")
def _():
    def f(x):
        return x + random.random()

    return Case(f, (floats(2),))


@exits("tensor-state")
def _():
    def f(x, y):
        x.data = y
        return x + 1

    return Case(f, (floats(2), floats(2)))


@exits("backward")
def _():
    def f(x, w):
        loss = (x * w).sum()
        loss.backward()
        return loss.detach()

    with_history = made(lambda k: torch.ones(2, requires_grad=True) * (k + 2))
    return Case(f, (floats(2), with_history))


@contextlib.contextmanager
def _threads_restored():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@exits("global-state")
def _():
    def f(x):
        torch.set_num_threads(1)
        return x + 1

    return Case(f, (floats(2),), {"context": _threads_restored})


@exits("loop-too-long")
def _():
    def f(x):
        n = 0
        for _ in range(2_000):
            n += 1
        return x + n

    return Case(f, (floats(2),), {"context": lambda: framelift.config.patch(loop_limit=1_000)})


@exits("exception-group")
def _():
    def f(x):
        try:
            raise ExceptionGroup("many", [ValueError("a"), TypeError("b")])
        except* ValueError:
            x = x + 1
        except* TypeError:
            x = x * 2
        return x

    return Case(f, (floats(2),))


@exits("symbolic-value")
def _():
    def f(x):
        n = x.shape[0]
        return x * (n * n * n * n * n * n * n * n * n)

    return Case(f, (floats(5),), {"dynamic": True})


@exits("weak-reference")
def _():
    class Target: ...

    def f(x, target):
        return x + 1, weakref.ref(target)() is target

    return Case(f, (floats(2), made(lambda k: Target())))


@exits("numpy")
def _():
    def f(x):
        return torch.from_numpy(numpy.sin(x.numpy()))

    return Case(f, (floats(2),))


@exits("autograd-function")
def _():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.double = lambda gradient: gradient * 2
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return ctx.double(gradient) * x

    def f(x):
        return Square.apply(x) + 1

    return Case(f, (floats(2, requires_grad=True),), {"backward": True})


@exits("checkpoint")
def _():
    calls = []

    def inner(x):
        calls.append(1)
        return x.sin()

    def f(x):
        return torch.utils.checkpoint.checkpoint(inner, x, use_reentrant=False) + 1

    return Case(f, (floats(2, requires_grad=True),), {"backward": True})


@exits("function-transform")
def _():
    def f(x):
        return torch.func.vjp(torch.sin, x)[0]

    return Case(f, (floats(3, 2),))


@exits("live-frame")
def _():
    def f(x):
        return x + 1, sys._getframe().f_code.co_name

    return Case(f, (floats(2),))


@exits("call-does-not-bind")
def _():
    def inner(a, b):
        return a + b

    def f(x):
        return inner(x)

    return Case(f, (floats(2),), raises=True)


@exits("address-in-text")
def _():
    class Plain: ...

    def f(x, one):
        return x + len(repr(one)) * 0

    return Case(f, (floats(2), made(lambda k: Plain())))


@exits("identity-of-constants")
def _():
    def f(x, one, other):
        return x + 1 if one is other else x - 1

    return Case(f, (floats(2), 100_000, made(lambda k: int("100000"))))


@exits("unsupported-argument")
def _():
    data = memoryview(b"ab")

    def f(x):
        return x[0] + torch.tensor(data)

    return Case(f, (floats(2),))


@exits("exception-from-outside")
def _():
    def f(x, error):
        try:
            raise error
        except ValueError:
            return x + 1

    return Case(f, (floats(2), made(lambda k: ValueError("made outside"))))


@exits("identity-number")
def _():
    class Plain: ...

    def f(x):
        return x + 1, id(Plain()) == 0

    return Case(f, (floats(2),))


@exits("forced-break")
def _():
    def f(x):
        return (x + 1) * 2

    return Case(f, (floats(2),), {"context": lambda: framelift.config.patch(break_at=6)})


@exits("loop-round")
def _():
    def rounds(x):
        found = []
        for i in range(12):
            x = x + 1
            if i in (0, 1, 3, 7):
                found.append(int(x.sum()))
        return x, found

    return Case(rounds, (floats(2),), {"forced": False}, whole=True)


@exits("fails-too-late")
def _():
    def f(x, cache, index):
        try:
            cache.add_(1)
            return x[index]
        except IndexError:
            return x

    return Case(f, (floats(3), made(lambda k: torch.zeros(1 << 19)), torch.tensor([0, 2])), whole=True)


@exits("skipped-call")
def _():
    def f(x):
        return x + 1, platform.machine()

    return Case(f, (floats(2),))


@exits("disallowed-call")
def _():
    def handler(error):
        return "?", error.end

    def f(x):
        codecs.register_error("framelift-tests", handler)
        return x + 1

    return Case(f, (floats(2),))


@exits("unknown-callable")
def _():
    def f(x):
        return x + 1, zlib.crc32(b"abc")

    return Case(f, (floats(2),))


@exits("set-order")
def _():
    def f(x):
        return x + 1, len([1 for _ in {object(), "other"}])

    return Case(f, (floats(2),))
