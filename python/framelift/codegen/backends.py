"""Backends: what they are called, which graphs they take, and how they are run."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import torch

from framelift import torch_internals
from framelift.codegen.aliasing import keeping_tensors_apart
from framelift.codegen.by_inputs import by_inputs
from framelift.codegen.partial_use import used_apart
from framelift.codegen.pieces import in_pieces, why_not_in_pieces
from framelift.codegen.stages import is_float
from framelift.codegen.undo import undoing
from framelift.config import config
from framelift.graph import preserved_torch_state
from framelift.graph.nodes import (
    EXAMPLE,
    changes_tensor_state,
    enter_inference_mode,
    makes_leaf,
    tensors_in,
    why_not_traced,
)
from framelift.graph.torch_state import read_state, restore_state
from framelift.observe import logs, reasons
from framelift.observe.counters import count
from framelift.observe.errors import Misuse, UnknownBackend

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from framelift.graph.finished import FinishedGraph

Runner = Callable[..., Any]

BACKEND_NAMES = ("eager", "inductor")
"""The names that are known without torch's registry, which costs an import."""


@dataclass(frozen=True, slots=True)
class Backend:
    """What compiles graphs.

    ``name`` is for the reader. With ``function``, graphs are given to that callable, with ``named`` as its
    keywords; with ``inductor``, they are given to Inductor with those settings. All other graphs run node by
    node: those that AOTAutograd would not compute rightly (``why_not_compiled``), unless the function is the
    program's own, which gets every graph. ``required`` means that the backend was asked for by name, and what
    it raises is raised.
    """

    name: str
    function: Callable[..., Any] | None = None
    named: Mapping[str, Any] = field(default_factory=dict)
    inductor: Mapping[str, Any] | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class CompiledGraph:
    """The callable that computes a graph, the backend that made it, and why not another ("" if none was)."""

    run: Runner
    used: str
    reason: str


def resolve(
    backend: str | Callable[..., Runner] | None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
) -> Backend:
    """The backend for the arguments of ``compile``. Raises ``Misuse`` for what has no meaning."""
    if mode is not None and options is not None:
        raise Misuse(reasons.MODE_AND_OPTIONS, f"mode={mode!r}, options={options!r}")
    match backend:
        case None:
            return Backend("default", inductor=inductor_settings(mode, options))
        case "inductor":
            return Backend("inductor", inductor=inductor_settings(mode, options), required=True)
        case "eager":
            if options:
                raise Misuse(
                    reasons.UNKNOWN_OPTION, f'options={options!r} with backend="eager"', allowed="none"
                )
            if mode not in (None, "default"):
                raise Misuse(reasons.UNKNOWN_MODE, f'mode={mode!r} with backend="eager"', allowed="'default'")
            return Backend("eager")
    if not isinstance(backend, str) and not callable(backend):
        allowed = ", ".join(map(repr, BACKEND_NAMES))
        raise Misuse(reasons.WRONG_ARGUMENT_TYPE, f"backend={backend!r}", allowed=f"{allowed}, or a callable")
    named: dict[str, Any] = {}
    if mode not in (None, "default"):
        named["mode"] = mode
    if options:
        named["options"] = options
    if isinstance(backend, str):
        return Backend(backend, registered(backend), named, required=True)
    return Backend(getattr(backend, "__name__", None) or repr(backend), backend, named)


def registered(name: str) -> Callable[..., Any]:
    """The backend of this name in torch's registry. Raises ``UnknownBackend`` with the names there are."""
    function = torch_internals.registered_backend(name)
    if function is None:
        known = names()
        close = difflib.get_close_matches(name, names(hidden=()), 1)
        raise UnknownBackend(name, known, close[0] if close else "")
    if name == "cudagraphs" and not torch.cuda.is_available():
        raise Misuse(
            reasons.BACKEND_REFUSED, f"backend={name!r}: CUDA is not available", allowed="another one"
        )
    return function


def names(hidden: Sequence[str] = ("debug", "experimental")) -> list[str]:
    """The names that ``backend=`` may be, without those that torch's registry tags with one in ``hidden``."""
    return sorted({*BACKEND_NAMES, *torch_internals.registered_backends(hidden)})


