"""Torch's state that guards compare: every number that kernels and Python code read without being asked.

Used of torch: symbols of its shared libraries, by their mangled names, which Rust (``rust/src/torch_abi``)
looks up and reads; and for each of them how Python reads the same. A row whose C++ side is missing, or does
not say what Python says, is read through Python: slower, never wrong.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import torch


def torch_libraries() -> list[str]:
    """Paths of torch's shared libraries, some of which may not exist."""
    folder = os.path.join(os.path.dirname(torch.__file__), "lib")
    names = ("c10", "torch_cpu", "torch_python", "torch_cuda")
    return [os.path.join(folder, f"lib{name}.so") for name in names]


_DTYPE_CODES = {
    torch.float16: 5,
    torch.float32: 6,
    torch.float64: 7,
    torch.bfloat16: 15,
}
"""``c10::ScalarType`` of the dtypes that a default or autocast dtype can be."""


_PRECISION_CODES = {"none": 0, "ieee": 1, "tf32": 2, "bf16": 3, "default": 4, "bf16x9": 5}
"""``at::Float32Precision``."""


StateRow = tuple[str, str | None, str, list[int], int, Callable[[], int]]


def state_rows() -> list[StateRow]:
    """Torch's state that kernels and Python code read implicitly: every entry is good for one state only.

    ``(name, C++ symbol, what it is, arguments, bits, how Python reads it)``. The symbol is a "function", a
    method of the global "context", a "precision" of it, a "variable", the "thread keys", "autograd" modes or
    "function modes" of a thread; what it gives is compared with Python's answer once, and Python is asked at
    every call where they disagree. No getter named here throws for the arguments given: they are valid, since
    Python's own getter took them.
    """
    c = torch._C
    rows: list[StateRow] = [
        ("included dispatch keys", _THREAD_KEYS, "thread keys", [0], 64, _included_keys),
        ("excluded dispatch keys", _THREAD_KEYS, "thread keys", [1], 64, _excluded_keys),
        ("autograd modes", "_ZN3c1013AutogradState13get_tls_stateEv", "autograd", [], 8, _autograd_modes),
        (
            *("function modes", f"{_FUNCTION_TLS}9stack_lenEv", "function modes", [1], 32),
            c._len_torch_function_stack,
        ),
        (
            *("disabled torch functions", f"{_FUNCTION_TLS}18get_disabled_stateEv"),
            *("function modes", [0], 32),
            lambda: int(c._get_torch_function_state()),
        ),
        (
            *("default dtype", "_ZN3c1031get_default_dtype_as_scalartypeEv", "function", [], 8),
            _default_dtype,
        ),
        (
            *("autocast cache", "_ZN2at8autocast25is_autocast_cache_enabledEv", "function", [], 8),
            _autocast_cache,
        ),
        ("anomaly mode", "_ZN5torch8autograd11AnomalyMode8_enabledE", "variable", [], 8, _anomaly),
        (
            *("anomaly nan check", "_ZN5torch8autograd11AnomalyMode10_check_nanE", "variable", [], 8),
            _anomaly_nan,
        ),
    ]
    accelerator = torch._C._get_accelerator().type
    for device, code in (("cpu", 0), ("cuda", 1), ("xpu", 12), ("mps", 13)):
        if device in ("cpu", "cuda", accelerator) and torch.amp.is_autocast_available(device):
            symbol = "_ZN2at8autocast18get_autocast_dtypeEN3c1010DeviceTypeE"
            read = functools.partial(_autocast_dtype, device)
            rows.append((f"autocast dtype on {device}", symbol, "function", [code], 8, read))
    for name, method, getter in _CONTEXT_FLAGS:
        if hasattr(c, getter):
            symbol = f"_ZNK2at7Context{len(method)}{method}Ev"
            rows.append((name, symbol, "context", [], 8, functools.partial(_flag, getattr(c, getter))))
    symbol = "_ZNK2at7Context16float32PrecisionENS_14Float32BackendENS_9Float32OpE"
    for backend, operation, codes in _PRECISIONS:
        if hasattr(c, "_get_fp32_precision_getter"):
            read = functools.partial(_precision, backend, operation)
            rows.append((f"float32 precision of {backend} {operation}", symbol, "precision", codes, 32, read))
    return rows


