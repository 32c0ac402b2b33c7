"""Every kind of guard holds where it should and fails where it should, in both engines."""

from __future__ import annotations

import collections
import math
import types

import pytest
import torch

from framelift.guards import kinds
from framelift.guards.sources import Argument
from tests.guards.engines import VALUE, guard_set, holds, table_cases


class Slotted:
    __slots__ = ("field",)


class FullSlot(Slotted):
    __slots__ = ()


class Plain:
    pass


class Child(Plain):
    attribute = 1


class ListChild(list):
    def __len__(self):
        raise AssertionError("user code ran")


class DictChild(dict):
    def __getitem__(self, key):
        raise AssertionError("user code ran")

    def __contains__(self, key):
        raise AssertionError("user code ran")


def with_attribute():
    made = Plain()
    made.name = 1
    return made


def filled_slot():
    made = FullSlot()
    made.field = None
    return made


def first():
    pass


def second():
    pass


def other_order(*keys):
    made = collections.OrderedDict.fromkeys(sorted(keys))
    for key in keys:
        made.move_to_end(key)
    return made


NAN = math.nan
OTHER_NAN = float.fromhex("nan") * -1
TENSOR = torch.zeros(2, 3)
SENTINEL = Plain()


def taken(iterator, count):
    for _ in range(count):
        next(iterator, None)
    return iterator


def made_longer(container):
    iterator = iter(container)
    container.update({5: 5})
    return iterator


ONE_LEFT = [
    taken(iter([1, 2]), 1),
    taken(iter((1, 2)), 1),
    taken(iter(ListChild([1, 2])), 1),
    taken(reversed([1, 2]), 1),
    taken(iter({1: 2, 3: 4}), 1),
    taken(iter({1: 2, 3: 4}.values()), 1),
    taken(iter({1: 2, 3: 4}.items()), 1),
    taken(iter({1, 2}), 1),
    taken(iter(range(5, 15, 5)), 1),
    taken(iter(range(15, 5, -5)), 1),
    taken(iter("ab"), 1),
    taken(iter("\u0101b"), 1),
    taken(iter(b"ab"), 1),
]
NONE_LEFT = [
    taken(iter([1]), 1),
    taken(iter([1]), 2),
    iter(()),
    taken(reversed([1]), 2),
    taken(iter({1: 2}), 1),
    taken(iter({1: 2}), 2),
    taken(iter({1}), 2),
    taken(iter(range(3)), 3),
    iter(""),
    taken(iter(b"a"), 2),
]
NO_ITERATORS = [
    [1],
    None,
    zip([1]),
    map(abs, [1]),
    iter(collections.deque([1])),
    made_longer({1: 2}),
    made_longer({1}),
]

