"""Every law of a graph can be broken, and is noticed."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import fx

from framelift.graph.verify import BrokenGraph, verify
from tests.graph.conftest import Input

X, Y = Input(0), Input(1)


def make(recorder):
    """A good graph to spoil: ``(x + y) * 2``."""
    recording = recorder(torch.rand(3), torch.rand(3))
    finished = recording.finish(recording.call("mul", recording.call(torch.add, X, Y), 2))
    return finished, {node.name: node for node in finished.module.graph.nodes}, recording.builder.fake_mode


def spoil_output(finished, nodes):
    nodes["output"].args = (nodes["mul"],)


def spoil_output_place(finished, nodes):
    nodes["x"].append(nodes["output"])


def spoil_input_count(finished, nodes):
    return dataclasses.replace(finished, inputs=finished.inputs[:1])


def spoil_examples(finished, nodes):
    return dataclasses.replace(finished, example_inputs=[])


def spoil_unused_input(finished, nodes):
    nodes["add"].args = (nodes["x"], nodes["x"])


def spoil_placeholder_place(finished, nodes):
    nodes["add"].append(nodes["y"])


def spoil_kind(finished, nodes):
    nodes["add"].op = "call_module"


def spoil_target(finished, nodes):
    nodes["mul"].target = torch.mul


def spoil_no_example(finished, nodes):
    del nodes["add"].meta["example_value"]


def spoil_foreign_example(finished, nodes):
    nodes["add"].meta["example_value"] = torch.rand(3)


def spoil_tensor_argument(finished, nodes):
    nodes["add"].kwargs = {"out": torch.rand(3)}


def spoil_order(finished, nodes):
    nodes["mul"].append(nodes["add"])


def spoil_dead(finished, nodes):
    graph = finished.module.graph
    with graph.inserting_before(nodes["output"]):
        dead = graph.create_node("call_function", torch.relu, (nodes["x"],))
    dead.meta["example_value"] = nodes["x"].meta["example_value"]


def spoil_symbol(finished, nodes):
    fake_mode = finished.fake_mode
    from framelift import torch_internals

    nodes["add"].meta["example_value"] = torch_internals.symbolic_int(fake_mode.shape_env, 5, "stray")


def spoil_count(finished, nodes):
    return dataclasses.replace(finished, operator_count=7)


CASES = [
    (spoil_output, 1),
    (spoil_output_place, 1),
    (spoil_input_count, 2),
    (spoil_examples, 2),
    (spoil_unused_input, 2),
    (spoil_placeholder_place, 2),
    (spoil_kind, 3),
    (spoil_target, 3),
    (spoil_no_example, 4),
    (spoil_foreign_example, 4),
    (spoil_tensor_argument, 5),
    (spoil_order, 5),
    (spoil_dead, 6),
    (spoil_symbol, 7),
    (spoil_count, 8),
]


@pytest.mark.parametrize(("spoil", "law"), CASES, ids=lambda case: getattr(case, "__name__", str(case)))
def test_a_broken_law_is_noticed(recorder, spoil, law):
    finished, nodes, fake_mode = make(recorder)
    verify(finished, fake_mode, frozenset())
    finished = spoil(finished, nodes) or finished
    with pytest.raises(BrokenGraph, match=f"law {law} "):
        verify(finished, fake_mode, frozenset())


def test_every_law_is_broken_once():
    assert {law for _, law in CASES} == set(range(1, 9))


def test_the_module_is_ordinary(recorder):
    finished, _, _ = make(recorder)
    assert isinstance(finished.module, fx.GraphModule)
    finished.module.graph.lint()
    assert torch.equal(finished.module(torch.ones(3), torch.ones(3))[0], torch.full((3,), 4.0))
