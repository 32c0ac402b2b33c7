"""Calls: which of the few ways a callable is called is decided here, for every kind of value.

A Python function is inlined unless a rule says otherwise. A C function has a handler (``natives``), stands
for plain Python (``polyfills``), goes into the graph (``rules``), or is run now because it has no effects and
all of its arguments are constants. Anything else is a break.
"""

from __future__ import annotations

import functools
import types

from framelift.capture import outside
from framelift.capture.datamodel import arrays, attributes, constants, mapping, tensors
from framelift.capture.decode import decode
from framelift.capture.exceptions import raised
from framelift.capture.frame import Frame
from framelift.capture.values import (
    Constant,
    DictObject,
    FunctionObject,
    Instance,
    Lazy,
    MethodObject,
    Tensor,
    TupleObject,
    Value,
)
from framelift.capture.values.objects import Object, type_of
from framelift.guards.sources import Held
from framelift.observe import reasons
from framelift.observe.errors import Break
from framelift.observe.reasons import Reason
from framelift.rules import Rule, RuleKind

VARARGS, VARKEYWORDS, ASYNC = 0x04, 0x08, 0x80 | 0x100 | 0x200
"""Flags of code objects: ``*args``, ``**kwargs``, coroutine or asynchronous generator."""

PARTIAL_FUNCTION = functools.partial.__dict__["func"]
PARTIAL_ARGUMENTS = functools.partial.__dict__["args"]
PARTIAL_KEYWORDS = functools.partial.__dict__["keywords"]


