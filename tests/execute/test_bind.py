"""Binding against CPython: the same result or the same TypeError, for generated signatures and calls.

A hit returns every bound argument, in the order of ``co_varnames``, so what is compared is what a guard tree
would see; CPython's side reads the same from its frame.
"""

from __future__ import annotations

import inspect
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framelift._native import CompiledCallable
from tests.execute.entries import entry, tree

NAMES = ("a", "b", "c", "d", "e", "f")


def make_function(header: str):
    """A function that returns its parameters in the order of ``co_varnames``."""
    namespace: dict = {}
    names = "locals().values()"
    exec(f"def program({header}): return tuple({names})", namespace)
    return namespace["program"]


def bound_count(function) -> int:
    code = function.__code__
    flags = (inspect.CO_VARARGS, inspect.CO_VARKEYWORDS)
    return code.co_argcount + code.co_kwonlyargcount + sum(bool(code.co_flags & flag) for flag in flags)


def compile_identity(function, bound_self=None) -> CompiledCallable:
    """Hits on every call that binds, and returns the bound arguments."""
    count = bound_count(function)
    everything = [("slot", index) for index in range(count)]
    callable_ = CompiledCallable(function, bound_self, None)
    callable_.add(entry(tree(*[None] * count), ("tuple", everything), result=("result", 0)))
    return callable_


def outcome(function, positional, keywords):
    try:
        return function(*positional, **keywords)
    except TypeError as error:
        return f"TypeError: {error}"


@st.composite
def headers(draw) -> str:
    count = draw(st.integers(0, len(NAMES)))
    positional_only = draw(st.integers(0, count))
    keyword_only = draw(st.integers(0, count - positional_only))
    first_default = draw(st.integers(0, count))
    parts = []
    for index, name in enumerate(NAMES[:count]):
        is_keyword_only = index >= count - keyword_only
        has_default = draw(st.booleans()) if is_keyword_only else index >= first_default
        if index == count - keyword_only and not draw(st.booleans()):
            parts.append("*")
        elif index == count - keyword_only:
            parts.append("*rest")
        parts.append(f"{name}={index + 100}" if has_default else name)
        if positional_only and index == positional_only - 1:
            parts.append("/")
    if not keyword_only and draw(st.booleans()):
        parts.append("*rest")
    if draw(st.booleans()):
        parts.append("**extra")
    return ", ".join(parts)


calls = st.tuples(
    st.lists(st.integers(0, 9), max_size=8),
    st.dictionaries(st.sampled_from([*NAMES, "g", "rest", "extra"]), st.integers(10, 19), max_size=6),
)


@settings(max_examples=600, deadline=None)
@given(headers(), st.lists(calls, min_size=1, max_size=6), st.booleans())
def test_binds_as_cpython_does(header, call_list, with_self):
    function = make_function(header)
    instance = "instance" if with_self else None
    compiled_program = compile_identity(function, instance)
    for positional, keywords in call_list:
        before = [instance, *positional] if with_self else positional
        expected = outcome(function, before, keywords)
        assert outcome(compiled_program, positional, keywords) == expected, header
        hits = compiled_program.entries[0].hits
        assert (hits == 0) == isinstance(expected, str), "a call that binds must have hit"
        compiled_program.clear()
        compiled_program.add(compile_identity(function).entries[0])


@pytest.mark.parametrize("header", ["*rest", "**extra", "a, *rest, b=1, **extra", "a=1, /, **extra"])
def test_collectors_are_new_objects_of_the_exact_type(header):
    compiled_program = compile_identity(make_function(header))
    keywords = {"a": 5}
    for value in compiled_program(**keywords) if "extra" in header else compiled_program(1, 2):
        assert type(value) in (int, tuple, dict)
        assert value is not keywords


def test_keyword_that_is_a_str_subclass_is_left_to_cpython():
    class Name(str):
        __slots__ = ()

    compiled_program = compile_identity(make_function("a, b=2"))
    assert compiled_program(**{Name("a"): 1}) == (1, 2)
    assert compiled_program.entries[0].hits == 0


def test_keyword_equal_but_not_interned():
    name = "".join(["long_", "parameter"])
    assert name is not sys.intern("long_parameter")
    compiled_program = compile_identity(make_function("long_parameter"))
    assert compiled_program(**{name: 1}) == (1,)
    assert compiled_program.entries[0].hits == 1


def test_more_parameters_than_lie_on_the_stack():
    names = [f"p{index}" for index in range(200)]
    function = make_function(", ".join(names) + ", *, last=0")
    compiled_program = compile_identity(function)
    values = list(range(200))
    assert compiled_program(*values) == (*values, 0)
    assert compiled_program(**dict(zip(names, values, strict=True)), last=9) == (*values, 9)


def test_defaults_are_read_live():
    function = make_function("a, b=1, *, c=2")
    compiled_program = compile_identity(function)
    assert compiled_program(0) == (0, 1, 2)
    function.__defaults__ = (10,)
    function.__kwdefaults__ = {"c": 20}
    assert compiled_program(0) == (0, 10, 20)
    function.__defaults__ = (5, 6)
    assert compiled_program() == (5, 6, 20)
    function.__defaults__ = None
    with pytest.raises(TypeError, match=r"missing 2 required positional arguments: 'a' and 'b'"):
        compiled_program()
    function.__kwdefaults__ = None
    with pytest.raises(TypeError, match=r"missing 1 required keyword-only argument: 'c'"):
        compiled_program(1, 2)
    function.__defaults__ = tuple(range(40, 50))
    assert compiled_program(c=1) == (48, 49, 1) == function(c=1)


def test_defaults_set_through_the_compiled_callable():
    function = make_function("a=1")
    compiled_program = compile_identity(function)
    compiled_program.__defaults__ = (7,)
    assert function() == compiled_program() == (7,)


def test_keyword_default_under_a_key_with_code_of_its_own():
    class Key:
        def __hash__(self):
            return hash("c")

        def __eq__(self, other):
            function.__kwdefaults__ = {"c": 3}
            return other == "c"

    function = make_function("*, c=2")
    function.__kwdefaults__ = {Key(): 1}
    assert compile_identity(function)() == (1,)


def test_code_with_another_signature_is_never_given_to_an_old_entry():
    function = make_function("a, b")
    compiled_program = compile_identity(function)
    assert compiled_program(1, 2) == (1, 2)
    function.__code__ = make_function("a, b, c").__code__
    assert compiled_program(1, 2, 3) == (1, 2, 3)
    assert compiled_program.entries[0].hits == 1
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'c'"):
        compiled_program(1, 2)


def test_arguments_that_do_not_bind_never_reach_on_miss():
    seen = []
    compiled_program = CompiledCallable(make_function("a"), None, lambda *arguments: seen.append(arguments))
    with pytest.raises(TypeError, match=r"program\(\) takes 1 positional argument but 2 were given"):
        compiled_program(1, 2)
    assert (seen, compiled_program.misses, compiled_program.fallbacks) == ([], 0, 0)
