"""Arguments without a meaning are refused by ``compile`` itself, with what could stand there instead."""

import functools
import re

import pytest
import torch

import framelift
from framelift import exc
from tests.harness.naming import without_addresses

WRONG = [
    ({"fullgraph": 1}, "fullgraph=1", "True or False"),
    ({"fullgraph": None}, "fullgraph=None", "True or False"),
    ({"disable": "yes"}, "disable='yes'", "True or False"),
    ({"isolate_recompiles": 0}, "isolate_recompiles=0", "True or False"),
    ({"dynamic": 1}, "dynamic=1", "None .*, True .*, False"),
    ({"dynamic": "auto"}, "dynamic='auto'", "None .*, True .*, False"),
    ({"backend": 3}, "backend=3", "a callable"),
    ({"backend": "inducter"}, "backend='inducter'", "'eager', 'inductor'"),
    ({"backend": ""}, "backend=''", "'eager', 'inductor'"),
    ({"mode": 3}, "mode=3", "a string or None"),
    ({"mode": "fastest"}, "mode='fastest'", "'max-autotune'"),
    ({"mode": "max-autotune", "backend": "eager"}, "mode='max-autotune'", "'default'"),
    ({"options": [1]}, r"options=\[1\]", "a dict"),
    ({"options": {1: 2}}, r"options=\{1: 2\}", "strings as keys"),
    ({"options": {"no_such_option": 1}}, "no_such_option", ""),
    ({"options": {"max_autotune": True}, "backend": "eager"}, "max_autotune", "none"),
    ({"options": {"max_autotune": True}, "mode": "default"}, "mode='default'", "one of the two"),
    ({"recompile_limit": 0}, "recompile_limit=0", "a whole number from 1 on"),
    ({"recompile_limit": True}, "recompile_limit=True", "a whole number from 1 on"),
    ({"name": 3}, "name=3", "a string or None"),
    ({"dynamic_shapes": {}}, r"dynamic_shapes=\{\}", "None"),
]


def f(x):
    return x + 1


@pytest.mark.parametrize(("arguments", "what", "allowed"), WRONG, ids=lambda item: str(item)[:40])
def test_refused_at_once(arguments, what, allowed):
    for use in (lambda: framelift.compile(f, **arguments), lambda: framelift.compile(**arguments)):
        with pytest.raises(exc.FrameliftError, match=what) as caught:
            use()
        assert caught.value.code in str(caught.value)
        assert re.search(f"Allowed: .*{allowed}" if allowed else "Reason", str(caught.value))


def test_refused_arguments_leave_a_class_alone():
    class Layer:
        def __call__(self, x):
            return x

    before = Layer.__call__
    with pytest.raises(exc.FrameliftError):
        framelift.compile(Layer, backend="inducter")
    assert Layer.__call__ is before


@pytest.mark.parametrize("thing", [3, "f", [f], torch.ones(2), object()], ids=without_addresses)
def test_only_callables(thing):
    with pytest.raises(exc.Misuse, match="framelift.compile was given"):
        framelift.compile(thing)
    with pytest.raises(exc.Misuse, match=f"a {type(thing).__qualname__}"):
        framelift.compile(fullgraph=True)(thing)
    with pytest.raises(TypeError, match="not the result of a call"):
        framelift.compile(thing)
    with pytest.raises(exc.Misuse):
        framelift.disable(thing)
    with pytest.raises(exc.Misuse, match="framelift.explain was given"):
        framelift.explain(thing)


def test_a_class_whose_instances_cannot_be_called():
    class Point:
        pass

    for use in (framelift.compile, framelift.disable):
        with pytest.raises(exc.Misuse, match="class .*Point"):
            use(Point)


def test_an_argument_nobody_knows_is_pythons_own_error():
    with pytest.raises(TypeError, match="full_graph"):
        framelift.compile(f, full_graph=True)
    with pytest.raises(TypeError):
        framelift.compile(f, True)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"fullgraph": True},
        {"dynamic": True},
        {"dynamic": False},
        {"backend": "eager"},
        {"backend": "eager", "mode": "default"},
        {"backend": "inductor"},
        {"backend": functools.partial(print)},
        {"mode": "default"},
        {"mode": "max-autotune"},
        {"options": {"max_autotune": True}},
        {"options": {}},
        {"name": "f"},
        {"recompile_limit": 1},
        {"isolate_recompiles": True},
    ],
    ids=str,
)
def test_accepted(arguments):
    assert callable(framelift.compile(f, **arguments))


def test_disable_gives_back_what_was_given():
    assert framelift.compile(f, disable=True) is f
    assert framelift.compile(disable=True)(f) is f


def test_backends_are_listed():
    names = framelift.list_backends()
    assert {"eager", "inductor", "cudagraphs"} <= set(names)
    assert "aot_eager" not in names
    assert "aot_eager" in framelift.list_backends(exclude_tags=None)


@pytest.mark.parametrize("arguments", [{"recursive": 1}, {"recursive": "why"}, {"reason": 3}], ids=str)
def test_disable_refuses_too(arguments):
    with pytest.raises(exc.Misuse):
        framelift.disable(f, **arguments)
