"""Modules whose Python functions are not inlined, and the exceptions below them.

Skipped are modules that talk to the world (files, processes, the network, logs), that look at frames or
source text, that are compilers themselves, or that are large and have no tensor code. A skipped function
still runs, in CPython. Everything else, whoever wrote it, is inlined.
"""

from __future__ import annotations

from framelift.observe import reasons
from framelift.rules.module_lists import Modules
from framelift.rules.rule import RuleKind

_INLINE, _SKIP, _NUMPY = RuleKind.INLINE, RuleKind.SKIP, RuleKind.NUMPY

STANDARD_LIBRARY = (
    Modules(
        "importlib importlib.* _frozen_importlib _frozen_importlib_external zipimport pkgutil runpy",
        _SKIP,
        "importing a module runs it once and is left to CPython",
        reasons.IMPORT_RUNS_CODE,
    ),
    Modules(
        "traceback linecache tokenize token ast dis opcode symtable code codeop sysconfig site",
        _SKIP,
        "it looks at source text, code or frames, which a captured call does not have",
        reasons.LIVE_FRAME,
    ),
    Modules(
        "bdb pdb cmd trace cProfile profile pstats timeit tracemalloc", _SKIP, "it observes the interpreter"
    ),
    Modules("unittest.* doctest test.*", _SKIP, "test tools replace and inspect the program that is running"),
    Modules("logging.*", _SKIP, "it writes a log record", reasons.INPUT_OUTPUT),
    Modules("warnings", _SKIP, "it changes the warning filters of the process", reasons.GLOBAL_STATE),
    Modules(
        "threading queue concurrent.* multiprocessing.* sched _threading_local",
        _SKIP,
        "it works with threads or processes, which a graph does not",
        reasons.LOCK,
    ),
    Modules("asyncio.* selectors", _SKIP, "it runs an event loop", reasons.ASYNC_FUNCTION),
    Modules(
        "subprocess socket socketserver ssl http.* urllib.* email.* smtplib ftplib xmlrpc.* webbrowser "
        "signal",
        _SKIP,
        "it talks to other processes or machines",
        reasons.INPUT_OUTPUT,
    ),
    Modules(
        "tempfile shutil pathlib glob fileinput zipfile tarfile gzip bz2 lzma shelve dbm.* sqlite3.* csv "
        "configparser netrc mailbox pickle pickletools _pyio io getpass pty tty",
        _SKIP,
        "it reads or writes files",
        reasons.INPUT_OUTPUT,
    ),
    Modules(
        "argparse optparse getopt gettext locale", _SKIP, "it handles a program's command line and language"
    ),
    Modules("atexit faulthandler _sitebuiltins", _SKIP, "it changes how the process ends"),
    Modules("_pydatetime _strptime calendar", _SKIP, "its result depends on the clock", reasons.CLOCK),
    Modules("uuid secrets", _SKIP, "its result depends on chance", reasons.RANDOM_STATE),
    Modules("ctypes.* platform", _SKIP, "it reaches into the machine below Python"),
)

