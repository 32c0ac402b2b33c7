"""Breaks in callees: whatever way a callee is entered, its work before and after the break is compiled, and
so is that of every frame on the way."""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
import traceback

import pytest
import torch

import framelift
from framelift.observe import reasons
from tests.harness import check, each, floats, fresh, leaks
from tests.harness.naming import without_addresses
from tests.threads import run_in_threads

BREAK = reasons.USER_GRAPH_BREAK.title


def broken(x):
    """What every callee of this file does: work, a break, work."""
    y = x.sin()
    framelift.graph_break()
    return y.cos()


class Thing:
    """Each way into it is Python code with a break."""

    def __init__(self, x):
        self.x = x

    @property
    def attribute(self):
        y = self.x.sin()
        framelift.graph_break()
        return y.cos()

    def __getattr__(self, name):
        if name != "missing":
            raise AttributeError(name)
        y = self.x.sin()
        framelift.graph_break()
        return y.cos()

    def __setattr__(self, name, value):
        if name == "watched":
            value = value.sin()
            framelift.graph_break()
            value = value.cos()
        object.__setattr__(self, name, value)

    def keep(self):
        y = self.x.sin()
        framelift.graph_break()
        self.kept = y.cos()

    def give(self, *rest):
        y = self.x.sin()
        framelift.graph_break()
        return y.cos()

    __call__ = __getitem__ = __add__ = __radd__ = __iadd__ = __neg__ = __matmul__ = __lt__ = __eq__ = give
    __hash__ = None

    def __len__(self):
        self.keep()
        return 2

    def __bool__(self):
        self.keep()
        return True

    def __contains__(self, item):
        self.keep()
        return True

    def __setitem__(self, key, value):
        self.keep()

    def __delitem__(self, key):
        self.keep()

    def __enter__(self):
        self.keep()
        return self

    def __exit__(self, *error):
        self.x = self.kept
        self.keep()

    def __format__(self, specification):
        self.keep()
        return "thing"

    def __index__(self):
        self.keep()
        return 0


class Made:
    def __init__(self, x):
        y = x.sin()
        framelift.graph_break()
        self.y = y.cos()


class MadeByNew:
    def __new__(cls, x):
        self = object.__new__(cls)
        y = x.sin()
        framelift.graph_break()
        self.y = y.cos()
        return self


class Meta(type):
    def __call__(cls, x):
        y = x.sin()
        framelift.graph_break()
        return super().__call__(y.cos())


class MadeByMeta(metaclass=Meta):
    def __init__(self, y):
        self.y = y


class Described:
    def __get__(self, owner, cls):
        y = owner.x.sin()
        framelift.graph_break()
        return y.cos()

    def __set__(self, owner, value):
        y = value.sin()
        framelift.graph_break()
        owner.x = y.cos()


class WithDescriptor:
    field = Described()

    def __init__(self, x):
        self.x = x


def with_init(x):
    return Made(x.exp()).y.tanh()


def with_new(x):
    return MadeByNew(x.exp()).y.tanh()


def with_metaclass(x):
    return MadeByMeta(x.exp()).y.tanh()


def with_property(x):
    return Thing(x.exp()).attribute.tanh()


def with_getattr(x):
    return Thing(x.exp()).missing.tanh()


def with_setattr(x):
    thing = Thing(1)
    thing.watched = x.exp()
    return thing.watched.tanh()


def with_descriptor_get(x):
    return WithDescriptor(x.exp()).field.tanh()


def with_descriptor_set(x):
    thing = WithDescriptor(1)
    thing.field = x.exp()
    return thing.x.tanh()


def with_call(x):
    return Thing(x.exp())(1, 2).tanh()


def with_add(x):
    return (Thing(x.exp()) + 1).tanh()


def with_reflected_add(x):
    return (1 + Thing(x.exp())).tanh()


def with_in_place_add(x):
    thing = Thing(x.exp())
    thing += 1
    return thing.tanh()


def with_negation(x):
    return (-Thing(x.exp())).tanh()


def with_comparison(x):
    return (Thing(x.exp()) < 1).tanh()


