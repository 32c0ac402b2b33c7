"""Facts of containers: contents, order, sharing, and what their classes add."""

from __future__ import annotations

import collections
import types
import weakref

from tests.harness import Program
from tests.soundness.facts import fact


def folded(items):
    """A program whose answer depends on the items and their order."""

    def f(x):
        for item in items:
            x = x * 2 + item
        return x

    return Program(f, items)


@fact(lambda items: items.append(3), lambda items: items.pop(0), lambda items: items.clear())
def list_items():
    return folded([1, 2])


@fact(lambda items: items.reverse(), lambda items: items.__setitem__(0, 9), lambda items: items.insert(1, 4))
def list_order():
    return folded([1, 2])


@fact(lambda items: items.__setitem__(0, -0.0))
def list_item_of_another_sign():
    items = [0.0]

    def f(x):
        return 1 / (x * items[0])

    return Program(f, items)


@fact(lambda items: items.rotate(1), lambda items: items.appendleft(7))
def deque_order():
    return folded(collections.deque([1, 2, 3]))


@fact(lambda items: items.add(16), lambda items: items.discard(1))
def set_members():
    return folded({1, 2})


@fact(lambda items: items[1].append(9), lambda items: items[1].clear())
def list_in_a_tuple():
    items = (1, [2])

    def f(x):
        for item in items[1]:
            x = x * 3 + item
        return x

    return Program(f, items)


def reordered(table):
    table["a"] = table.pop("a")


@fact(reordered, lambda table: table.update(c=3), lambda table: table.pop("b"))
def dictionary_order():
    table = {"a": 1, "b": 2}

    def f(x):
        for item in table.values():
            x = x * 2 + item
        return x

    return Program(f, table)


@fact(lambda table: table.move_to_end("a"), lambda table: table.move_to_end("c", last=False))
def ordered_dictionary():
    table = collections.OrderedDict(a=1, b=2, c=3)

    def f(x):
        for item in table.values():
            x = x * 2 + item
        return x

    return Program(f, table)


def with_true(table):
    del table[1]
    table[True] = 2


@fact(with_true)
def key_of_another_type():
    table = {1: 2}

    def f(x):
        return [x * value for value in table.values()], [type(key).__name__ for key in table]

    return Program(f, table)


@fact(lambda table: table["a"]["b"].update(c=9))
def dictionary_three_deep():
    table = {"a": {"b": {"c": 2}}}

    def f(x):
        return x * table["a"]["b"]["c"]

    return Program(f, table)


@fact(lambda table: setattr(table, "default_factory", lambda: 9))
def default_factory():
    table = collections.defaultdict(lambda: 2)

    def f(x):
        return x * table.copy()["key"]

    return Program(f, table)


@fact(lambda table: setattr(type(table), "__missing__", lambda self, key: 9))
def missing_of_a_dictionary():
    class Table(dict):
        def __missing__(self, key):
            return 2

    table = Table()

    def f(x):
        return x * table["key"]

    return Program(f, table)


@fact(lambda table: table.update(key=9))
def missing_key_appears():
    table = {}

    def f(x):
        return x * table.get("key", 2)

    return Program(f, table)


@fact(lambda maps: maps.insert(0, {"a": 9}), lambda maps: maps[0].clear())
def chain_of_maps():
    chain = collections.ChainMap({"b": 1}, {"a": 2})

    def f(x):
        return x * chain["a"]

    return Program(f, chain.maps)


@fact(lambda table: table.update(a=9))
def mapping_proxy():
    table = {"a": 2}
    proxy = types.MappingProxyType(table)

    def f(x):
        return x * proxy["a"]

    return Program(f, table)


@fact(lambda counter: counter.update("aa"), lambda counter: counter.subtract("a"))
def counter():
    counter = collections.Counter("ab")

    def f(x):
        return x * counter["a"]

    return Program(f, counter)


@fact(lambda data: data.data.update(a=9))
def user_dictionary():
    data = collections.UserDict(a=2)

    def f(x):
        return x * data["a"]

    return Program(f, data)


@fact(lambda space: setattr(space, "factor", 9), lambda space: delattr(space, "factor"))
def simple_namespace():
    space = types.SimpleNamespace(factor=2)

    def f(x):
        return x * getattr(space, "factor", 5)

    return Program(f, space)


@fact(lambda space: setattr(space, "second", space.first), lambda space: setattr(space, "second", []))
def two_lists_become_one():
    space = types.SimpleNamespace(first=[], second=[])

    def f(x):
        space.first.append(1)
        count = len(space.second)
        space.first.clear()
        return x * (count + 2)

    return Program(f, space)


@fact(lambda space: setattr(space, "second", [1]))
def identity_of_two_lists():
    shared = [1]
    space = types.SimpleNamespace(first=shared, second=shared)

    def f(x):
        return x * (2 if space.first is space.second else 3)

    return Program(f, space)


class Target:
    factor = 2


@fact(lambda space: setattr(space, "target", None))
def weak_reference_dies():
    space = types.SimpleNamespace(target=Target())
    reference = weakref.ref(space.target)

    def f(x):
        return x * (9 if reference() is None else 2)

    return Program(f, space)


@fact(lambda space: setattr(space.target, "factor", 9))
def attribute_behind_a_weak_reference():
    space = types.SimpleNamespace(target=Target())
    reference = weakref.ref(space.target)

    def f(x):
        return x * reference().factor

    return Program(f, space)


@fact(lambda items: setattr(items, "scale", 9))
def attribute_of_a_list():
    class Items(list):
        scale = 2

    items = Items([1, 2])

    def f(x):
        return x * items.scale + sum(items)

    return Program(f, items)


@fact(lambda items: setattr(type(items), "__len__", lambda self: 9))
def length_of_a_list_s_class():
    class Items(list): ...

    items = Items([1, 2])

    def f(x):
        return x * len(items)

    return Program(f, items)


@fact(lambda items: setattr(type(items), "__iter__", lambda self: iter([9])))
def iteration_of_a_list_s_class():
    class Items(list): ...

    return folded(Items([1, 2]))


Point = collections.namedtuple("Point", "a b")


@fact(lambda space: setattr(space, "point", Point(1, 9)), lambda space: setattr(space, "point", (1, 9)))
def named_tuple():
    space = types.SimpleNamespace(point=Point(1, 2))

    def f(x):
        return x * space.point[1] * (1 if hasattr(space.point, "a") else 3)

    return Program(f, space)


@fact(lambda space: space.items.__delitem__(slice(0, 1)))
def slice_of_a_list():
    space = types.SimpleNamespace(items=[1, 2, 3, 4])

    def f(x):
        for item in space.items[1:3]:
            x = x * 2 + item
        return x

    return Program(f, space)
