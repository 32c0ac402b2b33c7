"""One call, and everything it did that a user could notice."""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

import numpy
import torch

_NOT_THE_USERS = (
    *("site-packages", os.sep + "framelift" + os.sep, "<eval_with_key>", "<frozen"),
    "torchinductor",
)
_HARNESS = os.path.dirname(os.path.abspath(__file__))
_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(contextlib.__file__)) + os.sep


def is_users(filename: str) -> bool:
    """Whether code of this file belongs to the program, not to a library, the compiler or the harness."""
    if filename.startswith(_HARNESS):
        return os.path.basename(filename).startswith("test_")
    return not any(part in filename for part in _NOT_THE_USERS) and not filename.startswith(_STANDARD_LIBRARY)


@dataclass(slots=True)
class Raised:
    """An exception that left the call: its own object, and the user's lines it passed through."""

    error: BaseException
    lines: tuple[tuple[str, int | None, str], ...]
    chain: tuple[str, ...]
    """Type of each ``__cause__`` and ``__context__``, outermost first."""


@dataclass(slots=True)
class Outcome:
    """``entered``: names of the program's functions that CPython entered, when asked for."""

    result: object = None
    raised: Raised | None = None
    printed: str = ""
    warned: tuple[tuple[str, str], ...] = ()
    state: dict[str, object] = field(default_factory=dict)
    entered: tuple[str, ...] = ()


def torch_state() -> dict[str, object]:
    """What a call may leave changed in torch and in the random number generators."""
    return {
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "autocast dtype": torch.get_autocast_dtype("cpu"),
        "autocast cache": torch.is_autocast_cache_enabled(),
        "default dtype": torch.get_default_dtype(),
        "default device": str(torch.get_default_device()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "anomaly mode": torch.is_anomaly_enabled(),
        "torch random state": hash(torch.get_rng_state().numpy().tobytes()),
        "python random state": hash(random.getstate()),
        "numpy random state": hash(numpy.random.get_state()[1].tobytes()),
    }


def seed(number: int) -> None:
    """The same random numbers for both worlds."""
    torch.manual_seed(number)
    random.seed(number)
    numpy.random.seed(number)


def _chain(error: BaseException) -> tuple[str, ...]:
    found, pending, seen = [], [("", error)], set()
    while pending:
        path, one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        found.append(
            f"{path or 'raised'}: {type(one).__qualname__} (suppressed context: {one.__suppress_context__})"
        )
        pending += [(f"{path}.__context__", one.__context__), (f"{path}.__cause__", one.__cause__)]
    return tuple(found)


def _forget_tracebacks(error: BaseException) -> None:
    """Frames in tracebacks hold arguments; whoever counts references must not count those."""
    pending, seen = [error], set()
    while pending:
        one = pending.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            pending += [one.__cause__, one.__context__]


def _raised(error: BaseException) -> Raised:
    frames = traceback.extract_tb(error.__traceback__)
    lines = tuple((frame.filename, frame.lineno, frame.name) for frame in frames if is_users(frame.filename))
    chain = _chain(error)
    _forget_tracebacks(error)
    return Raised(error, lines, chain)


class _Entered:
    """Notes the program's own frames that CPython enters while it is on."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and is_users(frame.f_code.co_filename) and not _is_generated(frame):
            self.names.append(frame.f_code.co_qualname)


def _is_generated(frame: FrameType) -> bool:
    """Methods that ``dataclasses`` and named tuples write have no file: they belong to the module of their
    class, or to whoever calls them. A caller of the program's own is noted itself."""
    if frame.f_code.co_filename != "<string>":
        return False
    module = frame.f_globals.get("__name__") or ""
    caller = frame.f_back
    elsewhere = caller is not None and not is_users(caller.f_code.co_filename)
    return elsewhere or module.partition(".")[0] in ("framelift", "torch")


def observe(
    call: Callable[[], object], context: contextlib.AbstractContextManager, watch_frames: bool
) -> Outcome:
    """Run ``call`` inside ``context`` and describe what happened."""
    outcome, text, entered = Outcome(), io.StringIO(), _Entered()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(text), context:
        warnings.simplefilter("always")
        before = torch_state()
        profile = sys.getprofile()
        if watch_frames:
            sys.setprofile(entered)
        try:
            outcome.result = call()
        except BaseException as error:
            sys.setprofile(profile)
            outcome.raised = _raised(error)
        finally:
            sys.setprofile(profile)
        after = torch_state()
    outcome.printed = text.getvalue()
    outcome.warned = tuple(
        (one.category.__qualname__, str(one.message)) for one in caught if not _is_ours(one)
    )
    outcome.state = {name: (before[name], value) for name, value in after.items() if before[name] != value}
    outcome.entered = tuple(entered.names)
    return outcome


def _is_ours(warning: warnings.WarningMessage) -> bool:
    """The compiler may say that it gave up; that is checked by tests of its messages."""
    return "framelift" in f"{warning.category.__module__}{warning.message}"
