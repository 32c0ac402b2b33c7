"""The report: what it adds up, and how it reads."""

import operator
import textwrap

import torch
from torch import fx

from framelift.observe import reasons
from framelift.observe.errors import Break
from framelift.observe.explain import MOST_GUARDS, Explanation
from framelift.observe.records import BreakRecord, CaptureRecord, GraphRecord, operator_name


def a_module():
    graph = fx.Graph()
    x, y = graph.placeholder("x"), graph.placeholder("y")
    first = graph.call_function(torch.add, (x, y))
    second = graph.call_function(torch.add, (first, y))
    graph.output((graph.call_method("relu", (second,)),))
    return fx.GraphModule({}, graph)


def test_a_graph():
    module = a_module()
    record = CaptureRecord(
        "f",
        "model.py",
        3,
        [GraphRecord(module, "eager", "no C++ compiler", 0.25)],
        guards="x: tensor f32[8]\n\ny: int == 3",
    )
    explanation = Explanation("f", (record,), "result")
    assert explanation.graphs == [module]
    assert explanation.graph_count == 1
    assert explanation.graph_break_count == 0
    assert explanation.ops_per_graph == [{"torch.add": 2, "relu": 1}]
    assert explanation.op_count == 3
    assert explanation.out_guards == ["x: tensor f32[8]", "y: int == 3"]
    assert explanation.compile_seconds == 0.25
    assert str(explanation) == textwrap.dedent(
        """\
        f: 1 graph, 0 breaks, 3 operators, 2 guards; capture 0.000 s, compile 0.250 s

        f (model.py:3)
          graph 1: 3 operators, 2 inputs, backend eager (no C++ compiler)
            torch.add x2, relu
          2 guards:
            x: tensor f32[8]
            y: int == 3"""
    )


def test_a_break():
    cause = Break(reasons.LOCK, "threading.Lock.acquire")
    cause.add_frame("model.py", 7, "forward")
    record = CaptureRecord("f", breaks=[BreakRecord.of(cause)], in_cpython="the whole call")
    text = str(Explanation("f", (record,)))
    assert "0 graphs, 1 break," in text
    assert "  run by CPython: the whole call" in text
    assert "  break 1:\n    Lock or another object that synchronises threads\n      Explanation:" in text
    assert 'File "model.py", line 7, in forward' in text


def test_a_recompile_and_many_guards():
    guards = "\n".join(f"x[{number}]: int == {number}" for number in range(MOST_GUARDS + 2))
    record = CaptureRecord("f", guards=guards, recompiled_because="x: size 3 is not 4")
    explanation = Explanation("f", (record,))
    assert "  compiled again because of: x: size 3 is not 4" in str(explanation)
    assert "... and 2 more" in str(explanation)
    assert len(explanation.out_guards) == MOST_GUARDS + 2


def test_nothing_captured():
    assert "Nothing was captured" in str(Explanation("f", ()))


def test_operators_are_named_as_one_writes_them():
    for target, name in (
        (torch.add, "torch.add"),
        (torch.nn.functional.relu, "torch.nn.functional.relu"),
        (torch._C._nn.gelu, "torch.nn.functional.gelu"),
        (operator.getitem, "operator.getitem"),
        (torch.ops.aten.add.Tensor, "torch.ops.aten.add.Tensor"),
        ("relu", "relu"),
    ):
        assert operator_name(target) == name
