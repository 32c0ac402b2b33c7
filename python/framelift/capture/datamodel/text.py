"""Text of values: ``str``, ``repr``, ``format``."""

from __future__ import annotations

from collections.abc import Callable

import torch

from framelift.capture.datamodel import attributes, calls, constants
from framelift.capture.exceptions import raised
from framelift.capture.values import (
    Constant,
    FunctionObject,
    Instance,
    Lazy,
    Postponed,
    Symbol,
    Tensor,
    TupleObject,
    Unwritten,
    Value,
)
from framelift.capture.values.objects import type_of
from framelift.guards.sources import Held
from framelift.observe import reasons
from framelift.observe.errors import Break


def to_text(vm, value: Value, function=str) -> Value:
    """``str(value)``, ``repr(value)`` or ``ascii(value)``."""
    value = vm.look(value)
    if has_open_sizes(vm, value):
        return unwritten(lambda: to_text(vm, with_known_sizes(vm, value), function))
    if isinstance(value, Symbol):
        value = Constant(vm.specialize(value))
    if isinstance(value, Tensor):
        return vm.postpone(Break(reasons.DATA_DEPENDENT_VALUE, f"{function.__name__} of a tensor"))
    try:
        return constants.run(vm, function, [known_text(vm, value)], {})
    except constants.NotConstant:
        pass
    name = "__str__" if function is str else "__repr__"
    method = attributes.special_method(vm, value, name)
    return vm.look(calls.call(vm, method, [], {}))


def is_postponed(value: Value) -> bool:
    """Whether a value is text of data."""
    return isinstance(value, Lazy) and isinstance(value.real, Postponed)


def unwritten(write: Callable[[], Value]) -> Lazy:
    """Text of sizes that are open: they stay open as long as nobody looks at it."""
    text = Unwritten(write)
    return Lazy(text, Held(text, "text"))


def is_size(value: Value) -> bool:
    """Whether a value is a whole number or a truth value that is open, and known in this call."""
    is_whole = isinstance(value, Symbol) and isinstance(value.symbolic, torch.SymInt | torch.SymBool)
    return is_whole and value.concrete is not None


def has_open_sizes(vm, value: Value) -> bool:
    """Whether a value is a size that is open, or a tuple with one in it."""
    if isinstance(value, TupleObject) and value.cls in (tuple, torch.Size):
        return any(has_open_sizes(vm, vm.look(item)) for item in value.items)
    return is_size(value)


def with_known_sizes(vm, value: Value) -> Value:
    """The value of ``has_open_sizes`` with the sizes of this call, which are assumed."""
    value = vm.look(value)
    if isinstance(value, TupleObject) and value.cls in (tuple, torch.Size):
        return TupleObject([with_known_sizes(vm, item) for item in value.items], value.cls)
    return Constant(vm.specialize(value)) if is_size(value) else value


def joined(vm, parts: list[Value]) -> Value:
    """The parts of a formatted string as one; with text of data or of open sizes it is such text too."""
    if (unknown := next(filter(is_postponed, parts), None)) is not None:
        return unknown
    if any(isinstance(part, Lazy) and isinstance(part.real, Unwritten) for part in parts):
        return unwritten(lambda: written(vm, parts))
    return written(vm, parts)


def written(vm, parts: list[Value]) -> Constant:
    """Parts whose text is known by now, as one."""
    return Constant("".join(vm.look(part).value for part in parts))


def known_text(vm, value: Value) -> object:
    """The host object whose text is the value's; raises ``NotConstant`` where code decides."""
    if isinstance(value, Constant) and isinstance(value.value, type) and type(value.value) is not type:
        raise constants.NotConstant(value)
    if isinstance(value, Constant) and type(value.value).__module__ not in PLAIN_MODULES:
        raw = attributes.lookup(vm, type(value.value), "__repr__")
        if raw is object.__repr__:
            raise Break(reasons.ADDRESS_IN_TEXT, type(value.value).__qualname__)
    return constants.constant_of(vm, value)


PLAIN_MODULES = frozenset(["builtins", "torch", "enum", "types", "typing"])


def object_text(vm, value: Value) -> Value:
    """``object.__repr__`` and ``object.__str__``: the former shows an address and is left to CPython."""
    method = attributes.special_method(vm, value, "__repr__")
    raw = attributes.lookup(vm, type_of(vm.look(value)), "__repr__")
    if raw is object.__repr__:
        raise Break(reasons.ADDRESS_IN_TEXT, type_of(vm.look(value)).__qualname__)
    return vm.look(calls.call(vm, method, [], {}))


def formatted(vm, value: Value, spec: Value) -> Value:
    """``format(value, spec)``; text of data stays as it is where ``value`` is that already.

    https://docs.python.org/3/reference/datamodel.html#object.__format__
    """
    if is_postponed(value):
        return value
    if isinstance(value, Lazy) and isinstance(value.real, Unwritten):
        return unwritten(lambda: formatted(vm, vm.look(value), spec))
    value, spec = vm.look(value), vm.look(spec)
    if has_open_sizes(vm, value):
        return unwritten(lambda: formatted(vm, with_known_sizes(vm, value), spec))
    if isinstance(value, Symbol):
        value = Constant(vm.specialize(value))
    if isinstance(value, Tensor):
        return vm.postpone(Break(reasons.DATA_DEPENDENT_VALUE, "format of a tensor"))
    if not isinstance(spec, Constant):
        raise raised(TypeError, "format() argument 2 must be str")
    raw = attributes.lookup(vm, type_of(value), "__format__")
    if raw is object.__format__ or (isinstance(value, (Instance, FunctionObject)) and not is_python(raw)):
        if spec.value:
            raise raised(
                TypeError, f"unsupported format string passed to {type_of(value).__name__}.__format__"
            )
        return to_text(vm, value)
    if is_python(raw) and not isinstance(value, Constant):
        return vm.look(calls.call(vm, attributes.special_method(vm, value, "__format__"), [spec], {}))
    try:
        return constants.run(vm, format, [constants.constant_of(vm, value), spec.value], {})
    except constants.NotConstant:
        raise Break(reasons.UNSUPPORTED_CALL, f"format of a {type_of(value).__qualname__}") from None


def is_python(raw: object) -> bool:
    """Whether a raw class attribute is a Python function."""
    return isinstance(raw, type(is_python))
