"""Loops with breaks in their bodies: iterators half-way, whatever they run over."""

import collections

import pytest
import torch
from torch import nn

import framelift
from tests.harness import Program, check, each, floats, fresh

BREAK = "Call of `graph_break()`"


class Layers(nn.Module):
    def __init__(self, count):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(count))
        self.named = nn.ModuleDict({f"layer {k}": nn.Linear(4, 4) for k in range(count)})
        self.scales = [float(k) for k in range(count)]


class Plain(Layers):
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
            framelift.graph_break()
            x = x.relu()
        return x


class Named(Layers):
    def forward(self, x):
        names = []
        for name, layer in self.named.items():
            x = layer(x)
            framelift.graph_break()
            x = x.relu()
            names.append(name)
        return x, names


class Keys(Layers):
    def forward(self, x):
        for name in self.named:
            framelift.graph_break()
            x = self.named[name](x)
        return x


class Numbered(Layers):
    def forward(self, x):
        for i, layer in enumerate(self.layers, start=1):
            x = layer(x)
            framelift.graph_break()
            x = x / i
        return x


class Paired(Layers):
    def forward(self, x):
        for first, second in zip(self.layers, self.named.values()):
            x = first(x)
            framelift.graph_break()
            x = second(x)
        return x


class PairedStrictly(Layers):
    def forward(self, x):
        for first, second in zip(self.layers, self.named.values(), strict=True):
            x = first(x)
            framelift.graph_break()
            x = second(x)
        return x


class NumberedPairs(Layers):
    def forward(self, x):
        for i, (first, second) in enumerate(zip(self.layers, self.named.values())):
            x = first(x)
            framelift.graph_break()
            x = second(x) * i
        return x


class Mapped(Layers):
    def forward(self, x):
        for y in map(lambda layer: layer(x), self.layers):
            framelift.graph_break()
            x = x + y
        return x


class Filtered(Layers):
    def forward(self, x):
        for layer in filter(lambda layer: layer.weight.shape[0] == 4, self.layers):
            x = layer(x)
            framelift.graph_break()
            x = x.relu()
        return x


class Backwards(Layers):
    def forward(self, x):
        for layer in reversed(list(self.layers)):
            x = layer(x)
            framelift.graph_break()
            x = x.relu()
        return x


class OfATuple(Layers):
    def forward(self, x):
        for layer in tuple(self.layers):
            x = layer(x)
            framelift.graph_break()
            x = x.relu()
        return x


LOOPS = [
    Plain,
    Named,
    Keys,
    Numbered,
    Paired,
    PairedStrictly,
    NumberedPairs,
    Mapped,
    Filtered,
    Backwards,
    OfATuple,
]


@pytest.mark.parametrize("kind", LOOPS, ids=lambda kind: kind.__name__)
def test_rounds_are_one_case(kind):
    """However many layers: a segment up to the first break, one for the rounds, one behind the last. Where a
    number of the loop is computed with, it is seen to change once."""
    counted = kind in (Numbered, NumberedPairs)
    check(
        kind(24),
        floats(2, 4),
        graphs=None,
        breaks=2 + counted,
        reason=BREAK,
        recompiles=int(counted),
        forced=False,
        context=torch.no_grad,
    )
    assert sum(framelift.counters["graphs"].values()) <= 3 + counted


@pytest.mark.parametrize("kind", LOOPS, ids=lambda kind: kind.__name__)
def test_a_break_anywhere_in_a_round(kind):
    check(kind(3), floats(2, 4), graphs=None, breaks=None, recompiles=None, reason=BREAK)


def test_the_end_of_a_loop_is_no_recompilation():
    with framelift.config.patch(error_on_recompile=True):
        check(Plain(5), floats(2, 4), graphs=3, breaks=2, reason=BREAK, forced=False)


def test_another_number_of_rounds():
    def f(x, items):
        for item in items:
            framelift.graph_break()
            x = x + item
        return x

    lists = each([1.0, 2.0], [1.0, 2.0, 1.0, 2.0], [1.0], [], [2.0] * 9)
    check(f, floats(2), lists, graphs=None, breaks=None, recompiles=None, reason=BREAK, calls=10)


def test_items_are_the_objects_themselves():
    class Item:
        def __init__(self):
            self.seen = 0

    def f(x, items):
        found = []
        for item in items:
            framelift.graph_break()
            found.append(item)
            item.seen += 1
            x = x + item.seen
        return x, found, [one is other for one, other in zip(found, items)]

    check(f, floats(2), [Item(), Item(), Item()], graphs=None, breaks=None, recompiles=None, reason=BREAK)
    check(
        f, floats(2), [item := Item(), Item(), item], graphs=None, breaks=None, recompiles=None, reason=BREAK
    )


def test_two_names_for_one_iterator():
    def f(x, items):
        iterator = iter(items)
        same = iterator
        for item in iterator:
            framelift.graph_break()
            x = x * item + next(same, 7.0)
        return x, list(same)

    def with_itself(x, items):
        iterator = iter(items)
        for first, second in zip(iterator, iterator):
            framelift.graph_break()
            x = x * first + second
        return x, list(iterator)

    for program in (f, with_itself):
        for items in ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0], [1.0], []):
            check(program, floats(2), items, graphs=None, breaks=None, recompiles=None)


