"""The compiled callable as an object: hits and misses, methods, attributes, switches."""

from __future__ import annotations

import copy
import inspect
import pickle
import threading
import weakref

import pytest
import torch

from framelift import _native
from framelift._native import CompiledCallable, Entry, GuardTree
from tests.execute.entries import compiled, entry, never_here, tree


def double(x):
    """Twice."""
    return 2 * x


def decorate(function) -> CompiledCallable:
    """Runs in CPython, through the compiled callable."""
    return CompiledCallable(function, None, None)


@decorate
def decorated(x):
    return x


class TestEntries:
    def test_a_hit_runs_the_entry(self):
        program = compiled(lambda a, b: 1 / 0, entry(tree(None, None), result=("slot", 1)))
        assert program("a", "b") == "b"
        assert program.entries[0].hits == 1
        assert (program.misses, program.fallbacks) == (0, 0)

    def test_a_miss_asks_and_tries_what_it_gets(self):
        def on_miss(callable_, arguments, failures, offset):
            asked.append((callable_, arguments, failures()))
            new = entry(tree(type(arguments[0])))
            callable_.add(new)
            return new

        asked = []
        program = CompiledCallable(double, None, on_miss)
        assert [program(1), program(2), program("a"), program(3)] == [1, 2, "a", 3]
        first, second = asked
        assert first == (program, (1,), [])
        assert second[1] == ("a",)
        [(failed, failure)] = second[2]
        assert failed is program.entries[0]
        assert failure[:2] == (0, 0)
        assert program.misses == 2

    @pytest.mark.parametrize(
        "distinct", [int, lambda k: f"key {k}", lambda k: torch.zeros(k + 1), lambda k: (0,) * k]
    )
    def test_many_entries_used_in_turn(self, distinct):
        """Which entry is tried first is a guess; which one runs is not."""
        arguments = [distinct(k) for k in range(40)]
        guarded = [
            GuardTree([(-1, ("argument", 0), [("is", one)], 0)], [], [], [], None, 1) for one in arguments
        ]
        program = compiled(lambda x: never_here(x), *map(entry, guarded))
        for _ in range(3):
            assert all(program(one) is one for one in arguments)
            assert all(program(one) is one for one in reversed(arguments))
        assert [one.hits for one in program.entries] == [6] * 40
        assert program.misses == 0

    def test_one_fingerprint_for_many_entries(self):
        """Lists of one length look alike, and each finds its own entry."""
        arguments = [[k] for k in range(10)]
        guarded = [
            GuardTree([(-1, ("argument", 0), [("is", one)], 0)], [], [], [], None, 1) for one in arguments
        ]
        program = compiled(lambda x: never_here(x), *map(entry, guarded))
        for _ in range(3):
            assert all(program(one) is one for one in arguments)

    def test_entries_that_differ_outside_of_the_arguments(self):
        """Calls that look alike are asked for what told two entries apart, and one question serves all."""
        settings = {"mode": 0, "other": 1}
        guarded = [
            GuardTree(
                [
                    (-1, ("argument", 0), [], 0),
                    (-1, ("held", settings), [("type_is", dict)], -1),
                    (1, ("dict_item", "other"), [("equals", 1)], -1),
                    (1, ("dict_item", "mode"), [("equals", k)], -1),
                ],
                [], [], [], None, 1,
            )
            for k in range(40)
        ]  # fmt: skip
        program = compiled(lambda x: "none", *map(entry, guarded), on_miss=lambda *arguments: None)
        for _ in range(3):
            for settings["mode"] in range(40):
                assert program("x") == "x"
        assert [one.question for one in program.entries if one.question is not None] == [3]
        assert [one.hits for one in program.entries] == [3] * 40
        del settings["mode"]
        assert program("x") == "none"
        settings["mode"] = 7
        assert program("x") == "x"
        settings["other"] = 2
        assert program("x") == "none"

    def test_failures_of_an_entry_for_another_number_of_arguments(self):
        told = []
        program = compiled(double, entry(tree(None, None)), on_miss=lambda *a: told.extend(a[2]()))
        assert program(4) == 8
        assert told == [(program.entries[0], None)]

    def test_no_entry_means_cpython(self):
        program = CompiledCallable(double, None, lambda *arguments: None)
        assert [program(1), program("a")] == [2, "aa"]
        assert (program.misses, program.fallbacks) == (2, 2)

    def test_without_on_miss_everything_runs_in_cpython(self):
        program = CompiledCallable(double, None, None)
        assert program(4) == 8
        assert (program.misses, program.fallbacks) == (1, 1)

    def test_an_entry_for_cpython(self):
        program = compiled(double, Entry.cpython(tree(int), "why"), on_miss=never_here)
        assert program(4) == 8
        [only] = program.entries
        assert only.runs_in_cpython
        assert (only.info, only.graph, only.program, only.hits) == ("why", None, None, 1)
        assert (program.misses, program.fallbacks) == (0, 1)

    def test_an_entry_from_on_miss_that_does_not_fit_means_cpython(self):
        program = CompiledCallable(double, None, lambda *arguments: entry(tree(str)))
        assert program(4) == 8
        program.on_miss = lambda *arguments: entry(tree(None, None))
        assert program(4) == 8
        assert program.fallbacks == 2

    def test_what_on_miss_raises_is_raised(self):
        def on_miss(*arguments):
            raise LookupError("no")

        program = CompiledCallable(double, None, on_miss)
        with pytest.raises(LookupError, match="no"):
            program(1)

    def test_on_miss_must_give_an_entry(self):
        program = CompiledCallable(double, None, lambda *arguments: 5)
        with pytest.raises(TypeError, match="on_miss must return an Entry or None, not int"):
            program(1)

    def test_the_last_hit_is_tried_first(self):
        entries = [entry(tree(kind)) for kind in (int, str, float, bytes)]
        program = compiled(double, *entries)
        assert program(1.0) == 1.0
        assert program.entries == (entries[2], entries[0], entries[1], entries[3])
        held = program.entries
        assert program(b"") == b""
        assert program.entries == (entries[3], entries[2], entries[0], entries[1])
        assert held == (entries[2], entries[0], entries[1], entries[3])
        assert program("a") == "a"
        assert [one.hits for one in entries] == [0, 1, 1, 1]

    def test_add_and_clear(self):
        program = compiled(double, entry(tree(int)))
        with pytest.raises(TypeError, match="expected an Entry, not str"):
            program.add("entry")
        program.clear()
        assert program.entries == ()
        assert program(4) == 8

    def test_entries_are_checked_against_their_tree(self):
        with pytest.raises(ValueError, match="the exit program needs 3 slots, and the guard tree collects 1"):
            entry(tree(None), result=("slot", 2))
        with pytest.raises(ValueError, match="the graph reads slot 1, and the guard tree collects 1"):
            entry(tree(None), graph=double, inputs=[1])
        with pytest.raises(ValueError, match="there is no graph"):
            entry(tree(None), result=("graph", 0))


