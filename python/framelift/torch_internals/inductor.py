"""Inductor, torch's compiler: a graph in, a callable out.

Used of torch: ``compile_fx`` with its settings, the tracing context in which AOTAutograd leaves what it has
assumed, and the partitioner that divides a graph into forward and backward.

Inductor is imported inside the functions: it takes seconds, backends that don't need it must not wait for it,
and where it can't be imported at all, that is an error of the one call that wanted it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch._guards import TracingContext, tracing

if TYPE_CHECKING:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx import GraphModule


def inductor_patches(mode: str | None, options: dict[str, Any] | None) -> dict[str, Any]:
    """Inductor's settings for ``torch.compile``'s ``mode`` and ``options``; torch's error for others."""
    if mode in (None, "default") and not options:
        return {}
    from torch import _TorchCompileInductorWrapper

    return dict(_TorchCompileInductorWrapper(mode, options, None).config)


def inductor_modes() -> tuple[str, ...]:
    """The names that ``mode`` may be for Inductor."""
    from torch._inductor import list_mode_options

    return tuple(list_mode_options())


class UnguardedAliasing(Exception):
    """AOTAutograd relies on a relation among inputs that nobody guards: a mistake of this package."""


def compile_with_inductor(
    module: GraphModule,
    examples: Sequence[Any],
    mode: FakeTensorMode,
    patches: dict[str, Any],
    written: Sequence[int],
) -> Callable[..., Any]:
    """Inductor's callable for a torch-level graph module. ``module`` is left as it is.

    ``examples`` are the fakes of the inputs, which belong to ``mode``. What Inductor assumes about symbols is
    added to the mode's shape environment. The tracing context is what Inductor's disk cache asks for shapes,
    and where AOTAutograd leaves what it assumes: which inputs are written to, which are one tensor, and which
    overlap. ``written`` are the inputs that the caller knows to be written to, and guards to be apart from
    all others; so nothing else may be assumed.
    """
    from torch._inductor.compile_fx import compile_fx

    graph = torch.fx.Graph()
    graph.output(graph.graph_copy(module.graph, {}))
    own = torch.fx.GraphModule(torch.nn.Module(), graph, "FrameliftGraph")
    if written and torch.is_grad_enabled():
        patches = {"custom_partitioner_fn": _partitioner(), **patches}
    context = TracingContext(mode)
    with tracing(context):
        run = compile_fx(own, list(examples), config_patches=patches or None)
    if context.fw_metadata is not None:
        inputs = enumerate(context.fw_metadata.input_info)
        changed = {place for place, info in inputs if info.mutates_data or info.mutates_metadata}
        if not changed <= set(written):
            raise UnguardedAliasing(f"inputs {sorted(changed)} are written to, not {list(written)}")
    if context.guards_context.aotautograd_guards:
        raise UnguardedAliasing(str(context.guards_context.aotautograd_guards))
    return run


def wants_known_floats(error: BaseException) -> bool:
    """Whether AOTAutograd asks for another capture, in which floats are not symbols."""
    from torch._dynamo.exc import TensorifyScalarRestartAnalysis

    return isinstance(error, TensorifyScalarRestartAnalysis)


def buffers_kept() -> Any:
    """While this is entered, backwards are compiled such that they can be run more than once."""
    return torch._functorch.config.patch(donated_buffer=False)


class SavedBeforeWritten(Exception):
    """A backward needs what an input held before the forward wrote to it."""


@functools.cache
def _partitioner() -> Any:
    """What divides a graph that writes to inputs into forward and backward.

    Inductor's own way may compute a value again in the backward from an input that the forward has written to
    meanwhile. Where it does, everything that the backward needs is kept instead.
    """
    from torch._functorch import partitioners
    from torch._inductor.custom_graph_pass import CustomPartitionerFn

    def needs_written(forward: GraphModule, backward: GraphModule) -> bool:
        copies = (node for node in forward.graph.nodes if node.target is torch.ops.aten.copy_.default)
        written = {node.args[0].name for node in copies if node.args[0].op == "placeholder"}
        return any(node.name in written for node in backward.graph.nodes if node.op == "placeholder")

    class Partitioner(CustomPartitionerFn):
        def __call__(self, gm: GraphModule, joint_inputs: Sequence[object], **kwargs: Any) -> Any:
            graph = torch.fx.Graph()
            graph.output(graph.graph_copy(gm.graph, {}))
            graph._codegen = gm.graph._codegen
            second = torch.fx.GraphModule(gm, graph)
            parts = partitioners.min_cut_rematerialization_partition(gm, joint_inputs, **kwargs)
            if needs_written(*parts):
                names = ("num_fwd_outputs", "static_lifetime_input_indices", "static_lifetime_input_nodes")
                some = {name: kwargs[name] for name in names if name in kwargs}
                parts = partitioners.default_partition(second, joint_inputs, **some)
            if needs_written(*parts):
                raise SavedBeforeWritten("the backward needs what an input held before it was written to")
            return parts

        def uuid(self) -> str:
            return "framelift: inputs that are written to are not saved"

        def __reduce__(self) -> tuple[Any, ...]:
            return (_partitioner, ())  # a part of the keys of Inductor's caches

    return Partitioner()


@functools.cache
def no_cpp_compiler_errors() -> tuple[type[BaseException], ...]:
    """What Inductor raises where the machine has no C++ compiler for it."""
    from torch._inductor import exc

    return tuple(getattr(exc, name) for name in ("InvalidCxxCompiler",) if hasattr(exc, name))