def test_iterators_over_several_tensors():
    """What is made for the exit only is not mistaken for what was made before it."""

    def in_step(first, second, third):
        seen = []
        for a, b, c in zip(first, second, third):
            framelift.graph_break()
            seen.append((a, b, c))
        return seen

    def one_by_one(first, second, third):
        iterators = [iter(first), iter(second), iter(third)]
        for iterator in iterators:
            next(iterator)
        framelift.graph_break()
        return [list(iterator) for iterator in iterators]

    for program in (in_step, one_by_one):
        check(
            program, floats(3, 2), floats(3), floats(3, 1, 2), graphs=None, breaks=None, recompiles=None,
            reason=BREAK,
        )  # fmt: skip


def test_tables_with_pairs_for_keys():
    def f(x):
        tables = [{(row, column): x + row for column in range(3)} for row in range(4)]
        framelift.graph_break()
        return tables

    check(f, floats(2), graphs=1, breaks=1, reason=BREAK)


def test_two_iterators_or_one():
    """An entry for two iterators is not one for the same iterator twice."""

    def f(x, first, second):
        return x + next(first) * 10 + next(second)

    compiled = framelift.compile(f, backend="eager")
    for same in (False, True, False, True):
        results = []
        for program in (f, compiled):
            first = iter([1, 2, 3])
            second = first if same else iter([1, 2, 3])
            results.append((program(torch.zeros(1), first, second).item(), list(first), list(second)))
        assert results[0] == results[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: iter([1, 2, 3]),
        lambda: iter((1, 2, 3)),
        lambda: iter({1: 2, 3: 4}),
        lambda: iter({1: 2, 3: 4}.values()),
        lambda: iter({1, 2}),
        lambda: iter(range(3, 12, 3)),
        lambda: iter(b"abc"),
        lambda: reversed([1, 2, 3]),
        lambda: map(abs, [-1, -2]),
        lambda: filter(None, [0, 1, 0, 2]),
        lambda: zip(),
    ],
)
def test_iterators_as_arguments_are_used_up(make):
    def f(x, iterator):
        for item in iterator:
            x = x + item
        return x, next(iterator, None)

    compiled = framelift.compile(f, backend="eager", fullgraph=True)
    for _ in range(3):
        iterator, other = make(), make()
        if make().__class__ is zip:
            assert next(iterator, None) is next(other, None)
        expected, given = f(torch.zeros(2), iterator), compiled(torch.zeros(2), other)
        assert torch.equal(expected[0], given[0])
        assert next(other, None) is None
    assert framelift.counters["frames"]["total"] >= 1


def test_an_argument_is_taken_from():
    def f(x, iterator):
        first = next(iterator)
        for name, value in iterator:
            return x + value, first, name
        return x, first, None

    compiled = framelift.compile(f, backend="eager", fullgraph=True)
    for size in (2, 3, 4, 2, 1):
        table = {str(k): float(k) for k in range(size)}
        expected, given = iter(table.items()), iter(table.items())
        left, right = f(torch.zeros(2), expected), compiled(torch.zeros(2), given)
        assert torch.equal(left[0], right[0])
        assert left[1:] == right[1:]
        assert list(expected) == list(given)


# -- what is iterated over changes -------------------------------------------------------------------------


def grows(x, items):
    for item in items:
        x = x + item
        framelift.graph_break()
        if len(items) < 6:
            items.append(item * 2)
    return x, items


def shrinks(x, items):
    for item in items:
        x = x + item
        framelift.graph_break()
        items.pop()
    return x, items


def shrinks_backwards(x, items):
    for item in reversed(items):
        x = x + item
        framelift.graph_break()
        items.pop()
        items[0] = 5.0
    return x, items


def is_written_to_backwards(x, items):
    for item in reversed(items):
        x = x + item
        items[0] = 9.0
        framelift.graph_break()
    return x, items


def is_replaced(x, items):
    for item in items:
        x = x + item
        framelift.graph_break()
        items[:] = [7.0, 8.0, 9.0]
    return x, items


@pytest.mark.parametrize("program", [grows, shrinks, shrinks_backwards, is_written_to_backwards, is_replaced])
def test_a_list_that_changes(program):
    check(program, floats(2), [1.0, 2.0, 3.0, 4.0], graphs=None, breaks=None, recompiles=None, reason=BREAK)


def gets_a_key(x, table):
    for name in table:
        x = x + table[name]
        framelift.graph_break()
        table[name + "!"] = 1.0
    return x


def loses_a_key(x, table):
    try:
        for name, value in table.items():
            x = x + value
            framelift.graph_break()
            del table[name]
    except RuntimeError as error:
        return x, str(error), list(table)
    return x


def exchanges_a_key(x, table):
    try:
        for name in table:
            x = x + 1
            framelift.graph_break()
            del table[name]
            table[name + "!"] = 1.0
    except RuntimeError as error:
        return x, str(error), list(table)
    return x


