"""Functions that read or set torch's state of the thread or of the process.

What they read is part of the snapshot every entry guards, so during capture the answer is a constant. Setters
are nodes with an effect: capture records the change, the graph repeats it.
"""

from __future__ import annotations

from framelift.observe import reasons
from framelift.rules.rows import Rows
from framelift.rules.rule import RuleKind

_READ = "it reads state that is guarded"
_ASKED = "each call asks it again"
_SET = "it sets state of the thread: the graph sets it too"

READERS = (
    Rows(
        "torch",
        "is_grad_enabled is_inference_mode_enabled get_default_dtype is_autocast_enabled "
        "is_autocast_cpu_enabled is_autocast_cache_enabled get_autocast_dtype get_autocast_gpu_dtype "
        "get_autocast_cpu_dtype is_anomaly_enabled "
        "is_anomaly_check_nan_enabled",
        RuleKind.BUILTIN,
        _READ,
        constant_result=True,
    ),
    Rows(
        "torch._C",
        "_get_deterministic_* _get_cudnn_enabled _get_cudnn_benchmark _get_cudnn_deterministic "
        "_get_mkldnn_enabled _get_mkldnn_deterministic "
        "_get_*_sdp_enabled _get_cublas_allow_fp16_accumulation "
        "_get_cpu_allow_fp16_reduced_precision_reduction _get_default_device "
        "_get_float32_matmul_precision _is_any_autocast_enabled _is_fwd_grad_enabled "
        "_is_multithreading_enabled _is_view_replay_enabled _is_grad_layout_enforcement_enabled "
        "_meta_in_tls_dispatch_include _functionalization_reapply_views_tls",
        RuleKind.BUILTIN,
        _READ,
        constant_result=True,
    ),
    Rows(
        "torch._C",
        "_get_privateuse1_backend_name _get_all_dtypes _supported_qengines _is_xnnpack_enabled "
        "_is_autocast_available _autocast_supported_devices",
        RuleKind.BUILTIN,
        "it tells what this torch was built with",
        constant_result=True,
    ),
    Rows("torch", "get_num_threads get_num_interop_threads", RuleKind.BUILTIN, _ASKED, reads_setting=True),
    Rows(
        "torch._C",
        "_get_*_enabled _get_*_tf32 _get_cudnn_* _get_mkldnn_* _get_onednn_* _get_cublas_* _get_cublaslt_* "
        "_get_*_preferred_backend _get_blas_default_backend _get_math_sdp_* _get_sdp_priority_order "
        "_get_warnAlways _get_qengine _get_miopen_immediate _get_sm_carveout_experimental _get_backcompat_* "
        "_get_autograd_fallback_mode _check_sparse_tensor_invariants _only_lift_cpu_tensors",
        RuleKind.BUILTIN,
        _ASKED,
        reads_setting=True,
    ),
    Rows(
        "torch._C",
        "_get_fp32_precision_getter",
        RuleKind.BUILTIN,
        _READ,
        constant_result=True,
    ),
    Rows(
        "torch._C",
        "_is_torch_function_enabled _is_torch_function_all_disabled _is_torch_function_mode_enabled "
        "_peek_should_skip_torch_function _has_torch_function _has_torch_function_unary "
        "_has_torch_function_variadic _len_torch_function_stack _get_function_stack_at "
        "_len_torch_dispatch_stack _get_dispatch_stack_at _get_dispatch_mode "
        "_are_functorch_transforms_active _get_torch_function_state",
        RuleKind.BUILTIN,
        "overrides and modes are guarded",
    ),
    Rows(
        "torch._C",
        "_is_tracing _get_tracing_state",
        RuleKind.BUILTIN,
        "a compiled function is not being traced by TorchScript",
        constant_result=True,
    ),
    Rows(
        "torch._C", "_disabled_torch_function_impl", RuleKind.BUILTIN, "it calls a function without overrides"
    ),
)

SETTERS = (
    Rows("torch._C", "_set_grad_enabled _set_fwd_grad_enabled", RuleKind.IN_GRAPH, _SET, state_setter=True),
    Rows(
        "torch",
        "set_autocast_enabled set_autocast_dtype set_autocast_cpu_* set_autocast_gpu_* set_autocast_xla_* "
        "set_autocast_ipu_* set_autocast_cache_enabled autocast_increment_nesting "
        "autocast_decrement_nesting clear_autocast_cache",
        RuleKind.IN_GRAPH,
        _SET,
        state_setter=True,
    ),
    Rows(
        "torch._C",
        "_set_default_dtype _set_deterministic_algorithms _set_deterministic_fill_uninitialized_memory "
        "_set_float32_matmul_precision _set_cudnn_enabled _set_cudnn_allow_tf32 _set_cudnn_benchmark "
        "_set_cudnn_deterministic _set_mkldnn_enabled _set_mkldnn_deterministic _set_onednn_allow_tf32 "
        "_set_cublas_allow_* _set_cpu_allow_* _set_sdp_use_* _set_sdp_priority_order _set_math_sdp_* "
        "_set_nnpack_enabled _set_fp32_precision_setter _set_linalg_preferred_backend "
        "_set_blas_preferred_backend",
        RuleKind.IN_GRAPH,
        _SET,
        state_setter=True,
    ),
    Rows(
        "torch._C",
        "_set_multithreading_enabled _set_view_replay_enabled _set_default_tensor_type _set_warnAlways "
        "_set_backcompat_* _set_tracing_state _set_value_trace _set_autograd_fallback_mode "
        "_set_check_sparse_tensor_invariants _set_grad_layout_enforcement_enabled "
        "_set_only_lift_cpu_tensors _set_meta_in_tls_dispatch_include",
        RuleKind.DISALLOWED,
        "it sets state that a graph does not set",
        reasons.GLOBAL_STATE,
    ),
    Rows(
        "torch",
        "set_anomaly_enabled",
        RuleKind.DISALLOWED,
        "anomaly mode watches eager code",
        reasons.GLOBAL_STATE,
    ),
)

TABLE = (*READERS, *SETTERS)
