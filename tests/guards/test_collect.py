"""A ``GuardSet``: order, duplicates, slots, going back, and how it prints; failures in the user's words."""

from __future__ import annotations

import sympy
import torch

from framelift.guards import GuardSet, build, kinds
from framelift.guards.sources import (
    Argument,
    Descriptor,
    DictItem,
    Held,
    InstanceDict,
    ListItem,
    SequenceItem,
    TypeOf,
)
from tests.guards.engines import explain, guard_set

SELF = Argument(0, "self")
EXAMPLE = torch.zeros(8, 4)
LAYERS = DictItem(InstanceDict(SELF), "layers")


class Model:
    def __init__(self, *layers):
        self.layers = list(layers)


def test_the_same_demand_is_kept_once():
    made = GuardSet()
    for _ in range(2):
        made.add(SELF, kinds.TypeIs(Model))
        made.add(LAYERS, kinds.Length(2))
        made.add(ListItem(LAYERS, 0), kinds.Equals(1))
        made.add(ListItem(LAYERS, 1), kinds.Equals((0.0, "a")))
        made.add(LAYERS, kinds.Mro(Model.__mro__))
    assert len(made.guards) == 5


def test_demands_that_look_alike_are_all_kept():
    made = GuardSet()
    for value in (1, 1.0, True, 0.0, -0.0, float("nan"), (1,), (1.0,)):
        made.add(SELF, kinds.Equals(value))
    assert len(made.guards) == 8
    made.add(SELF, kinds.Equals(float("nan")))
    assert len(made.guards) == 8
    made.add(DictItem(SELF, 1), kinds.IsNot(None))
    made.add(DictItem(SELF, True), kinds.IsNot(None))
    assert len(made.guards) == 10


def test_a_source_has_one_slot():
    made = GuardSet()
    assert [made.collect(source) for source in (SELF, LAYERS, SELF, LAYERS)] == [0, 1, 0, 1]
    model = Model(1)
    assert build(made, 1).tree.check((model,)) == (model, model.layers)


def test_printed():
    made = guard_set(
        (SELF, kinds.TypeIs(list)),
        (
            DictItem(InstanceDict(ListItem(LAYERS, 3)), "weight"),
            kinds.TensorMatch.of(EXAMPLE, (8, 4), (4, 1)),
        ),
        (DictItem(Held({}, "globals()"), "flag"), kinds.Equals(True)),
        (DictItem(SELF, "key"), kinds.IsNot(None)),
        (SELF, kinds.DictMissing("other")),
        (SELF, kinds.DictKeys(("a", 1))),
        (SELF, kinds.SetEquals(frozenset({2, 1}))),
        (TypeOf(SELF), kinds.TypeAttribute("forward", kinds.ABSENT, object)),
        (TypeOf(SELF), kinds.Mro((int, object))),
        (SequenceItem(SELF, 2), kinds.CodeIs(Model.__init__.__code__)),
        (SELF, kinds.NoInstanceDict()),
        (SELF, kinds.CellEmpty()),
        (SELF, kinds.SlotEmpty(type("Slotted", (), {"__slots__": ("field",)}).__dict__["field"])),
        (SELF, kinds.SameAs(LAYERS)),
        (Descriptor(SELF, None, "grad"), kinds.Is(None)),
    )
    made.distinct([SELF, LAYERS])
    made.memory([SELF, LAYERS], [True, False], [4, 4])
    made.require_state()
    symbol = sympy.Symbol("s0", integer=True)
    made.bind(symbol, LAYERS, "size", 1)
    made.condition(symbol >= 2)
    assert str(made) == (
        "torch state as at capture\n"
        "self: type list\n"
        "self.layers[3].weight: tensor f32[8, 4]\n"
        "globals()['flag']: == True\n"
        "self['key']: is not None\n"
        "self: no key 'other'\n"
        "self: keys ('a', 1)\n"
        "self: members {1, 2}\n"
        "type(self): class attribute forward behind object not defined\n"
        "type(self): bases object\n"
        "self[2]: code of Model.__init__\n"
        "self: no instance attributes\n"
        "self: empty cell\n"
        "self: slot field is empty\n"
        "self: is self.layers\n"
        "self.grad: is None\n"
        "self, self.layers: pairwise different\n"
        "self: memory apart from that of self, self.layers\n"
        "s0 = self.layers.size(1)\n"
        "self.layers.size(1) >= 2"
    )


def test_failures_in_words():
    model = Model(1, 2)
    for guard, text in (
        ((LAYERS, kinds.Length(3)), "self.layers: expected length 3, found length 2"),
        ((ListItem(LAYERS, 0), kinds.Equals(7)), "self.layers[0]: expected == 7, found 1"),
        ((LAYERS, kinds.TypeIs(tuple)), "self.layers: expected type tuple, found type list"),
        ((ListItem(LAYERS, 5), kinds.Equals(7)), "self.layers[5]: missing"),
        ((LAYERS, kinds.Is(None)), "self.layers: expected is None, found [1, 2]"),
        (
            (InstanceDict(SELF), kinds.DictMissing("layers")),
            "self.__dict__: expected no key 'layers', found key 'layers'",
        ),
        (
            (InstanceDict(SELF), kinds.DictKeys(("x",))),
            "self.__dict__: expected keys ('x',), found keys ('layers',)",
        ),
        ((SELF, kinds.NoInstanceDict()), "self: expected no instance attributes, found instance attributes"),
        ((TypeOf(SELF), kinds.Mro((Model,))), "type(self): expected bases , found bases object"),
        (
            (TypeOf(SELF), kinds.TypeAttribute("__init__", None)),
            "type(self): expected class attribute __init__ is None, found another __init__",
        ),
    ):
        assert explain(guard_set(guard), model) == text


def test_failures_of_identity_are_told_at_the_later_node():
    other = Argument(1, "other")
    made = guard_set((SELF, kinds.SameAs(other)))
    built = build(made, 2)
    assert built.describe(built.tree.explain(([], []))).text == "self: expected is other, found []"
