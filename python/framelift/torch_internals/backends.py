"""Other backends than Inductor: those that packages and programs register with torch.

Used of torch: the registry, whose package is imported when it is asked, and the tracing context in which a
backend that uses AOTAutograd finds the fakes of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch._guards import TracingContext, tracing

from framelift.torch_internals.fake_tensors import remember_fake

if TYPE_CHECKING:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx import GraphModule


def compile_with_callable(
    function: Callable[..., Any],
    module: GraphModule,
    examples: Sequence[Any],
    fakes: Sequence[Any],
    mode: FakeTensorMode,
    named: dict[str, Any],
) -> Any:
    """What a backend in the form that ``torch.compile`` takes makes of a graph.

    It is given the real inputs. Backends that use AOTAutograd find the fakes of these in the fake mode of the
    tracing context, with their symbols.
    """
    for real, fake in zip(examples, fakes, strict=True):
        if isinstance(real, torch.Tensor):
            remember_fake(mode, real, fake)
    with tracing(TracingContext(mode)):
        return function(module, list(examples), **named)


def registered_backends(hidden: Sequence[str] = ()) -> list[str]:
    """Names in torch's registry of backends, entry points of installed packages included, without those that
    have a tag in ``hidden``."""
    from torch._dynamo.backends.registry import list_backends

    return list_backends(exclude_tags=tuple(hidden))


def registered_backend(name: str) -> Callable[..., Any] | None:
    """The callable in torch's registry of backends, None where nobody registered one."""
    from torch._dynamo.backends import registry

    return registry.lookup_backend(name) if name in registered_backends() else None
