"""Graph modules and the Python code that fx generates for them.

Used of torch: graph modules whose code is generated late, the table of lines kept with the code, by which an
error is brought to the node that raised it, and the loader that keeps the text of the code.
"""

from __future__ import annotations

import functools
import linecache
import os
import types
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.fx._lazy_graph_module import _LazyGraphModule
from torch.fx.graph_module import _loader

from framelift.torch_internals.operators import is_operator_function

if TYPE_CHECKING:
    from torch.fx import GraphModule


def graph_module(graph: torch.fx.Graph, name: str) -> GraphModule:
    """A graph module whose Python code is generated when it is first called, not now."""
    return _LazyGraphModule(torch.nn.Module(), graph, name)


def generate_code(module: GraphModule) -> None:
    """Generate the Python code of a graph module made by ``graph_module`` now.

    After that ``module.forward`` is the generated function; before, it is one that would generate it first.
    """
    real_recompile = getattr(module, "real_recompile", None)
    if real_recompile is not None:
        real_recompile()
    forward = vars(type(module))["forward"]
    forward.__globals__["__name__"] = GRAPH_CODE
    weakref.finalize(forward.__code__, _forget_text, forward.__code__.co_filename).atexit = False


def _forget_text(name: str) -> None:
    """Drop the text of generated code that has died: fx keeps it for tracebacks, and to the end."""
    linecache.cache.pop(name, None)
    _loader.eval_cache.pop(name, None)


GRAPH_CODE = "framelift.graphs"
"""The name of the module to which the generated code of graphs belongs."""


COMPILERS = tuple(
    os.path.join(os.path.dirname(torch.__file__), *path, "")
    for path in (("_functorch", "_aot_autograd"), ("_inductor",))
)


def is_compiled_code(function: types.FunctionType) -> bool:
    """Whether a function is what a compiler made of a program, or belongs to what runs that."""
    is_graph = function.__globals__.get("__name__") == GRAPH_CODE
    return is_graph or function.__code__.co_filename.startswith(COMPILERS)


def node_target(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a node calls in the place of ``function``, so that generated code calls the same.

    It names what comes from torch by its path, and some operators' C functions have the name of a function in
    Python around them: ``torch.split`` takes other arguments than the operator. For these it is a function
    of ours, which the code holds as an object.
    """
    if not is_operator_function(function) or getattr(torch, function.__name__, None) is function:
        return function
    return _calling(function)


@functools.cache
def _calling(function: Callable[..., Any]) -> Callable[..., Any]:
    """One function in Python for each C function."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = function.__name__
    return call


def _below_generated_code(module: GraphModule, error: BaseException) -> types.TracebackType | None:
    """The entry of a traceback that is the generated code of a graph module."""
    code = getattr(module.forward, "__func__", module.forward).__code__
    entry = error.__traceback__
    while entry is not None and entry.tb_frame.f_code is not code:
        entry = entry.tb_next
    return entry


def failing_node(module: GraphModule, error: BaseException) -> int | None:
    """The position of the node at which the generated code of a module raised; None if it did not.

    Relies on the table of lines that fx keeps with the code.
    """
    entry = _below_generated_code(module, error)
    lines = getattr(module, "_lineno_map", None)
    if entry is None or not lines:
        return None
    return lines.get(entry.tb_lineno - module._prologue_start)


def traceback_below(module: GraphModule, error: BaseException) -> types.TracebackType | None:
    """The part of a traceback that lies below the generated code of a module."""
    entry = _below_generated_code(module, error)
    return None if entry is None else entry.tb_next
