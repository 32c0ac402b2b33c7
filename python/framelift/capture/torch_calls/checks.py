"""Assertions about data: nodes that fail when the graph runs.

Where nothing irreversible has run, CPython then repeats the segment and raises the program's own error.
"""

from __future__ import annotations

import torch

from framelift import torch_internals
from framelift.capture.datamodel import tensors
from framelift.capture.natives.registry import native
from framelift.capture.values import Constant, Tensor
from framelift.observe import reasons
from framelift.observe.errors import Break

DEFAULT_MESSAGE = (
    "Expected cond to be True, but got False. (Could this error message be improved? If so, please report an "
    "enhancement request to PyTorch.)"
)
"""What torch says where the program gives no message."""


@native(torch_internals.check_tensor_all)
def check_tensor_all(vm, arguments, keywords):
    """``torch._check_tensor_all(condition)``; on other devices a failed assertion would end the process's use
    of the device."""
    condition = vm.look(arguments[0]) if arguments else None
    plain = len(arguments) == 1 and not keywords and isinstance(condition, Tensor)
    if not plain or condition.example.device.type != "cpu" or condition.example.dtype is not torch.bool:
        raise Break(reasons.DATA_DEPENDENT_BRANCH, "torch._check_tensor_all with a message or on a device")
    holds = tensors.graph_method(vm, "all", [condition], {})
    tensors.graph_call(vm, torch_internals.assert_async, [holds, Constant(DEFAULT_MESSAGE)], {})
    return Constant(None)
