"""The functions a program calls: ``compile``, ``explain``, ``reset``, ``list_backends``.

``compile`` checks its arguments, and then only wraps: capture begins at the first call, in ``pipeline``. What
comes back is a ``CompiledCallable``, which binds arguments, finds an entry and runs it without Python; for a
module it is a twin of the module with such a callable as its call (``module.py``).

Only Python functions have a frame to capture. Any other callable is the argument of a function that calls it,
so that one mechanism serves all.
"""

from __future__ import annotations

import functools
import importlib
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import torch

from framelift._native import CompiledCallable
from framelift.arguments import Arguments
from framelift.module import CompiledModule, make_twin, own_call
from framelift.observe import logs, reasons
from framelift.observe.counters import counters
from framelift.observe.errors import Misuse
from framelift.observe.explain import Explanation

if TYPE_CHECKING:
    from framelift.codegen import Backend
    from framelift.pipeline import Compilation

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]


@overload
def compile(  # noqa: A001
    model: None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] | None = None,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    dynamic_shapes: object = None,
) -> Decorator: ...
@overload
def compile(  # noqa: A001
    model: Function,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] | None = None,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    dynamic_shapes: object = None,
) -> Function: ...
def compile(  # noqa: A001
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] | None = None,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    dynamic_shapes: object = None,
) -> Any:
    """Compile a function, a method, a module or another callable; takes what ``torch.compile`` takes.

    Without ``model`` it is a decorator. Of a class, the calls of its instances are compiled, and the class is
    returned. What has been compiled already is returned as it is, or compiled anew from what it was made of
    when the arguments ask for something else. Raises ``exc.Misuse`` for an argument without a meaning, before
    anything is changed.

    Args:
        model: What to compile. It is not changed, unless it is a class.
        fullgraph: Raise ``exc.Unsupported`` where capture has to give up, instead of leaving it to CPython.
        dynamic: None: a size or number is open once it has been seen to change. True: all are open from the
            beginning. False: all are fixed.
        backend: ``"inductor"``, ``"eager"``, another name in torch's registry, or a callable
            ``(graph_module, example_inputs) -> callable``. None is Inductor where it applies, eager
            elsewhere; ``explain`` says which.
        mode: A preset of the backend's options, such as ``"max-autotune"``.
        options: Options of the backend, in place of a mode.
        name: What logs and reports call it.
        disable: Return ``model`` as it is.
        recompile_limit: Entries of this callable; None is ``config.recompile_limit``.
        isolate_recompiles: Accepted: the entries of one compiled callable never count for another.
        dynamic_shapes: Not implemented; only None is accepted.
    """
    arguments = Arguments(
        fullgraph,
        dynamic,
        backend,
        mode,
        options,
        name,
        disable,
        recompile_limit,
        isolate_recompiles,
        dynamic_shapes,
    )
    arguments.check()
    resolved = _backend(arguments)
    if model is None:
        return functools.partial(_compile, arguments=arguments)
    return _compile(model, arguments, resolved)


def explain(
    model: Callable[..., Any],
    *,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] | None = None,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Callable[..., Explanation]:
    """``print(framelift.explain(f)(x))``: what compiling ``f`` gives for a call with these arguments.

    The call is really made, once, on a fresh compilation of ``f``; a compiled ``f`` keeps its own entries,
    and its arguments are used where none are given here.
    """
    given = Arguments(dynamic=dynamic, backend=backend, mode=mode, options=options)
    given.check()
    target, arguments = _original(model, given)
    resolved = _backend(arguments)
    _check_callable(target, "explain")

    def explained(*args: Any, **kwargs: Any) -> Explanation:
        compiled = _callable(target, Arguments(dynamic=arguments.dynamic, name=arguments.name), resolved)
        result = compiled(*args, **kwargs)
        compilation = _compilation(compiled)
        # A generator is captured when it goes on: the report grows while the result is used.
        records = compilation.records if compilation.suspends else tuple(compilation.records)
        return Explanation(compilation.name, records, result)

    return explained


def reset() -> None:
    """Forget everything that was compiled, counted and said; settings stay as they are."""
    for compiled in list(_live):
        compiled.clear()
        compiled.passthrough = False
        _compilation(compiled).reset()
    counters.clear()
    logs.forget()