THIRD_PARTY = (
    Modules("numpy.*", _NUMPY, "NumPy is captured on known numbers only", reasons.NUMPY),
    Modules(
        "scipy.* sklearn.* pandas.* pyarrow.* polars.* xarray.* numba.* cupy.* networkx.* sympy.* mpmath.*",
        _SKIP,
        "it works on data that is not in tensors",
    ),
    Modules("matplotlib.* seaborn.* plotly.* PIL.* cv2.* imageio.* skimage.*", _SKIP, "it works on pictures"),
    Modules(
        "tensorflow.* keras.* jax.* jaxlib.* flax.* onnx.* onnxruntime.* tensorrt.* tvm.* paddle.* mxnet.*",
        _SKIP,
        "it belongs to another tensor library",
    ),
    Modules("triton.* torch_xla.* torchao.kernel.* cutlass.*", _SKIP, "it compiles kernels"),
    Modules(
        "tqdm.* rich.* click.* colorama.* tabulate.* loguru.* structlog.*",
        _SKIP,
        "it writes to the terminal",
        reasons.INPUT_OUTPUT,
    ),
    Modules(
        "wandb.* mlflow.* tensorboard.* tensorboardX.* comet_ml.* neptune.* clearml.*",
        _SKIP,
        "it records a run elsewhere",
        reasons.INPUT_OUTPUT,
    ),
    Modules(
        "IPython.* ipykernel.* jupyter_client.* debugpy.* _pydevd_bundle.* pydevd",
        _SKIP,
        "it runs the session",
    ),
    Modules("pytest _pytest.* pluggy.* hypothesis.* nose.* coverage.*", _SKIP, "it runs tests"),
    Modules(
        "requests.* urllib3.* httpx.* httpcore.* aiohttp.* fsspec.* s3fs.* boto3.* botocore.* grpc.* "
        "filelock.*",
        _SKIP,
        "it talks to other machines or to the file system",
        reasons.INPUT_OUTPUT,
    ),
    Modules("torch._dynamo.mutation_guard", _INLINE, "it only wraps the constructor of modules"),
    Modules("huggingface_hub.dataclasses", _INLINE, "it checks the fields of plain objects"),
    Modules(
        "huggingface_hub.* safetensors.* datasets.*", _SKIP, "it loads and stores files", reasons.INPUT_OUTPUT
    ),
    Modules("tokenizers.* sentencepiece.* tiktoken.*", _SKIP, "it works on text"),
    Modules(
        "yaml.* toml.* tomli.* omegaconf.* hydra.* pydantic.* pydantic_core.*",
        _SKIP,
        "it reads configuration",
    ),
    Modules("psutil.* pynvml.* py3nvml.*", _SKIP, "it reads the state of the machine"),
    Modules("cffi.* pybind11.* setuptools.* pkg_resources.* distutils.* pip.*", _SKIP, "it builds software"),
)