def gets_other_values(x, table):
    for name, value in table.items():
        x = x + value
        framelift.graph_break()
        for other in list(table):
            table[other] = x
        table[name] = 3.0
    return x, table


@pytest.mark.parametrize("program", [gets_a_key, loses_a_key, exchanges_a_key, gets_other_values])
def test_a_dict_that_changes(program):
    table = {"a": 1.0, "b": 2.0, "c": 3.0}
    check(program, floats(2), table, graphs=None, breaks=None, recompiles=None, reason=BREAK)


def test_what_is_iterated_over_under_another_name():
    """A list that is written to may, in another call, be the one that is iterated over."""

    def f(x, iterator, items):
        items.append(4.0)
        for item in iterator:
            x = x + item
        return x, items

    compiled = framelift.compile(f, backend="eager")
    for same in (False, True, False):
        results = []
        for program in (f, compiled):
            items = [1.0, 2.0, 3.0]
            others = items if same else [1.0, 2.0]
            value, found = program(torch.zeros(1), iter(items), others)
            results.append((value.item(), found))
        assert results[0] == results[1]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_deque_that_changes(backwards):
    def inside_a_segment(x, items):
        try:
            for item in reversed(items) if backwards else items:
                x = x + item
                items.append(1.0)
        except RuntimeError as error:
            return x, str(error)
        return x

    def at_a_break(x, items):
        for item in reversed(items) if backwards else items:
            x = x + item
            framelift.graph_break()
        return x

    items = collections.deque([1.0, 2.0, 3.0])
    for program in (inside_a_segment, at_a_break):
        check(program, floats(2), items, graphs=None, breaks=None, recompiles=None)


@pytest.mark.parametrize("make", [iter, reversed, lambda table: reversed(table.items())])
def test_a_dict_backwards(make):
    def f(x, table):
        for name in make(table):
            x = x + len(name)
            framelift.graph_break()
        return x

    table = {"a": 1.0, "bb": 2.0, "ccc": 3.0}
    check(f, floats(2), table, graphs=None, breaks=None, recompiles=None, reason=BREAK)


# -- rounds that go on in other ways -----------------------------------------------------------------------


def test_breaks_in_some_rounds():
    def f(x, marks):
        for i in range(40):
            x = x + 1
            if i in marks:
                framelift.graph_break()
                x = x * 2
        return x

    marks = each([0], [0, 1, 3, 7, 8, 15, 30], [39], [2, 20, 38])
    check(f, floats(2), marks, graphs=None, breaks=None, recompiles=None, reason=BREAK, calls=4, forced=False)
    assert not framelift.counters["limits"]


def test_layers_of_several_classes():
    class Scale(nn.Module):
        def forward(self, x):
            framelift.graph_break()
            return x * 2

    class Shift(nn.Module):
        def forward(self, x):
            framelift.graph_break()
            return x + 2

    def build():
        torch.manual_seed(0)
        layers = nn.ModuleList(
            [Scale(), Shift(), nn.Linear(4, 4), Scale(), Scale(), nn.Linear(4, 4), Shift()]
        )

        def f(x):
            for layer in layers:
                x = layer(x)
            return x

        return Program(f, layers)

    check(fresh(build), floats(2, 4), graphs=None, breaks=None, recompiles=None, reason=BREAK)


def test_loops_inside_loops():
    def f(x, table):
        for name, items in table.items():
            for i, item in enumerate(items):
                framelift.graph_break()
                x = x + item * i
            x = x.sin() if name else x
        return x

    table = {"a": [1.0, 2.0], "b": [], "c": [3.0]}
    check(f, floats(2), table, graphs=None, breaks=None, recompiles=None, reason=BREAK)


def test_what_a_map_calls_breaks_or_raises():
    def breaks(x, items):
        def double(item):
            framelift.graph_break()
            return x * item

        for y in map(double, items):
            x = x + y
        return x

    def ends(x, items):
        def until(item):
            if item > 2:
                raise StopIteration
            return x * item

        for y in map(until, items):
            framelift.graph_break()
            x = x + y
        return x

    def fails(x, items):
        def half(item):
            return x / (1 // item)

        try:
            for y in map(half, items):
                framelift.graph_break()
                x = x + y
        except ZeroDivisionError as error:
            return x, str(error)
        return x

    for program in (breaks, ends, fails):
        check(program, floats(2), [1, 1, 2, 3, 0], graphs=None, breaks=None, recompiles=None, reason=BREAK)


def test_a_strict_zip_of_unequal_lengths():
    def f(x, first, second):
        try:
            for one, other in zip(first, second, strict=True):
                framelift.graph_break()
                x = x * one + other
        except ValueError as error:
            return x, str(error)
        return x

    for first, second in (([1.0, 2.0], [3.0]), ([1.0], [3.0, 2.0]), ([1.0, 2.0], [3.0, 4.0]), ([], [])):
        check(f, floats(2), first, second, graphs=None, breaks=None, recompiles=None)
