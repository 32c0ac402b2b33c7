"""Exceptions among torch's functions, methods and classes.

A C function that is an operator goes into the graph and a Python function is inlined without a row here. A
row says that a function is left to CPython, that capture answers it by itself, or that a Python function is
one node.
"""

from __future__ import annotations

from framelift.observe import reasons
from framelift.rules.rows import Rows
from framelift.rules.rule import RuleKind

_BUILTIN, _DISALLOWED, _INLINE = RuleKind.BUILTIN, RuleKind.DISALLOWED, RuleKind.INLINE
_IN_GRAPH, _SKIP = RuleKind.IN_GRAPH, RuleKind.SKIP

_RANDOM_STATE = "it reads or sets the state of a random number generator, which a graph advances by itself"
_STORAGE = "it reaches the memory of a tensor, which is not known during capture"
_NUMPY = "its result is a NumPy array, and NumPy is not captured yet"
_DLPACK = "it hands the memory of a tensor to another library"
_TRANSFORM = "function transforms are not captured yet"
_AUTOGRAD = "it runs autograd's engine"
_HOOK = "registering a hook on a tensor is not captured yet"
_SERIALIZATION = "it reads or writes a file or a pickle"
_TORCHSCRIPT = "TorchScript is a compiler of its own"
_COMPILER = "it is part of a compiler, which a compiled function does not run"
_DEVICE = "it steers or measures the device, which a graph does not"
_DEVICE_FACT = "the answer does not change while a process runs"
_COMPILING = "during capture the answer is known"
_SIZES = "it computes with sizes"
_COLLECTIVE = "collectives are not captured yet"
_SPARSE = "sparse compressed tensors are not captured yet"
_CALLBACK = "it calls a Python function for each element"
_SUBCLASS = "it makes a tensor of another class around the same memory"
_FUNCTION_MODE = "entering a function mode or a default device during capture is not supported yet"