_THREAD_KEYS = "_ZN3c104impl26raw_local_dispatch_key_setE"
_FUNCTION_TLS = "_ZN2at4impl22PythonTorchFunctionTLS"
_CONTEXT_FLAGS = (
    ("deterministic algorithms", "deterministicAlgorithms", "_get_deterministic_algorithms"),
    (
        *("deterministic algorithms, warn only", "deterministicAlgorithmsWarnOnly"),
        "_get_deterministic_algorithms_warn_only",
    ),
    (
        *("fill uninitialized memory", "deterministicFillUninitializedMemory"),
        "_get_deterministic_fill_uninitialized_memory",
    ),
    ("cudnn", "userEnabledCuDNN", "_get_cudnn_enabled"),
    ("cudnn benchmark", "benchmarkCuDNN", "_get_cudnn_benchmark"),
    ("cudnn deterministic", "deterministicCuDNN", "_get_cudnn_deterministic"),
    ("mkldnn", "userEnabledMkldnn", "_get_mkldnn_enabled"),
    ("mkldnn deterministic", "deterministicMkldnn", "_get_mkldnn_deterministic"),
    ("flash attention", "userEnabledFlashSDP", "_get_flash_sdp_enabled"),
    ("memory-efficient attention", "userEnabledMemEfficientSDP", "_get_mem_efficient_sdp_enabled"),
    ("math attention", "userEnabledMathSDP", "_get_math_sdp_enabled"),
    ("cudnn attention", "userEnabledCuDNNSDP", "_get_cudnn_sdp_enabled"),
    ("float16 reduction", "allowFP16ReductionCuBLAS", "_get_cublas_allow_fp16_reduced_precision_reduction"),
    ("bfloat16 reduction", "allowBF16ReductionCuBLAS", "_get_cublas_allow_bf16_reduced_precision_reduction"),
    ("float16 accumulation", "allowFP16AccumulationCuBLAS", "_get_cublas_allow_fp16_accumulation"),
    ("float16 reduction on cpu", "allowFP16ReductionCPU", "_get_cpu_allow_fp16_reduced_precision_reduction"),
)
"""(name, method of ``at::Context``, Python getter)"""


_PRECISIONS = (("cuda", "matmul", [1, 3]), ("mkldnn", "matmul", [2, 3]), ("cuda", "conv", [1, 1]))
"""(backend, operation, their codes in ``at::Float32Backend`` and ``at::Float32Op``). Those that a generated
kernel bakes in and that ``torch.get_float32_matmul_precision`` follows; libraries read the others when they
run."""


def _included_keys() -> int:
    return torch._C._dispatch_tls_local_include_set().raw_repr()


def _excluded_keys() -> int:
    return torch._C._dispatch_tls_local_exclude_set().raw_repr()


def _autograd_modes() -> int:
    """The bits of ``c10::AutogradState`` in their order there."""
    c = torch._C
    readers = (
        *(torch.is_grad_enabled, torch.is_inference_mode_enabled, c._is_fwd_grad_enabled),
        *(c._is_multithreading_enabled, c._is_view_replay_enabled),
        getattr(c, "_is_grad_layout_enforcement_enabled", bool),
    )
    return sum(read() << place for place, read in enumerate(readers))


_AUTOGRAD_MODES = (
    *("grad mode", "inference mode", "forward-mode gradients", "multithreaded backward"),
    *("view replay", "gradient layout enforcement"),
)


def spell_state_difference(name: str, expected: Any, found: Any) -> tuple[str, str, str]:
    """A difference between two states in words: what, expected, found."""
    if name == "autograd modes":
        for place, mode in enumerate(_AUTOGRAD_MODES):
            if (expected ^ found) >> place & 1:
                return mode, str(bool(expected >> place & 1)), str(bool(found >> place & 1))
    if name == "default dtype" or name.startswith("autocast dtype"):
        dtypes = {code: str(dtype) for dtype, code in _DTYPE_CODES.items()}
        return name, dtypes.get(expected, "another dtype"), dtypes.get(found, "another dtype")
    if name.endswith("dispatch keys"):
        keys = torch._C.DispatchKeySet.from_raw_repr
        return name, str(keys(expected & ~found)), str(keys(found & ~expected))
    if name.startswith("float32 precision"):
        names = {code: word for word, code in _PRECISION_CODES.items()}
        return name, names.get(expected, "?"), names.get(found, "?")
    flags = {"autocast cache", "anomaly mode", *(row[0] for row in _CONTEXT_FLAGS)}
    if name in flags and name not in _LEVELS:
        return name, str(bool(expected)), str(bool(found))
    if name == "modes":
        return name, _spell_modes(expected), _spell_modes(found)
    return name, str(expected), str(found)


_LEVELS = ("float16 reduction", "bfloat16 reduction")


def _spell_modes(modes: tuple[Any, ...]) -> str:
    words = (f"{what} {cls}" if type(cls) is str else cls.__qualname__ for what, cls, *_ in modes)
    return ", ".join(words) or "none"


def _default_dtype() -> int:
    return _DTYPE_CODES.get(torch.get_default_dtype(), 255)


def _autocast_cache() -> int:
    return int(torch.is_autocast_cache_enabled())


def _autocast_dtype(device: str) -> int:
    return _DTYPE_CODES.get(torch.get_autocast_dtype(device), 255)


def _anomaly() -> int:
    return int(torch.is_anomaly_enabled())


def _anomaly_nan() -> int:
    return int(torch.is_anomaly_check_nan_enabled())


def _flag(getter: Callable[[], Any]) -> int:
    """A flag; where torch tells two flags at once, the pair in the order of the enumeration behind it."""
    value = getter()
    if isinstance(value, tuple):
        reduced, split = value
        return 0 if reduced and split else 1 if split else 2
    return int(value)


def _precision(backend: str, operation: str) -> int:
    """The precision; nothing set ("none") is the same to kernels as full precision ("ieee")."""
    return max(_PRECISION_CODES.get(torch._C._get_fp32_precision_getter(backend, operation), 255), 1)
