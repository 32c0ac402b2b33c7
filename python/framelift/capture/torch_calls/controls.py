"""framelift's and torch's own controls met in user code: breaks, compiled callables, questions."""

from __future__ import annotations

from framelift import controls
from framelift._native import CompiledCallable
from framelift.capture.datamodel import calls, text
from framelift.capture.natives.registry import native
from framelift.capture.values import Constant, Lazy, MethodObject
from framelift.guards.sources import Held
from framelift.observe import reasons
from framelift.observe.errors import Break


@native(controls.graph_break)
def graph_break(vm, arguments, keywords):
    message = arguments[0] if arguments else keywords.get("msg", Constant(""))
    shown = vm.look(text.to_text(vm, message)).value
    raise Break(reasons.USER_GRAPH_BREAK, f"message: {shown!r}", because=shown)


def torch_graph_break(vm, arguments, keywords):
    """``torch._dynamo.graph_break``: torch's own code asks its own compiler for breaks it needs there."""
    caller = vm.frames[-1].function.globals.real if vm.frames else None
    name = caller.get("__name__", "") if caller is not None else ""
    if name == "torch" or name.startswith("torch."):
        return Constant(None)
    return graph_break(vm, arguments, keywords)


@native(controls.is_compiling, controls.is_dynamo_compiling)
def is_compiling(vm, arguments, keywords):
    return Constant(True)


@native(CompiledCallable.__call__)
def compiled_call(vm, arguments, keywords):
    """A compiled callable met inside is captured as what it was made of."""
    compiled = vm.look(arguments[0]).real
    target = (
        compiled.function if compiled.bound_self is None else compiled.function.__get__(compiled.bound_self)
    )
    return calls.call(vm, Lazy(target, Held(target, compiled.__qualname__)), arguments[1:], keywords)


@native(CompiledCallable.__get__)
def compiled_get(vm, arguments, keywords):
    owner = vm.look(arguments[1])
    if isinstance(owner, Constant) and owner.value is None:
        return vm.look(arguments[0])
    return MethodObject(vm.look(arguments[0]), owner)