PYTHON_FUNCTIONS = (
    # Answered by capture.
    Rows("torch.compiler", "is_compiling is_dynamo_compiling", _BUILTIN, _COMPILING),
    Rows("torch.compiler", "is_exporting", _INLINE, "it reads a flag"),
    Rows("torch._utils", "is_compiling", _BUILTIN, _COMPILING),
    Rows("torch._dynamo.external_utils", "is_compiling", _BUILTIN, _COMPILING),
    Rows(
        "torch._jit_internal",
        "is_scripting",
        _BUILTIN,
        "a compiled function is not being scripted",
        constant_result=True,
    ),
    Rows(
        "torch.jit._trace",
        "is_tracing",
        _BUILTIN,
        "a compiled function is not being traced by TorchScript",
        constant_result=True,
    ),
    Rows("torch.fx._symbolic_trace", "is_fx_tracing is_fx_symbolic_tracing", _BUILTIN, _COMPILING),
    Rows(
        "torch",
        "sym_not sym_float sym_int sym_max sym_min sym_ite sym_sum sym_sqrt sym_fresh_size _sym_*",
        _BUILTIN,
        _SIZES,
    ),
    Rows(
        "torch",
        "_check _check_with _check_is_size _check_index _check_value _check_type _check_not_implemented",
        _BUILTIN,
        "it asserts a fact about sizes",
    ),
    Rows(
        "torch",
        "_check_tensor_all_with",
        _DISALLOWED,
        "it asserts a fact about a tensor's values",
        reasons.DATA_DEPENDENT_BRANCH,
    ),
    Rows(
        "torch.fx.experimental.symbolic_shapes",
        "guard_size_oblivious guard_or_true guard_or_false statically_known_true statically_known_false "
        "sym_and sym_or guard_scalar has_static_value expect_true is_concrete_int is_concrete_float "
        "is_concrete_bool",
        _BUILTIN,
        _SIZES,
    ),
    Rows("torch.fx.experimental.symbolic_shapes", "sym_eq", _INLINE, "it compares sizes one by one"),
    Rows("torch", "get_default_device", _BUILTIN, "the default device is part of the guarded state"),
    Rows("torch", "set_default_device", _SKIP, _FUNCTION_MODE, reasons.GLOBAL_STATE),
    # One node, because its Python code is a search that torch runs as well on tensors without data.
    Rows("torch.functional", "einsum", _IN_GRAPH, "the order of contraction is searched when the graph runs"),
    # Left to CPython.
    Rows("torch.serialization", "*save *load", _SKIP, _SERIALIZATION, reasons.INPUT_OUTPUT),
    Rows(
        "torch._tensor",
        "Tensor.__reduce_ex__ Tensor._reduce_ex_internal Tensor.__setstate__",
        _SKIP,
        _SERIALIZATION,
        reasons.INPUT_OUTPUT,
    ),
    Rows(
        "torch._tensor", "Tensor.__deepcopy__", _SKIP, "copying a tensor with its history is left to CPython"
    ),
    Rows(
        "torch._tensor",
        "Tensor.register_hook Tensor.register_post_accumulate_grad_hook Tensor.reinforce",
        _SKIP,
        _HOOK,
        reasons.TENSOR_STATE,
    ),
    Rows(
        "torch._tensor",
        "Tensor.storage Tensor._typed_storage Tensor.share_memory_ Tensor.is_shared Tensor.storage_type "
        "Tensor.module_load Tensor.resize Tensor.resize_as",
        _SKIP,
        _STORAGE,
        reasons.TENSOR_ADDRESS,
    ),
    Rows("torch._tensor", "Tensor.__array__ Tensor.__array_wrap__", _SKIP, _NUMPY, reasons.NUMPY),
    Rows(
        "torch._tensor", "Tensor.__dlpack__ Tensor.__dlpack_device__", _SKIP, _DLPACK, reasons.TENSOR_ADDRESS
    ),
    Rows(
        "torch._tensor",
        "Tensor.__repr__ Tensor.__format__",
        _SKIP,
        "printing a tensor needs its values",
        reasons.DATA_DEPENDENT_VALUE,
    ),
    Rows("torch.utils.dlpack", "from_dlpack", _SKIP, _DLPACK, reasons.TENSOR_ADDRESS),
    Rows(
        "torch.random",
        "*seed* get_rng_state set_rng_state fork_rng thread_safe_generator",
        _SKIP,
        _RANDOM_STATE,
        reasons.RANDOM_STATE,
    ),
    Rows(
        "torch.cuda.random",
        "*seed* get_rng_state* set_rng_state*",
        _SKIP,
        _RANDOM_STATE,
        reasons.RANDOM_STATE,
    ),
    Rows(
        "torch.xpu.random", "*seed* get_rng_state* set_rng_state*", _SKIP, _RANDOM_STATE, reasons.RANDOM_STATE
    ),
    Rows("torch.mtia", "*seed* get_rng_state* set_rng_state*", _SKIP, _RANDOM_STATE, reasons.RANDOM_STATE),
    Rows("torch.mps", "*seed* get_rng_state* set_rng_state*", _SKIP, _RANDOM_STATE, reasons.RANDOM_STATE),
    # Captured as far as it can be; the rest of it is not for graphs.
    Rows("torch._tensor", "Tensor.backward", _SKIP, _AUTOGRAD, reasons.BACKWARD),
    Rows("torch.autograd", "grad backward", _SKIP, _AUTOGRAD, reasons.BACKWARD),
    Rows(
        "torch.autograd.profiler",
        "record_function record_function.*",
        _INLINE,
        "it is a name for profilers, and does nothing while none is running",
    ),
    Rows(
        "torch.autograd.graph",
        "saved_tensors_hooks save_on_cpu disable_saved_tensors_hooks register_multi_grad_hook "
        "allow_mutation_on_saved_tensors set_warn_on_accumulate_grad_stream_mismatch",
        _SKIP,
        "hooks on what autograd saves are not captured yet",
        reasons.TENSOR_STATE,
    ),
    Rows(
        "torch.autograd.forward_ad",
        "enter_dual_level exit_dual_level make_dual unpack_dual dual_level",
        _SKIP,
        "forward-mode differentiation is not captured yet",
        reasons.FUNCTION_TRANSFORM,
    ),
    Rows(
        "torch.autograd.anomaly_mode",
        "detect_anomaly set_detect_anomaly",
        _SKIP,
        "anomaly mode watches eager code",
        reasons.GLOBAL_STATE,
    ),
    Rows("torch._functorch.apis", "*", _SKIP, _TRANSFORM, reasons.FUNCTION_TRANSFORM),
    Rows(
        "torch._functorch.eager_transforms",
        "vjp jvp jacrev jacfwd hessian linearize functionalize grad_impl grad_and_value_impl",
        _SKIP,
        _TRANSFORM,
        reasons.FUNCTION_TRANSFORM,
    ),
    Rows("torch._functorch.vmap", "vmap_impl restore_vmap", _SKIP, _TRANSFORM, reasons.FUNCTION_TRANSFORM),
    Rows(
        "torch.utils.checkpoint",
        "checkpoint",
        _SKIP,
        "a checkpoint is captured as a whole, or left to CPython",
        reasons.CHECKPOINT,
    ),
    # The backward repeats the function in CPython: the same must have run at first.
    Rows(
        "torch.utils.checkpoint",
        "_checkpoint_impl",
        _SKIP,
        "the backward repeats what is called here",
        reasons.CHECKPOINT,
        recursive=True,
    ),
    Rows(
        "torch.nn.utils.rnn",
        "pack_padded_sequence pack_sequence",
        _SKIP,
        "the sizes of its result depend on data",
        reasons.DYNAMIC_OUTPUT_SHAPE,
    ),
    Rows("torch", "compile", _SKIP, _COMPILER),
    Rows(
        "torch",
        "use_deterministic_algorithms set_deterministic_debug_mode set_warn_always set_default_tensor_type",
        _SKIP,
        "it changes how every program of the process runs",
        reasons.GLOBAL_STATE,
    ),
    Rows("torch.jit._trace", "trace trace_module _trace_* _get_trace_graph", _SKIP, _TORCHSCRIPT),
    Rows("torch.jit", "isinstance", _SKIP, _TORCHSCRIPT),
    Rows("torch.jit._check", "*", _SKIP, _TORCHSCRIPT),
    # Devices.
    Rows(
        "torch.cuda",
        "is_available device_count current_device get_device_capability get_device_name "
        "get_device_properties is_initialized is_bf16_supported is_tf32_supported "
        "get_arch_list _is_compiled can_device_access_peer",
        _BUILTIN,
        _DEVICE_FACT,
        constant_result=True,
    ),
    Rows(
        "torch.cuda",
        "synchronize set_device init _lazy_init set_stream current_stream default_stream "
        "get_sync_debug_mode set_sync_debug_mode utilization memory_usage temperature power_draw "
        "clock_rate ipc_collect stream",
        _SKIP,
        _DEVICE,
    ),
    Rows(
        "torch.cuda.graphs", "is_current_stream_capturing", _BUILTIN, "during capture no stream is recorded"
    ),
    Rows("torch.xpu.graphs", "is_current_stream_capturing", _BUILTIN, "during capture no stream is recorded"),
    Rows("torch.xpu", "is_current_stream_capturing", _BUILTIN, "during capture no stream is recorded"),
    Rows(
        "torch.xpu", "is_available device_count current_device", _BUILTIN, _DEVICE_FACT, constant_result=True
    ),
    Rows("torch.mps", "is_available device_count", _BUILTIN, _DEVICE_FACT, constant_result=True),
    Rows(
        "torch.backends.mps",
        "is_available is_built is_macos_or_newer",
        _BUILTIN,
        _DEVICE_FACT,
        constant_result=True,
    ),
    Rows(
        "torch.mtia", "is_available device_count current_device", _BUILTIN, _DEVICE_FACT, constant_result=True
    ),
    Rows(
        "torch.cpu",
        "is_available device_count current_device _is_*",
        _BUILTIN,
        _DEVICE_FACT,
        constant_result=True,
    ),
    Rows(
        "torch.accelerator",
        "is_available device_count current_accelerator current_device_index current_device_idx",
        _BUILTIN,
        _DEVICE_FACT,
        constant_result=True,
    ),
    Rows(
        "torch.accelerator",
        "synchronize set_device_index set_device_idx set_stream current_stream",
        _SKIP,
        _DEVICE,
    ),
    # Distributed: questions are inlined, work is not.
    Rows(
        "torch.distributed.distributed_c10d",
        "init_process_group destroy_process_group new_group new_subgroups* all_* broadcast* reduce* "
        "gather* scatter* send recv isend irecv barrier monitored_barrier batch_isend_irecv split_group "
        "_new_process_group_helper",
        _SKIP,
        _COLLECTIVE,
    ),
    Rows("torch.distributed", "init_process_group breakpoint", _SKIP, _COLLECTIVE),
    # Function modes.
    Rows(
        "torch.utils._device",
        "DeviceContext.__enter__ DeviceContext.__exit__",
        _SKIP,
        _FUNCTION_MODE,
        reasons.GLOBAL_STATE,
    ),
    Rows(
        "torch.overrides",
        "TorchFunctionMode.__enter__ TorchFunctionMode.__exit__ _push_mode _pop_mode",
        _SKIP,
        _FUNCTION_MODE,
        reasons.GLOBAL_STATE,
    ),
    Rows(
        "torch.utils._python_dispatch",
        "is_traceable_wrapper_subclass* _get_current_dispatch_mode_stack",
        _INLINE,
        "it asks about a class or the modes, of which a capture has none",
    ),
    Rows(
        "torch.utils._foreach_utils", "_get_*_supported_devices", _BUILTIN, _DEVICE_FACT, constant_result=True
    ),
)

