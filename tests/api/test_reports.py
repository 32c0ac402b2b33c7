"""What a user is told of a real compilation: ``explain``, counters, logs, ``fullgraph`` errors."""

import pytest
import torch
from torch import nn

import framelift
from framelift import exc
from framelift.observe import logs, reasons

X = torch.linspace(-1, 1, 4)


@pytest.fixture(autouse=True)
def strict():
    framelift.reset()
    with framelift.config.patch(raise_internal_errors=True, check_guards=True):
        yield
    framelift.reset()


def whole(x, y=2):
    return torch.relu(x + y) + y


def branches(x):
    y = x * 2
    return inner(y) + 1


def inner(y):
    if y.sum() > 0:
        return y
    return -y


def breaks(x):
    framelift.graph_break("for the test")
    return x + 1


def test_explain_of_a_whole_graph():
    explanation = framelift.explain(whole, backend="eager")(X)
    assert torch.equal(explanation.result, whole(X))
    assert explanation.graph_count == 1
    assert explanation.graph_break_count == 0
    assert explanation.op_count == 3
    assert isinstance(explanation.graphs[0], torch.fx.GraphModule)
    assert any(guard.startswith("x:") for guard in explanation.out_guards)
    assert explanation.capture_seconds > 0
    text = str(explanation)
    assert text.startswith("whole: 1 graph, 0 breaks, 3 operators, ")
    assert "backend eager" in text
    assert __file__ in text


def test_explain_names_the_default_backend_and_why():
    explanation = framelift.explain(lambda x: x.t_())(torch.ones(2, 4))
    assert "backend eager (" in str(explanation)
    assert "in another way than by writing to it" in str(explanation)


def test_explain_of_a_break():
    explanation = framelift.explain(branches, backend="eager")(X)
    assert torch.equal(explanation.result, branches(X))
    assert explanation.graph_count == 3  # y; the condition of the callee's frame; the sum
    assert [one.reason for one in explanation.break_reasons] == [reasons.DATA_DEPENDENT_BRANCH]
    assert [frame.function for frame in explanation.break_reasons[0].user_stack] == ["inner"]
    assert "if y.sum() > 0:" in str(explanation)


def test_explain_of_a_module_and_of_something_compiled():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    compiled = framelift.compile(model, backend="eager")
    for target in (model, compiled):
        explanation = framelift.explain(target, backend="eager")(X)
        assert explanation.graph_count == 1
        assert torch.equal(explanation.result, model(X))
    assert compiled._framelift_call.entries == ()


def test_explain_of_a_break_in_a_module_shows_the_programs_frames_only():
    class Model(nn.Module):
        def forward(self, x):
            return branches(x)

    explanation = framelift.explain(Model(), backend="eager")(X)
    frames = explanation.break_reasons[0].user_stack
    assert [frame.function for frame in frames] == ["inner"]
    assert "framelift/api.py" not in str(explanation)


def test_counters():
    compiled = framelift.compile(whole, backend="eager")
    compiled(X)
    compiled(X)
    assert framelift.counters["graphs"] == {"eager": 1}
    assert framelift.counters["frames"] == {"total": 1, "ok": 1}
    assert framelift.counters["recompiles"] == {}
    compiled(X.double())
    assert framelift.counters["graphs"] == {"eager": 2}
    assert sum(framelift.counters["recompiles"].values()) == 1
    framelift.compile(branches, backend="eager")(X)
    assert framelift.counters["graph_break"] == {reasons.DATA_DEPENDENT_BRANCH.title: 1}
    framelift.reset()
    assert not any(framelift.counters.values())


def test_fullgraph_raises_at_the_call_with_the_users_stack():
    compiled = framelift.compile(branches, backend="eager", fullgraph=True)
    with pytest.raises(exc.Unsupported) as caught:
        compiled(X)
    text = str(caught.value)
    assert text.startswith("Branch on data of a tensor\n  Explanation: ")
    assert "in branches\n    return inner(y) + 1\n" in text
    assert "in inner\n    if y.sum() > 0:\n" in text
    assert [frame.function for frame in caught.value.user_stack] == ["branches", "inner"]


def test_fullgraph_says_what_graph_break_was_told():
    with pytest.raises(exc.Unsupported, match="(?s)Call of `graph_break.*for the test"):
        framelift.compile(breaks, backend="eager", fullgraph=True)(X)
    assert torch.equal(framelift.compile(breaks, backend="eager")(X), X + 1)


def test_fullgraph_says_why_a_function_is_disabled():
    @framelift.disable(reason="it talks to a database")
    def query(x):
        return x + 1

    with pytest.raises(exc.Unsupported, match="it talks to a database"):
        framelift.compile(lambda x: query(x) + 1, backend="eager", fullgraph=True)(X)


def test_questions_are_answered_with_yes_during_capture():
    def answers(x):
        return x + 1 if framelift.is_compiling() and framelift.is_dynamo_compiling() else x - 1

    assert torch.equal(framelift.compile(answers, backend="eager", fullgraph=True)(X), X + 1)


def test_error_on_recompile_names_the_guard():
    compiled = framelift.compile(whole, backend="eager")
    compiled(X)
    with framelift.config.patch(error_on_recompile=True), pytest.raises(exc.Recompiled, match="x"):
        compiled(X.double())


def test_the_limit_is_said_once_with_the_guard(caplog):
    compiled = framelift.compile(lambda x, flag: x + 1 if flag else x, backend="eager", recompile_limit=2)
    for flag in ("a", "b", "c", "d"):
        assert torch.equal(compiled(X, flag), X + 1)
    assert len(compiled.entries) == 2
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "flag" in said[0]
    assert "cache_size_limit" in said[0]
    assert sum(framelift.counters["limits"].values()) >= 1


def test_the_limit_raises_under_fullgraph():
    compiled = framelift.compile(
        lambda x, flag: x + 1 if flag else x, fullgraph=True, backend="eager", recompile_limit=1
    )
    compiled(X, "a")
    with pytest.raises(exc.LimitReached, match="flag"):
        compiled(X, "b")


def test_logs_show_breaks_and_recompiles(capsys):
    logs.configure("graph_breaks,recompiles")
    try:
        framelift.compile(branches, backend="eager")(X)
        compiled = framelift.compile(whole, backend="eager")
        compiled(X)
        compiled(X.double())
    finally:
        logs.configure("")
    text = capsys.readouterr().err
    assert "[framelift.graph_breaks] Branch on data of a tensor" in text
    assert "[framelift.recompiles] whole: x" in text


def test_what_a_backend_raises_reaches_the_user():
    def backend(graph, inputs):
        raise KeyError("no kernel")

    with pytest.raises(KeyError, match="no kernel"):
        framelift.compile(whole, backend=backend)(X)
    with framelift.config.patch(suppress_errors=True):
        assert torch.equal(framelift.compile(whole, backend=backend)(X), whole(X))
    assert sum(framelift.counters["fallbacks"].values()) == 1
