"""``disable``, ``graph_break`` and the questions, without compilation around them."""

import copy

import pytest
import torch
from torch import nn

import framelift
from framelift import rules
from framelift._native import CompiledCallable
from tests.harness.naming import without_addresses

X = torch.ones(3)


def f(x, shift=1):
    """Shift."""
    return x + shift


def mark_of(function):
    rule = rules.lookup(function)
    return rule.kind, rule.reason


def test_disable_marks_a_wrapper_and_not_the_function():
    disabled = framelift.disable(f, reason="it talks to a database")
    assert mark_of(disabled) == (rules.RuleKind.SKIP, "it talks to a database")
    assert mark_of(f)[0] is rules.RuleKind.INLINE
    assert torch.equal(disabled(X, shift=2), X + 2)
    assert disabled.__name__ == "f"
    assert disabled.__wrapped__ is f


def test_disable_as_a_decorator():
    @framelift.disable
    def plain(x):
        return x

    @framelift.disable()
    def called(x):
        return x

    @framelift.disable(recursive=False, reason="slow")
    def with_arguments(x):
        return x

    class Holder:
        @framelift.disable
        def method(self, x):
            return x + 1

    for function in (plain, called, with_arguments, Holder.method):
        assert mark_of(function)[0] is rules.RuleKind.SKIP
    assert rules.lookup(with_arguments).recursive is False
    assert rules.lookup(plain).recursive is True
    assert torch.equal(Holder().method(X), X + 1)


def test_disable_of_a_module_leaves_the_module_alone():
    model = nn.Linear(3, 3)
    twin = framelift.disable(model, reason="slow")
    assert twin is not model
    assert isinstance(twin, nn.Linear)
    assert list(twin.state_dict()) == list(model.state_dict())
    assert torch.equal(twin(X), model(X))
    assert mark_of(twin._framelift_call) == (rules.RuleKind.SKIP, "slow")
    assert mark_of(copy.deepcopy(twin)._framelift_call) == (rules.RuleKind.SKIP, "slow")
    compiled = framelift.compile(twin, backend="eager")
    assert torch.equal(compiled(X), model(X))
    assert compiled._orig_mod is model


def test_disable_of_a_class():
    @framelift.disable
    class Layer(nn.Module):
        def forward(self, x):
            return x + 1

    assert isinstance(Layer, type)
    assert mark_of(Layer.__call__)[0] is rules.RuleKind.SKIP
    assert torch.equal(Layer()(X), X + 1)
    assert mark_of(nn.Module.__call__)[0] is not rules.RuleKind.SKIP


def test_disable_of_something_compiled_takes_what_it_was_made_of():
    disabled = framelift.disable(framelift.compile(f, backend="eager"))
    assert disabled.__wrapped__ is f
    model = nn.Linear(3, 3)
    twin = framelift.disable(framelift.compile(model, backend="eager"))
    assert twin._orig_mod is model
    assert not isinstance(twin._framelift_call, CompiledCallable)


@pytest.mark.parametrize("target", [torch.sin, nn.ReLU(), "text".upper], ids=without_addresses)
def test_disable_of_other_callables(target):
    arguments = () if target == "text".upper else (X,)
    found, expected = framelift.disable(target)(*arguments), target(*arguments)
    assert found == expected if isinstance(expected, str) else torch.equal(found, expected)


def test_graph_break_does_nothing_by_itself():
    assert framelift.graph_break() is None
    assert framelift.graph_break(msg="here") is None
    assert framelift.graph_break("here") is None


def test_questions():
    assert framelift.is_compiling() is False
    assert framelift.is_dynamo_compiling() is False


def test_is_compiling_is_true_while_torch_captures():
    def answer(x):
        return x + 1 if framelift.is_compiling() else x - 1

    exported = torch.export.export(_Calls(answer), (X,))
    assert torch.equal(exported.module()(X), X + 1)


class _Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)
