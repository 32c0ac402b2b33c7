"""Who keeps what alive: no call leaks or drops a reference, and the garbage collector reaches everything."""

from __future__ import annotations

import ctypes
import gc
import sys
import types
import weakref

import pytest

from framelift import _native
from framelift._native import CompiledCallable, Entry
from tests.execute.entries import compiled, entry, program, tree

ROUNDS = 2000


class Thing:
    """Something with weak references and a life of its own."""


def constant(value) -> tuple:
    return ("const", value)


def everything_compiled(thing, target, items, box) -> CompiledCallable:
    """A callable whose hit performs every operation there is."""
    operations = [
        ("tuple", [("slot", 0), ("slot", 1), ("graph", 0), constant(thing)]),
        ("list", [("result", 0), ("slot", 2)]),
        ("dict", [constant("k"), ("result", 1), constant("l"), constant(thing)]),
        ("set", [constant(thing), ("graph", 1)]),
        ("call", constant(dict), [constant(thing)], ("k",)),
        ("dict_set", constant(target), constant("a"), ("slot", 0)),
        ("dict_set", constant(target), ("slot", 0), constant(thing)),
        ("dict_delete", constant(target), constant("a")),
        ("dict_clear", constant(target)),
        ("list_assign", constant(items), [constant(thing), ("slot", 0)]),
        ("list_extend_new", constant(items), [constant(thing)]),
        ("cell_set", constant(box), constant(thing)),
        ("cell_clear", constant(box)),
        ("call", constant(len), [constant(items)], ()),
        ("list_assign", constant(items), []),
    ]
    hit = entry(
        tree(None, None, None),
        *operations,
        commit_at=5,
        result=("result", 2),
        graph=lambda *inputs: [inputs[0], thing],
        inputs=[0, 1, 0],
    )
    return compiled(lambda first, *rest, **extra: 1 / 0, hit)


def level_over(call, *watched: object) -> None:
    """Reference counts of what is watched, and the number of allocated blocks, stay where they are."""
    for _ in range(100):
        call()
    while gc.collect():
        """What finalisers of other tests' garbage have let go."""
    counts = [sys.getrefcount(one) for one in watched]
    blocks = sys.getallocatedblocks()
    for _ in range(ROUNDS):
        call()
    gc.collect()
    assert [sys.getrefcount(one) for one in watched] == counts
    assert abs(sys.getallocatedblocks() - blocks) < ROUNDS / 10


