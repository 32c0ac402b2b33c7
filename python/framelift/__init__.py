"""framelift compiles ordinary PyTorch programs.

``@framelift.compile`` on a function or a module captures the tensor work of the Python that runs, guards what
it assumed, compiles the graph, and runs it with next to no Python in the way. It takes what ``torch.compile``
takes. ``print(framelift.explain(f)(x))`` shows what it made of a call, ``framelift.config`` holds the
settings.

The way of a call through the rooms capture, guards, graph, codegen and execute is in ``pipeline``.
"""

from framelift import supported as _supported

_supported.check()

from framelift import exc
from framelift._native import __version__
from framelift.api import compile, explain, list_backends, reset  # noqa: A004
from framelift.config import config
from framelift.controls import disable, graph_break, is_compiling, is_dynamo_compiling
from framelift.installation import install, uninstall
from framelift.marks import mark_dynamic, mark_static, mark_unbacked, maybe_mark_dynamic
from framelift.observe.counters import counters

__all__ = [
    "__version__",
    "compile",
    "config",
    "counters",
    "disable",
    "exc",
    "explain",
    "graph_break",
    "install",
    "is_compiling",
    "is_dynamo_compiling",
    "list_backends",
    "mark_dynamic",
    "mark_static",
    "mark_unbacked",
    "maybe_mark_dynamic",
    "reset",
    "uninstall",
]