def inductor_settings(mode: str | None, options: dict[str, Any] | None) -> dict[str, Any]:
    """The settings that a mode or options stand for. Raises ``Misuse`` with Inductor's own words."""
    try:
        return torch_internals.inductor_patches(mode, options)
    except RuntimeError as error:
        if options is None:
            allowed = ", ".join(map(repr, torch_internals.inductor_modes()))
            raise Misuse(reasons.UNKNOWN_MODE, f"mode={mode!r}", allowed=allowed) from error
        raise Misuse(reasons.UNKNOWN_OPTION, f"options={options!r}: {shorten(str(error), 400)}") from error


def run_eagerly(module: GraphModule) -> Runner:
    """The graph itself, node by node."""
    torch_internals.generate_code(module)
    return module.forward


def call_backend(backend: Backend, graph: FinishedGraph) -> Runner:
    """What the backend's function makes of a graph; what it raises is its own."""
    assert backend.function is not None
    torch_internals.generate_code(graph.module)
    with preserved_torch_state():
        run = torch_internals.compile_with_callable(
            backend.function,
            graph.module,
            graph.example_inputs,
            graph.fake_inputs,
            graph.fake_mode,
            dict(backend.named),
        )
    if not callable(run):
        raise Misuse(reasons.BACKEND_RESULT, f"backend={backend.name!r} returned {run!r}")
    return run


def why_not_compiled(graph: FinishedGraph) -> str:
    """Why AOTAutograd, and so Inductor, would not compute this graph rightly here, or "" if it does."""
    for node in graph.module.graph.nodes:
        if reason := why_not_traced(node):
            return reason
    if any(node.target is enter_inference_mode for node in graph.module.graph.nodes):
        return "the graph enters inference mode, and a compiler's results would not be inference tensors"
    if graph.runs_autograd:
        return "the graph runs autograd itself"
    if graph.keeps_history:
        return "the program looks at the nodes of autograd behind the graph, and a compiler leaves others"
    if graph.changes_metadata or any(changes_tensor_state(node) for node in graph.module.graph.nodes):
        return "the graph changes a tensor in another way than by writing to it"
    if any(map(makes_leaf, graph.module.graph.nodes)):
        return "the graph makes a tensor that needs a gradient, and a compiler's results would need none"
    if graph.trains and not torch.is_grad_enabled():
        return "the graph turns gradients on inside a call with gradients off"
    if graph.overlap:
        return "the graph writes to an input that shares memory with another one"
    if graph.risk.covered and graph.risk.beyond_repair:
        return "the graph may fail in a block that handles it, and writes to a large input"
    return ""


def compile_graph(backend: Backend, graph: FinishedGraph) -> CompiledGraph:
    """Compile ``graph``. Called with the thread's torch state as at the beginning of the graph.

    The graph's shape conditions are complete only after this. Raises what the backend raises, unless nobody
    asked for Inductor: then a graph that it fails on runs node by node, which is said.
    """
    reason = why_not_compiled(graph)
    if reason and backend.function is not None and backend.required:
        return eager_instead(graph, reason)
    if backend.function is not None:
        run = results_apart(backend, graph, call_backend(backend, graph))
        in_order = getattr(run, "__self__", None) is graph.module
        return CompiledGraph(restoring(graph, run, in_order=in_order), backend.name, "")
    if backend.inductor is None:
        return CompiledGraph(restoring(graph, run_eagerly(graph.module)), backend.name, "")
    if not reason and not computes_tensors(graph):
        reason = "the graph computes no tensor"
    if reason:
        return divided(backend, graph, reason)
    try:
        # Where no result needs a gradient, the graph is one for inference whatever the grad mode of the call.
        with preserved_torch_state(), torch.set_grad_enabled(graph.trains):
            run = torch_internals.compile_with_inductor(
                graph.module, graph.fake_inputs, graph.fake_mode, inductor_patches(backend), graph.written
            )
    except torch_internals.SavedBeforeWritten as error:
        return eager_instead(graph, str(error))
    except Exception as error:
        floats = any(map(is_float, graph.module.graph.nodes))
        if floats:  # it may say so by itself, or write code in which they are missing
            made = divided(backend, graph, "Inductor can't compute with a float that changes in this graph")
            if made.used == "inductor" or torch_internals.wants_known_floats(error):
                return made
        if backend.required:
            raise
        if isinstance(error, torch_internals.no_cpp_compiler_errors()):
            return eager_instead(graph, f"no C++ compiler: {error}")
        reason = f"Inductor failed: {type(error).__name__}: {shorten(str(error), 400)}"
        count("fallbacks", "Inductor failed")
        hint = 'With `backend="inductor"` the exception is raised.'
        logs.say_once("framelift", reason, f"A graph runs node by node, as {reason}\n  Hint: {hint}")
        return eager_instead(graph, reason)
    run = results_apart(backend, graph, keeping_tensors_apart(graph, run))
    run = undoing(graph, run, in_order=False)
    return CompiledGraph(restoring_generators(graph, run), "inductor", "")