def with_equality(x):
    return (Thing(x.exp()) == 1).tanh()


def with_getitem(x):
    return Thing(x.exp())[1:2].tanh()


def with_setitem(x):
    thing = Thing(x.exp())
    thing[1] = 2
    return thing.kept.tanh()


def with_delitem(x):
    thing = Thing(x.exp())
    del thing[1]
    return thing.kept.tanh()


def with_len(x):
    thing = Thing(x.exp())
    return len(thing), thing.kept.tanh()


def with_bool(x):
    thing = Thing(x.exp())
    return thing.kept.tanh() if thing else x


def with_contains(x):
    thing = Thing(x.exp())
    return 3 in thing, thing.kept.tanh()


def with_format(x):
    thing = Thing(x.exp())
    return f"a {thing}", thing.kept.tanh()


def with_index(x):
    thing = Thing(x.exp())
    return [4, 5][thing], thing.kept.tanh()


def with_map(x):
    return list(map(broken, [x.exp()]))[0].tanh()


def with_filter(x):
    def positive(y):
        return broken(y).sum() < 10

    return list(filter(positive, [x.exp()]))[0].tanh()


def with_sorted(x):
    def key(number):
        return broken(x.exp()).shape[0] * number

    return sorted([3, 1, 2], key=key), x.tanh()


def with_partial(x):
    return functools.partial(broken, x.exp())().tanh()


def with_reduce(x):
    def step(one, other):
        return broken(one) + other

    return functools.reduce(step, [x.exp(), x]).tanh()


def with_closure(x):
    y = x.exp()

    def inner(z):
        w = (y + z).sin()
        framelift.graph_break()
        return (w + y).cos()

    return inner(x).tanh()


def with_written_closure(x):
    y = x.exp()

    def inner():
        nonlocal y
        y = y.sin()
        framelift.graph_break()
        y = y.cos()

    inner()
    return y.tanh()


def with_lambda(x):
    y = x.exp()
    return (lambda z: broken(y + z))(x).tanh()


def with_comprehension(x):
    y = x.exp()
    return [broken(z + y) for z in (x, x)][1].tanh()


def with_nested_comprehension(x):
    y = x.exp()
    return [[broken(z + w + y) for z in (x, x)] for w in (x, x)][1][0].tanh()


def with_dict_comprehension(x):
    y = x.exp()
    return {name: broken(z + y) for name, z in (("a", x), ("b", x))}["b"].tanh()


def with_defaults(x, scale=2.0):
    def inner(z, *, k=scale, other=3):
        return broken(z * k) + other

    return inner(x.exp()).tanh()


def with_star_arguments(x):
    def inner(first, *rest, last, **names):
        return broken(first + rest[0]) * last + names["k"]

    return inner(x.exp(), *(x,), **{"last": 2, "k": 3}).tanh()


def traced(function):
    @functools.wraps(function)
    def wrapper(*arguments, **keywords):
        return function(*arguments, **keywords).neg()

    return wrapper


@traced
@traced
def decorated(x):
    return broken(x)


def with_decorators(x):
    return decorated(x.exp()).tanh()


WAYS = [value for name, value in sorted(globals().items()) if name.startswith("with_")]


@pytest.mark.parametrize("program", WAYS, ids=lambda program: program.__name__)
def test_the_work_of_the_callee_is_captured(program):
    report = check(program, floats(3), graphs=None, breaks=None, recompiles=None, reason=BREAK)
    assert {"exp", "sin", "cos", "tanh"} <= set(report.calls)
    assert report.counts.fallbacks == 0


ONCE = [
    way for way in WAYS if not any(word in way.__name__ for word in ("sorted", "comprehension", "filter"))
]


@pytest.mark.parametrize("program", ONCE, ids=lambda program: program.__name__)
def test_a_break_in_a_callee_is_one_break(program):
    report = check(program, floats(3), graphs=None, breaks=1, recompiles=None, reason=BREAK)
    assert report.calls["sin"] == report.calls["cos"] == 1