def call(vm, callee: Value, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """``callee(*arguments, **keywords)``."""
    callee = vm.look(callee)
    match callee:
        case FunctionObject():
            return call_function(vm, callee, arguments, keywords)
        case MethodObject():
            return call(vm, callee.function, [callee.owner, *arguments], keywords)
        case Constant():
            return call_constant(vm, callee.value, arguments, keywords)
    cls = type_of(callee)
    if cls is functools.partial:
        return call_partial(vm, callee, arguments, keywords)
    method = attributes.special_method(vm, callee, "__call__")
    if method is None:
        raise raised(TypeError, f"'{cls.__name__}' object is not callable")
    return call(vm, method, arguments, keywords)


def call_function(vm, function: FunctionObject, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """A Python function: by its handler, polyfill or rule, else inlined."""
    real = function.real
    if real is not None:
        handler = vm.tables.find(real)
        if handler is not None:
            return handler(vm, arguments, keywords)
        decided = by_rule(vm, real, arguments, keywords)
        if decided is not None:
            return decided
        if vm.is_pure(real) and all(
            constants.is_constant(vm, item) for item in (*arguments, *keywords.values())
        ):
            return constants.fold(vm, real, arguments, keywords)
    return inline(vm, function, arguments, keywords)


def by_rule(vm, real: object, arguments: list[Value], keywords: dict[str, Value]) -> Value | None:
    """What the rule of a callable says about its calls; None if it is to be interpreted."""
    rule = vm.rule_of(real)
    if rule.target is not None:
        return call(
            vm, Lazy(rule.target, Held(rule.target, qualified_name(rule.target))), arguments, keywords
        )
    if rule.reads_setting and not arguments and not keywords:
        return outside.reading(real)
    if rule.constant_result:
        return constants.fold(vm, real, arguments, keywords)
    match rule.kind:
        case RuleKind.IN_GRAPH | RuleKind.NONSTRICT:
            return tensors.graph_call(vm, real, arguments, keywords)
        case RuleKind.NUMPY:
            result = arrays.call(vm, real, arguments, keywords)
            if result is None:
                raise left_to_cpython(rule, real)
            return result
        case RuleKind.SKIP | RuleKind.DISALLOWED:
            raise left_to_cpython(rule, real)
    return None


BREAKS_WITH = {
    RuleKind.SKIP: reasons.SKIPPED_CALL,
    RuleKind.DISALLOWED: reasons.DISALLOWED_CALL,
    RuleKind.UNKNOWN: reasons.UNKNOWN_CALLABLE,
}
"""The row of a break by the rule's kind, where the rule itself names none."""


def left_to_cpython(rule: Rule, real: object, default: Reason = reasons.UNSUPPORTED_CALL) -> Break:
    """The break for a callable that a rule keeps out, with the rule's own reason."""
    name = qualified_name(real)
    reason = rule.breaks_with or BREAKS_WITH.get(rule.kind, default)
    because = rule.reason.rstrip(".")
    return Break(reason, f"{name} ({rule.origin})", because=f"`{name}` is left to CPython: {because}.")


def qualified_name(real: object) -> str:
    """``module.qualname`` of a callable, for messages."""
    name = getattr(real, "__qualname__", None) or getattr(real, "__name__", None)
    if name is None:
        real = type(real)
        name = real.__qualname__
    owner = getattr(real, "__objclass__", real)
    module = getattr(owner, "__module__", None)
    return f"{module}.{name}" if isinstance(module, str) and module != "builtins" else str(name)


def inline(vm, function: FunctionObject, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """Run the function's body in a frame of its own."""
    code = function.code
    if code.co_flags & ASYNC:
        raise Break(reasons.ASYNC_FUNCTION, function.qualname)
    frame = Frame(decode(code), function)
    bind(vm, frame, function, arguments, keywords)
    return vm.run(frame)


def bind(
    vm, frame: Frame, function: FunctionObject, arguments: list[Value], keywords: dict[str, Value]
) -> None:
    """Put the arguments into the frame's locals as a call does.

    https://docs.python.org/3/reference/expressions.html#calls
    """
    code = function.code
    slots = frame.slots
    positional, keyword_only = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames
    count = min(len(arguments), positional)
    slots[:count] = arguments[:count]
    last = positional + keyword_only
    if code.co_flags & VARARGS:
        slots[last] = TupleObject(arguments[count:])
        last += 1
    elif len(arguments) > positional:
        raise Break(reasons.CALL_DOES_NOT_BIND, f"{function.qualname}: too many positional arguments")
    extra: dict[str, Value] = {}
    for name, value in keywords.items():
        try:
            slot = names.index(name, code.co_posonlyargcount, positional + keyword_only)
        except ValueError:
            if not code.co_flags & VARKEYWORDS:
                raise Break(
                    reasons.CALL_DOES_NOT_BIND, f"{function.qualname}: unexpected keyword argument {name!r}"
                ) from None
            extra[name] = value
            continue
        if slots[slot] is not None:
            raise Break(reasons.CALL_DOES_NOT_BIND, f"{function.qualname}: multiple values for {name!r}")
        slots[slot] = value
    if code.co_flags & VARKEYWORDS:
        slots[last] = mapping.from_names(extra)
    if any(slots[i] is None for i in range(positional + keyword_only)):
        fill_defaults(vm, frame, function)


def fill_defaults(vm, frame: Frame, function: FunctionObject) -> None:
    """Fill unbound parameters from ``__defaults__`` and ``__kwdefaults__``."""
    code, slots = function.code, frame.slots
    defaults, keyword_defaults = outside.open_defaults(vm, function)
    values = defaults.items if isinstance(defaults, TupleObject) else []
    first = code.co_argcount - len(values)
    for slot in range(code.co_argcount + code.co_kwonlyargcount):
        if slots[slot] is not None:
            continue
        found = None
        if slot < code.co_argcount:
            if slot >= first:
                found = values[slot - first]
        elif isinstance(keyword_defaults, DictObject):
            found = mapping.get(vm, keyword_defaults, code.co_varnames[slot])
        if found is None:
            raise Break(
                reasons.CALL_DOES_NOT_BIND,
                f"{function.qualname}: missing argument {code.co_varnames[slot]!r}",
            )
        slots[slot] = found


def call_constant(vm, real: object, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """A class, a C function, an operator of the torch library."""
    handler = vm.tables.find(real)
    if handler is not None:
        return handler(vm, arguments, keywords)
    if isinstance(real, type):
        return call_class(vm, real, arguments, keywords)
    if isinstance(real, types.ClassMethodDescriptorType) and arguments:
        real, arguments = real.__get__(None, vm.look(arguments[0]).value), arguments[1:]
    decided = by_rule(vm, real, arguments, keywords)
    if decided is not None:
        return decided
    if vm.is_pure(real):
        return constants.fold(vm, real, arguments, keywords)
    if not callable(real):
        raise raised(TypeError, f"'{type(real).__name__}' object is not callable")
    method = attributes.lookup(vm, type(real), "__call__")
    if isinstance(method, types.FunctionType):
        return call(
            vm,
            attributes.class_value(vm, type(real), "__call__", method),
            [Constant(real), *arguments],
            keywords,
        )
    if isinstance(real, (types.MethodDescriptorType, types.WrapperDescriptorType)) and arguments:
        return call_method_descriptor(vm, real, arguments, keywords)
    raise unsupported_call(vm, real, arguments)


def call_method_descriptor(vm, real, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """A C method without a handler, on a tensor: into the graph."""
    owner = vm.look(arguments[0])
    if isinstance(owner, Tensor) and issubclass(type_of(owner), real.__objclass__):
        return tensors.graph_method(vm, real.__name__, arguments, keywords)
    raise unsupported_call(vm, real, arguments)


def unsupported_call(vm, real: object, arguments: list[Value]) -> Break:
    """The break for a C callable nobody knows how to trace."""
    rule = vm.rule_of(real)
    if rule.breaks_with is not None:
        return left_to_cpython(rule, real)
    if isinstance(real, types.WrapperDescriptorType):  # the C side of an operator or of a special method
        return Break(reasons.UNSUPPORTED_OPERATION, qualified_name(real))
    if isinstance(real, types.MethodDescriptorType):
        return Break(reasons.UNSUPPORTED_METHOD, qualified_name(real))
    if rule.kind is RuleKind.UNKNOWN:
        return left_to_cpython(rule, real)
    return Break(reasons.UNSUPPORTED_CALL, qualified_name(real))


def call_class(vm, cls: type, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """``cls(...)``: the metaclass's ``__call__``, which is ``type.__call__`` for most.

    https://docs.python.org/3/reference/datamodel.html#object.__new__
    """
    metacall = attributes.lookup(vm, type(cls), "__call__")
    if isinstance(metacall, types.FunctionType):
        method = attributes.class_value(vm, type(cls), "__call__", metacall)
        return call(vm, method, [Constant(cls), *arguments], keywords)
    if vm.is_pure(cls):
        return constants.fold(vm, cls, arguments, keywords)
    decided = by_rule(vm, cls, arguments, keywords)
    return decided if decided is not None else instantiate(vm, cls, arguments, keywords)


def instantiate(vm, cls: type, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """``type.__call__``: ``__new__``, then ``__init__`` if it gave an instance."""
    raw_new = attributes.lookup(vm, cls, "__new__")
    if raw_new is object.__new__:
        value: Value = new_object(vm, cls)
    else:
        new = attributes.bind_to_class(vm, raw_new, cls, "__new__")
        value = vm.look(call(vm, new, [Constant(cls), *arguments], keywords))
    if not issubclass(type_of(value), cls):
        return value
    raw_init = attributes.lookup(vm, type_of(value), "__init__")
    if raw_init is object.__init__:
        if raw_new is object.__new__ and (arguments or keywords):
            raise raised(TypeError, f"{cls.__name__}() takes no arguments")
        return value
    init = attributes.bind(vm, raw_init, value, type_of(value), "__init__")
    call(vm, init, arguments, keywords)
    return value


def new_object(vm, cls: type) -> Instance:
    """``object.__new__(cls)``."""
    if cls.__flags__ & (1 << 20):  # Py_TPFLAGS_IS_ABSTRACT
        raise raised(TypeError, f"Can't instantiate abstract class {cls.__name__}")
    if cls is not object and not cls.__flags__ & (1 << 9):  # Py_TPFLAGS_HEAPTYPE
        raise Break(reasons.UNSUPPORTED_CALL, f"a new {qualified_name(cls)}")
    return Instance(cls)


def call_partial(vm, partial: Object, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """https://docs.python.org/3/library/functools.html#functools.partial"""
    first = vm.look(attributes.get(vm, partial, "args"))
    stored = vm.look(attributes.get(vm, partial, "keywords"))
    names = {key.value: value for key, value in mapping.items(vm, stored)}
    return call(vm, attributes.get(vm, partial, "func"), [*first.items, *arguments], {**names, **keywords})


def new_partial(vm, function: Value, arguments: list[Value], keywords: dict[str, Value]) -> Instance:
    """``functools.partial(function, *arguments, **keywords)``; partials of partials are flattened."""
    function = vm.look(function)
    if type_of(function) is functools.partial:
        inner = vm.look(attributes.get(vm, function, "keywords"))
        names = {key.value: value for key, value in mapping.items(vm, inner)}
        arguments = [*vm.look(attributes.get(vm, function, "args")).items, *arguments]
        return new_partial(vm, attributes.get(vm, function, "func"), arguments, {**names, **keywords})
    value = Instance(functools.partial)
    value.slots = {
        PARTIAL_FUNCTION: function,
        PARTIAL_ARGUMENTS: TupleObject(arguments),
        PARTIAL_KEYWORDS: mapping.from_names(keywords),
    }
    return value
