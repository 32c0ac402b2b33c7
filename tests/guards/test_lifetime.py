"""References: a check keeps nothing, a tree keeps what it needs, and the collector can free cycles."""

from __future__ import annotations

import collections
import gc
import subprocess
import sys
import weakref

import pytest
import torch

from framelift import _native
from framelift.guards import GuardSet, build, kinds
from framelift.guards.sources import Argument, Descriptor, DictItem, Held, ListItem, SequenceItem

VALUE = Argument(0, "value")
GRAD = torch._C.TensorBase.__dict__["grad"]


class Thing:
    pass


def counts(objects):
    return [sys.getrefcount(each) for each in objects]


def test_a_check_changes_no_reference_counts():
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.zeros(2)
    thing, missing = Thing(), Thing()
    made = GuardSet()
    for source in (
        ListItem(VALUE, 0),
        DictItem(ListItem(VALUE, 1), "key"),
        Descriptor(ListItem(VALUE, 2), GRAD, "grad"),
        SequenceItem(ListItem(VALUE, 3), 0),
    ):
        made.collect(source)
    made.add(DictItem(ListItem(VALUE, 1), "last"), kinds.Is(thing))
    made.add(ListItem(VALUE, 3), kinds.Length(1))
    tree = build(made, 1).tree
    hit = [thing, {"key": thing, "last": thing}, parameter, collections.deque([thing])]
    misses = [
        [thing, {"key": thing, "last": missing}, parameter, collections.deque([thing])],
        [thing, {"key": thing}, parameter, collections.deque([thing])],
        [thing, {"key": thing, "last": thing}, parameter, collections.deque()],
        [thing, {"key": thing, "last": thing}, missing, collections.deque([thing])],
        [],
        missing,
    ]
    watched = [thing, missing, parameter, parameter.grad, hit, *misses]
    before = counts(watched)
    for _ in range(100):
        slots = tree.check((hit,))
        assert slots == (thing, thing, parameter.grad, thing)
        assert tree.explain((hit,)) is None
        for miss in misses:
            assert tree.check((miss,)) is None
            assert tree.explain((miss,)) is not None
    del slots, miss
    assert [after - start for after, start in zip(counts(watched), before, strict=True)] == [0] * len(watched)


def test_a_large_tree_keeps_nothing():
    things = [Thing() for _ in range(300)]
    made = GuardSet()
    for index, thing in enumerate(things):
        made.add(ListItem(VALUE, index), kinds.TypeIs(Thing))
        made.collect(ListItem(VALUE, index))
    tree = build(made, 1).tree
    del thing
    before = counts(things)
    for _ in range(10):
        assert tree.check((things,)) == tuple(things)
        assert tree.check(([*things[:-1], None],)) is None
    assert counts(things) == before


def test_a_tree_keeps_what_it_holds():
    thing = Thing()
    gone = weakref.ref(thing)
    made = GuardSet()
    made.collect(Held(thing, "thing"))
    tree = build(made, 0).tree
    del thing, made
    assert tree.check(()) == (gone(),)
    del tree
    assert gone() is None


def test_a_cycle_through_a_tree_is_collected():
    thing = Thing()
    gone = weakref.ref(thing)
    made = GuardSet()
    made.add(Held(thing, "thing"), kinds.TypeIs(Thing))
    thing.tree = build(made, 0).tree
    del thing, made
    gc.collect()
    assert gone() is None


def test_a_cleared_tree_misses():
    """The collector clears trees in no order: a finaliser may still check one."""
    answers = []

    class Finalised:
        def __del__(self):
            answers.append(self.tree.check(()))

    thing = Finalised()
    made = GuardSet()
    made.add(Held(thing, "thing"), kinds.TypeIs(Finalised))
    thing.tree = build(made, 0).tree
    del thing, made
    gc.collect()
    assert answers in ([()], [None])


WALK_IN_A_WALK = """
import gc
from framelift.guards import GuardSet, build, kinds
from framelift.guards.sources import Argument, InstanceDict

class Refused(ValueError):
    "Its instances have no dictionary before something is in it."

class Finalised:
    def __del__(self):
        walked.append(tree.check(arguments))

made = GuardSet()
made.add(InstanceDict(Argument(0, "value")), kinds.DictMissing("name"))
tree, arguments, walked = build(made, 1).tree, (Refused(),), []
gc.collect()
gc.disable()
held = [{} for _ in range(1000)]  # so that another dictionary is one more object for the collector
finalised = Finalised()
finalised.itself = finalised
del finalised
gc.set_threshold(1)
gc.enable()
assert tree.check(arguments) == ()
gc.collect()
assert walked == [()]
"""


def test_the_first_walk_of_a_process_starts_another():
    subprocess.run([sys.executable, "-c", WALK_IN_A_WALK], check=True, timeout=300)


def test_arguments_must_be_as_many_as_bound():
    tree = build(GuardSet(), 2).tree
    assert tree.check((1, 2)) == ()
    with pytest.raises(TypeError, match="2 arguments"):
        tree.check((1,))


def test_descriptions_that_make_no_tree_are_refused():
    def tree(nodes, **others):
        defaults = {"conditions": [], "symbols": [], "distinct": [], "state": None, "argument_count": 1}
        return _native.GuardTree(nodes, **{**defaults, **others})

    root = (-1, ("argument", 0), [], -1)
    for nodes, error in (
        ([(-1, ("argument", 1), [], -1)], IndexError),
        ([(0, ("list_item", 0), [], -1)], ValueError),
        ([(-1, ("list_item", 0), [], -1)], ValueError),
        ([root, (5, ("list_item", 0), [], -1)], ValueError),
        ([root, (0, ("list_item", -1), [], -1)], ValueError),
        ([(-1, ("nothing",), [], -1)], ValueError),
        ([(-1, ("argument", 0), [("nothing",)], -1)], ValueError),
        ([(-1, ("argument", 0), [("same_as", 1)], -1)], IndexError),
        ([(-1, ("argument", 0), [("type_is", 1)], -1)], TypeError),
        ([(-1, ("argument", 0), [("items_left", -1, False)], -1)], ValueError),
        ([(-1, ("argument", 0), [], 1)], ValueError),
    ):
        with pytest.raises(error):
            tree(nodes)
    with pytest.raises(IndexError):
        tree([root], distinct=[[0, 1]])
    with pytest.raises(ValueError, match="operands"):
        tree([root], conditions=[[("+",)]])
    with pytest.raises(ValueError, match="one value"):
        tree([root], conditions=[[]])