def divided(backend: Backend, graph: FinishedGraph, reason: str) -> CompiledGraph:
    """A graph that Inductor does not take as a whole: in pieces if that may help, else node by node."""
    nodes = graph.module.graph.nodes
    compile_piece = partial(compile_graph, replace(backend, required=False))
    if any(why_not_traced(node) or is_float(node) for node in nodes) and not why_not_in_pieces(graph):
        run = in_pieces(graph, lambda piece: compile_piece(piece).run)
        if run is not None:
            run = restoring_state(graph, restoring_generators(graph, run))
            return CompiledGraph(run, "inductor", f"in pieces, as {reason}")
    return eager_instead(graph, reason)


def results_apart(backend: Backend, graph: FinishedGraph, run: Runner) -> Runner:
    """``run``, and pieces in its place once the program differentiates some of its results without others."""
    lean = replace(graph, example_inputs=[])
    compile_piece = partial(compile_graph, replace(backend, required=False))

    def apart() -> Runner:
        pieces = by_inputs(lean, lambda piece: compile_piece(piece).run)
        return run_eagerly(lean.module) if pieces is None else pieces

    return used_apart(graph, run, apart)


def inductor_patches(backend: Backend) -> dict[str, Any]:
    """Inductor's settings for this backend, under the settings of framelift."""
    patches = dict(backend.inductor or {})
    if config.fallback_random:
        patches.setdefault("fallback_random", True)
    return patches


def eager_instead(graph: FinishedGraph, reason: str) -> CompiledGraph:
    """The graph run node by node, because Inductor does not apply."""
    return CompiledGraph(restoring(graph, run_eagerly(graph.module)), "eager", reason)


def computes_tensors(graph: FinishedGraph) -> bool:
    """Whether a call of the graph gives a tensor."""
    calls = (node for node in graph.module.graph.nodes if node.op in ("call_function", "call_method"))
    return any(True for node in calls for _ in tensors_in(node.meta[EXAMPLE]))


def restoring(graph: FinishedGraph, run: Runner, *, in_order: bool = True) -> Runner:
    """``run``, but when it raises it has left nothing changed but inputs that it has written to and that are
    too large to be put back. ``in_order``: it runs node by node."""
    return restoring_state(graph, restoring_generators(graph, undoing(graph, run, in_order=in_order)))


def restoring_generators(graph: FinishedGraph, run: Runner) -> Runner:
    """``run``, but when it fails the generators of random numbers are as before: CPython then draws the same.

    Reading their states takes about as long as an operator. Graphs that write to inputs and are not expected
    to fail are not repeated.
    """
    if not graph.uses_rng or (graph.mutated_inputs and not graph.risk.refuses):
        return run
    generators = generators_of(graph)

    def run_and_restore(*inputs: Any) -> Any:
        states = [generator.get_state() for generator in generators]
        try:
            return run(*inputs)
        except Exception:
            for generator, state in zip(generators, states, strict=True):
                generator.set_state(state)
            raise

    return run_and_restore


def generators_of(graph: FinishedGraph) -> list[torch.Generator]:
    """Those that a graph may draw from: the default ones of its devices. (No argument is a generator.)"""
    found = dict.fromkeys([torch.default_generator])
    for node in graph.module.graph.nodes:
        for tensor in tensors_in(node.meta.get(EXAMPLE)):
            if tensor.device.type == "cuda":
                found[torch.cuda.default_generators[tensor.device.index or 0]] = None
    return list(found)


def restoring_state(graph: FinishedGraph, run: Runner) -> Runner:
    """``run``, but when it raises the thread's torch state is what it was before.

    A graph between two of whose nodes grad mode is off would leave it off. The state to go back to is that of
    now: guards let a call in only with the state at capture, which is the state at compilation.
    """
    if not graph.sets_state:
        return run
    saved = read_state()

    def run_and_restore(*inputs: Any) -> Any:
        try:
            return run(*inputs)
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # leaves the inference modes that frames still hold
            restore_state(saved)
            raise

    return run_and_restore
