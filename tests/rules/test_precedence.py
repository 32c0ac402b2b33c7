"""Marker, then the object itself, then a row, then the lists of modules, then the default."""

from __future__ import annotations

import logging
import types

import pytest
import torch
import torch.nn.functional as F

from framelift import rules
from framelift.rules import RuleKind


def function_in(module: str) -> types.FunctionType:
    """A Python function written in a module of this name, which need not exist."""
    namespace = {"__name__": module}
    exec("def function(x): return x", namespace)
    return namespace["function"]


def kind(value):
    return rules.lookup(value).kind


def test_python_is_inlined_by_default():
    assert rules.lookup(function_in("somebody.elses")).origin == "default"
    assert kind(function_in("somebody.elses")) is RuleKind.INLINE


def test_a_user_skips_a_package_and_inlines_a_part_of_it():
    rules.skip("pkg.*", "it is not ours")
    rules.inline("pkg.part")
    assert [kind(function_in(name)) for name in ("pkg", "pkg.part", "pkg.part.deep", "pkgs")] == [
        RuleKind.SKIP,
        RuleKind.INLINE,
        RuleKind.SKIP,
        RuleKind.INLINE,
    ]
    assert rules.lookup(function_in("pkg.deep")).reason == "it is not ours"


def test_for_one_pattern_the_last_word_counts():
    rules.inline("pkg")
    rules.skip("pkg", "no")
    assert kind(function_in("pkg")) is RuleKind.SKIP
    rules.inline("pkg")
    assert kind(function_in("pkg")) is RuleKind.INLINE


def test_a_users_pattern_comes_before_a_built_in_one():
    assert kind(logging.info) is RuleKind.SKIP
    rules.inline("logging.*")
    assert kind(logging.info) is RuleKind.INLINE


def test_built_in_inline_list_comes_before_built_in_skip_list():
    assert kind(function_in("torch.fx.passes.shape_prop")) is RuleKind.SKIP
    assert kind(function_in("torch.fx.graph_module")) is RuleKind.INLINE


def test_a_row_comes_before_a_pattern():
    rules.inline("torch.serialization")
    assert kind(torch.save) is RuleKind.SKIP


def test_the_object_itself_comes_before_its_row():
    rules.inline(torch.save)
    assert kind(torch.save) is RuleKind.INLINE
    assert kind(torch.load) is RuleKind.SKIP


def test_a_rule_said_after_lookup_counts():
    function = function_in("pkg")
    assert kind(function) is RuleKind.INLINE
    rules.skip("pkg", "no")
    assert kind(function) is RuleKind.SKIP


def test_a_pattern_reaches_c_functions_remembered_before():
    assert kind(F.linear) is RuleKind.IN_GRAPH
    rules.skip("torch._C._nn", "no")
    assert kind(F.linear) is RuleKind.SKIP


def test_allow_and_disallow_are_global_and_the_last_one_counts():
    assert rules.disallow_in_graph(torch.sub) is torch.sub
    assert kind(torch.sub) is RuleKind.DISALLOWED
    rules.allow_in_graph(torch.sub)
    assert kind(torch.sub) is RuleKind.IN_GRAPH


def test_allow_in_graph_decorates_and_takes_several():
    @rules.allow_in_graph
    def one(x):
        return x

    def two(x):
        return x

    assert rules.allow_in_graph([two]) == [two]
    assert [kind(one), kind(two)] == [RuleKind.IN_GRAPH] * 2


def test_a_method_and_its_function_have_one_rule():
    class Layer:
        def forward(self, x):
            return x

    rules.skip(Layer().forward, "slow")
    assert rules.lookup(Layer.forward).reason == "slow"
    assert rules.lookup(Layer().forward).reason == "slow"


def test_a_c_method_and_its_descriptor_have_one_rule():
    rules.disallow_in_graph(torch.ones(1).add)
    assert kind(torch.Tensor.add) is RuleKind.DISALLOWED
    assert kind(torch.zeros(2).add) is RuleKind.DISALLOWED
    assert kind(torch.zeros(2).mul) is RuleKind.IN_GRAPH


def test_reset_leaves_the_tables():
    rules.inline(torch.save)
    rules.skip("pkg", "no")
    rules.reset()
    assert kind(torch.save) is RuleKind.SKIP
    assert kind(function_in("pkg")) is RuleKind.INLINE


def test_misuse_is_told_at_once():
    with pytest.raises(TypeError, match=r"aten\.add"):
        rules.disallow_in_graph(torch.ops.aten.add.Tensor)
    with pytest.raises(TypeError, match="callable"):
        rules.allow_in_graph(3)
    with pytest.raises(ValueError, match="names no module"):
        rules.skip("not a module", "no")