CLASSES = (
    Rows(
        "torch", "dtype device layout memory_format qscheme Size finfo iinfo", _BUILTIN, "a constant of torch"
    ),
    Rows("torch", "DispatchKeySet DispatchKey", _BUILTIN, "a constant of torch"),
    Rows("torch", "SymInt SymFloat SymBool", _BUILTIN, _SIZES),
    Rows("torch", "Tensor *Tensor", _IN_GRAPH, "it makes a tensor"),
    Rows("torch.nn.parameter", "Parameter Buffer", _IN_GRAPH, "it makes a tensor"),
    Rows(
        "torch.nn.parameter", "Uninitialized*", _SKIP, "a parameter without a shape is made before compiling"
    ),
    Rows("torch._C", "Generator", _DISALLOWED, _RANDOM_STATE, reasons.RANDOM_STATE),
    Rows("torch._C", "StorageBase", _DISALLOWED, _STORAGE, reasons.TENSOR_ADDRESS),
    Rows(
        "torch._C",
        "_InferenceMode DisableTorchFunction DisableTorchFunctionSubclass _DisableTorchDispatch "
        "_DisableFuncTorch _AutoDispatchBelowAutograd _AutoDispatchBelowADInplaceOrView "
        "_EnableTorchFunction",
        _BUILTIN,
        "it changes the state of the thread while it is entered",
    ),
    Rows(
        "torch._C",
        "_ExcludeDispatchKeyGuard _IncludeDispatchKeyGuard _ForceDispatchKeyGuard",
        _DISALLOWED,
        "the dispatcher's keys are guarded, not changed, by a compiled function",
        reasons.GLOBAL_STATE,
    ),
    Rows("torch.jit", "ScriptFunction", _DISALLOWED, _TORCHSCRIPT),
    Rows("torch", "ScriptModule ScriptMethod ScriptObject", _DISALLOWED, _TORCHSCRIPT),
    Rows("torch", "Stream Event", _DISALLOWED, _DEVICE),
    Rows("torch._C", "_CudaStreamBase _CudaEventBase", _DISALLOWED, _DEVICE),
)

