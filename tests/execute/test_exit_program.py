"""Exit programs: every operation, the two phases, and what is refused."""

from __future__ import annotations

import collections
import gc
import types

import pytest

from framelift._native import ExitProgram
from tests.execute.entries import compiled, entry, program, tree


def run(*operations, arguments=(), commit_at=None, result=("result", 0), **options):
    """Performs the operations once, the arguments being slots 0, 1, ..."""
    names = ", ".join(f"p{index}" for index in range(len(arguments)))
    callable_ = compiled(eval(f"lambda {names}: 1 / 0"))
    kinds = [None] * len(arguments)
    callable_.add(entry(tree(*kinds), *operations, commit_at=commit_at, result=result, **options))
    return callable_(*arguments)


def cell(*value) -> types.CellType:
    return types.CellType(*value)


def constant(value) -> tuple:
    return ("const", value)


NOTHING = constant(None)


class TestBuilding:
    def test_tuple(self):
        items = [("slot", 0), constant("c"), ("slot", 0)]
        assert run(("tuple", items), arguments=["a"]) == ("a", "c", "a")
        assert run(("tuple", [])) == ()

    def test_list(self):
        operations = ("list", [("slot", 1), ("slot", 0)])
        first = run(operations, arguments=["a", "b"])
        assert first == ["b", "a"]
        assert run(("list", [])) == []

    def test_a_new_object_at_each_call(self):
        callable_ = compiled(lambda: 1 / 0, entry(tree(), ("list", []), result=("result", 0)))
        assert callable_() is not callable_()

    def test_dict_keeps_the_order_and_the_last_value(self):
        items = [constant("b"), ("slot", 0), constant("a"), constant(1), constant("b"), constant(2)]
        made = run(("dict", items), arguments=["x"])
        assert list(made.items()) == [("b", 2), ("a", 1)]

    def test_set(self):
        assert run(("set", [("slot", 0), ("slot", 0), constant(2)]), arguments=[1]) == {1, 2}

    def test_call(self):
        def function(*arguments, **keywords):
            return arguments, keywords

        operation = ("call", constant(function), [("slot", 0), ("slot", 1), constant(3)], ("x", "y"))
        assert run(operation, arguments=[1, 2]) == ((1,), {"x": 2, "y": 3})
        assert run(("call", ("slot", 0), [], ()), arguments=[list]) == []

    def test_results_are_used_by_later_operations(self):
        operations = [
            ("list", [("slot", 0)]),
            ("tuple", [("result", 0), ("result", 0)]),
            ("dict", [constant("k"), ("result", 1)]),
        ]
        made = run(*operations, arguments=["a"], result=("result", 2))
        assert made == {"k": (["a"], ["a"])}
        assert made["k"][0] is made["k"][1]

    def test_graph_outputs(self):
        made = run(("tuple", [("graph", 1)]), graph=lambda: ("p", "q"))
        assert made == ("q",)

    @pytest.mark.parametrize("kind", ["set", "dict"])
    def test_what_fails_to_build_is_raised_and_nothing_is_stored(self, kind):
        target = {}
        items = [constant([]), constant(1)]
        operations = [(kind, items), ("dict_set", constant(target), constant("k"), constant(1))]
        with pytest.raises(TypeError, match="unhashable"):
            run(*operations, commit_at=1)
        assert target == {}


