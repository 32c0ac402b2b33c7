"""Where no row speaks: torch's operators go into the graph, Python is inlined, the rest of C is unknown."""

from __future__ import annotations

import collections
import functools
import itertools
import math
import operator
import os
import random
import re
import time
import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from framelift import rules
from framelift.rules import RuleKind

IN_GRAPH, INLINE, SKIP, DISALLOWED = RuleKind.IN_GRAPH, RuleKind.INLINE, RuleKind.SKIP, RuleKind.DISALLOWED
BUILTIN, NUMPY, UNKNOWN = RuleKind.BUILTIN, RuleKind.NUMPY, RuleKind.UNKNOWN


def kind(value):
    return rules.lookup(value).kind


def c_functions(namespace):
    return {
        name: value for name, value in vars(namespace).items() if type(value) is types.BuiltinFunctionType
    }


@pytest.mark.parametrize(
    "namespace", [torch.linalg, torch.fft, torch.special, torch._C._nn, torch._C._linalg]
)
def test_namespaces_of_operators(namespace):
    kinds = {name: kind(value) for name, value in c_functions(namespace).items() if not name.startswith("_")}
    assert len(kinds) > 5
    assert set(kinds.values()) == {IN_GRAPH}


def test_torch_itself():
    functions = {name: value for name, value in c_functions(torch).items() if hasattr(torch.ops.aten, name)}
    kinds = {name: kind(value) for name, value in functions.items()}
    exceptions = {name for name, each in kinds.items() if each is not IN_GRAPH}
    assert len(kinds) > 800
    assert len(exceptions) < 0.03 * len(kinds), sorted(exceptions)
    for name in (
        "relu",
        "matmul",
        "tensor",
        "arange",
        "rand",
        "dropout",
        "is_floating_point",
        "numel",
        "cat",
    ):
        assert kind(getattr(torch, name)) is IN_GRAPH


def test_methods_of_tensors():
    methods = {
        name: value
        for cls in torch.Tensor.__mro__[:2]
        for name, value in vars(cls).items()
        if isinstance(value, types.MethodDescriptorType | types.WrapperDescriptorType)
    }
    exceptions = {name for name, value in methods.items() if kind(value) is not IN_GRAPH}
    assert len(methods) > 500
    assert exceptions == {
        "_fix_weakref", "_rev_view_func_unsafe", "_use_count", "_view_func", "_view_func_unsafe",
        "apply_", "as_subclass", "const_data_ptr", "data_ptr", "map2_", "map_", "numpy",
        "retain_grad", "untyped_storage",
    }  # fmt: skip
    assert kind(torch.ones(2).add) is IN_GRAPH
    assert kind(torch.nn.Parameter(torch.ones(2)).add_) is IN_GRAPH


def test_python_functions_of_torch_are_inlined():
    functions = {name: value for name, value in vars(F).items() if type(value) is types.FunctionType}
    exceptions = {name for name, value in functions.items() if kind(value) is not INLINE}
    assert len(functions) > 100
    assert exceptions == {"_sym_int"}
    assert kind(torch.nn.Linear.forward) is INLINE
    assert kind(torch.nn.Module.__call__) is INLINE
    assert kind(torch.nn.Linear(2, 2)) is INLINE


def test_operators_of_the_library():
    assert kind(torch.ops.aten.add) is IN_GRAPH
    assert kind(torch.ops.aten.add.Tensor) is IN_GRAPH
    assert kind(torch.ops.higher_order.cond) is DISALLOWED


def test_custom_operators():
    @torch.library.custom_op("framelift_rules::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    assert kind(torch.ops.framelift_rules.twice) is IN_GRAPH
    assert kind(twice) is INLINE


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.nn.Linear, INLINE),
        (torch.no_grad, INLINE),
        (torch.device, BUILTIN),
        (torch.Size, BUILTIN),
        (torch.Size.numel, BUILTIN),
        (torch.return_types.max, BUILTIN),
        (torch.Generator, DISALLOWED),
        (torch._C._InferenceMode, BUILTIN),
        (torch._C.IValue if hasattr(torch._C, "IValue") else torch._C.Graph, UNKNOWN),
        (torch.is_grad_enabled, BUILTIN),
        (torch.get_default_dtype, BUILTIN),
        (torch.manual_seed, SKIP),
        (torch.random.fork_rng, SKIP),
        (torch.save, SKIP),
        (torch.compile, SKIP),
        (torch.jit.script, SKIP),
        (torch.Tensor.backward, SKIP),
        (torch.autograd.grad, SKIP),
        (torch.utils.data.DataLoader, SKIP),
        (torch.compiler.is_compiling, BUILTIN),
        (torch.autograd.Function.apply, BUILTIN),
        (torch._C._functorch._vmap_increment_nesting, DISALLOWED),
        (torch.functional.einsum, IN_GRAPH),
        (torch.utils.checkpoint.checkpoint, SKIP),
    ],
)
def test_torch_examples(value, expected):
    assert kind(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (len, BUILTIN),
        ([].append, BUILTIN),
        ("".join, BUILTIN),
        (dict.fromkeys, BUILTIN),
        (str.maketrans, BUILTIN),
        ((1).__add__, BUILTIN),
        (object.__new__, BUILTIN),
        (math.sqrt, BUILTIN),
        (operator.itemgetter(1), BUILTIN),
        (itertools.chain, BUILTIN),
        (functools.partial, BUILTIN),
        (collections.deque, BUILTIN),
        (collections.OrderedDict().move_to_end, BUILTIN),
        (re.compile("a").match, BUILTIN),
        (collections.Counter, INLINE),
        (functools.wraps, INLINE),
        (os.path.join, INLINE),
        (open, DISALLOWED),
        (time.time, DISALLOWED),
        (os.getpid, DISALLOWED),
        (random.random, DISALLOWED),
        (random.randint, SKIP),
        (np.sin, NUMPY),
        (np.sum, NUMPY),
        (np.ones(1).sum, NUMPY),
        (math, BUILTIN),
        (object(), UNKNOWN),
    ],
)
def test_standard_library_examples(value, expected):
    if value is math:
        assert kind(value) is INLINE, "a module answers for the Python functions in it"
        return
    assert kind(value) is expected


def test_wrappers_answer_for_what_they_wrap():
    def function(x):
        return x

    assert kind(functools.partial(torch.relu, inplace=False)) is IN_GRAPH
    rule = rules.lookup(functools.lru_cache(function))
    assert (rule.kind, rule.target) == (INLINE, function)


def test_an_instance_answers_as_its_class_calls():
    class Callable:
        def __call__(self):
            return 1

    rules.skip(Callable.__call__, "no")
    assert rules.lookup(Callable()).reason == "no"


def test_an_overridden_c_method_is_found_by_its_definition():
    class Mine(list):
        def append(self, value):
            super().append(value)

        def plain(self):
            return super().append

    assert kind(Mine().append) is INLINE
    assert kind(Mine().plain()) is BUILTIN


def test_no_code_of_the_program_runs():
    class Meta(type):
        def __getattribute__(cls, name):
            raise AssertionError(name)

    class Hostile(metaclass=Meta):
        def __getattribute__(self, name):
            raise AssertionError(name)

        def __call__(self):
            return 1

    assert kind(Hostile) is INLINE
    assert kind(Hostile()) is INLINE
