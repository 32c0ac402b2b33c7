"""Handlers of ``raise``, ``try`` and ``with``.

https://docs.python.org/3/reference/compound_stmts.html#the-try-statement
https://docs.python.org/3/reference/compound_stmts.html#the-with-statement
"""

from __future__ import annotations

from framelift.capture.datamodel import attributes, calls
from framelift.capture.decode import instruction as op
from framelift.capture.exceptions import CAUSE, SUPPRESS_CONTEXT, Raised, details, raised
from framelift.capture.handlers.registry import handler
from framelift.capture.values import Constant, Instance, TupleObject
from framelift.capture.values.objects import type_of
from framelift.observe import reasons
from framelift.observe.errors import Break


@handler(op.LoadAssertionError)
def load_assertion_error(vm, frame, inst):
    frame.stack.append(Constant(AssertionError))


@handler(op.RaiseVarargs)
def raise_varargs(vm, frame, inst):
    values = frame.pop(inst.count)
    if not values:
        handled = vm.handled_exception()
        if isinstance(handled, Constant):
            raise raised(RuntimeError, "No active exception to reraise")
        raise Raised(made_here(handled))
    exception = made_here(exception_instance(vm, values[0]))
    if inst.count == 2:
        cause = vm.look(values[1])
        if not (isinstance(cause, Constant) and cause.value is None):
            cause = exception_instance(vm, cause)
        exception.slots[CAUSE] = cause
        exception.slots[SUPPRESS_CONTEXT] = Constant(True)
    raise Raised(exception)


def exception_instance(vm, value) -> Instance:
    """What ``raise value`` raises: an instance, or an instance of the class."""
    value = vm.look(value)
    if (
        isinstance(value, Constant)
        and isinstance(value.value, type)
        and issubclass(value.value, BaseException)
    ):
        value = vm.look(calls.call(vm, value, [], {}))
    if isinstance(value, Instance) and issubclass(value.cls, BaseException):
        return value
    raise raised(TypeError, "exceptions must derive from BaseException")


def made_here(exception: Instance) -> Instance:
    """The same exception, if capture made it: raising another one changes it at once."""
    if exception.real is not None:
        raise Break(reasons.EXCEPTION_FROM_OUTSIDE, f"{exception.source}")
    return exception


@handler(op.Reraise)
def reraise(vm, frame, inst):
    raise Raised(made_here(vm.look(frame.stack.pop())))


@handler(op.PushExcInfo)
def push_exc_info(vm, frame, inst):
    exception = frame.stack.pop()
    frame.stack += [vm.handled, exception]
    vm.handled = exception


@handler(op.PopExcept)
def pop_except(vm, frame, inst):
    vm.handled = frame.stack.pop()


@handler(op.CheckExcMatch)
def check_exc_match(vm, frame, inst):
    wanted = vm.look(frame.stack.pop())
    frame.stack.append(Constant(matches(vm, vm.look(frame.stack[-1]), wanted)))


def matches(vm, exception: Instance, wanted) -> bool:
    """Whether an ``except`` clause takes an exception."""
    wanted = vm.look(wanted)
    if isinstance(wanted, TupleObject):
        return any(matches(vm, exception, item) for item in wanted.items)
    if (
        isinstance(wanted, Constant)
        and isinstance(wanted.value, type)
        and issubclass(wanted.value, BaseException)
    ):
        return issubclass(exception.cls, wanted.value)
    raise raised(TypeError, "catching classes that do not inherit from BaseException is not allowed")


@handler(op.CheckExceptionGroupMatch, op.PrepareReraiseStar)
def exception_groups(vm, frame, inst):
    raise Break(reasons.EXCEPTION_GROUP, "except*")


@handler(op.BeforeWith)
def before_with(vm, frame, inst):
    manager = vm.look(frame.stack.pop())
    enter = attributes.special_method(vm, manager, "__enter__")
    leave = attributes.special_method(vm, manager, "__exit__")
    if enter is None or leave is None:
        missing = "" if enter is None else " (missed __exit__ method)"
        name = type_of(manager).__name__
        raise raised(TypeError, f"'{name}' object does not support the context manager protocol{missing}")
    frame.stack.append(leave)
    frame.stack.append(calls.call(vm, enter, [], {}))


@handler(op.WithExceptStart)
def with_except_start(vm, frame, inst):
    leave = frame.stack[-4]
    frame.stack.append(calls.call(vm, leave, details(vm.look(frame.stack[-1])), {}))


@handler(op.BeforeAsyncWith)
def before_async_with(vm, frame, inst):
    raise Break(reasons.ASYNC_FUNCTION, "async with")
