"""Controls: what a program says to framelift from inside, in code that also runs without compilation.

Capture knows these functions by identity, or by the marks they leave, which are spelled in ``rules.markers``.
Nothing here compiles anything, so every room may import this file.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, TypeVar, overload

import torch

from framelift import _native
from framelift._native import CompiledCallable
from framelift.module import CompiledModule, make_twin, own_call
from framelift.observe import reasons
from framelift.observe.errors import Misuse
from framelift.rules.markers import DISABLED, DISABLED_RECURSIVELY

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def disable(
    fn: None = None, recursive: bool = True, *, reason: str | None = None
) -> Callable[[Function], Function]: ...
@overload
def disable(fn: Function, recursive: bool = True, *, reason: str | None = None) -> Function: ...
def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """A callable that does what ``fn`` does and is always run by CPython.

    Called inside a compiled function it is a graph break, shown with ``reason``. With ``recursive=False``
    only the frame of ``fn`` itself is left to CPython: functions it calls may still be compiled. Works as a
    decorator too, with and without arguments. ``fn`` is not changed, unless it is a class: then calls of its
    instances are disabled, and the class is returned. Of a compiled callable or module, what it was made from
    is taken.
    """
    if type(recursive) is not bool:
        what = f"recursive={recursive!r}"
        raise Misuse(reasons.WRONG_ARGUMENT_TYPE, what, allowed="True or False; the reason is `reason=...`")
    if reason is not None and not isinstance(reason, str):
        raise Misuse(reasons.WRONG_ARGUMENT_TYPE, f"reason={reason!r}", allowed="a string or None")
    if fn is None:
        return functools.partial(disable, recursive=recursive, reason=reason)
    if not callable(fn):
        raise Misuse(
            reasons.NOT_CALLABLE, f"disable({fn!r})", allowed="a function, a module, another callable"
        )
    mark = functools.partial(_disabled, recursive=recursive, reason=reason)
    if isinstance(fn, type):
        fn.__call__ = mark(own_call(fn))  # type: ignore[operator]
        return fn
    if isinstance(fn, CompiledModule):
        fn = fn._orig_mod
    elif isinstance(fn, CompiledCallable):
        fn = fn.__wrapped__
    if isinstance(fn, torch.nn.Module):
        return make_twin(fn, mark(fn), functools.partial(disable, recursive=recursive, reason=reason))
    return mark(fn)


def graph_break(msg: str = "") -> None:
    """A graph break at this place, shown with ``msg``. Without compilation it does nothing."""


def is_compiling() -> bool:
    """Whether this code is being captured, by framelift or by ``torch.compile`` or ``torch.export``."""
    return torch.compiler.is_compiling()


def is_dynamo_compiling() -> bool:
    """Whether this code is being captured by framelift or ``torch.compile``; not by ``torch.export``."""
    return torch.compiler.is_dynamo_compiling()


def _disabled(function: Callable[..., Any], recursive: bool, reason: str | None) -> Callable[..., Any]:
    def disabled(*args: Any, **kwargs: Any) -> Any:
        if not recursive:
            return function(*args, **kwargs)
        before = _native.compiling(True)  # while it is set, compiled callables run as they were written
        try:
            return function(*args, **kwargs)
        finally:
            _native.compiling(before)

    if isinstance(function, (FunctionType, MethodType)) or hasattr(function, "__name__"):
        functools.update_wrapper(disabled, function)
    else:
        disabled.__wrapped__ = function  # type: ignore[attr-defined]
    setattr(disabled, DISABLED, reason or "")
    setattr(disabled, DISABLED_RECURSIVELY, recursive)
    return disabled