class TestNoLeaks:
    def test_every_operation(self):
        thing, target, items, box = Thing(), {}, [], types.CellType()
        program = everything_compiled(thing, target, items, box)
        level_over(lambda: program(thing, 1, k=2), thing, target, items, box, None, program.entries[0])

    def test_a_build_that_fails(self):
        thing = Thing()
        for kind in ("set", "dict"):
            operations = [
                ("list", [constant(thing)]),
                (kind, [constant(thing), constant(thing), ("result", 0), ("slot", 0)]),
            ]
            program = compiled(lambda x: 1 / 0, entry(tree(None), *operations, graph=lambda: (thing,)))

            def call(program=program):
                try:
                    program(thing)
                except TypeError:
                    return
                raise AssertionError("nothing was raised")

            level_over(call, thing, program.entries[0])

    @pytest.mark.parametrize("replayable", [False, True])
    @pytest.mark.parametrize("returned", ["raise", 5, [], ()])
    def test_a_graph_that_fails(self, returned, replayable):
        def graph(argument):
            if returned == "raise":
                raise ValueError(thing)
            return returned

        thing = Thing()
        hit = entry(tree(None), result=("graph", 0), graph=graph, inputs=[0], replayable=replayable)
        program = compiled(lambda x: x, hit)

        def call():
            try:
                assert program(thing) is thing
            except (ValueError, TypeError):
                assert not replayable

        previous = _native.set_graph_error_hook(lambda *report: None)
        try:
            level_over(call, thing, program, hit)
        finally:
            _native.set_graph_error_hook(previous)

    @pytest.mark.parametrize("bound_self", [None, Thing()])
    def test_calls_that_miss_pass_or_do_not_bind(self, bound_self):
        def function(first, second=2, /, *rest, third, **extra):
            return first

        thing = Thing()
        program = CompiledCallable(function, bound_self, lambda *arguments: None)
        for switch in (False, True):
            program.passthrough = switch

            def call():
                program(thing, thing, thing, third=thing, fourth=thing)
                for positional, keywords in (((), {"third": thing}), ((thing,), {"fourth": thing})):
                    if bound_self is None or not positional:
                        keywords = {**keywords, "first": thing}
                    try:
                        program(*positional, **keywords)
                    except TypeError:
                        continue

            level_over(call, thing, bound_self, function, program)

    def test_an_on_miss_that_raises_or_returns_nonsense(self):
        def on_miss(callable_, arguments, failures, offset):
            failures()
            if answer is None:
                raise LookupError
            return answer

        thing = Thing()
        program = compiled(lambda x: x, entry(tree(int)), on_miss=on_miss)
        for answer in (None, thing):

            def call():
                try:
                    program(thing)
                except (LookupError, TypeError):
                    return
                raise AssertionError("nothing was raised")

            level_over(call, thing, program, on_miss)

    def test_reordering(self):
        program = compiled(lambda x: x, *[entry(tree(kind)) for kind in (int, str, float)])
        held = program.entries

        def call():
            program(1)
            program("")
            program(1.0)
            program.entries  # noqa: B018

        level_over(call, *held, held)
        kept = []

        def call_and_hold():
            kept[:] = [program.entries]
            program(1)
            program("")

        level_over(call_and_hold, *held, held)

    def test_adding_and_clearing(self):
        one = entry(tree(int))
        program = compiled(lambda x: x)

        def call():
            program.add(one)
            program.add(one)
            program.clear()

        level_over(call, one)

    def test_creation(self):
        def function():
            pass

        thing = Thing()
        guards, plan = tree(int), program()
        level_over(lambda: CompiledCallable(function, thing, len), function, thing, len)
        level_over(lambda: CompiledCallable(function, None, None).__dict__, function)
        level_over(lambda: Entry(guards, len, [0], plan, True, thing), guards, plan, thing, len)
        level_over(lambda: Entry.cpython(guards, thing), guards, thing)
        level_over(lambda: program([("list", [constant(thing)])]), thing)

        def refused():
            try:
                program([("list", [constant(thing)]), ("nothing", thing)])
            except ValueError:
                return
            raise AssertionError("nothing was raised")

        level_over(refused, thing)

    def test_methods_and_attributes(self):
        class Layer:
            forward = compiled(lambda self: self, entry(tree(None)))

        layer = Layer()
        bound = CompiledCallable(lambda self: self, layer, None)
        level_over(lambda: (layer.forward(), (layer.forward)(), Layer.forward(layer)), layer, Layer.forward)
        level_over(lambda: (bound(), bound.bound_self, bound.function, bound.__wrapped__), layer, bound)
        level_over(lambda: (repr(bound), bound.on_miss, bound.misses, bound.passthrough), layer, bound)


