"""Standing facts: a tree that has hit before must still see every change of what it looked at."""

from __future__ import annotations

import collections
import types
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framelift.guards import GuardSet, ReferenceTree, build, kinds
from framelift.guards.sources import (
    Argument,
    CellContents,
    DictItem,
    FunctionField,
    InstanceDict,
    ListItem,
    TupleItem,
    TypeOf,
)
from tests.guards.test_agreement import Node, keys, literals, look_at, values

FILLING = {f"key{index}": index for index in range(16)}
"""As many more facts as make a tree worth remembering."""


class Watched:
    """A tree over ``(value, filling)``, compared with the plain engine at every call."""

    def __init__(self, value, guards: GuardSet):
        for key in FILLING:
            guards.add(DictItem(Argument(1, "filling"), key), kinds.TypeIs(int))
        self.plain = ReferenceTree(guards)
        self.tree = build(guards, 2).tree
        assert self.holds(value)
        assert self.holds(value)
        assert self.tree.standing is not None

    def holds(self, value) -> bool:
        arguments = (value, FILLING)
        native, plain = self.tree.check(arguments), self.plain.check(arguments)
        assert (native is None) == (plain is None)
        if native is not None:
            assert all(left is right for left, right in zip(native, plain, strict=True))
        return native is not None


def watch(value, *guards) -> Watched:
    made = GuardSet()
    for source, guard in guards:
        made.add(source, guard)
    return Watched(value, made)


VALUE = Argument(0, "value")


def change_inside(value, draw):
    """Change something in ``value`` or in what it holds, at a random depth; True if there was something."""
    match value:
        case list() if value:
            index = draw(st.integers(0, len(value) - 1))
            if draw(st.booleans()) and change_inside(value[index], draw):
                return True
            match draw(st.integers(0, 3)):
                case 0:
                    value[index] = draw(literals)
                case 1:
                    value.append(draw(literals))
                case 2:
                    del value[index]
                case 3:
                    value[:] = list(value)  # the same items in new memory
        case dict():
            if value and draw(st.booleans()):
                if change_inside(value[draw(st.sampled_from(list(value)))], draw):
                    return True
                value.pop(next(iter(value)))
            else:
                value[draw(keys)] = draw(literals)
        case tuple() if value:
            return change_inside(value[draw(st.integers(0, len(value) - 1))], draw)
        case Node():
            match draw(st.integers(0, 3)):
                case 0:
                    setattr(value, draw(st.sampled_from(["a", "b"])), draw(literals))
                case 1:
                    value.__dict__ = dict(vars(value))
                case 2:
                    value.__class__ = type("Other", (Node,), {})
                case 3:
                    return change_inside(vars(value), draw)
        case types.CellType():
            if draw(st.booleans()):
                value.cell_contents = draw(literals)
            else:
                try:
                    del value.cell_contents
                except ValueError:
                    return False
        case collections.deque():
            value.append(draw(literals))
        case _:
            return False
    return True


@settings(max_examples=400, deadline=None)
@given(st.data(), values)
def test_random_changes_are_seen(data, value):
    made = GuardSet()
    look_at(made, VALUE, value, data.draw)
    watched = Watched(value, made)
    for _ in range(6):
        if not change_inside(value, data.draw):
            return
        watched.holds(value)
        watched.holds(value)


def test_another_object_at_the_same_address():
    """An address says nothing: what was freed makes room for something else."""
    holder = ["content"]
    text = "".join(["ab", "cd"])
    holder[0] = text
    watched = watch(
        holder, (VALUE, kinds.TypeIs(list)), (ListItem(VALUE, 0), kinds.Equals("".join(["ab", "cd"])))
    )
    del text
    for number in range(200):
        holder[0] = None
        holder[0] = "".join(["wx", str(number)])
        assert not watched.holds(holder)


