"""Every kind of source is fetched, and fails where there is nothing, in both engines."""

from __future__ import annotations

import collections
import functools
import types
import weakref

import pytest
import torch

from framelift import _native
from framelift.guards import GuardSet, build, sources
from framelift.guards.kinds import Is
from tests.guards.engines import VALUE, guard_set, holds, table_cases

MARK = object()


class Slotted:
    __slots__ = ("field",)


class Plain:
    attribute = MARK


class Child(Plain):
    attribute = None


class UserDict(dict):
    def __getitem__(self, key):
        raise AssertionError("user code ran")


class UserText(str):
    def __hash__(self):
        raise AssertionError("user code ran")


class UserList(list):
    def __getitem__(self, index):
        raise AssertionError("user code ran")


class UserTuple(tuple):
    def __getitem__(self, index):
        raise AssertionError("user code ran")


Pair = collections.namedtuple("Pair", ["first", "second"])


def slotted(value):
    made = Slotted()
    made.field = value
    return made


def plain(**attributes):
    made = Plain()
    vars(made).update(attributes)
    return made


def function(default=MARK, *, keyword=MARK):
    pass


def closure():
    return MARK


def advanced(iterator, count):
    for _ in range(count):
        next(iterator)
    return iterator


def changed(container):
    """An iterator over what has become larger since."""
    iterator = iter(container)
    container.update({5: 5})
    return iterator


def shortened(items):
    """One that stands behind the end."""
    iterator = reversed(items)
    items.pop()
    items[0] = MARK
    return iterator


ALIVE = Plain()
FIELD = Slotted.__dict__["field"]
PARTIAL = functools.partial.__dict__["func"]
PART_OF_ENUMERATE = _native.iterator_parts[enumerate]["iterator"]
GRAD = torch._C.TensorBase.__dict__["grad"]
ITEM = sources.DictItem(sources.InstanceDict(VALUE), "name")