class TestCollected:
    def collected(self, build) -> None:
        """What ``build`` leaves behind is garbage that the collector can free."""
        gc.collect()
        references = [weakref.ref(one) for one in build()]
        gc.collect()
        assert [reference() for reference in references] == [None] * len(references)

    def test_a_cycle_through_each_reference(self):
        def build():
            thing = Thing()

            def function():
                return thing

            def on_miss(*arguments):
                return thing

            guards = _native.GuardTree([(-1, ("argument", 0), [("is", thing)], 0)], [], [], [], None, 1)
            operations = [("call", constant(lambda: thing), [constant(thing)], ())]
            hit = Entry(guards, lambda: thing, [], program(operations), False, {"thing": thing})
            thing.callable = CompiledCallable(function, thing, on_miss)
            thing.callable.add(hit)
            thing.callable.thing = thing
            return [thing, thing.callable, hit, function, on_miss]

        self.collected(build)

    @pytest.mark.parametrize("place", ["constant", "graph", "info", "result"])
    def test_a_cycle_through_one_reference_of_an_entry(self, place):
        def build():
            thing = Thing()
            plan = program(
                [("tuple", [constant(thing if place == "constant" else 0)])],
                result=constant(thing if place == "result" else 0),
            )
            graph = thing if place == "graph" else None
            thing.entry = Entry(tree(int), graph, [], plan, False, thing if place == "info" else None)
            return [thing, thing.entry]

        self.collected(build)

    def test_a_cycle_through_a_callable_that_was_called(self):
        def build():
            def function(x):
                return program

            program = CompiledCallable(function, None, lambda *arguments: None)
            program(1)
            return [program, function]

        self.collected(build)

    def test_a_cycle_through_the_failures(self):
        def build():
            thing = Thing()

            def on_miss(callable_, arguments, failures, offset):
                thing.failures = failures

            CompiledCallable(lambda x: x, None, on_miss)(thing)
            return [thing]

        self.collected(build)

    def test_a_callable_that_dies_frees_everything(self):
        thing = Thing()
        reference = weakref.ref(thing)
        hit = entry(tree(None), ("tuple", [constant(thing)]), graph=lambda kept=thing: ())
        program = CompiledCallable(lambda kept=thing: kept, thing, lambda kept=thing: kept)
        program.add(hit)
        del thing, hit
        assert reference() is not None
        del program
        assert reference() is None

    def test_called_by_a_finaliser_of_its_cycle(self):
        """The collector runs finalisers first: the callable is still whole."""

        class Dying:
            def __del__(self):
                outcomes.append((self.program(1), self.program.entries))

        outcomes = []
        dying = Dying()
        dying.program = compiled(lambda x: x, entry(tree(int)))
        entries = dying.program.entries
        dying.program.dying = dying
        del dying
        gc.collect()
        assert outcomes == [(1, entries)]

    def test_called_after_it_was_cleared(self):
        """What the callable releases when the collector clears it may know where it is: no crash."""

        def gone(reference):
            program = ctypes.cast(address, ctypes.py_object).value
            try:
                outcomes.append(program(1))
            except ReferenceError as error:
                outcomes.append(str(error))
            program.add(one)
            program.clear()
            program.passthrough = True
            outcomes.append((program.entries, program.function, repr(program)[:19]))

        outcomes = []
        one = entry(tree(None))
        program = CompiledCallable(lambda self, x: x, constant.__code__.replace(co_name="dying"), None)
        # A code object is none of the collector's: it dies when the callable lets go of it.
        reference = weakref.ref(program.bound_self, gone)
        del program.__wrapped__
        program.itself = program
        address = id(program)
        del program
        gc.collect()
        assert reference() is None
        assert outcomes == ["this compiled callable is being destroyed", (None, None, "<compiled function ")]

    def test_collections_during_calls(self):
        """The most eager collector there can be, while entries are made, moved, run and dropped."""
        threshold = gc.get_threshold()
        gc.set_threshold(1)
        try:
            thing, target, items, box = Thing(), {}, [], types.CellType()
            program = everything_compiled(thing, target, items, box)
            for index in range(300):
                program.add(entry(tree(int, None, None), info_cycle(index)))
                assert program(thing, 1, k=index)["l"] is thing
                held = program.entries
                assert len(held) == index + 2
        finally:
            gc.set_threshold(*threshold)


def info_cycle(index: int) -> tuple:
    """An operation that holds a cycle of its own."""
    cycle = [index]
    cycle.append(cycle)
    return ("list", [constant(cycle)])