class Rounds:
    def __init__(self, x):
        self.x = x
        self.left = 3

    def __iter__(self):
        self.start = broken(self.x)
        return self

    def __next__(self):
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        return broken(self.start).tanh()


def in_an_iterator(x):
    total = x.sqrt()
    for item in Rounds(x.exp()):
        total = total + item.log()
    return total.abs()


def test_in_an_iterator():
    report = check(
        in_an_iterator, floats(3, positive=True), graphs=None, breaks=None, recompiles=None, reason=BREAK
    )
    assert {"exp", "sin", "cos", "tanh", "sqrt", "log", "abs"} <= set(report.calls)
    assert report.counts.fallbacks == 0


def in_a_manager(x):
    with Thing(x.exp()) as thing:
        y = thing.kept.tanh()
    return y, thing.kept.sqrt()


def test_in_a_context_manager():
    report = check(in_a_manager, floats(3), graphs=None, breaks=None, recompiles=None, reason=BREAK)
    assert {"exp", "sin", "cos", "tanh", "sqrt"} <= set(report.calls)
    assert report.counts.fallbacks == 0


# -- several levels ----------------------------------------------------------------------------------------

WORK = ["exp", "neg", "abs", "tanh", "sigmoid", "relu"]


def by_functions(levels):
    """A chain of closures, each of which works before and after it calls the next."""
    call = broken
    for name in WORK[:levels]:

        def call(x, inner=call, name=name, *rest, scale=1.0, **names):
            y = getattr(x, name)()
            y = inner(y * scale)
            return getattr(y, name)()

    return call


class Layer(torch.nn.Module):
    def __init__(self, name, inner):
        super().__init__()
        self.name = name
        self.inner = inner

    def forward(self, x, *, scale=1.0):
        y = getattr(x, self.name)()
        y = self.inner(y * scale)
        return getattr(y, self.name)()


class Innermost(torch.nn.Module):
    def forward(self, x):
        return broken(x)


class Derived(Layer):
    def forward(self, x, **names):
        return super().forward(x, **names)


def by_modules(levels, cls=Layer):
    module = Innermost()
    for name in WORK[:levels]:
        module = cls(name, module)
    return module


@pytest.mark.parametrize("levels", range(1, 7))
@pytest.mark.parametrize(
    "build", [by_functions, by_modules, functools.partial(by_modules, cls=Derived)], ids=without_addresses
)
def test_every_level_is_captured(build, levels):
    report = check(fresh(lambda: build(levels)), floats(3), graphs=2 * levels + 2, breaks=1, reason=BREAK)
    operators = report.calls
    assert operators["sin"] == operators["cos"] == 1
    assert {name: operators[name] for name in WORK[:levels]} == dict.fromkeys(WORK[:levels], 2)
    assert report.counts.fallbacks == 0