TABLE = [
    (
        sources.DictItem(VALUE, "key"),
        [{"key": MARK}, {"key": MARK, 1: 2}, UserDict(key=MARK), collections.OrderedDict(key=MARK)],
        [{}, {"other": MARK}, {1: MARK}, [MARK], None],
    ),
    (sources.DictItem(VALUE, 1), [{1: MARK}, {True: MARK}, {1.0: MARK, "a": 1}], [{"1": MARK}, {2: MARK}]),
    (sources.DictItem(VALUE, (1, "a")), [{(1, "a"): MARK, "b": 1}], [{(1, "b"): MARK}]),
    (
        sources.NamedItem(sources.DictItem(VALUE, "items"), sources.DictItem(VALUE, "name")),
        [{"name": "a", "items": {"a": MARK}}, {"name": "b", "items": UserDict(a=1, b=MARK)}],
        [
            {"name": "b", "items": {"a": MARK}},
            {"name": 1, "items": {1: MARK}},
            {"name": UserText("a"), "items": {"a": MARK}},
            {"name": "a", "items": [MARK]},
            {"items": {"a": MARK}},
        ],
    ),
    (ITEM, [plain(name=MARK)], [plain(), plain(other=MARK), Slotted(), 1]),
    (sources.ListItem(VALUE, 1), [[0, MARK], UserList([0, MARK])], [[MARK], (0, MARK), None]),
    (
        sources.TupleItem(VALUE, 1),
        [(0, MARK), UserTuple((0, MARK)), Pair(0, MARK)],
        [(MARK,), [0, MARK], None],
    ),
    (
        sources.SequenceItem(VALUE, 1),
        [collections.deque([0, MARK])],
        [collections.deque([MARK]), {0: 0, 1: MARK}, Plain()],
    ),
    (sources.TypeLookup(sources.TypeOf(VALUE), "attribute"), [Plain()], [Slotted(), 1]),
    (sources.TypeLookup(VALUE, "attribute", Child), [Child], [Plain, Child(), Slotted]),
    (
        sources.TypeLookup(sources.TypeOf(sources.Referent(VALUE)), "attribute"),
        [weakref.ref(ALIVE)],
        [weakref.ref(Plain()), weakref.WeakSet([ALIVE]), weakref.proxy(ALIVE), [ALIVE], None],
    ),
    (sources.CellContents(VALUE), [types.CellType(MARK)], [types.CellType(), [MARK], None]),
    (sources.TupleItem(sources.FunctionField(VALUE, "defaults"), 0), [function], [closure, print]),
    (sources.DictItem(sources.FunctionField(VALUE, "kwdefaults"), "keyword"), [function], [closure, print]),
    (
        sources.DictItem(sources.FunctionField(VALUE, "globals"), "MARK"),
        [function, closure],
        [types.FunctionType(closure.__code__, {}), print],
    ),
    (sources.Descriptor(VALUE, FIELD, "field"), [slotted(MARK)], [Slotted(), slotted(None), Plain()]),
    (sources.Descriptor(VALUE, PARTIAL, "func"), [], [functools.partial(print), 1]),
    (sources.Descriptor(VALUE, Pair.first, "first"), [Pair(MARK, 0)], [Pair(0, MARK), 1]),
    (sources.Reading(VALUE), [([MARK] * 9).pop], [([0] * 9).pop, [].pop, function, closure, None]),
    (
        sources.NextItem(VALUE, type(iter([])), 1, "item"),
        [iter([0, MARK]), iter(UserList([0, MARK]))],
        [iter([MARK]), iter((0, MARK)), iter([0, 1, MARK]), [0, MARK], advanced(iter([0, MARK]), 1)],
    ),
    (
        sources.NextItem(VALUE, type(iter(())), 0, "item"),
        [iter((MARK,)), advanced(iter((0, MARK)), 1)],
        [iter(())],
    ),
    (
        sources.NextItem(VALUE, type(reversed([])), 0, "item"),
        [reversed([0, MARK]), advanced(reversed([MARK, 0]), 1)],
        [reversed([MARK, 0]), reversed([]), iter([MARK]), shortened([0, MARK])],
    ),
    (
        sources.NextItem(VALUE, type(iter({})), 1, "key"),
        [iter({0: 1, MARK: 2}), advanced(iter({0: 1, 1: 1, MARK: 2}), 1)],
        [iter({MARK: 0}), iter({0: 1, MARK: 2}.values()), changed({0: 1, MARK: 2})],
    ),
    (
        sources.NextItem(VALUE, type(iter({}.values())), 0, "value"),
        [iter({0: MARK}.values()), iter(vars(plain(name=MARK)).values())],
        [iter({0: 1}.values()), iter({0: MARK}.items()), iter({}.values())],
    ),
    (
        sources.NextItem(VALUE, type(iter({}.items())), 0, "value"),
        [iter({0: MARK}.items())],
        [iter({MARK: 0}.items())],
    ),
    (
        sources.NextItem(VALUE, type(iter({}.items())), 0, "key"),
        [iter({MARK: 0}.items())],
        [iter({0: MARK}.items())],
    ),
    (
        sources.NextItem(VALUE, type(iter(set())), 0, "item"),
        [iter({MARK}), iter(frozenset({MARK}))],
        [iter({1}), iter(set()), changed({MARK})],
    ),
    (
        sources.NextItem(sources.Descriptor(VALUE, PART_OF_ENUMERATE, "iterator"), type(iter([])), 0, "item"),
        [enumerate([MARK])],
        [enumerate((MARK,)), zip([MARK])],
    ),
    (sources.Held(MARK, "MARK"), [None], []),
    (sources.HandledException(), [], [None]),
]


@pytest.mark.parametrize(("source", "value", "expected"), list(table_cases(TABLE)))
def test_source(source, value, expected):
    made = guard_set((source, Is(MARK)))
    made.collect(source)
    assert holds(made, value) is expected
    assert holds(made, value) is expected


def test_the_handled_exception():
    error = ValueError()
    inner = guard_set((sources.HandledException(), Is(error)))
    beyond = guard_set((sources.HandledException(beyond=True), Is(error)))

    def asked():
        yield holds(inner, None), holds(beyond, None)
        try:
            raise KeyError
        except KeyError:
            yield holds(inner, None), holds(beyond, None)

    generator = asked()
    try:
        raise error
    except ValueError:
        assert (holds(inner, None), holds(beyond, None)) == (True, False)
        assert list(generator) == [(True, True), (False, True)]
    assert not holds(inner, None)


def test_every_source_is_in_the_table():
    def links(source):
        yield type(source)
        if isinstance(source, sources.Link):
            yield from links(source.base)

    tested = {cls for source, _, _ in TABLE for cls in links(source)}
    every = {
        cls for cls in vars(sources).values() if isinstance(cls, type) and issubclass(cls, sources.Source)
    }
    assert tested == every - {sources.Source, sources.Link}


