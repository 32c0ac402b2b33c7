"""Text of values: ``str``, ``repr``, ``format``."""

from __future__ import annotations

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
    Value,
)
from framelift.capture.values.objects import type_of
from framelift.observe import reasons
from framelift.observe.errors import Break


def to_text(vm, value: Value, function=str) -> Value:
    """``str(value)``, ``repr(value)`` or ``ascii(value)``."""
    value = vm.look(value)
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


def joined(vm, parts: list[Value]) -> Value:
    """The parts of a formatted string as one; with text of data among them it is such text too."""
    unknown = next(filter(is_postponed, parts), None)
    return unknown or Constant("".join(vm.look(part).value for part in parts))


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
    value, spec = vm.look(value), vm.look(spec)
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
