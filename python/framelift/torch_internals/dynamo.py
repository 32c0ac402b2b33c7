"""TorchDynamo's registers: what a program has said to ``torch.compile`` counts for framelift, too.

Used of torch: the decorators' records, the classes of what ``torch.compile`` makes, functions that mean
something to it alone, and the switch that keeps it away from framelift's own code. Its tracer, its guards and
its frame hook are not used, and its modules are asked for only when a program has imported them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import torch

from framelift.torch_internals.functions import present


@dataclass(frozen=True)
class RecordedCallables:
    """The live sets in which ``torch.compiler``'s decorators record callables by ``id``."""

    allowed: set[int]
    disallowed: set[int]
    nonstrict: set[int]


def recorded_callables() -> RecordedCallables | None:
    """These sets, or None while no program can have used the decorators: their module is not loaded.

    torch removes an ``id`` when the callable dies, and adds to these very sets.
    """
    rules = sys.modules.get("torch._dynamo.trace_rules")
    names = ("_allowed_callable_ids", "_disallowed_callable_ids", "_nonstrict_trace_callable_ids")
    if rules is None or not all(hasattr(rules, name) for name in names):
        return None
    return RecordedCallables(*(getattr(rules, name)() for name in names))


def wrapped_by(value: object) -> object | None:
    """What an instance that ``torch.compile`` or ``torch.jit`` made stands for: what it wraps.

    Both keep it: compiled modules as ``_orig_mod``, scripted and traced functions under a marker. A disabled
    module is of the class of compiled ones and stands for itself.
    """
    eval_frame = sys.modules.get("torch._dynamo.eval_frame")
    compiled_module = getattr(eval_frame, "OptimizedModule", None)
    if compiled_module is not None and type(value) is compiled_module:
        forward = value.__dict__.get("forward")
        return None if getattr(forward, "_torchdynamo_disable", False) else value._orig_mod
    if type(value) is torch._C.ScriptFunction:
        return value.__dict__.get("_torchdynamo_inline")
    return None


def static_marks() -> tuple[Any, ...]:
    """TorchDynamo's ``mark_static``, if it has been imported."""
    return present((sys.modules.get("torch._dynamo.decorators"), "mark_static"))


def graph_break_functions() -> tuple[Any, ...]:
    """``torch._dynamo.graph_break``, if that module has been imported (it does nothing unless traced)."""
    dynamo = sys.modules.get("torch._dynamo")
    return present((dynamo, "graph_break")) if dynamo is not None else ()


def bookkeeping_functions() -> tuple[Any, ...]:
    """Functions by which TorchDynamo, once it has run, notes new modules for itself."""
    return present((sys.modules.get("torch._dynamo.mutation_guard"), "_GenerationTracker.tag"))


def dynamo_hook() -> object:
    """TorchDynamo's callback for frames on this thread, None if there is none."""
    from torch._C._dynamo.eval_frame import get_eval_frame_callback

    return get_eval_frame_callback()


def tracer_switch() -> Any:
    """``switch(None)`` turns TorchDynamo off on this thread and returns what turns it on: ``switch(that)``.

    Used to keep it from tracing framelift's own code, never to trace anything.
    """
    return torch._C._dynamo.eval_frame.set_eval_frame
