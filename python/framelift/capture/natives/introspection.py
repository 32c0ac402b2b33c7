"""Functions of ``inspect`` and ``sys`` that ask about functions and the process.

https://docs.python.org/3/library/inspect.html#introspecting-callables-with-the-signature-object
"""

from __future__ import annotations

import inspect
import sys
import types
import weakref

from framelift.capture import outside
from framelift.capture.datamodel import mapping
from framelift.capture.exceptions import details
from framelift.capture.natives.registry import native
from framelift.capture.values import Constant, FunctionObject, Lazy, MethodObject, TupleObject
from framelift.guards import kinds
from framelift.guards.sources import DictItem, FunctionField, Held, Referent
from framelift.observe import reasons
from framelift.observe.errors import Break


@native(inspect.signature)
def signature(vm, arguments, keywords):
    """The signature of an outside function: its code, defaults and ``__wrapped__`` are guarded."""
    target = vm.look(arguments[0])
    bound = isinstance(target, MethodObject)
    function = vm.look(target.function) if bound else target
    if isinstance(function, Constant) and isinstance(function.value, type):
        raise Break(reasons.UNSUPPORTED_CALL, "inspect.signature of a class")
    if keywords or len(arguments) > 1 or not isinstance(function, FunctionObject) or function.real is None:
        raise Break(reasons.UNSUPPORTED_CALL, "inspect.signature")
    guard_signature(vm, function)
    real = types.MethodType(function.real, Ellipsis) if bound else function.real
    found = inspect.signature(real)
    return vm.look(Lazy(found, Held(found, f"signature({function.qualname})")))


def guard_signature(vm, function: FunctionObject) -> None:
    """Guard all that the signature of a function is made of."""
    vm.guards.add(FunctionField(function.source, "defaults"), kinds.Is(function.real.__defaults__))
    vm.guards.add(FunctionField(function.source, "kwdefaults"), kinds.Is(function.real.__kwdefaults__))
    attributes = outside.instance_dict(vm, function)
    if mapping.get(vm, attributes, "__signature__") is not None:
        raise Break(reasons.UNSUPPORTED_CALL, "inspect.signature of a function with __signature__")
    wrapped = mapping.get(vm, attributes, "__wrapped__")
    if wrapped is not None:
        vm.guards.add(DictItem(attributes.source, "__wrapped__"), kinds.Is(function.real.__wrapped__))
        inner = vm.look(wrapped)
        if isinstance(inner, FunctionObject):
            guard_signature(vm, inner)


@native(weakref.ref.__call__)
def weak_reference_call(vm, arguments, keywords):
    """What a weak reference from outside refers to: alive as at capture, or gone for good."""
    reference = vm.look(arguments[0])
    if isinstance(reference, Constant) or reference.real is None or reference.cls is not weakref.ref:
        raise Break(reasons.UNSUPPORTED_CALL, "a weak reference made here")
    real = reference.real()
    if real is None:
        vm.guards.add(reference.source, kinds.Is(reference.real))
        return Constant(None)
    return Lazy(real, Referent(reference.source))


@native(sys.exc_info)
def exception_info(vm, arguments, keywords):
    """Class, exception and traceback of what is being handled, here or by a caller."""
    handled = vm.handled_exception()
    nothing = isinstance(handled, Constant)
    return TupleObject([handled] * 3 if nothing else details(handled))


@native(sys.getrecursionlimit)
def recursion_limit(vm, arguments, keywords):
    return outside.reading(sys.getrecursionlimit)
