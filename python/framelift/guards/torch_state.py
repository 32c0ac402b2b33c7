"""Torch's state at a moment, and how tensors are read: set up once, when guards are first used.

The native half knows nothing of torch when it is imported. Here it is given the probes, the getters and the
accessors it measures itself against; see ``rust/src/torch_abi``.
"""

from __future__ import annotations

import functools

from framelift import _native, torch_internals


@functools.cache
def calibrate() -> dict[str, object]:
    """Let the native half find out how torch is read; says what it found, for reports. The first call of a
    compiled function may come from a transform or a mode."""
    with torch_internals.outside_modes():
        return _native.calibrate_torch(
            probes=torch_internals.tensor_probes(),
            facts=torch_internals.tensor_facts,
            matches=torch_internals.tensor_matches,
            number=torch_internals.tensor_number,
            memory=torch_internals.memory_range,
            modes=torch_internals.torch_modes,
            libraries=torch_internals.torch_libraries(),
            state=torch_internals.state_rows(),
            plain_value_types=torch_internals.plain_value_types(),
            change_modes=torch_internals.change_function_modes,
            restore_modes=torch_internals.restore_function_modes,
        )


def capture_state() -> _native.TorchState:
    """A snapshot of torch's state of this thread."""
    calibrate()
    return _native.TorchState.capture()


@functools.cache
def _python_readers() -> dict[str, object]:
    return {row[0]: row[5] for row in torch_internals.state_rows()}


def read_state() -> dict[str, int]:
    """The same numbers as in a snapshot, all of them as Python reads them."""
    return {name: read() for name, read in _python_readers().items()}


def spell_differences(differences: list[tuple[str, object, object]]) -> tuple[str, str, str]:
    """The difference that says most, in words: what, expected, found. Sets of dispatch keys are a consequence
    of most others and come last."""
    if not differences:
        return "state", "another one", "this one"
    chosen = min(differences, key=lambda difference: difference[0].endswith("dispatch keys"))
    return torch_internals.spell_state_difference(*chosen)