def test_an_instance_dictionary_made_anew():
    node = Node()
    node.a = 1
    source = DictItem(InstanceDict(VALUE), "a")
    watched = watch(node, (VALUE, kinds.TypeIs(Node)), (source, kinds.Equals(1)))
    for number in range(50):
        node.__dict__ = {"a": number}
        assert watched.holds(node) == (number == 1)


@pytest.mark.parametrize("filling", [FILLING, {}], ids=["remembered", "walked"])
@pytest.mark.parametrize("by_attribute", [True, False], ids=["attribute", "namespace"])
def test_who_is_called_when_an_attribute_is_released(by_attribute, filling):
    """CPython up to 3.12 releases an attribute's old value before it numbers the dictionary's new state."""
    node = Node()
    for number in range(40):  # too many to share their names with other instances
        setattr(node, f"other{number}", number)
    value = node if by_attribute else vars(node)
    namespace = InstanceDict(VALUE) if by_attribute else VALUE
    made = GuardSet()
    made.add(VALUE, kinds.TypeIs(type(value)))
    made.add(DictItem(namespace, "a"), kinds.TypeIs(Node))
    made.collect(DictItem(namespace, "a"))
    for key in filling:
        made.add(DictItem(Argument(1, "filling"), key), kinds.TypeIs(int))
    found = []

    def store(new):
        node.a = new

    for _ in range(100):  # CPython specialises the store
        store(Node())
    tree = build(made, 2).tree
    for _ in range(4):
        assert tree.check((value, filling)) == (node.a,)
        assert (tree.standing is not None) == bool(filling)
        reference = weakref.ref(node.a, lambda _: found.append(tree.check((value, filling)) == (node.a,)))
        store(Node())
        assert reference() is None
        assert tree.check((value, filling)) == (node.a,)
    assert found == [True] * 4


def test_a_dictionary_whose_table_is_made_anew():
    """The same state in another table, which CPython does not number anew."""

    class Refusing:
        def __init__(self, equal_to):
            self.equal_to = equal_to

        def __hash__(self):
            return hash(self.equal_to)

        def __eq__(self, other):
            raise KeyError(other)

    table = {"name": Node()}
    watched = watch(table, (VALUE, kinds.TypeIs(dict)), (DictItem(VALUE, "name"), kinds.TypeIs(Node)))
    for count in (10, 100, 1000):
        with pytest.raises(KeyError):
            table.update({Refusing("name"): 1} | dict.fromkeys(range(count)))
        assert watched.holds(table)
    table["name"] = 1
    assert not watched.holds(table)


def test_a_class_of_the_same_layout():
    class Left:
        shade = "dark"

    class Right:
        shade = "light"

    node = Left()
    watched = watch(
        node, (VALUE, kinds.TypeIs(Left)), (TypeOf(VALUE), kinds.TypeAttribute("shade", "dark", None))
    )
    node.__class__ = Right
    assert not watched.holds(node)
    node.__class__ = Left
    assert watched.holds(node)


def test_an_attribute_of_a_class_twice_in_a_row():
    class Base:
        shade = "dark"

    class Derived(Base):
        pass

    node = Derived()
    watched = watch(
        node, (VALUE, kinds.TypeIs(Derived)), (TypeOf(VALUE), kinds.TypeAttribute("shade", "dark", None))
    )
    for _ in range(3):
        Base.shade = "light"
        Base.shade = "lighter"
        assert not watched.holds(node)
        Base.shade = "dark"
        assert watched.holds(node)
        Derived.shade = "own"
        assert not watched.holds(node)
        del Derived.shade
        assert watched.holds(node)


def test_the_parts_of_a_function():
    def made(step=1):
        return lambda number=step: number

    function = made()
    default = TupleItem(FunctionField(VALUE, "defaults"), 0)
    watched = watch(
        function,
        (VALUE, kinds.TypeIs(types.FunctionType)),
        (VALUE, kinds.CodeIs(function.__code__)),
        (default, kinds.Equals(1)),
    )
    function.__defaults__ = (2,)
    assert not watched.holds(function)
    function.__defaults__ = (1,)
    assert watched.holds(function)
    function.__code__ = (lambda number=0: -number).__code__
    assert not watched.holds(function)