class TestMethods:
    def test_in_a_class_body(self):
        class Layer:
            @decorate
            def forward(self, x, *, scale=1):
                return (self, x, scale)

        layer = Layer()
        assert layer.forward(3, scale=2) == (layer, 3, 2)
        bound = layer.forward
        assert inspect.ismethod(bound)
        assert bound(1) == (layer, 1, 1)
        assert bound.__self__ is layer
        assert bound.__func__ is Layer.forward is Layer.__dict__["forward"]
        assert Layer.forward(layer, 1) == (layer, 1, 1)
        assert isinstance(Layer.forward, CompiledCallable)
        assert list(map(layer.forward, [1])) == [(layer, 1, 1)]
        with pytest.raises(TypeError, match=r"Layer.forward\(\) missing 1 required positional argument: 'x'"):
            layer.forward()

    def test_a_hit_sees_the_instance(self):
        class Layer:
            forward = compiled(lambda self, x: 1 / 0, entry(tree(None, int), result=("slot", 0)))

        layer = Layer()
        assert layer.forward(3) is layer
        assert (layer.forward)(3) is layer

    def test_under_staticmethod_and_classmethod(self):
        class Layer:
            @staticmethod
            @decorate
            def static(x):
                return x

            @classmethod
            @decorate
            def make(cls, x):
                return (cls, x)

            @property
            @decorate
            def size(self):
                return self

        layer = Layer()
        assert layer.static(1) == Layer.static(1) == 1
        assert layer.make(1) == Layer.make(1) == (Layer, 1)
        assert layer.size is layer

    def test_bound_self_comes_first(self):
        class Layer:
            def forward(self, x, y=0):
                return (self, x, y)

        layer = Layer()
        program = CompiledCallable(Layer.forward, layer, None)
        assert isinstance(program, CompiledCallable)
        assert program(1) == (layer, 1, 0)
        assert program(1, y=2) == (layer, 1, 2)
        assert list(map(program, [1])) == [(layer, 1, 0)]
        assert program(*[1], **{"y": 3}) == (layer, 1, 3)
        assert inspect.signature(program) == inspect.signature(layer.forward)
        with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'x'"):
            program()

    def test_bound_self_is_not_bound_again(self):
        class Layer:
            pass

        Layer.method = CompiledCallable(lambda *arguments: arguments, "self", None)
        assert Layer().method(1) == ("self", 1)
        assert Layer().method is Layer.method

    def test_bound_self_of_a_hit(self):
        identity = ("tuple", [("slot", 0), ("slot", 1)])
        program = CompiledCallable(lambda self, x: 1 / 0, "self", None)
        program.add(entry(tree(str, None), identity, result=("result", 0)))
        assert program(1) == ("self", 1)
        assert program(x=1) == ("self", 1)
        assert list(map(program, [1])) == [("self", 1)]


