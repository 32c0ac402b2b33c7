"""Handlers of generators: suspension, delegation, the first call.

https://docs.python.org/3/reference/expressions.html#yield-expressions
"""

from __future__ import annotations

import inspect
import types

from framelift.capture.datamodel import attributes, calls, iteration
from framelift.capture.decode import instruction as op
from framelift.capture.exceptions import STOP_VALUE, Raised, raised
from framelift.capture.handlers.registry import handler
from framelift.capture.interpreter import Yielded
from framelift.capture.polyfills import is_polyfill
from framelift.capture.values import Constant, GeneratorObject
from framelift.capture.values.objects import type_of
from framelift.observe import reasons
from framelift.observe.errors import Break

AWAITS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
"""Flags of code that sends to what it awaits only, where other generators delegate."""


@handler(op.ReturnGenerator)
def return_generator(vm, frame, inst):
    generator = GeneratorObject(frame)
    frame.generator = generator
    vm.note_generator(generator)
    return generator


@handler(op.YieldValue)
def yield_value(vm, frame, inst):
    return Yielded(frame.stack.pop())


@handler(op.GetYieldFromIter)
def get_yield_from_iter(vm, frame, inst):
    if type_of(vm.look(frame.stack[-1])) is types.CoroutineType:
        raise Break(reasons.ASYNC_FUNCTION, "yield from a coroutine")
    frame.stack.append(iteration.iterator_of(vm, frame.stack.pop()))


@handler(op.Send)
def send(vm, frame, inst):
    if frame.decoded.code.co_flags & AWAITS:
        raise Break(reasons.ASYNC_FUNCTION, "await")
    sent = frame.stack.pop()
    receiver = vm.look(frame.stack[-1])
    yielded, returned = send_to(vm, receiver, sent)
    if yielded is not None:
        frame.stack.append(yielded)
        return
    if inst.pops_at_end:
        frame.stack.pop()
    frame.stack.append(returned)
    frame.index = inst.target


def send_to(vm, receiver, sent):
    """``(yielded, None)`` or ``(None, returned)`` of one step of a sub-generator."""
    if isinstance(receiver, GeneratorObject):
        result = vm.resume(receiver, sent)
        return (None, receiver.returned) if result is None else (result[0], None)
    is_none = isinstance(vm.look(sent), Constant) and vm.look(sent).value is None
    try:
        if not is_none:
            return calls.call(vm, attributes.get(vm, receiver, "send"), [sent], {}), None
        method = attributes.special_method(vm, receiver, "__next__")
        if method is None or not hasattr(receiver, "cls") or iteration.has_place(receiver):
            value = iteration.next_of(vm, receiver)
            return (value, None) if value is not None else (None, Constant(None))
        return calls.call(vm, method, [], {}), None
    except Raised as error:
        if issubclass(error.value.cls, StopIteration):
            return None, error.value.slots[STOP_VALUE]
        raise


@handler(op.EndSend)
def end_send(vm, frame, inst):
    value = frame.stack.pop()
    frame.stack[-1] = value


@handler(op.StopIterationError)
def stop_iteration_error(vm, frame, inst):
    if issubclass(frame.stack[-1].cls, StopIteration) and not is_polyfill(frame.decoded.code):
        raise raised(RuntimeError, "generator raised StopIteration")


@handler(
    op.CleanupThrow,
    op.GetAwaitable,
    op.GetAsyncIter,
    op.GetAsyncNext,
    op.EndAsyncFor,
    op.AsyncGeneratorWrap,
)
def asynchronous(vm, frame, inst):
    raise Break(reasons.ASYNC_FUNCTION, type(inst).__name__)