class TestStores:
    def test_dict_set(self):
        target = {"old": 1}
        run(
            ("dict_set", ("slot", 0), constant("new"), constant(2)),
            ("dict_set", ("slot", 0), constant("old"), constant(3)),
            arguments=[target],
            commit_at=0,
            result=NOTHING,
        )
        assert list(target.items()) == [("old", 3), ("new", 2)]

    def test_dict_set_of_a_key_that_is_equal_keeps_the_stored_key(self):
        target = {1: "int"}
        run(("dict_set", constant(target), constant(True), constant("bool")), commit_at=0, result=NOTHING)
        assert target == {1: "bool"}
        assert type(next(iter(target))) is int

    def test_dict_delete(self):
        target = {"a": 1, "b": 2}
        for _ in range(2):
            run(("dict_delete", constant(target), constant("a")), commit_at=0, result=NOTHING)
            assert target == {"b": 2}

    def test_dict_clear(self):
        target = {index: str(index) for index in range(100)}
        run(("dict_clear", constant(target)), commit_at=0, result=NOTHING)
        assert target == {}
        target["a"] = 1
        assert target == {"a": 1}

    def test_ordered_dict_keeps_its_order(self):
        target = collections.OrderedDict(a=1, b=2, c=3)
        run(
            ("dict_set", constant(target), constant("d"), constant(4)),
            ("dict_delete", constant(target), constant("b")),
            ("dict_set", constant(target), constant("a"), constant(10)),
            commit_at=0,
            result=NOTHING,
        )
        assert list(target.items()) == [("a", 10), ("c", 3), ("d", 4)]
        assert list(reversed(target)) == ["d", "c", "a"]
        target.move_to_end("a")
        assert list(target) == ["c", "d", "a"]
        run(("dict_clear", constant(target)), commit_at=0, result=NOTHING)
        assert list(target.items()) == []
        target["e"] = 5
        assert list(target) == ["e"]

    def test_instance_dictionaries(self):
        class Layer:
            pass

        layer = Layer()
        layer.a = 1
        run(
            ("dict_set", ("slot", 0), constant("b"), constant(2)),
            ("dict_delete", ("slot", 0), constant("a")),
            arguments=[layer.__dict__],
            commit_at=0,
            result=NOTHING,
        )
        assert (layer.b, vars(layer)) == (2, {"b": 2})

    @pytest.mark.parametrize("size", [0, 1, 5, 100])
    @pytest.mark.parametrize("before", [0, 1, 5, 100])
    def test_list_assign(self, before, size):
        target = [object() for _ in range(before)]
        items = [constant(index) for index in range(size)]
        run(("list_assign", ("slot", 0), items), arguments=[target], commit_at=0, result=NOTHING)
        assert target == list(range(size))
        target.append("more")
        target.extend(range(20))
        assert target == [*range(size), "more", *range(20)]
        target.clear()
        assert target == []

    def test_list_assign_of_its_own_items(self):
        target = ["a", "b", "c"]
        graph_sees = run(
            ("list_assign", ("slot", 0), [("slot", 3), ("slot", 2), ("slot", 1)]),
            arguments=[target, *target],
            commit_at=0,
            result=("slot", 0),
        )
        assert graph_sees is target
        assert target == ["c", "b", "a"]

    def test_list_assign_during_a_sort(self):
        """A list that is being sorted has no storage of its own; CPython notices that it got some."""

        def key(item):
            if item == 1:
                run(("list_assign", constant(target), [constant(7)]), commit_at=0, result=NOTHING)
            return item

        target = [3, 1, 2]
        with pytest.raises(ValueError, match="list modified during sort"):
            target.sort(key=key)
        assert sorted(target) == [1, 2, 3]

    def test_list_extend(self):
        target = [1]
        items = [("slot", 1), constant(3)]
        run(("list_extend_new", ("slot", 0), items), arguments=[target, 2], commit_at=0, result=NOTHING)
        assert target == [1, 2, 3]

    def test_cells(self):
        target, empty = cell(1), cell()
        run(
            ("cell_set", constant(target), constant(2)),
            ("cell_set", constant(empty), constant(3)),
            commit_at=0,
            result=NOTHING,
        )
        assert (target.cell_contents, empty.cell_contents) == (2, 3)
        for _ in range(2):
            run(("cell_clear", constant(target)), commit_at=0, result=NOTHING)
            with pytest.raises(ValueError, match="empty"):
                target.cell_contents  # noqa: B018

    def test_a_closure_sees_its_cell(self):
        def outer():
            count = 0
            return lambda: count

        inner = outer()
        run(("cell_set", constant(inner.__closure__[0]), constant(5)), commit_at=0, result=NOTHING)
        assert inner() == 5

    def test_calls_among_the_stores(self):
        target = []
        run(
            ("call", constant(target.append), [constant(1)], ()),
            ("list_extend_new", constant(target), [constant(2)]),
            ("call", constant(target.append), [constant(3)], ()),
            commit_at=0,
            result=NOTHING,
        )
        assert target == [1, 2, 3]

    def test_new_objects_are_stored_in_each_other(self):
        target = {}
        made = run(
            ("list", []),
            ("dict_set", constant(target), constant("k"), ("result", 0)),
            ("list_extend_new", ("result", 0), [("result", 0)]),
            commit_at=1,
        )
        assert target["k"] is made
        assert made[0] is made

    @pytest.mark.parametrize(
        ("operation", "message"),
        [
            (("dict_set", constant([]), constant(1), constant(1)), "stores into a dict, not a list"),
            (("dict_delete", constant([]), constant(1)), "stores into a dict, not a list"),
            (("dict_clear", constant([])), "stores into a dict, not a list"),
            (("list_assign", constant({}), []), "stores into a list, not a dict"),
            (("list_extend_new", constant({}), []), "stores into a list, not a dict"),
            (("cell_set", constant(1), constant(1)), "stores into a cell, not a int"),
            (("cell_clear", constant(1)), "stores into a cell, not a int"),
        ],
    )
    def test_the_wrong_object_is_refused(self, operation, message):
        with pytest.raises(TypeError, match=message):
            run(operation, commit_at=0, result=NOTHING)


