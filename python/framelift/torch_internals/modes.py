"""Modes: what stands between a call of a torch function and its operator.

Used of torch: the stacks of function modes, dispatch modes and function transforms of the thread, the guard
under which subclasses override nothing, and the context of inference mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _disable_current_modes


def torch_modes() -> tuple[Any, ...]:
    """What stands on the function-mode and dispatch-mode stacks, in a form that compares by value where modes
    mean the same: a default device is one mode object per ``with`` statement. The mode itself comes last: its
    address, compared before, decides, and cannot be another mode's as long as the mode is held here."""
    found: list[Any] = []
    for place in range(torch._C._len_torch_function_stack()):
        mode = torch._C._get_function_stack_at(place)
        if type(mode) is DeviceContext:
            found.append(("default device", str(mode.device)))
        else:
            found.append(("function mode", type(mode), id(mode), mode))
    for mode in torch.utils._python_dispatch._get_current_dispatch_mode_stack():
        found.append(("dispatch mode", type(mode), id(mode), mode))
    return tuple(found)


def modes_active() -> bool:
    """Whether a mode of the program, for functions or for dispatch, or a function transform is active.

    The mode of ``torch.set_default_device`` does not count: it gives constructors a device, in a graph too,
    and the guarded state tells which one it is.
    """
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return True
    functions = torch._C._len_torch_function_stack()
    default_device = functions == 1 and type(torch._C._get_function_stack_at(0)) is DeviceContext
    return (functions > 0 and not default_device) or torch._C._len_torch_dispatch_stack() > 0


def change_function_modes() -> None:
    """Push a function mode and disable torch functions on this thread, until ``restore_function_modes``."""
    torch._C._push_on_torch_function_stack(torch.overrides.BaseTorchFunctionMode())
    torch._C._set_torch_function_state(torch._C._TorchFunctionState.ALL_DISABLED)


def restore_function_modes() -> None:
    """Undo ``change_function_modes``, which found torch functions enabled."""
    torch._C._set_torch_function_state(torch._C._TorchFunctionState.ENABLED)
    torch._C._pop_torch_function_stack()


def inside_transforms(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor below what function transforms that are running have put around it."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor


def outside_transforms() -> Any:
    """A context in which no function transform is running."""
    return temporarily_clear_interpreter_stack()


@contextmanager
def outside_modes() -> Iterator[None]:
    """No function transform and no dispatch mode is running: tensors are what they are without."""
    with outside_transforms(), _disable_current_modes():
        yield


def entered_torch_function_guard() -> Any:
    """A guard in force under which subclasses of tensors don't override torch's functions."""
    guard = torch._C.DisableTorchFunctionSubclass()
    guard.__enter__()
    return guard


enter_inference_mode = torch.autograd.grad_mode._enter_inference_mode
"""Enters inference mode and returns the context to leave it with."""


exit_inference_mode = torch.autograd.grad_mode._exit_inference_mode
"""Leaves the inference mode of a context."""

transforms_active = torch._C._are_functorch_transforms_active
"""Whether a function transform is running on this thread."""
unwrap_if_dead = torch._C._functorch.unwrap_if_dead
"""What a function transform that has ended had put its wrapper around; other tensors as they are."""
dispatch_mode_count = torch._C._len_torch_dispatch_stack
"""How many dispatch modes are active on this thread."""
tracing_state = torch._C._get_tracing_state
"""What ``torch.jit.trace`` is doing on this thread, None if nothing."""
InferenceModeGuard = torch._C._InferenceMode
"""The C guard object in ``torch.inference_mode``."""
TorchFunctionGuard = torch._C.DisableTorchFunctionSubclass
"""The C guard object under which subclasses of tensors don't override torch's functions."""
