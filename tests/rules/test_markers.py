"""What decorators leave on functions: torch's, and ours."""

from __future__ import annotations

import functools

import pytest
import torch

from framelift import controls, rules
from framelift._native import CompiledCallable
from framelift.module import make_twin
from framelift.rules import RuleKind
from framelift.rules.markers import DISABLED, DISABLED_RECURSIVELY


def program(x):
    return x


def test_torch_disable():
    rule = rules.lookup(torch.compiler.disable(program))
    assert (rule.kind, rule.recursive, rule.origin) == (RuleKind.SKIP, True, "torch.compiler.disable")
    rule = rules.lookup(torch.compiler.disable(program, recursive=False, reason="slow"))
    assert (rule.kind, rule.recursive, rule.reason) == (RuleKind.SKIP, False, "slow")
    assert rules.lookup(program).kind is RuleKind.INLINE


def test_torchs_own_disable():
    assert rules.lookup(torch._disable_dynamo(program)).kind is RuleKind.SKIP


def test_our_disable_and_its_reason():
    def disabled(x):
        return x

    setattr(disabled, DISABLED, "it prints")
    setattr(disabled, DISABLED_RECURSIVELY, False)
    rule = rules.lookup(disabled)
    assert (rule.kind, rule.reason, rule.recursive) == (RuleKind.SKIP, "it prints", False)


def test_a_marker_set_after_lookup_counts_and_comes_first():
    def function(x):
        return x

    rules.inline(function)
    assert rules.lookup(function).kind is RuleKind.INLINE
    setattr(function, DISABLED, "")
    assert rules.lookup(function).kind is RuleKind.SKIP
    delattr(function, DISABLED)
    assert rules.lookup(function).kind is RuleKind.INLINE


def test_compiled_by_torch_stands_for_what_it_wraps():
    compiled = torch.compile(program)
    rule = rules.lookup(compiled)
    assert (rule.kind, rule.target) == (RuleKind.INLINE, program)


def test_a_wrapper_that_copied_the_marker_keeps_its_own_code():
    compiled = torch.compile(program)

    @functools.wraps(compiled)
    def outer(x):
        return compiled(x) + 1

    rule = rules.lookup(outer)
    assert rule.kind is RuleKind.INLINE
    assert rule.target is None


def test_a_module_compiled_by_torch():
    module = torch.nn.ReLU()
    assert rules.lookup(torch.compile(module)).target is module


def test_assume_constant_result():
    def answer():
        return 42

    torch._dynamo.assume_constant_result(answer)
    rule = rules.lookup(answer)
    assert (rule.kind, rule.constant_result) == (RuleKind.BUILTIN, True)
    assert rules.lookup(functools.lru_cache(answer)).constant_result


def test_forbidden():
    assert rules.lookup(torch.compiler.set_enable_guard_collectives).kind is RuleKind.DISALLOWED


@pytest.mark.parametrize(
    ("decorate", "kind"),
    [
        (torch.compiler.allow_in_graph, RuleKind.IN_GRAPH),
        (torch._dynamo.nonstrict_trace, RuleKind.NONSTRICT),
    ],
)
def test_what_torch_records_by_identity(decorate, kind):
    def function(x):
        return x

    assert rules.lookup(function).kind is RuleKind.INLINE
    assert rules.lookup(decorate(function)).kind is kind


def test_torchs_disallow_in_graph():
    assert rules.lookup(torch.sub).kind is RuleKind.IN_GRAPH
    torch._dynamo.disallow_in_graph(torch.sub)
    try:
        assert rules.lookup(torch.sub).kind is RuleKind.DISALLOWED
    finally:
        torch._dynamo.allow_in_graph(torch.sub)
    assert rules.lookup(torch.sub).kind is RuleKind.IN_GRAPH


def test_a_graph_break_is_never_in_a_graph():
    assert rules.lookup(torch._dynamo.graph_break).kind is RuleKind.DISALLOWED


def test_ours_comes_before_what_torch_records():
    def function(x):
        return x

    torch.compiler.allow_in_graph(function)
    rules.disallow_in_graph(function)
    assert rules.lookup(function).kind is RuleKind.DISALLOWED


class TestOurs:
    def test_disable(self):
        rule = rules.lookup(controls.disable(program, reason="it prints"))
        assert (rule.kind, rule.reason, rule.recursive) == (RuleKind.SKIP, "it prints", True)

    def test_a_compiled_function_stands_for_its_own(self):
        rule = rules.lookup(CompiledCallable(program, None, None))
        assert (rule.kind, rule.target) == (RuleKind.INLINE, program)

    def test_a_compiled_method_stands_for_the_method(self):
        owner = [1]
        rule = rules.lookup(CompiledCallable(program, owner, None))
        assert rule.kind is RuleKind.INLINE
        assert rule.target() is owner

    def test_a_twin_answers_as_what_it_calls(self):
        module = torch.nn.ReLU()
        rule = rules.lookup(make_twin(module, CompiledCallable(program, module, None), None))
        assert rule.kind is RuleKind.INLINE
        assert rule.target() is module
        assert rules.lookup(controls.disable(module)).kind is RuleKind.SKIP