def test_code_and_closure_of_a_function():
    inner = MARK

    def nested():
        return inner

    made = GuardSet()
    cell = sources.TupleItem(sources.FunctionField(VALUE, "closure"), 0)
    made.add(sources.FunctionField(VALUE, "code"), Is(nested.__code__))
    made.add(sources.CellContents(cell), Is(MARK))
    assert holds(made, nested)
    assert not holds(made, function)


def test_gradient_of_a_tensor_is_fetched():
    parameter = torch.nn.Parameter(torch.ones(2))
    made = GuardSet()
    slot = made.collect(sources.Descriptor(VALUE, GRAD, "grad"))
    tree = build(made, 1).tree
    assert tree.check((parameter,))[slot] is None
    parameter.grad = torch.zeros(2)
    assert tree.check((parameter,))[slot] is parameter.grad


def test_a_key_of_a_user_class_is_never_compared():
    class Key:
        def __hash__(self):
            return hash("key")

        def __eq__(self, other):
            raise AssertionError("user code ran")

    made = guard_set((sources.DictItem(VALUE, "key"), Is(MARK)))
    tree = build(made, 1).tree
    assert tree.check(({Key(): MARK},)) is None
    assert tree.check(({"key": MARK},)) is not None


def test_a_getter_of_a_tensor_asks_no_override():
    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, arguments=(), keywords=None):
            raise AssertionError("user code ran")

    class Tensor(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, arguments=(), keywords=None):
            raise AssertionError("user code ran")

    with torch._C.DisableTorchFunctionSubclass():
        tensor = torch.ones(2).as_subclass(Tensor)
    made = guard_set((sources.Descriptor(VALUE, GRAD, "grad"), Is(None)))
    tree = build(made, 1).tree
    assert tree.check((tensor,)) is not None
    plain = torch.ones(2)
    with Mode():
        assert tree.check((plain,)) is not None
        with pytest.raises(AssertionError, match="user code"):
            plain.grad


def test_a_getter_written_in_python_is_refused():
    class Getter:
        def __get__(self, instance, owner=None):
            raise AssertionError("user code ran")

    made = guard_set((sources.Descriptor(VALUE, Getter(), "field"), Is(MARK)))
    with pytest.raises(TypeError, match="user code"):
        build(made, 1)


def test_an_answer_is_not_remembered_across_changes():
    namespace = {"key": MARK}
    made = guard_set((sources.DictItem(VALUE, "key"), Is(MARK)))
    tree = build(made, 1).tree
    assert tree.check((namespace,)) is not None
    namespace["key"] = None
    assert tree.check((namespace,)) is None
    namespace["key"] = MARK
    assert tree.check((namespace,)) is not None
    assert tree.check((dict(namespace),)) is not None
    del namespace["key"]
    assert tree.check((namespace,)) is None


def test_a_class_attribute_is_not_remembered_across_changes():
    class Base:
        attribute = MARK

    class Derived(Base):
        pass

    made = guard_set((sources.TypeLookup(VALUE, "attribute"), Is(MARK)))
    tree = build(made, 1).tree
    assert tree.check((Derived,)) is not None
    Derived.attribute = None
    assert tree.check((Derived,)) is None
    del Derived.attribute
    assert tree.check((Derived,)) is not None
    Base.attribute = None
    assert tree.check((Derived,)) is None


def test_fields_of_inline_instances_are_read_without_changing_them():
    made = guard_set((ITEM, Is(MARK)))
    tree = build(made, 1).tree
    instance = Plain()
    instance.name = MARK
    assert tree.check((instance,)) is not None
    instance.name = None
    assert tree.check((instance,)) is None
    instance.name = MARK
    assert tree.check((instance,)) is not None


def test_a_key_is_spelled_by_what_does_not_change():
    state = sources.Argument(0, "state")
    keys = {
        1.0: "1.0",
        "name": "'name'",
        (None, int): "(None, int)",
        torch.nn.Parameter(torch.rand(2, 3)): "<Parameter (2, 3)>",
        torch.rand(4): "<Tensor (4,)>",
        Plain(): "<Plain>",
    }
    for key, spelled in keys.items():
        assert str(sources.DictItem(state, key)) == f"state[{spelled}]"
