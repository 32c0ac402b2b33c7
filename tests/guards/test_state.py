"""The snapshot of torch's state: each part fails when it differs and holds when it is back."""

from __future__ import annotations

import contextlib
import threading

import pytest
import torch

from framelift.guards import GuardSet, ReferenceTree, build, torch_state


@contextlib.contextmanager
def changed(setter, getter, value):
    before = getter()
    setter(value)
    try:
        yield
    finally:
        setter(before)


@contextlib.contextmanager
def attribute(owner, name, value):
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


class FunctionMode(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, function, types, arguments=(), keywords=None):
        return function(*arguments, **(keywords or {}))


class DispatchMode(torch.utils._python_dispatch.TorchDispatchMode):
    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        return function(*arguments, **(keywords or {}))


CHANGES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu"),
    "autocast_dtype": lambda: changed(
        lambda dtype: torch.set_autocast_dtype("cpu", dtype),
        lambda: torch.get_autocast_dtype("cpu"),
        torch.float16,
    ),
    "autocast_cache": lambda: changed(
        torch.set_autocast_cache_enabled,
        torch.is_autocast_cache_enabled,
        not torch.is_autocast_cache_enabled(),
    ),
    "default_dtype": lambda: changed(torch.set_default_dtype, torch.get_default_dtype, torch.float64),
    "default_device": lambda: torch.device("meta"),
    "function_mode": FunctionMode,
    "dispatch_mode": DispatchMode,
    "disabled_functions": torch._C.DisableTorchFunction,
    "deterministic": lambda: changed(
        torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled, True
    ),
    "fill_memory": lambda: attribute(torch.utils.deterministic, "fill_uninitialized_memory", False),
    "matmul_precision": lambda: changed(
        torch.set_float32_matmul_precision, torch.get_float32_matmul_precision, "high"
    ),
    "cudnn": lambda: attribute(torch.backends.cudnn, "enabled", False),
    "cudnn_benchmark": lambda: attribute(torch.backends.cudnn, "benchmark", True),
    "cudnn_deterministic": lambda: attribute(torch.backends.cudnn, "deterministic", True),
    "mkldnn": lambda: attribute(torch.backends.mkldnn, "enabled", False),
    "flash": lambda: changed(
        torch.backends.cuda.enable_flash_sdp, torch.backends.cuda.flash_sdp_enabled, False
    ),
    "math": lambda: changed(torch.backends.cuda.enable_math_sdp, torch.backends.cuda.math_sdp_enabled, False),
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True),
    "forward_gradients": lambda: torch.autograd.forward_ad._set_fwd_grad_enabled(False),
    "multithreading": lambda: torch.autograd.set_multithreading_enabled(False),
    "excluded_key": lambda: torch._C._ExcludeDispatchKeyGuard(
        torch._C.DispatchKeySet(torch._C.DispatchKey.Negative)
    ),
}


def engines():
    made = GuardSet()
    made.require_state()
    built = build(made, 0)
    plain = ReferenceTree(made)

    def agree():
        native = built.tree.check(())
        assert (native is None) == (plain.check(()) is None)
        return native is not None

    return built, agree


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_fails_and_its_end_holds(change):
    built, agree = engines()
    assert agree()
    with CHANGES[change]():
        assert not agree()
        assert built.describe(built.tree.explain(())).text.startswith("torch's ")
    assert agree()
    with CHANGES[change]():
        _, agree_inside = engines()
        assert agree_inside()
    assert not agree_inside()


def test_other_modes_of_the_same_class_differ():
    with FunctionMode():
        _, agree = engines()
        assert agree()
    with FunctionMode():
        assert not agree()


def test_default_devices_are_compared_by_value():
    with torch.device("meta"):
        _, agree = engines()
    with torch.device("meta"):
        assert agree()
    with torch.device("cpu"):
        assert not agree()


def test_threads_have_states_of_their_own():
    built, _ = engines()
    answers = []

    def ask():
        answers.append(built.tree.check(()) is not None)
        with torch.no_grad():
            answers.append(built.tree.check(()) is not None)
        answers.append(built.tree.check(()) is not None)

    with torch.no_grad():
        for _ in range(3):
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
        assert built.tree.check(()) is None
    assert answers == [True, False, True] * 3


def test_every_number_is_read_natively_here_and_is_what_python_reads():
    report = torch_state.calibrate()
    assert "python" not in report["state"].values(), report["state"]
    for change in CHANGES.values():
        with change():
            assert torch_state.capture_state().values() == torch_state.read_state()


def test_text():
    built, _ = engines()
    with torch.no_grad():
        assert built.describe(built.tree.explain(())).text == "torch's grad mode: expected True, found False"
    with FunctionMode():
        text = built.describe(built.tree.explain(())).text
        assert text == "torch's function modes: expected 0, found 1"