METHODS = (
    Rows(
        "torch._C",
        "TensorBase.data_ptr TensorBase.const_data_ptr TensorBase.untyped_storage",
        _DISALLOWED,
        _STORAGE,
        reasons.TENSOR_ADDRESS,
    ),
    Rows(
        "torch._C",
        "TensorBase._use_count TensorBase._fix_weakref",
        _DISALLOWED,
        _STORAGE,
        reasons.TENSOR_ADDRESS,
    ),
    Rows("torch._C", "TensorBase.numpy", _DISALLOWED, _NUMPY, reasons.NUMPY),
    Rows("torch._C", "TensorBase.apply_ TensorBase.map_ TensorBase.map2_", _DISALLOWED, _CALLBACK),
    Rows(
        "torch._C",
        "TensorBase.as_subclass TensorBase._make_subclass TensorBase._make_wrapper_subclass "
        "TensorBase._dtensor__new__ TensorBase.__new__",
        _DISALLOWED,
        _SUBCLASS,
        reasons.TENSOR_SUBCLASS,
    ),
    Rows(
        "torch._C",
        "TensorBase.retain_grad",
        _DISALLOWED,
        "gradients are kept on leaves only",
        reasons.TENSOR_STATE,
    ),
    Rows(
        "torch._C",
        "TensorBase._view_func TensorBase._view_func_unsafe TensorBase._rev_view_func_unsafe",
        _DISALLOWED,
        "it replays a view, which a graph does by itself",
    ),
    Rows("torch._C", "Generator.*", _DISALLOWED, _RANDOM_STATE, reasons.RANDOM_STATE),
    Rows("torch._C", "StorageBase.*", _DISALLOWED, _STORAGE, reasons.TENSOR_ADDRESS),
    Rows(
        "torch._C",
        "_FunctionBase.apply",
        _BUILTIN,
        "an autograd function is one node of the graph",
        reasons.AUTOGRAD_FUNCTION,
    ),
    Rows("torch", "device.__enter__ device.__exit__", _DISALLOWED, _FUNCTION_MODE, reasons.GLOBAL_STATE),
    Rows(
        "torch._C",
        "_InferenceMode.* DisableTorchFunctionSubclass.* DisableTorchFunction.*",
        _BUILTIN,
        "it changes the state of the thread while it is entered",
    ),
)

