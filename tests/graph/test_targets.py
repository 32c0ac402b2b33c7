"""What generated code names is what was captured."""

import inspect

import torch
from torch.fx.node import _get_qualified_name

from framelift import torch_internals


def test_an_operator_is_printed_as_itself():
    wrong = []
    for name, function in inspect.getmembers(torch._C._VariableFunctions, inspect.isbuiltin):
        if not name.startswith("__") and hasattr(torch.ops.aten, name):
            target = torch_internals.node_target(function)
            if eval(_get_qualified_name(target), {"torch": torch}) is not target:
                wrong.append(name)
    assert not wrong
