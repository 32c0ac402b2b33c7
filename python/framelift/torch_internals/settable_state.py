"""Torch's state of a thread that Python code can set: what to put back after a capture.

Capture really changes the state while a graph is built, because results depend on it. Each piece is a way to
read it and a way to set it; all of them together are read before and set after. What guards compare is
another list, ``guarded_state``: every number that a kernel reads, be it settable or not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch


def state_items(item: Callable[[str, Callable[[], Any], Callable[[Any], None]], Any]) -> tuple[Any, ...]:
    """One ``item(name, read, write)`` for each piece of torch state that Python code can set.

    The function-mode stack is restored to its old members; dispatch modes are pushed and popped only by
    context managers whose exit runs in any case, and are left alone.
    """
    devices = tuple(
        device for device in ("cpu", "cuda", "xpu", "mps") if torch.amp.is_autocast_available(device)
    )
    items = [
        item("grad mode", torch.is_grad_enabled, torch._C._set_grad_enabled),
        item("default dtype", torch.get_default_dtype, torch.set_default_dtype),
        item("deterministic algorithms", _deterministic, _set_deterministic),
        item("fill uninitialized memory", _fills_memory, _set_fills_memory),
        item(
            "float32 matmul precision",
            _matmul_precision,
            _set_matmul_precision,
        ),
        item("autocast cache", torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
        item("autocast nesting", _autocast_nesting, _set_autocast_nesting),
        item("function modes", _function_modes, _set_function_modes),
        item("forward-mode gradients", torch._C._is_fwd_grad_enabled, torch._C._set_fwd_grad_enabled),
        item(
            "multithreaded backward",
            torch._C._is_multithreading_enabled,
            torch._C._set_multithreading_enabled,
        ),
        item(
            "cudnn",
            _flags(torch.backends.cudnn, _CUDNN_FLAGS),
            _set_flags(torch.backends.cudnn, _CUDNN_FLAGS),
        ),
        item(
            "attention kernels",
            _flags(torch.backends.cuda, _ATTENTION_FLAGS, "{}_sdp_enabled"),
            _set_attention,
        ),
    ]
    for device in devices:
        items.append(
            item(
                f"autocast on {device}",
                functools.partial(torch.is_autocast_enabled, device),
                functools.partial(torch.set_autocast_enabled, device),
            )
        )
        items.append(
            item(
                f"autocast dtype on {device}",
                functools.partial(torch.get_autocast_dtype, device),
                functools.partial(torch.set_autocast_dtype, device),
            )
        )
    return tuple(items)


_CUDNN_FLAGS = ("enabled", "benchmark", "deterministic", "allow_tf32")
_ATTENTION_FLAGS = ("flash", "mem_efficient", "math", "cudnn")


def _flags(owner: Any, names: tuple[str, ...], pattern: str = "{}") -> Callable[[], tuple[Any, ...]]:
    """A reader of several flags: attributes, or functions where the pattern names functions."""

    def read() -> tuple[Any, ...] | None:
        try:
            found = (getattr(owner, pattern.format(name)) for name in names)
            return tuple(value() if callable(value) else value for value in found)
        except RuntimeError:  # the program set precision both the old and the new way: torch refuses to tell
            return None

    return read


def _set_flags(owner: Any, names: tuple[str, ...]) -> Callable[[tuple[Any, ...]], None]:
    def write(values: tuple[Any, ...] | None) -> None:
        for name, value in zip(names, values or (), strict=values is not None):
            if getattr(owner, name) != value:
                setattr(owner, name, value)

    return write


def _set_attention(values: tuple[bool, ...] | None) -> None:
    for name, value in zip(_ATTENTION_FLAGS, values or (), strict=values is not None):
        getattr(torch.backends.cuda, f"enable_{name}_sdp")(value)


def _matmul_precision() -> str | None:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # as in ``_flags``
        return None


def _set_matmul_precision(value: str | None) -> None:
    if value is not None:
        torch.set_float32_matmul_precision(value)


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _fills_memory() -> bool:
    return torch.utils.deterministic.fill_uninitialized_memory


def _set_fills_memory(value: bool) -> None:
    torch.utils.deterministic.fill_uninitialized_memory = value


def _autocast_nesting() -> int:
    """The nesting depth of autocast: it can only be read by changing it."""
    torch.autocast_increment_nesting()
    return torch.autocast_decrement_nesting()


def _set_autocast_nesting(depth: int) -> None:
    while (present := _autocast_nesting()) != depth:
        if present < depth:
            torch.autocast_increment_nesting()
        else:
            torch.autocast_decrement_nesting()
    if depth == 0:
        torch.clear_autocast_cache()


def _function_modes() -> tuple[Any, ...]:
    """The stack of function modes and the mode of the default device, which is one of them."""
    stack = (torch._C._get_function_stack_at(place) for place in range(torch._C._len_torch_function_stack()))
    return (*stack, getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None))


def _set_function_modes(modes: tuple[Any, ...]) -> None:
    while torch._C._len_torch_function_stack():
        torch._C._pop_torch_function_stack()
    *stack, torch._GLOBAL_DEVICE_CONTEXT.device_context = modes
    for mode in stack:
        torch._C._push_on_torch_function_stack(mode)
