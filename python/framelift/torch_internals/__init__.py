"""The one door to what PyTorch does not promise.

Everything the package uses of PyTorch that is not public API is a small function in this folder, with what it
relies on written down. Support for another torch release means reading this folder, and version differences
stand nowhere else. Files are by subject; the table below says which name is where, and callers write
``torch_internals.name``, whichever file that is.

A file is loaded when the first of its names is asked for. So it imports at its head what it is about, and
``import framelift`` loads neither fake tensors nor symbolic shapes. Imports inside functions are left where
one function needs what the rest of its file doesn't, and loading that takes seconds.
"""

from __future__ import annotations

import importlib
from typing import Any

_FILES = {
    "arithmetic": "ShapeFunctions shape_functions symbolic_math",
    "autograd": (
        "checkpoint_function context_class context_members engine_function function_with "
        "no_saved_tensors_hooks reentrant_context run_checkpoint run_engine "
        "without_saved_tensors_hooks"
    ),
    "backends": "compile_with_callable registered_backend registered_backends",
    "classes": (
        "bound_method_class constant_classes is_bound_class is_tensor_class operator_classes "
        "plain_value_types scripted_classes"
    ),
    "dynamo": (
        "RecordedCallables bookkeeping_functions dynamo_hook graph_break_functions "
        "recorded_callables static_marks tracer_switch wrapped_by"
    ),
    "fake_tensors": (
        "Range data_dependent_errors dynamic_shape_errors fake_dynamic_tensor fake_static_tensor "
        "fake_without_history is_fake_of new_fake_mode observe_dispatch operators_in_python "
        "quiet_fake_tensors remember_fake unsupported_errors"
    ),
    "functions": (
        "OptimizerFunctions RecordOperators assert_async check_is_size check_tensor_all check_with "
        "checks compiling_questions group_tensors log_api_usage optimizer_functions "
        "override_questions present record_operators size_questions state_readers "
        "tracing_questions"
    ),
    "graph_code": (
        "COMPILERS GRAPH_CODE failing_node generate_code graph_module is_compiled_code "
        "node_target traceback_below"
    ),
    "guarded_state": "StateRow spell_state_difference state_rows torch_libraries",
    "history": ("compiled_nodes_behind edges_to history_of inputs_behind notices_no_gradient watch_backward"),
    "inductor": (
        "SavedBeforeWritten UnguardedAliasing buffers_kept compile_with_inductor inductor_modes "
        "inductor_patches no_cpp_compiler_errors wants_known_floats"
    ),
    "modes": (
        "InferenceModeGuard TorchFunctionGuard change_function_modes dispatch_mode_count "
        "enter_inference_mode entered_torch_function_guard exit_inference_mode inside_transforms "
        "modes_active outside_modes outside_transforms restore_function_modes torch_modes tracing_state "
        "transforms_active unwrap_if_dead"
    ),
    "operators": (
        "ArgumentPlace OperatorEffects assert_scalar is_higher_order_operator is_operator "
        "is_operator_function operator_effects"
    ),
    "settable_state": "state_items",
    "symbols": (
        "KeyPath UNBACKED_BINDINGS assume assumption_counts forget_answers_about_sizes forget_fresh_symbols "
        "fresh_unbacked_symbols holds_in_range is_unbacked key_steps known_number runtime_asserts "
        "shape_guards symbol_hint symbol_range symbol_values symbolic_data symbolic_expression "
        "symbolic_float symbolic_int unbacked_symbols with_what_is_known"
    ),
    "tensors": (
        "contents_of memory_range overlapping put_back storage_key tensor_facts tensor_matches "
        "tensor_number tensor_probes"
    ),
}
_FILE_OF = {name: file for file, names in _FILES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    file = _FILE_OF.get(name)
    if file is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{file}"), name)
    globals()[name] = value  # the next look does not come here
    return value