class TestAttributes:
    def test_looks_like_the_function(self):
        program = decorate(double)
        assert program.__wrapped__ is program.function is double
        assert program.__name__ == "double"
        assert program.__qualname__ == "double"
        assert program.__module__ == __name__
        assert program.__doc__ == "Twice."
        assert program.__code__ is double.__code__
        assert program.__globals__ is globals()
        assert inspect.signature(program) == inspect.signature(double)
        assert inspect.unwrap(program) is double
        assert repr(program).startswith("<compiled function double at 0x")

    def test_has_attributes_of_its_own(self):
        program = decorate(double)
        program.note = 1
        assert program.__dict__["note"] == program.note == 1
        assert not hasattr(double, "note")
        del program.note
        assert not hasattr(program, "note")

    def test_takes_over_the_attributes_of_the_function(self):
        def function():
            pass

        function.note = 2
        assert decorate(function).note == 2

    def test_a_coroutine_function_is_one(self):
        async def function():
            pass

        assert inspect.iscoroutinefunction(decorate(function))
        assert not inspect.iscoroutinefunction(decorate(double))

    def test_weak_references(self):
        program = decorate(double)
        reference = weakref.ref(program)
        assert reference() is program
        del program
        assert reference() is None

    def test_arguments_are_checked(self):
        with pytest.raises(TypeError, match="must be function, not builtin_function_or_method"):
            CompiledCallable(len, None, None)
        with pytest.raises(TypeError, match="on_miss must be callable or None"):
            CompiledCallable(double, None, 5)
        with pytest.raises(TypeError, match="on_miss must be callable or None"):
            decorate(double).on_miss = 5
        with pytest.raises(TypeError):
            CompiledCallable()
        with pytest.raises(TypeError, match="not an acceptable base type"):
            type("Derived", (CompiledCallable,), {})

    def test_read_only_attributes(self):
        program = decorate(double)
        for name in ("function", "bound_self", "entries", "misses", "fallbacks", "graph_errors"):
            with pytest.raises(AttributeError):
                setattr(program, name, None)

    def test_pickled_and_copied_by_name(self):
        assert pickle.loads(pickle.dumps(decorated)) is decorated
        assert copy.copy(decorated) is decorated
        assert copy.deepcopy([decorated])[0] is decorated
        with pytest.raises(pickle.PicklingError, match="not the same object"):
            pickle.dumps(decorate(double))

    def test_bound_is_not_pickled(self):
        program = CompiledCallable(double, "self", None)
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                attempt(program)


class TestSwitches:
    def test_passthrough(self):
        program = compiled(double, entry(tree(int)))
        assert not program.passthrough
        program.passthrough = True
        assert program.passthrough
        assert program(4) == 8
        assert program(x=4) == 8
        program.passthrough = False
        assert program(4) == 4
        assert program.entries[0].hits == 1
        assert (program.misses, program.fallbacks) == (0, 0)

    def test_while_compiling_everything_on_the_thread_runs_in_cpython(self):
        program = compiled(double, entry(tree(int)))
        previous = _native.compiling(True)
        try:
            assert program(4) == 8
            from_elsewhere = []
            thread = threading.Thread(target=lambda: from_elsewhere.append(program(4)))
            thread.start()
            thread.join()
            assert from_elsewhere == [4]
            assert _native.compiling(True) is True
        finally:
            assert _native.compiling(previous) is True
        assert previous is False
        assert program(4) == 4

    def test_a_call_met_inside_on_miss(self):
        def on_miss(callable_, arguments, failures, offset):
            previous = _native.compiling(True)
            try:
                inner.append(program(arguments[0] + 1))
            finally:
                _native.compiling(previous)
            new = entry(tree(int))
            callable_.add(new)
            return new

        inner = []
        program = CompiledCallable(double, None, on_miss)
        assert program(4) == 4
        assert inner == [10]
        assert program.misses == 1