C_FUNCTIONS = (
    Rows("torch", "from_numpy", _DISALLOWED, "its argument is a NumPy array", reasons.NUMPY),
    Rows(
        "torch",
        "frombuffer _from_blob",
        _DISALLOWED,
        "its argument is memory that is not a tensor's",
        reasons.TENSOR_ADDRESS,
    ),
    Rows(
        "torch._C",
        "_to_dlpack* _from_dlpack *dlpack_exchange_api _torchDeviceToDLDevice",
        _DISALLOWED,
        _DLPACK,
        reasons.TENSOR_ADDRESS,
    ),
    Rows(
        "torch",
        "fork wait parse_ir parse_schema import_ir_module* unify_type_list *type_comment",
        _DISALLOWED,
        _TORCHSCRIPT,
    ),
    Rows(
        "torch._C",
        "_jit_* _awaitable* _collect_all _create_* _load_* _save_* _import_*",
        _DISALLOWED,
        _TORCHSCRIPT,
    ),
    Rows("torch._C", "_check_onnx_proto", _DISALLOWED, "it exports models"),
    Rows(
        "torch",
        "sparse_csr_tensor sparse_csc_tensor sparse_bsr_tensor sparse_bsc_tensor sparse_compressed_tensor",
        _DISALLOWED,
        _SPARSE,
        reasons.TENSOR_SUBCLASS,
    ),
    Rows("torch", "_validate_sparse_*_tensor_args", _DISALLOWED, _SPARSE, reasons.TENSOR_SUBCLASS),
    Rows(
        "torch",
        "_nested_tensor_from_mask*",
        _DISALLOWED,
        "the sizes of its result depend on data",
        reasons.DYNAMIC_OUTPUT_SHAPE,
    ),
    Rows(
        "torch",
        "resize_as_ resize_as_sparse_",
        _DISALLOWED,
        "it changes the memory of a tensor in place",
        reasons.TENSOR_STATE,
    ),
    Rows(
        "torch",
        "_pack_padded_sequence",
        _DISALLOWED,
        "the sizes of its result depend on data",
        reasons.DYNAMIC_OUTPUT_SHAPE,
    ),
    Rows(
        "torch",
        "_functionalize_* _is_functional_tensor* _to_functional_tensor _from_functional_tensor "
        "_freeze_functional_tensor _enable_functionalization _disable_functionalization "
        "_mirror_autograd_meta_to",
        _DISALLOWED,
        _COMPILER,
    ),
    Rows("torch._C._functorch", "*", _DISALLOWED, _TRANSFORM, reasons.FUNCTION_TRANSFORM),
    Rows(
        "torch._C._functorch",
        "maybe_current_level peek_interpreter_stack is_batchedtensor is_gradtrackingtensor "
        "is_functionaltensor is_functorch_wrapped_tensor is_legacy_batchedtensor",
        _BUILTIN,
        "outside function transforms the answer is known",
    ),
    Rows("torch", "_add_batch_dim _remove_batch_dim", _DISALLOWED, _TRANSFORM, reasons.FUNCTION_TRANSFORM),
    Rows("torch._C", "_vmapmode_*", _DISALLOWED, _TRANSFORM, reasons.FUNCTION_TRANSFORM),
    Rows("torch._C._autograd", "*", _DISALLOWED, "it steers autograd or its profiler", reasons.BACKWARD),
    Rows(
        "torch._C._autograd",
        "_saved_tensors_hooks_is_enabled",
        _BUILTIN,
        "the state of a thread, and guarded",
    ),
    Rows(
        "torch._C",
        "_dispatch_* _push_on_torch_dispatch_stack _pop_torch_dispatch_stack _set_dispatch_mode "
        "_unset_dispatch_mode",
        _DISALLOWED,
        "the dispatcher is not changed by a compiled function",
        reasons.GLOBAL_STATE,
    ),
    Rows(
        "torch._C",
        "_push_on_torch_function_stack _pop_torch_function_stack _set_torch_function_state "
        "_set_skip_next_torch_function _skip_one_hop_torch_function",
        _DISALLOWED,
        _FUNCTION_MODE,
        reasons.GLOBAL_STATE,
    ),
    Rows(
        "torch._C",
        "_cuda_* _xpu_* _mps_* _mtia_* _accelerator_* _host_emptyCache _nccl_* _gds_*",
        _DISALLOWED,
        _DEVICE,
    ),
    Rows(
        "torch._C",
        "_cuda_getDeviceCount _cuda_getDevice _cuda_isInBadFork _cuda_getCompiledVersion "
        "_cuda_hasPrimaryContext _accelerator_getAccelerator _get_accelerator "
        "_accelerator_hooks_device_count",
        _BUILTIN,
        _DEVICE_FACT,
        constant_result=True,
    ),
    Rows(
        "torch._C",
        "_storage_* _set_storage_* _construct_* _data_address _unsafe_reset_storage _swap_tensor_impl "
        "_tensor_impl_raw_handle _wrap_tensor_impl _free_And_Remove_DeleterFn _has_Standard_Deleter "
        "_replace_",
        _DISALLOWED,
        _STORAGE,
        reasons.TENSOR_ADDRESS,
    ),
    Rows("torch._C", "_abort _crash_*", _DISALLOWED, "it ends the process"),
    Rows(
        "torch._C",
        "_log_api_usage_once _log_api_usage_metadata",
        _BUILTIN,
        "it counts a use, which capture does not",
    ),
    Rows("torch._C", "_infer_size _parse_dispatch_key _demangle", _BUILTIN, _SIZES),
    Rows("torch._C._nn", "_parse_to", _BUILTIN, "it sorts arguments"),
    Rows(
        "torch._C", "_warn _warn_deprecation", _DISALLOWED, "it warns each time it runs", reasons.LIVE_FRAME
    ),
    Rows(
        "torch",
        "set_num_threads set_num_interop_threads init_num_threads set_flush_denormal",
        _DISALLOWED,
        "it changes how every program of the process runs",
        reasons.GLOBAL_STATE,
    ),
)

TABLE = (*PYTHON_FUNCTIONS, *CLASSES, *METHODS, *C_FUNCTIONS)
