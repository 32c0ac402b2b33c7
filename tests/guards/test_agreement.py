"""Two engines, one answer: random sets of guards taken from random objects, and random other objects."""

from __future__ import annotations

import collections
import types

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framelift.guards import GuardSet, kinds
from framelift.guards.sources import (
    Argument,
    CellContents,
    DictItem,
    InstanceDict,
    ListItem,
    SequenceItem,
    TupleItem,
    TypeOf,
)
from tests.guards.engines import holds


class Node:
    """An instance with attributes."""


def instance(attributes):
    made = Node()
    vars(made).update(attributes)
    return made


literals = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, -0.0, 1.0, float("nan"), 2**80]),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from([b"", b"a"]),
    st.sampled_from([int, Node, print]),
)
tensors = st.builds(
    lambda shape, dtype, grad, step: torch.zeros(
        *shape, dtype=dtype, requires_grad=grad and dtype.is_floating_point
    )[..., ::step],
    st.lists(st.integers(0, 2), min_size=1, max_size=7),
    st.sampled_from([torch.float32, torch.float64, torch.int64]),
    st.booleans(),
    st.integers(1, 2),
)
keys = st.one_of(st.sampled_from(["a", "b", "c"]), st.integers(0, 2), st.booleans(), st.just((1, "a")))
values = st.recursive(
    st.one_of(literals, tensors),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(collections.deque),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3).map(collections.OrderedDict),
        st.frozensets(literals.filter(lambda value: value == value), max_size=3),
        st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2).map(instance),
        inner.map(types.CellType),
        st.builds(types.CellType),
    ),
    max_leaves=12,
)


def look_at(made, source, value, draw):
    """Guard some of what there is at ``source``, and of what can be reached from it."""
    made.add(source, kinds.TypeIs(type(value)))
    if draw(st.booleans()):
        made.collect(source)
    match value:
        case torch.Tensor():
            free = draw(st.booleans())
            sizes = (None,) * value.dim() if free else tuple(value.shape)
            made.add(
                source, kinds.TensorMatch.of(value, sizes, (None,) * value.dim() if free else value.stride())
            )
        case dict():
            made.add(
                source, kinds.DictKeys(tuple(value)) if draw(st.booleans()) else kinds.Length(len(value))
            )
            for key, item in value.items():
                look_at(made, DictItem(source, key), item, draw)
            if "a" not in value:
                made.add(source, kinds.DictMissing("a"))
        case list() | tuple() | collections.deque():
            link = {list: ListItem, tuple: TupleItem}.get(type(value), SequenceItem)
            made.add(source, kinds.Length(len(value)))
            for index, item in enumerate(value):
                look_at(made, link(source, index), item, draw)
        case frozenset():
            made.add(source, kinds.SetEquals(value))
        case Node():
            made.add(TypeOf(source), kinds.Is(Node))
            for name, item in vars(value).items():
                look_at(made, DictItem(InstanceDict(source), name), item, draw)
        case types.CellType():
            try:
                contents = value.cell_contents
            except ValueError:
                made.add(source, kinds.CellEmpty())
            else:
                look_at(made, CellContents(source), contents, draw)
        case type() | types.BuiltinFunctionType():
            made.add(source, kinds.Is(value))
        case _:
            made.add(source, kinds.Equals(value))


@settings(max_examples=300, deadline=None)
@given(st.data(), values, st.lists(values, max_size=4))
def test_the_engines_agree(data, value, others):
    made = GuardSet()
    look_at(made, Argument(0, "value"), value, data.draw)
    assert holds(made, value)
    for other in others:
        holds(made, other)


@settings(max_examples=200, deadline=None)
@given(st.data(), values, st.lists(literals, max_size=5))
def test_the_engines_agree_after_mutations(data, value, replacements):
    """The tree stays the same and what it looks at changes, so that remembered answers are tried."""
    made = GuardSet()
    look_at(made, Argument(0, "value"), value, data.draw)
    assert holds(made, value)
    for replacement in replacements:
        match value:
            case list() if value:
                value[data.draw(st.integers(0, len(value) - 1))] = replacement
            case dict():
                value[data.draw(keys)] = replacement
            case Node():
                setattr(value, data.draw(st.sampled_from(["a", "b"])), replacement)
            case types.CellType():
                value.cell_contents = replacement
            case _:
                return
        holds(made, value)
