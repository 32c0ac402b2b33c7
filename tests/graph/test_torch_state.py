"""The thread leaves a capture with the torch state it came with."""

from __future__ import annotations

import pytest
import torch

from framelift.graph import preserved_torch_state
from framelift.graph.torch_state import STATE_ITEMS, StateNotRestored, read_state

CHANGES = {
    "grad mode": lambda: torch._C._set_grad_enabled(not torch.is_grad_enabled()),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "autocast dtype": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "autocast cache": lambda: torch.set_autocast_cache_enabled(False),
    "autocast nesting": lambda: (torch.autocast_increment_nesting(), torch.autocast_increment_nesting()),
    "entered autocast": lambda: torch.autocast("cpu").__enter__(),
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "deterministic": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "fill memory": lambda: setattr(torch.utils.deterministic, "fill_uninitialized_memory", False),
    "matmul precision": lambda: torch.set_float32_matmul_precision("high"),
    "cudnn": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "attention kernels": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "forward gradients": lambda: torch._C._set_fwd_grad_enabled(False),
    "function mode": lambda: torch.overrides.BaseTorchFunctionMode().__enter__(),
    "random numbers": lambda: torch.rand(3),
    "seed": lambda: torch.manual_seed(3),
}


@pytest.mark.parametrize("failing", [False, True], ids=["returns", "raises"])
@pytest.mark.parametrize("name", CHANGES)
def test_put_back(name, failing):
    before = read_state()
    generator = torch.get_rng_state()
    try:
        with preserved_torch_state():
            CHANGES[name]()
            assert read_state() != before or not torch.equal(torch.get_rng_state(), generator)
            if failing:
                raise KeyError
    except KeyError:
        pass
    assert read_state() == before
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.ones(1).device.type == "cpu"


def test_a_default_device_of_the_user_stays():
    torch.set_default_device("meta")
    try:
        with preserved_torch_state():
            torch.set_default_device("cpu")
            assert torch.ones(1).device.type == "cpu"
        assert torch.ones(1).device.type == "meta"
        torch.set_default_device(None)
        assert torch.ones(1).device.type == "cpu"
    finally:
        torch.set_default_device(None)


def test_items_have_different_names():
    assert len({item.name for item in STATE_ITEMS}) == len(STATE_ITEMS)


def test_inference_mode_left_open_is_reported():
    mode = torch.inference_mode()
    with pytest.raises(StateNotRestored), preserved_torch_state():
        mode.__enter__()
    mode.__exit__(None, None, None)
