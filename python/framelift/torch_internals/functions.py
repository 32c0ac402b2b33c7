"""Functions of torch that capture answers itself, found where this release of torch keeps them.

Names come and go between releases: a list here may name more than there is, and ``present`` takes what there
is. Nothing is imported for the sake of a list.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.optim import optimizer


def present(*places: tuple[object, str]) -> tuple[Any, ...]:
    """The attributes that this release of torch has among ``(owner, dotted name)``."""
    found = []
    for owner, dotted in places:
        value: Any = owner
        for name in dotted.split("."):
            value = getattr(value, name, None)
        if value is not None:
            found.append(value)
    return tuple(found)


def state_readers() -> tuple[Any, ...]:
    """C functions without effects that read state which every entry guards."""
    names = [
        "is_grad_enabled",
        "is_inference_mode_enabled",
        "get_default_dtype",
        "is_autocast_enabled",
        "is_autocast_cpu_enabled",
        "is_autocast_cache_enabled",
        "get_autocast_dtype",
        "get_autocast_gpu_dtype",
        "get_autocast_cpu_dtype",
        "is_anomaly_enabled",
        "is_anomaly_check_nan_enabled",
        "_C._is_autocast_available",
        "_C._get_deterministic_algorithms",
        "_C._get_deterministic_algorithms_warn_only",
        "_C._get_float32_matmul_precision",
        "_C._get_cudnn_enabled",
        "_C._get_cudnn_benchmark",
        "_C._get_cudnn_deterministic",
        "_C._get_mkldnn_enabled",
        "_C._get_flash_sdp_enabled",
        "_C._get_mem_efficient_sdp_enabled",
        "_C._get_math_sdp_enabled",
        "_C._get_privateuse1_backend_name",
        "_C._is_fwd_grad_enabled",
        "_C._has_mkldnn",
        "_C._len_torch_function_stack",
        "_C._is_torch_function_enabled",
        "_C._is_torch_function_all_disabled",
        "_C._cuda_isCurrentStreamCapturing",
    ]
    return present(*((torch, name) for name in names))


def compiling_questions() -> tuple[Any, ...]:
    """Functions by which a program asks whether it is being compiled; during capture the answer is yes."""
    found = present((torch, "compiler.is_compiling"), (torch, "compiler.is_dynamo_compiling"))
    modules = [
        sys.modules.get(name)
        for name in ("torch._dynamo", "torch._dynamo.external_utils", "torch._utils_internal")
    ]
    extra = present(
        *((m, n) for m in modules if m is not None for n in ("is_compiling", "is_dynamo_compiling"))
    )
    return (*found, *extra)


def tracing_questions() -> tuple[Any, ...]:
    """Functions by which a program asks for other tracers; during capture the answer is no."""
    return present(
        (torch, "jit.is_scripting"),
        (torch, "jit.is_tracing"),
        (torch, "_C._is_tracing"),
        (torch, "_jit_internal.is_scripting"),
        (torch, "compiler.is_exporting"),
        (torch, "onnx.is_in_onnx_export"),
        (torch, "_C._functorch.is_functorch_wrapped_tensor"),
        (torch, "_C._is_torch_function_mode_enabled"),
    )


def override_questions() -> tuple[Any, ...]:
    """C functions that ask whether an argument overrides torch functions."""
    names = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    found = present(*((torch.overrides, name) for name in names), (torch._C, "_has_torch_function"))
    return (*found, *present(*((torch._C, f"_{name}") for name in names)))


def checks() -> tuple[Any, ...]:
    """``torch._check`` and those that raise another error: ``(condition, message)``."""
    names = ("_check", "_check_index", "_check_value", "_check_type", "_check_not_implemented")
    return present(*((torch, name) for name in names))


check_with = torch._check_with
"""``torch._check`` that takes the class of its error first."""
check_is_size = torch._check_is_size
"""``torch._check_is_size(number, max=None)``."""
check_tensor_all = torch._check_tensor_all
"""``torch._check_tensor_all(tensor, message)``: the numbers of a tensor are all true."""
assert_async = torch._assert_async
"""The operator that raises when it runs, unless its tensor is true."""
log_api_usage = torch._C._log_api_usage_once
"""Usage statistics."""


def size_questions() -> tuple[Any, ...]:
    """Functions on symbolic numbers whose answer is known at once, if their module has been imported."""
    module = sys.modules.get("torch.fx.experimental.symbolic_shapes")
    if module is None:
        return ()
    names = (
        *("guard_or_false", "guard_or_true", "guard_size_oblivious", "statically_known_true"),
        *("statically_known_false", "sym_and", "sym_or", "sym_eq", "guard_scalar", "has_static_value"),
        *("expect_true", "is_concrete_int", "is_concrete_float", "is_concrete_bool"),
    )
    return present(*((module, name) for name in names))


class RecordOperators(NamedTuple):
    """The operators that begin and end a name for profilers."""

    enter: Callable[..., Any]
    exit: Callable[..., Any]


def record_operators() -> RecordOperators:
    """See ``RecordOperators``."""
    profiler = torch.ops.profiler
    return RecordOperators(
        profiler._record_function_enter_new, profiler._record_function_exit._RecordFunction
    )


class OptimizerFunctions(NamedTuple):
    """Functions of ``torch.optim`` that compute otherwise while torch's own compiler runs."""

    value_of_step: Callable[..., Any]
    stack_if_compiling: Callable[..., Any]


def optimizer_functions() -> OptimizerFunctions:
    """See ``OptimizerFunctions``."""
    return OptimizerFunctions(optimizer._get_value, optimizer._stack_if_compiling)


def group_tensors() -> Callable[..., Any]:
    """The C function that sorts lists of tensors by device and type."""
    return torch._C._group_tensors_by_device_and_dtype
