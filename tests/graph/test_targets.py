"""What generated code calls is what was captured."""

import inspect
import re

import torch
from torch import fx

from framelift import torch_internals


def called_by(target):
    """What the code of a graph calls whose one node calls ``target``."""
    graph = fx.Graph()
    graph.call_function(target)
    code = graph.python_code("self")
    (name,) = re.findall(r"= ([\w.]+)\(\)", code.src)
    return eval(name, dict(code.globals))


def test_an_operator_is_called_itself():
    wrong = []
    for name, function in inspect.getmembers(torch._C._VariableFunctions, inspect.isbuiltin):
        if not name.startswith("__"):
            target = torch_internals.node_target(function)
            if called_by(target) is not target:
                wrong.append(name)
    assert not wrong


def test_its_result_is_of_the_type_it_has_in_eager():
    split = torch_internals.node_target(torch._C._VariableFunctions.split)
    assert split is not torch._C._VariableFunctions.split
    assert split is torch_internals.node_target(torch._C._VariableFunctions.split)
    assert type(split(torch.ones(4), 2)) is type(torch.split(torch.ones(4), 2)) is tuple