class TestGraphs:
    def test_inputs_and_outputs(self):
        def graph(*inputs):
            seen.append(inputs)
            return kind(("p", "q"))

        seen = []
        operations = ("list", [("graph", 1), ("graph", 0), ("slot", 1)])
        arguments = tree(None, None, None)
        program = compiled(lambda a, b, c: 1 / 0)
        program.add(entry(arguments, operations, result=("result", 0), graph=graph, inputs=[2, 0, 2]))
        for kind in (tuple, list):
            assert program("a", "b", "c") == ["q", "p", "b"]
        assert seen == [("c", "a", "c")] * 2

    def test_more_slots_and_inputs_than_lie_on_the_stack(self):
        count = 300
        names = ", ".join(f"p{index}" for index in range(count))
        function = eval(f"lambda {names}: 1 / 0")
        program = compiled(function)
        program.add(
            entry(
                tree(*[None] * count),
                *[("tuple", [("graph", index)]) for index in range(count)],
                ("list", [("result", index) for index in range(count)]),
                result=("result", count),
                graph=lambda *inputs: inputs,
                inputs=range(count),
            )
        )
        assert program(*range(count)) == [(index,) for index in range(count)]

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            (5, "must return a tuple or a list of its outputs, not int"),
            ((), "must return 1 outputs, not 0"),
            ([], "must return 1 outputs, not 0"),
        ],
    )
    def test_outputs_are_checked(self, returned, message):
        program = compiled(double, entry(tree(None), result=("graph", 0), graph=lambda: returned))
        with pytest.raises(TypeError, match=message):
            program(1)

    def test_what_a_graph_raises_is_raised(self):
        def graph():
            raise ValueError("graph")

        program = compiled(double, entry(tree(None), graph=graph))
        with pytest.raises(ValueError, match="graph"):
            program(4)
        assert (program.graph_errors, program.fallbacks) == (0, 0)


class TestReplay:
    @pytest.fixture
    def reports(self):
        collected = []
        previous = _native.set_graph_error_hook(lambda *report: collected.append(report))
        yield collected
        _native.set_graph_error_hook(previous)

    def failing(self, error, *operations, **options):
        def graph(*inputs):
            raise error

        new = entry(tree(None), *operations, graph=graph, replayable=True, **options)
        return compiled(double, new)

    def test_cpython_runs_what_a_graph_could_not(self, reports):
        error = ValueError("graph")
        program = self.failing(error)
        assert program(4) == 8
        assert program(x=4) == 8
        assert reports == [(program, program.entries[0], error)] * 2
        assert (program.graph_errors, program.fallbacks, program.misses) == (2, 2, 0)
        assert (program.entries[0].graph_errors, program.entries[0].hits) == (2, 2)

    def test_the_error_is_the_functions_own(self, reports):
        program = self.failing(ValueError("graph"))
        with pytest.raises(TypeError, match="unsupported operand") as caught:
            program(None)
        assert caught.value.__context__ is None

    def test_without_a_hook(self):
        before = _native.set_graph_error_hook(None)
        try:
            assert self.failing(ValueError("graph"))(4) == 8
        finally:
            _native.set_graph_error_hook(before)

    def test_an_interrupt_passes(self, reports):
        with pytest.raises(KeyboardInterrupt):
            self.failing(KeyboardInterrupt())(4)
        assert reports == []

    def test_building_that_fails_is_run_again_as_well(self, reports):
        unhashable = ("set", [("slot", 0)])
        program = compiled(
            lambda x: "cpython", entry(tree(None), unhashable, result=("result", 0), replayable=True)
        )
        assert program([]) == "cpython"
        assert program(5) == {5}
        assert program.graph_errors == 1

    def test_nothing_is_run_again_after_the_first_store(self, reports):
        def fail():
            raise ValueError("in the commit")

        target = {}
        operations = [
            ("dict_set", ("const", target), ("const", "k"), ("slot", 0)),
            ("call", ("const", fail), [], ()),
        ]
        program = compiled(double, entry(tree(None), *operations, commit_at=0, replayable=True))
        with pytest.raises(ValueError, match="in the commit"):
            program(4)
        assert target == {"k": 4}
        assert reports == []

    def test_a_hook_that_raises_does_not_disturb_the_call(self, reports, monkeypatch):
        unraisable = []
        monkeypatch.setattr("sys.unraisablehook", lambda report: unraisable.append(report.exc_value))
        _native.set_graph_error_hook(lambda *report: 1 / 0)
        assert self.failing(ValueError("graph"))(4) == 8
        assert [type(error) for error in unraisable] == [ZeroDivisionError]