TABLE = [
    (kinds.ItemsLeft(1, False), [*ONE_LEFT, iter([1, 2])], [*NONE_LEFT, *NO_ITERATORS]),
    (kinds.ItemsLeft(1, True), ONE_LEFT, [*NONE_LEFT, *NO_ITERATORS, iter([1, 2]), iter({1: 1, 2: 2})]),
    (kinds.ItemsLeft(0, True), NONE_LEFT, [*ONE_LEFT, *NO_ITERATORS]),
    (kinds.TypeIs(int), [1, 2**70], [True, 1.0, None, "1"]),
    (kinds.TypeIs(Plain), [Plain()], [Child(), Plain]),
    (kinds.Is(SENTINEL), [SENTINEL], [Plain(), None]),
    (kinds.IsNot(None), [0, SENTINEL], [None]),
    (kinds.Equals(1), [1], [True, 1.0, 2, "1", None]),
    (kinds.Equals(2**80), [2**80 + 0 * id(TENSOR)], [2**80 + 1, float(2**80)]),
    (kinds.Equals(0.0), [0.0, -(-0.0)], [-0.0, 0, False, NAN]),
    (kinds.Equals(NAN), [NAN, float("nan")], [0.0, -float("nan")]),
    (kinds.Equals(complex(0.0, -0.0)), [complex(0.0, -0.0)], [complex(0.0, 0.0), 0.0]),
    (kinds.Equals("text"), ["".join(["te", "xt"])], ["Text", b"text", None]),
    (kinds.Equals(b"ab"), [bytes([97, 98])], ["ab", b"abc", bytearray(b"ab")]),
    (kinds.Equals(None), [None], [0, False]),
    (kinds.Equals(True), [True], [1, False]),
    (
        kinds.Equals((1, (2.0, "x"))),
        [(1, (2.0, "x"))],
        [(1, (2, "x")), (1, (2.0, "x"), 3), [1, (2.0, "x")], (True, (2.0, "x"))],
    ),
    (
        kinds.Equals(frozenset({1, "a"})),
        [frozenset({"a", 1})],
        [frozenset({True, "a"}), frozenset({1}), {1, "a"}],
    ),
    (kinds.Equals(range(0, 4, 2)), [range(0, 4, 2)], [range(0, 3, 2), range(4), (0, 2)]),
    (kinds.Equals(slice(1, None, 2)), [slice(1, None, 2)], [slice(1, None, 3), slice(True, None, 2)]),
    (kinds.Equals(torch.device("cpu")), [torch.device("cpu")], [torch.device("meta"), "cpu"]),
    (kinds.Equals(torch.Size([2])), [torch.Size([2])], [(2,), torch.Size([3])]),
    (
        kinds.Length(2),
        [
            [1, 2],
            (1, 2),
            {1: 1, 2: 2},
            {1, 2},
            frozenset({1, 2}),
            collections.deque([1, 2]),
            ListChild([1, 2]),
            "ab",
        ],
        [[1], (), {}, set(), 2, None, collections.deque(), Plain()],
    ),
    (
        kinds.DictKeys(("a", "b")),
        [{"a": 1, "b": 2}, DictChild(a=1, b=2), other_order("a", "b")],
        [{"b": 1, "a": 2}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, other_order("b", "a"), ["a", "b"]],
    ),
    (kinds.DictKeys((1, 2.0)), [{1: 0, 2.0: 0}], [{True: 0, 2.0: 0}, {1: 0, 2: 0}]),
    (
        kinds.DictMissing("a"),
        [{}, {"b": 1}, {1: 1}, DictChild(b=1), {("a",): 1, "b": 2}],
        [{"a": 1}, DictChild(a=1), {1: 1, "a": 1}, [], None],
    ),
    (kinds.DictMissing(1), [{"a": 1}, {2: 2}], [{1: 1}, {True: 1}, {1.0: 1, "a": 2}]),
    (
        kinds.SetEquals(frozenset({1, "a", int})),
        [{1, "a", int}, frozenset({1, "a", int})],
        [{1, "a"}, {True, "a", int}, {1, "a", str}, [1, "a", int]],
    ),
    (kinds.SetOrder((8, 0)), [set([8, 0])], [set([0, 8]), {8}, {8, 0, 1}, [8, 0], None]),  # noqa: C405
    (kinds.TypeAttribute("attribute", Child.attribute), [Child], [Plain, Child(), None]),
    (kinds.TypeAttribute("attribute", kinds.ABSENT), [Plain, int], [Child, Plain()]),
    (kinds.TypeAttribute("__init__", object.__dict__["__init__"], Child), [Child], [Plain, int]),
    (kinds.TypeAttribute("attribute", kinds.ABSENT, Child), [Child, int], [Child()]),
    (kinds.Mro(Child.__mro__), [Child], [Plain, type("Child", (Plain,), {}), Child()]),
    (
        kinds.CodeIs(first.__code__),
        [first, types.FunctionType(first.__code__, {})],
        [second, first.__code__, print, None],
    ),
    (
        kinds.NoInstanceDict(),
        [Slotted(), 1, Plain()],
        [with_attribute(), first if first.__dict__ else Child.__dict__ and with_attribute()],
    ),
    (kinds.SlotEmpty(Slotted.__dict__["field"]), [Slotted(), FullSlot()], [filled_slot(), Plain(), None]),
    (kinds.CellEmpty(), [types.CellType()], [types.CellType(None), None]),
    (
        kinds.TensorMatch.of(TENSOR, (2, 3), (3, 1)),
        [torch.ones(2, 3)],
        [
            torch.ones(3, 2),
            torch.ones(2, 3).double(),
            torch.ones(3, 2).T,
            torch.nn.Parameter(torch.ones(2, 3)),
            None,
        ],
    ),
]


@pytest.mark.parametrize(("guard", "value", "expected"), list(table_cases(TABLE)))
def test_kind(guard, value, expected):
    assert holds(guard_set(guard), value) is expected


def test_same_as_compares_identity_whichever_node_comes_first():
    other = Argument(1, "other")
    for owner, target in ((VALUE, other), (other, VALUE)):
        made = guard_set((VALUE, kinds.TypeIs(list)), (owner, kinds.SameAs(target)))
        same = []
        assert holds(made, same, same)
        assert not holds(made, same, [])


def test_every_kind_is_in_the_table():
    tested = {type(guard) for guard, _, _ in TABLE} | {kinds.SameAs}
    every = {cls for cls in vars(kinds).values() if isinstance(cls, type) and issubclass(cls, kinds.Guard)}
    assert tested == every - {kinds.Guard}
