"""The harness must be able to fail: compilers that are wrong in one way each, and the words they are
caught by."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable

import pytest
import torch

from tests.harness import Mismatch, Program, check, floats, fresh, leaks, made, warm
from tests.harness.stand_ins import Caching, Faithful, Identity, Raising, Wrong

LEAKED: list[object] = []
TOTAL = 0
SEEN: list[object] = []


def add(x, y):
    return x + y


def caught(words: str, program: object, *parts: object, compiler: Identity, **options: object) -> None:
    with pytest.raises(Mismatch, match=words):
        check(program, *parts, compiler=compiler, **options)


def wrong(words: str, change: Callable[[tuple, object], object], program: object = add) -> None:
    caught(words, program, floats(2, 3), floats(2, 3), compiler=Wrong(change))


def test_what_is_right_passes():
    check(add, floats(2, 3), floats(2, 3), compiler=Identity())
    check(add, floats(2, 3, requires_grad=True), 2.0, compiler=Identity(), backward=True)


def test_values_are_compared_bit_by_bit():
    wrong("values", lambda args, result: torch.nextafter(result, result + 1))


def test_a_kept_answer_is_seen():
    kept = []

    def keep(args, result):
        kept.append(result)
        return kept[0]

    wrong("call 1", keep)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("dtype", lambda args, result: result.double()),
        ("stride", lambda args, result: result.t().contiguous().t()),
        ("requires_grad", lambda args, result: result.requires_grad_()),
        ("shape", lambda args, result: result[None]),
        ("type", lambda args, result: torch.nn.Parameter(result, requires_grad=False)),
        ("type", lambda args, result: [result]),
        ("memory", lambda args, result: args[0].copy_(result).view(2, 3)),
    ],
)
def test_metadata_is_compared(words, change):
    wrong(words, change)


def test_gradients_are_compared():
    class Half(Identity):
        def call(self, program, args, kwargs):
            return program(args[0].detach() / 2 + args[0] / 2, args[1])

    inputs = floats(3, requires_grad=True), floats(3)
    caught("grad", add, *inputs, compiler=Half(), backward=True, tolerance=1e-6)


def test_an_argument_that_is_returned_stays_itself():
    def first(x, y):
        return x

    wrong("identity", lambda args, result: result.clone(), first)
    wrong("identity", lambda args, result: args[1].copy_(result), first)


def test_a_view_of_an_argument_shares_its_memory():
    def view(x, y):
        return x[0]

    wrong("memory|is_view", lambda args, result: result.clone(), view)


def test_sharing_inside_the_result_is_compared():
    def twice(x, y):
        both = [x]
        return both, both

    wrong("identity", lambda args, result: (list(result[0]), result[1]), twice)


def test_cycles_are_walked():
    def loop(x, y):
        items = [x + y]
        items.append(items)
        return items

    check(loop, floats(2), floats(2), compiler=Identity())
    wrong("identity|type", lambda args, result: [result[0], [result[0], result]], loop)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, True),
        (1.0, 1),
        (0.0, -0.0),
        (float("nan"), 0.0),
        ((1, 2), [1, 2]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1, 2}, {1, 2.0}),
        (torch.Size([2]), (2,)),
        (slice(1, 2), slice(1, 3)),
        (iter([1, 2]), iter([1, 3])),
        (ValueError("a"), ValueError("b")),
    ],
)
def test_plain_values_are_compared_with_their_types(expected, actual):
    def constant(x, y):
        return copy.copy(expected)

    caught("eager", constant, floats(2), 1, compiler=Wrong(lambda args, result: copy.copy(actual)))


def test_functions_are_compared_by_code_and_cells():
    def make(x, y):
        number = 2 if x.shape[0] == 2 else 3
        return lambda: number

    wrong("cell number", lambda args, result: make(torch.ones(5), 1), make)


def raises(x, y):
    if x.shape[0] == 2:
        raise ValueError(f"bad shape {tuple(x.shape)}")
    return x


def test_exceptions_are_compared():
    parts = floats(2, 3), floats(2, 3)
    with_frames = {"breaks": 1, "graphs": 0}
    check(raises, *parts, compiler=Faithful(0, {"raise": 1}), **with_frames)
    caught("type", raises, *parts, compiler=Raising(lambda: TypeError("bad shape (2, 3)")))
    caught("bad shape", raises, *parts, compiler=Raising(lambda: ValueError("bad")))
    caught("exception lines", raises, *parts, compiler=Raising(lambda: ValueError("bad shape (2, 3)")))
    caught("raises nothing", add, *parts, compiler=Raising(lambda: ValueError("out of nowhere")))


def test_an_exception_that_is_swallowed_is_seen():
    class Silent(Identity):
        def call(self, program, args, kwargs):
            return None

    caught("compiled raises nothing", raises, floats(2, 3), 1, compiler=Silent())


def test_the_chain_of_an_exception_is_compared():
    def chained(x):
        try:
            {}["missing"]
        except KeyError as error:
            raise ValueError("wrapped") from error

    class Unchained(Faithful):
        def call(self, program, args, kwargs):
            try:
                program(*args, **kwargs)
            except ValueError as error:
                error.__cause__ = None
                raise

    caught("exception chain", chained, floats(2), compiler=Unchained())


def test_missed_mutations_are_seen():
    class Forgetful(Identity):
        def call(self, program, args, kwargs):
            return program(*[torch.clone(a) if isinstance(a, torch.Tensor) else copy.copy(a) for a in args])

    def append(x, items):
        items.append(x + 1)

    def in_place(x, items):
        x.add_(1)

    def attribute(x, items):
        x.mark = 3

    def delete(x, items):
        del items["a"]

    caught("arguments", append, floats(2), [], compiler=Forgetful())
    caught("arguments", in_place, floats(2), [], compiler=Forgetful())
    caught("arguments", attribute, floats(2), [], compiler=Forgetful())
    caught("arguments", delete, floats(2), {"a": 1}, compiler=Forgetful())


def count_up(x):
    global TOTAL
    TOTAL += 1
    SEEN.append(TOTAL)
    return x * TOTAL


def test_missed_writes_to_globals_are_seen():
    class Constant(Identity):
        """Puts the globals back."""

        def call(self, program, args, kwargs):
            before = TOTAL, list(SEEN)
            result = program(*args, **kwargs)
            program.__globals__["TOTAL"] = before[0]
            SEEN[:] = before[1]
            return result

    names = ("TOTAL", "SEEN")
    check(count_up, floats(2), compiler=Identity(), globals=names)
    assert TOTAL == 0
    assert SEEN == []
    caught("TOTAL", count_up, floats(2), compiler=Constant(), globals=names)


def test_missed_writes_to_closures_are_seen():
    def build():
        total = 0

        def count(x):
            nonlocal total
            total += 1
            return x * total

        return Program(count, watch=lambda: total)

    class Frozen(Identity):
        def call(self, program, args, kwargs):
            result = program(*args, **kwargs)
            program.__closure__[0].cell_contents = 0
            return result

    check(fresh(build), floats(2), compiler=Identity())
    caught("state", fresh(build), floats(2), compiler=Frozen())


def test_printed_text_and_warnings_are_compared():
    def talk(x):
        import warnings

        print("hello")
        warnings.warn("careful", stacklevel=1)
        return x

    class Mute(Identity):
        def call(self, program, args, kwargs):
            with contextlib.redirect_stdout(io.StringIO()):
                return program(*args, **kwargs)

    class Calm(Identity):
        def call(self, program, args, kwargs):
            import warnings

            with warnings.catch_warnings(record=True):
                return program(*args, **kwargs)

    check(talk, floats(2), compiler=Identity())
    caught("printed", talk, floats(2), compiler=Mute())
    caught("warned", talk, floats(2), compiler=Calm())


@pytest.mark.parametrize(
    "leave_behind",
    [
        lambda: torch.rand(1),
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.use_deterministic_algorithms(True),
    ],
)
def test_torch_state_and_random_numbers_are_compared(leave_behind):
    try:
        wrong("state: eager", lambda args, result: (leave_behind(), result)[1])
    finally:
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)


def test_leaked_references_are_seen():
    def leak(args, result):
        LEAKED.append(args[1])
        return result

    def take(x, options):
        return x * len(options)

    try:
        caught("references", take, floats(2), {"a": 1}, compiler=Wrong(leak))
        with pytest.raises(Mismatch, match="references to dict"):
            leaks(take, floats(2), {"a": 1}, compiler=Wrong(leak))
        with pytest.raises(Mismatch, match="growth"):
            leaks(take, floats(2), {"a": 1}, compiler=Wrong(leak), reuse_arguments=False)
        leaks(take, floats(2), {"a": 1}, compiler=Identity())
    finally:
        LEAKED.clear()


def test_tensors_kept_alive_are_seen():
    def keep_first(args, result):
        if not LEAKED:
            LEAKED.append(args[0])
        return result

    frames = (keep_first.__qualname__,)
    try:
        caught(
            "still alive",
            add,
            floats(2),
            floats(2),
            compiler=Wrong(keep_first),
            references=False,
            frames=frames,
        )
    finally:
        LEAKED.clear()


def test_counts_must_be_those_expected():
    parts = floats(2), floats(2)
    caught("graphs: 1 expected, 0 counted", add, *parts, compiler=Identity(0))
    caught("graphs: 1 expected, 2 counted", add, *parts, compiler=Identity(2))
    caught("breaks: 0 expected", add, *parts, compiler=Identity(1, {"print": 1}))
    caught("breaks: 1 expected", add, *parts, compiler=Identity(), breaks=1)
    caught(
        "break reason", add, *parts, compiler=Identity(0, {"print": 1}), graphs=0, breaks=1, reason="input"
    )
    caught("fallbacks", add, *parts, compiler=Identity(fallbacks=1))
    check(add, *parts, compiler=Identity(0, {"print": 1}), graphs=0, breaks=1, reason="print")


def test_a_program_that_quietly_ran_in_cpython_fails():
    caught("CPython entered add", add, floats(2), floats(2), compiler=Faithful())


def test_a_graph_that_does_not_run_fails():
    class Idle(Identity):
        """Compiles a graph and never runs it."""

        def compile(self, program, *, backend, fullgraph, dynamic):
            compiled = super().compile(
                program, backend=lambda graph, inputs: graph.forward, fullgraph=True, dynamic=None
            )
            backend(torch.fx.symbolic_trace(lambda x: x + 1), [])
            return compiled

    caught("0 graphs ran", add, floats(2), floats(2), compiler=Idle())


def scaled():
    config = {"scale": 2.0, "unused": 0}

    def scale(x):
        return x * config["scale"]

    return Program(scale, config)


def test_mutations_must_miss_and_must_hit():
    warm(fresh(scaled), floats(2), compiler=Caching(("scale",))).must_miss(
        lambda config: config.update(scale=3.0)
    )
    warm(fresh(scaled), floats(2), compiler=Caching(("scale",))).must_hit(
        lambda config: config.update(unused=3)
    )
    with pytest.raises(Mismatch, match="should have hit"):
        warm(fresh(scaled), floats(2), compiler=Caching(("unused",))).must_hit(
            lambda config: config.update(unused=3)
        )
    with pytest.raises(Mismatch, match="values"):
        warm(fresh(scaled), floats(2), compiler=Caching(())).must_miss(
            lambda config: config.update(scale=3.0)
        )
    with pytest.raises(Mismatch, match="should have missed"):
        warm(fresh(scaled), floats(2), compiler=Caching(())).must_miss(lambda config: config.update(unused=3))
    session = warm(fresh(scaled), floats(2), compiler=Caching(("scale", "unused")))
    with pytest.raises(Mismatch, match="can't fail"):
        session.must_miss(lambda config: config.update(unused=3))


def test_recipes_give_other_values_at_each_call():
    first, second = [], []

    def record(x, y):
        (first if len(first) == len(second) else second).append((x.clone(), y))
        return x

    check(record, floats(2), made(lambda k: k), compiler=Identity(), references=False)
    assert [k for _, k in first][:3] == [0, 1, 2]
    assert torch.equal(first[1][0], second[1][0])
    assert not torch.equal(first[0][0], first[1][0])