TORCH = (
    Modules(
        "torch._dynamo.* torch._inductor.* torch._export.* torch.export.* torch.compiler.* "
        "torch._functorch._aot_autograd.* torch._functorch.aot_autograd torch._functorch.partitioners "
        "torch._functorch.compilers torch._functorch.compile_utils torch._subclasses.* torch._guards "
        "torch._lazy.* torch._precompile* torch._strobelight.* torch.utils._strobelight.*",
        _SKIP,
        "it is part of a compiler, which a compiled function does not run",
    ),
    Modules(
        "torch._compile", _SKIP, "torch has marked it so that compilers leave it alone", reasons.DISABLED_CALL
    ),
    Modules("torch._functorch.deprecated", _INLINE, "it forwards to torch.func"),
    Modules("torch.fx.*", _SKIP, "it builds or transforms graphs"),
    Modules(
        "torch.fx.graph_module torch.fx.immutable_collections", _INLINE, "calls of a graph module are inlined"
    ),
    Modules(
        "torch.jit._script torch.jit._recursive torch.jit._serialization torch.jit._fuser "
        "torch.jit._freeze torch.jit._builtins torch.jit._state torch.jit._async torch.jit._await "
        "torch.jit._dataclass_impls torch.jit._decompositions torch.jit._ir_utils "
        "torch.jit._monkeytype_config torch.jit._pickle torch.jit._shape_functions torch.jit._logging "
        "torch.jit.frontend torch.jit.annotations torch.jit.generate_bytecode torch.jit.mobile.* "
        "torch.jit.quantized torch.jit.supported_ops torch.jit.unsupported_tensor_ops",
        _SKIP,
        "TorchScript is a compiler of its own",
    ),
    Modules("torch.onnx.*", _SKIP, "it exports models"),
    Modules("torch.onnx torch.onnx.operators", _INLINE, "it asks whether an export is running"),
    Modules(
        "torch.serialization torch._weights_only_unpickler torch.package.* torch.hub torch.utils.model_zoo "
        "torch.utils.serialization.* torch.utils.show_pickle torch.utils._content_store",
        _SKIP,
        "it reads or writes files",
        reasons.INPUT_OUTPUT,
    ),
    Modules("torch.storage", _SKIP, "it reads or writes the memory of a tensor", reasons.TENSOR_ADDRESS),
    Modules(
        "torch.utils.data.* torch.multiprocessing.* torch.futures.* torch.utils.file_baton "
        "torch._thread_safe_fork",
        _SKIP,
        "it works with threads or processes, which a graph does not",
    ),
    Modules(
        "torch.profiler.* torch.autograd.profiler torch.autograd.profiler_legacy "
        "torch.autograd.profiler_util torch.cuda.profiler torch.cuda.nvtx torch.cuda._memory_viz "
        "torch.cuda._sanitizer torch.monitor.* torch.utils.tensorboard.* torch.utils.benchmark.* "
        "torch.utils.bottleneck.* torch.utils.flop_counter torch.utils.throughput_benchmark "
        "torch.utils.collect_env torch.utils.viz.* torch.utils.model_dump.* torch._logging.* "
        "torch.utils._debug_mode.* torch.utils.debug_log torch.utils._stats",
        _SKIP,
        "it observes a run: profiles, logs and figures of a graph come from outside it",
    ),
    Modules(
        "torch.utils.cpp_extension torch.utils.hipify.* torch.utils.bundled_inputs "
        "torch.utils.mobile_optimizer torch.utils.jit.* torch.utils._cpp_embed_headers "
        "torch.utils._cpp_extension_versioner torch.contrib.*",
        _SKIP,
        "it builds or converts software",
    ),
    Modules(
        "torch.library torch._library.* torch._custom_op.* torch._custom_ops", _SKIP, "it registers operators"
    ),
    Modules("torch._library.custom_ops", _INLINE, "a call of a custom operator is a call of its overload"),
    Modules("torch.testing.*", _SKIP, "it compares values, which are not known during capture"),
    Modules("torch.distributed.* torch.nn.parallel.*", _SKIP, "collectives are not captured yet"),
    Modules(
        "torch.distributed torch.distributed.distributed_c10d",
        _INLINE,
        "questions about the process group are inlined; collectives have rows of their own",
    ),
    Modules(
        "torch._higher_order_ops.*",
        _SKIP,
        "operators that take functions are not captured yet",
        reasons.FUNCTION_TRANSFORM,
    ),
    Modules("torch._higher_order_ops.associative_scan", _INLINE, "it calls other operators and transforms"),
    Modules(
        "torch.utils._python_dispatch",
        _SKIP,
        "dispatch modes see operators below the captured level",
        reasons.GLOBAL_STATE,
    ),
    Modules(
        "torch.cuda.graphs torch.cuda.streams torch.cuda.memory torch.cuda.gds torch.cuda.tunable "
        "torch.cuda.jiterator torch.cuda.comm torch.cuda.nccl torch.cuda._gpu_trace torch.xpu.* "
        "torch.mps.* torch.mtia.*",
        _SKIP,
        "it steers the device, which a graph does not",
    ),
    Modules(
        "torch.autograd.gradcheck torch.autograd.functional torch.autograd.anomaly_mode",
        _SKIP,
        "it runs autograd itself",
        reasons.BACKWARD,
    ),
    Modules("torch._tensor_str", _SKIP, "printing a tensor needs its values", reasons.DATA_DEPENDENT_VALUE),
    Modules(
        "torch._meta_registrations torch._decomp.* torch._refs.* torch._prims.* torch._prims_common.*",
        _INLINE,
        "decompositions are Python code",
    ),
)

OURS = (
    Modules("framelift.*", _SKIP, "framelift does not compile itself"),
    Modules("framelift.capture.polyfills.*", _INLINE, "the meaning of a builtin, written in Python"),
)

BUILT_IN = (*STANDARD_LIBRARY, *THIRD_PARTY, *TORCH, *OURS)