def list_backends(exclude_tags: Sequence[str] | None = ("debug", "experimental")) -> list[str]:
    """The names that ``backend`` may have: "eager", and those in torch's registry without the excluded tags.

    The registry holds torch's own, those that a program has registered, and entry points of packages.
    """
    return _pipeline().codegen.backends.names(tuple(exclude_tags or ()))


_live: weakref.WeakKeyDictionary[CompiledCallable, Arguments] = weakref.WeakKeyDictionary()
"""Every compiled callable of the process, for ``reset`` and for compiling one again."""


def _call(target: Any, /, *args: Any, **kwargs: Any) -> Any:
    """The function that is captured for a callable that is not a function."""
    return target(*args, **kwargs)


def _compile(model: Any, arguments: Arguments, backend: Backend | None = None) -> Any:
    _check_callable(model, "compile")
    if arguments.disable:
        return model
    target, arguments = _original(model, arguments)
    if _arguments_of(model) == arguments:
        return model
    backend = backend or _backend(arguments)
    if isinstance(target, (staticmethod, classmethod)):
        return type(target)(_compile(target.__func__, arguments, backend))
    if isinstance(target, type):
        call = _compile(own_call(target), arguments, backend)
        target.__call__ = call  # type: ignore[operator]
        return target
    compiled = _callable(target, arguments, backend)
    if isinstance(target, torch.nn.Module):
        module = target._orig_mod if isinstance(target, CompiledModule) else target
        return make_twin(module, compiled, functools.partial(_compile, arguments=arguments))
    return compiled


def _callable(target: Any, arguments: Arguments, backend: Backend) -> CompiledCallable:
    """The compiled callable for anything that can be called."""
    if isinstance(target, FunctionType):
        function, bound_self = target, None
    elif isinstance(target, MethodType) and isinstance(target.__func__, FunctionType):
        function, bound_self = target.__func__, target.__self__
    else:
        function, bound_self = _call, target
    name = getattr(target, "__qualname__", None)
    if not isinstance(name, str):
        name = type(target).__qualname__
    compilation = _pipeline().Compilation(
        function,
        name=arguments.name or name,
        backend=backend,
        fullgraph=arguments.fullgraph,
        dynamic=arguments.dynamic,
        recompile_limit=arguments.recompile_limit,
    )
    compiled = CompiledCallable(function, bound_self, compilation.miss)
    compiled.child_for = compilation.child_for
    if function is _call:
        functools.update_wrapper(compiled, target, updated=())
        if not hasattr(target, "__name__"):
            compiled.__name__, compiled.__qualname__ = type(target).__name__, name
    _live[compiled] = arguments
    return compiled


def _pipeline() -> ModuleType:
    """The pipeline, imported by the first ``compile``.

    It brings all rooms with it, and they bring sympy, which ``import framelift`` must not cost.
    """
    return importlib.import_module("framelift.pipeline")


def _compilation(compiled: CompiledCallable) -> Compilation:
    return compiled.on_miss.__self__


def _backend(arguments: Arguments) -> Backend:
    options = None if arguments.options is None else dict(arguments.options)
    return _pipeline().codegen.resolve(arguments.backend, arguments.mode, options)


def _arguments_of(model: Any) -> Arguments | None:
    """What a compiled callable or module was compiled with."""
    call = model._framelift_call if isinstance(model, CompiledModule) else model
    return _live.get(call) if isinstance(call, CompiledCallable) else None


def _original(model: Any, arguments: Arguments) -> tuple[Any, Arguments]:
    """What a compiled ``model`` was made of; its own arguments when none are given."""
    own = _arguments_of(model)
    if own is None:
        return model, arguments
    target = model._orig_mod if isinstance(model, CompiledModule) else model.__wrapped__
    return target, own if arguments == Arguments() else arguments


def _check_callable(model: Any, function: str) -> None:
    if not callable(model) and not isinstance(model, classmethod):
        what = f"framelift.{function} was given {_short(model)}, a {type(model).__qualname__}"
        allowed = "a function, a method, a torch.nn.Module, a class or another callable"
        raise Misuse(reasons.NOT_CALLABLE, what, allowed=allowed)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
