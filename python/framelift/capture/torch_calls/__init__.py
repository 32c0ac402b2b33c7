"""Torch functions with a meaning of their own: state, metadata, flags. All others go into the graph."""

from framelift import torch_internals
from framelift.capture.natives.registry import marked
from framelift.capture.torch_calls import (
    autograd,
    checkpoints,
    checks,
    controls,
    functions,
    sizes,
    state,
    tensors,
    transforms,
)

TORCH_CALLS = [
    *marked(autograd),
    *autograd.captured_functions(),
    *marked(checkpoints),
    *marked(checks),
    *marked(controls),
    *marked(functions),
    *marked(sizes),
    *marked(state),
    *marked(tensors),
    *marked(transforms),
    *state.state_readers(),
    *state.compiling_flags(),
    *tensors.metadata_methods(),
    *tensors.symbolic_functions(),
]


def late_calls() -> list[tuple]:
    """Functions of modules that torch imports only when it needs them, as far as they are there."""
    breaks = [(real, controls.torch_graph_break) for real in torch_internals.graph_break_functions()]
    notes = [(real, state.nothing) for real in torch_internals.bookkeeping_functions()]
    static = [(real, sizes.fix_sizes) for real in torch_internals.static_marks()]
    return [*breaks, *notes, *static, *sizes.size_questions(), *state.compiling_flags()]


__all__ = ["TORCH_CALLS", "late_calls"]