def test_what_changes_all_the_time_is_walked():
    """A counter in a dictionary does not make every call take the facts again."""
    table = {"count": 0, "name": "x"}
    watched = watch(table, (VALUE, kinds.TypeIs(dict)), (DictItem(VALUE, "name"), kinds.Equals("x")))
    for number in range(10):
        table["count"] = number
        assert watched.holds(table)
    before = watched.tree.standing[2]
    table["count"] = -1
    assert watched.holds(table)
    assert watched.tree.standing[2] == before
    table["name"] = "y"
    assert not watched.holds(table)


def test_what_changes_all_the_time_elsewhere():
    """What another tree watches, and stops watching since it changes so often, is seen to change by both."""
    noisy, quiet = {"count": 0, "name": "x"}, {"name": "x"}
    name = DictItem(VALUE, "name")
    facts = ((VALUE, kinds.TypeIs(dict)), (name, kinds.Equals("x")))
    of_noisy, of_quiet = watch(noisy, *facts), watch(quiet, *facts)
    for number in range(1, 300):
        noisy["count"] = number
        assert of_quiet.holds(quiet)
    assert of_noisy.holds(noisy)
    noisy["name"] = "y"
    assert of_quiet.holds(quiet)
    assert not of_noisy.holds(noisy)
    noisy["name"] = "x"
    assert of_noisy.holds(noisy)
    quiet["name"] = "y"
    assert not of_quiet.holds(quiet)


def test_a_dictionary_that_is_freed():
    """Whatever gets its address is another one."""
    holder = [{"name": "x", "other": [1]}]
    item = ListItem(VALUE, 0)
    watched = watch(
        holder,
        (VALUE, kinds.TypeIs(list)),
        (item, kinds.TypeIs(dict)),
        (DictItem(item, "name"), kinds.Equals("x")),
    )
    for number in range(200):
        assert watched.holds(holder)
        holder[0] = None
        holder[0] = {"name": f"y{number}", "other": [1]}
        assert not watched.holds(holder)
        holder[0] = {"name": "x", "other": [1]}


def test_bases_of_a_class_whose_metaclass_orders_them():
    class Ordering(type):
        def mro(cls):
            return super().mro()

    class Dark(metaclass=Ordering):
        shade = "dark"

    class Light(metaclass=Ordering):
        shade = "light"

    class Derived(Dark):
        pass

    node = Derived()
    watched = watch(
        node, (VALUE, kinds.TypeIs(Derived)), (TypeOf(VALUE), kinds.TypeAttribute("shade", "dark", None))
    )
    for _ in range(3):
        assert watched.holds(node)
        Derived.__bases__ = (Light,)
        assert not watched.holds(node)
        Derived.__bases__ = (Dark,)
        assert watched.holds(node)


def test_many_objects_in_one_place():
    """Each of many objects that share a tree has facts of its own."""
    nodes = [Node() for _ in range(40)]
    for node in nodes:
        node.a = "x"
    watched = watch(
        nodes[0], (VALUE, kinds.TypeIs(Node)), (DictItem(InstanceDict(VALUE), "a"), kinds.Equals("x"))
    )
    for _ in range(3):
        assert all(watched.holds(node) for node in nodes)
    nodes[7].a = "y"
    assert [watched.holds(node) for node in nodes].count(False) == 1
    del nodes[3:]
    for _ in range(300):  # where dead ones were there are others now
        other = Node()
        other.a = "y"
        assert not watched.holds(other)


@pytest.mark.parametrize("emptied", [True, False])
def test_a_cell(emptied):
    cell = types.CellType("x")
    watched = watch(cell, (VALUE, kinds.TypeIs(types.CellType)), (CellContents(VALUE), kinds.Equals("x")))
    if emptied:
        del cell.cell_contents
    else:
        cell.cell_contents = "y"
    assert not watched.holds(cell)
    cell.cell_contents = "x"
    assert watched.holds(cell)
