"""Calls inside calls: recursion, callbacks that change the callable, and threads."""

from __future__ import annotations

import gc
import sys
import threading

import pytest

from framelift._native import CompiledCallable, Entry
from tests.execute.entries import compiled, entry, tree
from tests.threads import running


class TestRecursion:
    def test_a_function_that_calls_its_compiled_self(self):
        @lambda function: CompiledCallable(function, None, None)
        def factorial(n):
            return 1 if n < 2 else n * factorial(n - 1)

        assert factorial(20) == 2432902008176640000
        assert factorial.misses == 20

    def test_without_end_in_cpython(self):
        @lambda function: CompiledCallable(function, None, None)
        def forever(n):
            return forever(n + 1)

        with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
            forever(0)
        assert forever.misses > 100

    def test_without_end_in_a_graph(self):
        program = compiled(lambda x: 1 / 0)
        program.add(entry(tree(None), graph=lambda x: (program(x),), inputs=[0], result=("graph", 0)))
        with pytest.raises(RecursionError):
            program(1)

    def test_without_end_and_without_a_python_frame(self):
        """Only native code on the stack: it must stop before the C stack does."""
        program = compiled(lambda x: 1 / 0)
        program.add(entry(tree(None), ("call", ("const", program), [("slot", 0)], ())))
        with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
            program(1)
        assert program.entries[0].hits > 100
        program.clear()

    def test_through_on_miss(self):
        def on_miss(callable_, arguments, failures, offset):
            return program(*arguments)

        program = CompiledCallable(lambda x: x, None, on_miss)
        with pytest.raises(RecursionError):
            program(1)

    def test_the_depth_is_given_back(self):
        hit = entry(tree(None), ("call", ("const", len), [("slot", 0)], ()), result=("result", 0))
        program = compiled(lambda x: 1 / 0, hit)
        for _ in range(10 * sys.getrecursionlimit()):
            assert program("ab") == 2
            with pytest.raises(TypeError):
                program(1)


class TestChangesDuringACall:
    def test_a_graph_that_clears_the_entries(self):
        def graph():
            program.clear()
            gc.collect()
            return ("result",)

        program = compiled(lambda x: 1 / 0)
        program.add(entry(tree(None), result=("graph", 0), graph=graph))
        del graph
        assert program(1) == "result"
        assert program.entries == ()

    def test_a_graph_that_reorders_the_entries(self):
        def graph(x):
            return (program("text") if isinstance(x, int) else x,)

        program = compiled(lambda x: 1 / 0)
        for kind in (bytes, int, str):
            program.add(entry(tree(kind), result=("graph", 0), graph=graph, inputs=[0]))
        assert program(1) == "text"
        assert [one.hits for one in program.entries] == [1, 1, 0]

    def test_an_on_miss_that_replaces_itself(self):
        def on_miss(callable_, arguments, failures, offset):
            callable_.on_miss = None
            gc.collect()
            return None

        program = CompiledCallable(lambda x: x, None, on_miss)
        del on_miss
        assert program(1) == 1
        assert program.on_miss is None

    def test_an_on_miss_that_switches_the_callable_off(self):
        def on_miss(callable_, arguments, failures, offset):
            callable_.passthrough = True
            return entry(tree(int), result=("const", "entry"))

        program = CompiledCallable(lambda x: x, None, on_miss)
        assert [program(1), program(1)] == ["entry", 1]

    def test_an_on_miss_that_changes_the_code(self):
        def on_miss(callable_, arguments, failures, offset):
            callable_.__code__ = (lambda x: "new").__code__
            gc.collect()

        def function(x):
            return "old"

        assert CompiledCallable(function, None, on_miss)(1) == "new"

    def test_an_argument_that_dies_in_its_own_call(self):
        class Dying:
            def __del__(self):
                seen.append(program(5))

        seen = []
        hit = entry(tree(None), ("call", ("const", id), [("slot", 0)], ()), result=("const", "done"))
        program = compiled(lambda x: 1 / 0, hit)
        assert program(Dying()) == "done"
        assert seen == ["done"]


def test_threads():
    """Calls that hit, miss and reorder, with others adding and clearing entries and changing defaults."""

    def function(x, y=1, *rest, z=2, **extra):
        return (x, y, rest, z, extra)

    def on_miss(callable_, arguments, failures, offset):
        failures()
        new = make(type(arguments[0]))
        callable_.add(new)
        return new if len(callable_.entries) % 2 else None

    def make(kind) -> Entry:
        everything = ("tuple", [("slot", index) for index in (0, 1, 3, 2, 4)])
        kinds = [kind, None, None, None, None]
        graph = lambda *inputs: inputs  # noqa: E731
        return entry(tree(*kinds), everything, result=("result", 0), graph=graph, inputs=[0, 1])

    def call():
        while not done.is_set():
            for value in (1, "a", 1.0, b"", None, ()):
                result = program(value, 2, 3, z=4, w=5)
                if result != (value, 2, (3,), 4, {"w": 5}):
                    wrong.append(result)
                result = program(y=3, x=value)
                if result[:2] != (value, 3):
                    wrong.append(result)

    def disturb():
        for round_ in range(3000):
            if round_ % 7 == 0:
                program.clear()
            if round_ % 5 == 0:
                function.__kwdefaults__ = {"z": round_}
            if round_ % 3 == 0:
                function.__defaults__ = (round_,)
            if round_ % 11 == 0:
                program.passthrough = not program.passthrough
            program.add(make(int))
            held = program.entries
            assert all(isinstance(one, Entry) for one in held)
        done.set()

    program = CompiledCallable(function, None, on_miss)
    done, wrong = threading.Event(), []
    with running(call, [()] * 4):
        try:
            disturb()
        finally:
            done.set()
    assert wrong == []