class Stack(torch.nn.Module):
    """Layers in a list, with hooks."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(3, 3) for _ in range(4))
        self.block = torch.nn.Sequential(torch.nn.Linear(3, 3), Innermost(), torch.nn.Tanh())
        self.layers[1].register_forward_hook(lambda module, given, result: broken(result))
        self.layers[2].register_forward_pre_hook(lambda module, given: (broken(given[0]),))

    def forward(self, x):
        for index, layer in enumerate(self.layers):
            x = layer(x) + index
        return self.block(x).exp()


def test_hooks_lists_and_sequences_of_modules():
    report = check(fresh(Stack), floats(2, 3), graphs=None, breaks=None, recompiles=None, reason=BREAK)
    operators = report.calls
    assert operators["linear"] >= 5
    assert {"sin", "cos", "tanh", "exp", "add"} <= set(operators)
    assert report.counts.fallbacks == 0


def test_layers_of_one_class_share_what_is_alike():
    class Numbered(torch.nn.Module):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def forward(self, x):
            return broken(x * self.number)

    def build():
        return torch.nn.Sequential(*(Numbered(number) for number in range(20)))

    check(fresh(build), floats(3), graphs=None, breaks=None, recompiles=1)
    assert framelift.counters["graphs"].total() < 20
    assert not framelift.counters["limits"]


def test_objects_with_children_of_their_own_share_what_they_call():
    def work(x):
        return broken(x * 2).tanh()

    class Tagged(torch.nn.Module):
        def __init__(self, tag):
            super().__init__()
            self.tag = tag

        def forward(self, x):
            return work(x) + len(self.tag)

    def build():
        return torch.nn.Sequential(*(Tagged("tag" * number) for number in range(12)))

    report = check(fresh(build), floats(3), graphs=None, breaks=None, recompiles=None, calls=3)
    assert framelift.counters["limits"]
    assert report.calls["tanh"] == 1


def test_objects_that_are_made_in_each_call_share_entries():
    class Helper:
        def __init__(self, x):
            self.x = x

        def run(self):
            return broken(self.x).tanh()

    class Temporary(torch.nn.Module):
        def forward(self, x):
            return broken(x).tanh()

    def helps(x):
        return Helper(x.exp()).run()

    check(helps, floats(3), graphs=4, breaks=1, calls=12)

    def module(x):
        return Temporary()(x.exp())

    check(module, floats(3), graphs=None, breaks=None, recompiles=None, calls=12)
    assert sum(framelift.counters["graphs"].values()) < 20


# -- exceptions and frames ---------------------------------------------------------------------------------


class Fails(Thing):
    @property
    def attribute(self):
        y = self.x.sin()
        framelift.graph_break()
        raise ValueError(f"in a property, {y.shape}")

    def __add__(self, other):
        framelift.graph_break()
        raise KeyError("in an operator")

    def __next__(self):
        framelift.graph_break()
        raise StopIteration(3)


def lines_of(error: BaseException) -> list[tuple]:
    """The frames of this file in a traceback."""
    found = traceback.extract_tb(error.__traceback__)
    return [(one.name, one.lineno, one.colno, one.end_colno) for one in found if one.filename == __file__]


def fails_in_a_property(x):
    return Fails(x.exp()).attribute


def fails_in_an_operator(x):
    return Fails(x.exp()) + 1


def fails_in_a_callback(x):
    def inner(y):
        broken(y)
        return y.unknown

    return list(map(inner, [x.exp()]))


def fails_in_a_comprehension(x):
    y = x.exp()
    return [broken(z + y)[7] for z in (x,)]


@pytest.mark.parametrize(
    "program",
    [fails_in_a_property, fails_in_an_operator, fails_in_a_callback, fails_in_a_comprehension],
    ids=lambda program: program.__name__,
)
def test_tracebacks_are_those_of_cpython(program):
    def catches(x):
        try:
            return program(x)
        except Exception as error:
            return type(error).__name__, str(error), lines_of(error), x.tanh()

    check(program, floats(3), graphs=None, breaks=None, recompiles=None)
    check(catches, floats(3), graphs=None, breaks=None, recompiles=None)


@framelift.disable
def who_is_there():
    found, frame = [], sys._getframe(1)
    while frame is not None:
        if frame.f_code is called.__code__:
            break
        if frame.f_code.co_filename == __file__:
            found.append((frame.f_code.co_name, frame.f_lineno, sorted(frame.f_locals)))
        frame = frame.f_back
    return found


class Looks:
    def __init__(self, x):
        y = x.sin()
        self.seen = who_is_there()
        self.y = y.cos()

    @property
    def attribute(self):
        y = self.y.sin()
        return who_is_there(), y.cos()

    def __lt__(self, other):
        return [who_is_there() for _ in range(2)]


def looks_around(x):
    looks = Looks(x.exp())
    key = [who_is_there() for _ in sorted([1, 2], key=lambda number: (who_is_there(), number)[1])]
    return looks.seen, looks.attribute, looks < 1, list(map(lambda y: (who_is_there(), y.cos()), [x])), key


def called(function, x):
    return function(x)


def test_frames_are_those_of_cpython():
    framelift.reset()
    compiled = framelift.compile(looks_around, backend="eager")
    x = torch.ones(3)
    expected = called(looks_around, x)
    for _ in range(3):
        assert repr(called(compiled, x)) == repr(expected)
    assert "__init__" in repr(expected)
    assert framelift.counters["graphs"].total() > 4


# -- what is left out --------------------------------------------------------------------------------------


@framelift.disable
def disabled(x):
    return Made(broken(x)).y


@framelift.disable(recursive=False)
def disabled_alone(x):
    return Made(broken(x)).y


def calls_disabled(x):
    return disabled(x.exp()).tanh()


def calls_disabled_alone(x):
    return disabled_alone(x.exp()).tanh()


def test_disabled_functions_and_what_they_call():
    report = check(calls_disabled, floats(3), graphs=2, breaks=1, reason=reasons.DISABLED_CALL.title)
    assert report.calls == {"exp": 1, "tanh": 1}
    report = check(calls_disabled_alone, floats(3), graphs=None, breaks=None, reason=BREAK)
    assert {"exp", "sin", "cos", "tanh"} <= set(report.calls)


def test_disabled_closures_beside_others_of_their_code():
    def build():
        def make(scale):
            def inner(x):
                return x.sin() * scale

            return inner

        return framelift.disable(make(2)), make(3)

    one, other = build()

    def calls_both(x):
        framelift.graph_break()
        return framelift.disable(lambda: 1)(), one(x.exp()), broken(other(x)).tanh()

    report = check(calls_both, floats(3), graphs=None, breaks=None)
    assert report.calls["sin"] == 2


def test_c_code_that_calls_back():
    """``__array_priority__`` and the like aside, C code without a rule calls user code that is compiled."""

    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.double = lambda gradient: gradient * 2
            return x.sin() * 2

        @staticmethod
        def backward(ctx, gradient):
            return ctx.double(gradient.cos())

    def applies(x):
        return Doubled.apply(x.exp()).tanh()

    report = check(applies, floats(3), graphs=None, breaks=None, recompiles=None)
    assert {"exp", "sin", "tanh"} <= set(report.calls)


def test_printing_a_tensor_compiles_nothing_of_torch():
    def prints(x):
        y = x.sin()
        print(y)
        return y.cos()

    check(prints, floats(3), graphs=2, breaks=1)


# -- nothing stays, and nothing is confused ----------------------------------------------------------------


def mixed(x):
    y = Made(x).y + Thing(x).attribute
    y = y + [broken(z + y) for z in (x, x)][0]
    return sum(map(lambda z: broken(z + y), [x])) + (Thing(x) + 1)


def test_nothing_is_kept():
    leaks(mixed, floats(3))
    leaks(mixed, floats(3), reuse_arguments=False)
    leaks(with_closure, floats(3), reuse_arguments=False)


def test_nothing_is_left_of_10_000_breaks():
    compiled = framelift.compile(mixed, backend="eager")
    x = torch.ones(3)

    def census(calls):
        for _ in range(calls):
            compiled(x)
        gc.collect()
        return len(gc.get_objects()), sys.getrefcount(x), sys.getallocatedblocks()

    census(100)
    before = census(100)
    after = census(2000)  # five breaks in callees in each call
    assert after[0] <= before[0]
    assert after[1] == before[1]
    assert after[2] - before[2] < 1000


def test_eight_threads():
    compiled = framelift.compile(mixed, backend="eager")
    inputs = [torch.ones(3) * k for k in range(8)]
    expected = [mixed(x) for x in inputs]
    compiled(inputs[0])
    wrong = []

    def run(k):
        for _ in range(60):
            if not torch.equal(compiled(inputs[k]), expected[k]):
                wrong.append(k)

    run_in_threads(run, [(k,) for k in range(8)])
    assert not wrong


def test_a_collection_at_every_allocation():
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        check(mixed, floats(3), graphs=None, breaks=None, recompiles=None, calls=2)
    finally:
        gc.set_threshold(*before)


def recursive(x, depth):
    y = x.sin()
    framelift.graph_break()
    if depth == 0:
        return y
    return [recursive(z, depth - 1) for z in (y,)][0].cos()


def test_recursion():
    report = check(
        recursive, floats(3), each(5, 6, 7, 30), graphs=None, breaks=None, recompiles=None, calls=5
    )
    assert {"sin", "cos"} <= set(report.calls)
    compiled = framelift.compile(recursive, backend="eager")
    for function in (recursive, compiled):
        with pytest.raises(RecursionError):
            function(torch.ones(3), 10**9)
    assert torch.equal(compiled(torch.ones(3), 3), recursive(torch.ones(3), 3))


def test_what_a_callee_runs_is_not_armed():
    """A compiled callable that is called at a break is its own, and so is a graph."""
    inner = framelift.compile(broken, backend="eager")

    @framelift.disable(recursive=False)
    def passes(x):
        return inner(x)

    def calls(x):
        return passes(x.exp()).tanh()

    x = torch.ones(3)
    framelift.reset()
    compiled = framelift.compile(calls, backend="eager")
    for _ in range(3):
        assert torch.equal(compiled(x), calls(x))
    assert framelift.counters["graphs"].total() == 4


@contextlib.contextmanager
def managed(x):
    yield x.sin()


def test_managers_of_the_standard_library():
    def uses(x):
        with managed(x) as y, contextlib.suppress(ValueError), contextlib.ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            z = broken(y)
            raise ValueError
        return z.tanh()

    check(uses, floats(3), graphs=None, breaks=None, recompiles=None)


def test_a_recursion_shares_its_entries():
    def at_every_depth(x, depth):
        y = x.sin()
        framelift.graph_break()
        if depth == 0:
            return y
        return there_and_back(y, depth - 1).cos()

    def there_and_back(x, depth):
        framelift.graph_break()
        return at_every_depth(x.exp(), depth)

    compiled = framelift.compile(at_every_depth, backend="eager")
    x = torch.ones(3)
    framelift.reset()
    for depth in (12, 13, 14):
        assert torch.equal(compiled(x, depth), at_every_depth(x, depth))
    few = framelift.counters["graphs"].total()
    for depth in (20, 30):
        assert torch.equal(compiled(x, depth), at_every_depth(x, depth))
    assert framelift.counters["graphs"].total() == few


def waits_for_a_group(x, notes):
    try:
        framelift.graph_break()
        raise ExceptionGroup("several", [ValueError(1), KeyError(2)])
    except* ValueError:
        notes.append("value")
        y = broken(x)
    except* KeyError:
        notes.append("key")
        z = [broken(y) for _ in notes]
    return z


def test_callees_of_a_call_that_cpython_finishes():
    report = check(waits_for_a_group, floats(3), [], graphs=None, breaks=None, recompiles=None)
    callers = 2 if sys.version_info < (3, 12) else 1  # a comprehension was a function of its own
    assert report.calls == {"sin": callers, "cos": callers}


def test_callees_of_a_call_that_is_beyond_the_limit():
    def f(x, name):
        return broken(x.exp()) * len(name)

    framelift.reset()
    compiled = framelift.compile(f, backend="eager", recompile_limit=2)
    x = torch.ones(3)
    for size in range(4):
        assert torch.equal(compiled(x, "a" * size), f(x, "a" * size))
    assert framelift.counters["limits"].total() == 1
    runs = []

    def recording(graph, inputs):
        def run(*given):
            runs.append(graph)
            return graph.forward(*given)

        return run

    compiled = framelift.compile(f, backend=recording, recompile_limit=1)
    for size in range(4):
        runs.clear()
        assert torch.equal(compiled(x, "a" * size), f(x, "a" * size))
        assert any("sin" in graph.code for graph in runs)
        assert any("cos" in graph.code for graph in runs)


def test_a_callable_that_a_disabled_function_calls_is_left_alone():
    @framelift.disable
    def passes(x):
        return [broken(x) for _ in range(2)]

    def f(x):
        framelift.graph_break()
        try:
            y = passes(x)
        except* ValueError:
            y = x
        return y

    report = check(f, floats(3), graphs=None, breaks=None, recompiles=None)
    assert not report.operators