class TestReleaseLast:
    """Objects that stores replace die when the last store is done, and their finalisers see it all."""

    class Dying:
        def __init__(self, action):
            self.action = action

        def __del__(self):
            self.action()

    def test_every_store(self):
        seen = []

        def look():
            seen.append((dict(table), dict(emptied), list(items), first.cell_contents))

        first, second = cell(), cell()
        table, emptied, items = {}, {}, []
        for place in ("a", "b"):
            table[place] = self.Dying(look)
        emptied["c"] = self.Dying(look)
        emptied[self.Dying(look)] = 1
        items[:] = [self.Dying(look), self.Dying(look)]
        first.cell_contents = self.Dying(look)
        second.cell_contents = self.Dying(look)
        run(
            ("dict_set", constant(table), constant("a"), constant(1)),
            ("dict_delete", constant(table), constant("b")),
            ("dict_clear", constant(emptied)),
            ("list_assign", constant(items), [constant(2)]),
            ("cell_clear", constant(second)),
            ("cell_set", constant(first), constant(3)),
            commit_at=0,
            result=NOTHING,
        )
        assert seen == [({"a": 1}, {}, [2], 3)] * 8

    def test_a_finaliser_that_changes_what_was_written(self):
        table = {"a": self.Dying(lambda: table.update(a="finaliser"))}
        operations = [
            ("dict_set", constant(table), constant("a"), constant(1)),
            ("dict_set", constant(table), constant("b"), constant(2)),
        ]
        run(*operations, commit_at=0, result=NOTHING)
        assert table == {"a": "finaliser", "b": 2}

    def test_a_finaliser_that_calls_the_program_again(self):
        class Dying:
            def __del__(self):
                again.append(callable_("inner"))

        again = []
        items = []
        store = ("list_assign", constant(items), [("slot", 0)])
        callable_ = compiled(lambda x: 1 / 0, entry(tree(None), store, commit_at=0))
        items.append(Dying())
        assert callable_("outer") == "outer"
        assert again == ["inner"]
        assert items == ["inner"]

    def test_a_finaliser_that_clears_the_entries(self):
        items = [self.Dying(lambda: callable_.clear())]
        store = ("list_assign", constant(items), [("slot", 0)])
        callable_ = compiled(lambda x: 1 / 0, entry(tree(None), store, commit_at=0))
        assert callable_(5) == 5
        assert callable_.entries == ()

    def test_a_finaliser_that_raises(self, monkeypatch):
        unraisable = []
        monkeypatch.setattr("sys.unraisablehook", lambda report: unraisable.append(type(report.exc_value)))
        items = [self.Dying(lambda: 1 / 0)]
        assert run(("list_assign", constant(items), []), commit_at=0, result=constant(1)) == 1
        assert unraisable == [ZeroDivisionError]

    def test_a_collection_cannot_come_between_two_stores(self):
        """No store allocates what the garbage collector counts."""
        table, items = {"a": []}, [1, 2]
        operations = [
            ("dict_set", constant(table), constant("a"), constant(1)),
            ("dict_clear", constant(table)),
            ("list_assign", constant(items), [constant(1)] * 50),
            ("list_extend_new", constant(items), [constant(1)] * 50),
        ]
        callable_ = compiled(lambda: 1 / 0, entry(tree(), *operations, commit_at=0, result=NOTHING))
        gc.disable()
        try:
            before = gc.get_count()[0]
            for _ in range(100):
                callable_()
            assert gc.get_count()[0] - before < 100
        finally:
            gc.enable()


class TestRefused:
    @pytest.mark.parametrize(
        ("operations", "commit_at", "result", "message"),
        [
            ([("jump",)], 0, NOTHING, r"operation 0 \(jump\): unknown operation kind"),
            ([("tuple",)], 1, NOTHING, r"expected 1 parts after the kind, found 0"),
            ([("tuple", [("local", 0)])], 1, NOTHING, r"unknown operand kind"),
            ([("dict", [constant(1)])], 1, NOTHING, "a key without a value"),
            ([("tuple", [("result", 0)])], 1, NOTHING, "result 0 is not made before it is used"),
            ([("tuple", [])], 1, ("result", 1), "result 1 is not made before it is used"),
            ([("dict_clear", constant({}))], 0, ("result", 0), "operation 0 is a store and has no result"),
            ([("dict_clear", constant({}))], 1, NOTHING, "a store before commit_at=1"),
            ([("tuple", [])], 0, NOTHING, "builds an object after commit_at=0"),
            ([], 1, NOTHING, "commit_at=1 is beyond the last of 0 operations"),
            ([("call", constant(1), [], ("x",))], 1, NOTHING, "more keyword names than arguments"),
        ],
    )
    def test_with_the_reason(self, operations, commit_at, result, message):
        with pytest.raises(ValueError, match=message):
            ExitProgram(operations, commit_at, result)

    def test_length(self):
        assert len(program([("tuple", [])])) == 1
