"""Torch functions with a meaning of their own: state, metadata, flags. All others go into the graph."""

from framelift.capture.natives.registry import marked
from framelift.capture.torch_calls import controls, state, tensors

TORCH_CALLS = [
    *marked(controls),
    *marked(state),
    *marked(tensors),
    *state.state_readers(),
    *state.compiling_flags(),
    *tensors.metadata_methods(),
    *tensors.symbolic_functions(),
]

__all__ = ["TORCH_CALLS"]
