"""Faults: in user code, in the backend, in framelift itself. The user's objects are left as eager leaves
them."""

import gc
import warnings
import weakref

import pytest
import torch

import framelift
import framelift.pipeline
from tests.harness import floats, leaks


class Boom(Exception):
    """A fault of the test's own."""


def fill(items, x):
    items.append("before")
    y = x + 1
    items.append("after")
    return y * 2


def backend_that_raises(graph, example_inputs):
    raise Boom("while compiling")


def backend_whose_graph_raises(graph, example_inputs):
    def run(*inputs):
        raise Boom("while running")

    return run


def origin(error: BaseException) -> BaseException:
    """The first of the chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def test_a_backend_that_raises_is_heard():
    items = []
    compiled = framelift.compile(fill, backend=backend_that_raises)
    for _ in range(2):
        with pytest.raises(Exception, match="while compiling") as caught:
            compiled(items, torch.ones(2))
        assert isinstance(origin(caught.value), Boom)
        assert items == []


def test_a_backend_that_raises_can_be_ignored():
    items = []
    compiled = framelift.compile(fill, backend=backend_that_raises)
    with framelift.config.patch(suppress_errors=True):
        result = compiled(items, torch.ones(2))
    assert torch.equal(result, torch.full((2,), 4.0))
    assert items == ["before", "after"]


def test_a_graph_that_raises_is_run_by_cpython_where_that_is_safe():
    framelift.reset()
    items = []
    compiled = framelift.compile(fill, backend=backend_whose_graph_raises)
    result = compiled(items, torch.ones(2))
    assert torch.equal(result, torch.full((2,), 4.0))
    assert items == ["before", "after"]
    assert sum(framelift.counters["fallbacks"].values()) == 1


def test_a_graph_that_raises_after_a_mutation_is_not_run_again():
    def change(items, x):
        items.append("before")
        x.add_(1)
        return x * 2

    def mutate_then_raise(graph, example_inputs):
        def run(*inputs):
            graph(*inputs)
            raise Boom("while running")

        return run

    items, x = [], torch.ones(2)
    compiled = framelift.compile(change, backend=mutate_then_raise)
    with pytest.raises(Boom):
        compiled(items, x)
    assert torch.equal(x, torch.full((2,), 2.0))


def test_an_operator_that_fails_at_run_time_gives_eager_s_error():
    def f(x, index):
        return x[index] + 1

    framelift.reset()
    compiled = framelift.compile(f, backend="eager")
    compiled(torch.arange(4.0), torch.tensor([1, 2]))
    with pytest.raises(IndexError) as expected:
        f(torch.arange(4.0), torch.tensor([9]))
    with pytest.raises(IndexError) as actual:
        compiled(torch.arange(4.0), torch.tensor([9]))
    assert str(actual.value) == str(expected.value)
    assert actual.traceback[-1].lineno == expected.traceback[-1].lineno
    assert torch.equal(compiled(torch.arange(4.0), torch.tensor([0])), torch.tensor([1.0]))


@pytest.mark.parametrize("result", [None, 3, "graph"])
def test_a_backend_that_returns_no_callable_is_refused(result):
    compiled = framelift.compile(fill, backend=lambda graph, example_inputs: result)
    with pytest.raises(Exception, match="callable"):
        compiled([], torch.ones(2))


def test_a_backend_that_returns_a_list_or_one_tuple():
    for pack in (tuple, list):
        compiled = framelift.compile(
            fill, backend=lambda graph, inputs, pack=pack: lambda *given: pack(graph(*given))
        )
        assert torch.equal(compiled([], torch.ones(2)), torch.full((2,), 4.0))


def injected_fault(*_, **__):
    raise AssertionError("injected fault in capture")


def test_a_tracer_failure_names_itself_once_and_cpython_runs(monkeypatch, caplog):
    framelift.reset()
    monkeypatch.setattr(framelift.pipeline, "capture_segment", injected_fault)
    items = []
    compiled = framelift.compile(fill, backend="eager")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            assert torch.equal(compiled(items, torch.ones(2)), torch.full((2,), 4.0))
    assert items == ["before", "after"] * 3
    assert caplog.text.count("injected fault") == 1
    assert not caught
    assert sum(framelift.counters["fallbacks"].values()) == 1


def test_a_tracer_failure_raises_where_tests_ask_for_it(monkeypatch):
    monkeypatch.setattr(framelift.pipeline, "capture_segment", injected_fault)
    compiled = framelift.compile(fill, backend="eager")
    with (
        framelift.config.patch(raise_internal_errors=True),
        pytest.raises(framelift.exc.InternalError, match="injected"),
    ):
        compiled([], torch.ones(2))


def test_capture_that_gives_up_has_changed_nothing():
    class Box: ...

    box = Box()
    box.value = 1

    def f(x, items, table):
        items.append(1)
        table["k"] = x
        box.value = x
        x.add_(1)
        framelift.graph_break()
        return x

    compiled = framelift.compile(f, backend="eager", fullgraph=True)
    x, items, table = torch.zeros(2), [], {}
    with pytest.raises(framelift.exc.Unsupported):
        compiled(x, items, table)
    assert torch.equal(x, torch.zeros(2))
    assert (items, table, box.value) == ([], {}, 1)


def test_torch_state_survives_a_failed_capture():
    def f(x):
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            y = x @ x
            framelift.graph_break()
        return y

    compiled = framelift.compile(f, backend="eager", fullgraph=True)
    for _ in range(2):
        with pytest.raises(framelift.exc.Unsupported):
            compiled(torch.ones(2, 2))
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert not torch.compiler.is_compiling()


def test_random_state_survives_capture():
    def f(x):
        y = torch.rand_like(x)
        framelift.graph_break()
        return y

    torch.manual_seed(5)
    expected = f(torch.ones(3))
    torch.manual_seed(5)
    assert torch.equal(framelift.compile(f, backend="eager")(torch.ones(3)), expected)


def test_the_cache_limit_leaves_further_calls_to_cpython():
    def f(x, name):
        return x + len(name)

    framelift.reset()
    compiled = framelift.compile(f, backend="eager")
    with framelift.config.patch(cache_size_limit=3):
        for n in range(6):
            assert torch.equal(compiled(torch.ones(2), "a" * n), torch.ones(2) + n)
    assert sum(framelift.counters["graphs"].values()) == 3
    assert sum(framelift.counters["limits"].values()) == 1


def test_error_on_recompile():
    def f(x, name):
        return x + len(name)

    compiled = framelift.compile(f, backend="eager")
    compiled(torch.ones(2), "a")
    with framelift.config.patch(error_on_recompile=True):
        compiled(torch.ones(2), "a")
        with pytest.raises(framelift.exc.RecompileError, match="name"):
            compiled(torch.ones(2), "b")


def test_a_backend_that_calls_the_compiled_function():
    compiled = None

    def reentrant(graph, example_inputs):
        inner = compiled([], torch.ones(3))
        assert torch.equal(inner, torch.full((3,), 4.0))
        return graph.forward

    compiled = framelift.compile(fill, backend=reentrant)
    assert torch.equal(compiled([], torch.ones(2)), torch.full((2,), 4.0))


def test_finalisers_that_call_the_compiled_function():
    calls = []

    class Finalised:
        def __del__(self):
            calls.append(compiled(torch.ones(2), None))

    def f(x, box):
        if box is not None:
            box[0] = None
        return x + 1

    compiled = framelift.compile(f, backend="eager")
    for _ in range(3):
        compiled(torch.ones(2), [Finalised()])
    assert len(calls) == 3


def test_a_compiled_function_that_dies_frees_what_it_held():
    def build():
        net = torch.nn.Linear(3, 3)
        compiled = framelift.compile(net, backend="eager")
        compiled(torch.ones(2, 3))
        return weakref.ref(net), weakref.ref(net.weight)

    references = build()
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_errors_do_not_leak():
    def f(x):
        framelift.graph_break()
        raise ValueError("out")

    leaks(f, floats(2))
