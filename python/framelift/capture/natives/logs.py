"""Log records: written when the segment has run, with the place of the program that asked for them.

Whether a logger is enabled is answered during capture (``polyfills/texts.py``). What a record shows is put
into words by the handlers, at the exit, so only what nothing can change until then may be in it.
"""

from __future__ import annotations

import logging
import os

import torch

from framelift.capture.datamodel import attributes, calls
from framelift.capture.effects import DeferredCall, EffectLog
from framelift.capture.natives.registry import native
from framelift.capture.polyfills import is_polyfill
from framelift.capture.values import Constant, Symbol, TupleObject, Value
from framelift.capture.values.objects import type_of
from framelift.observe import reasons
from framelift.observe.errors import Break

PARAMETERS = ("self", "level", "message", "arguments", "exc_info", "extra", "stack_info", "stacklevel")
"""Of ``Logger._log``, by position."""


def write_record(
    logger: logging.Logger, level: int, file: str, line: int, function: str, message: str, *arguments: object
) -> None:
    """What ``Logger._log`` does behind finding its caller."""
    record = logger.makeRecord(logger.name, level, file, line, message, arguments, None, function, None, None)
    logger.handle(record)


@native(logging.Logger._log)
def write_log(vm, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    given = dict(zip(PARAMETERS, arguments, strict=False)) | keywords
    logger = vm.look(given.pop("self"))
    level, message, shown = (vm.look(given.pop(name)) for name in ("level", "message", "arguments"))
    if any(not isinstance(vm.look(value), Constant) or vm.look(value).value for value in given.values()):
        raise Break(reasons.INPUT_OUTPUT, f"a log record with {', '.join(given)}")
    own_way = attributes.lookup(vm, type_of(logger), "findCaller") is not logging.Logger.findCaller
    place = None if own_way or logger.real is None else place_of_caller(vm)
    if place is None:
        raise Break(reasons.INPUT_OUTPUT, "a log record of a place that capture does not know")
    if not (isinstance(shown, TupleObject) and is_lasting(vm, message) and is_lasting(vm, shown)):
        raise Break(reasons.INPUT_OUTPUT, "a log record of objects that may change")
    where = [Constant(part) for part in place]
    vm.effects.add(DeferredCall(write_record, (logger, level, *where, message, *shown.items), ()))
    return Constant(None)


def place_of_caller(vm) -> tuple[str, int, str] | None:
    """File, line and function of the innermost frame that is not the logging module's own."""
    for frame in reversed(vm.frames):
        code = frame.decoded.code
        if os.path.normcase(code.co_filename) != logging._srcfile and not is_polyfill(code):
            return frame.position()[:3]
    return None


def is_lasting(vm, value: Value) -> bool:
    """Whether a value's text is at the exit what it is now."""
    value = vm.look(value)
    if isinstance(value, TupleObject) and value.cls in (tuple, torch.Size):
        return all(is_lasting(vm, item) for item in value.items)
    return isinstance(value, Constant) or (isinstance(value, Symbol) and value.concrete is not None)


WRITERS = (print, write_record)
"""Functions of deferred calls that nothing in the program can see."""


def call_again(function: object, *arguments: object, **keywords: object) -> None:
    """A memoised function is called at the exit: it knows whether it has been."""
    function(*arguments, **keywords)


def once(vm, memoised: Value, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """Run a memoised function again, whose results are its arguments' alone.

    One that only writes text is called itself, at the exit, so that it writes no more often than it would.
    What else has effects can't be run again.
    """
    log: EffectLog = vm.effects
    before = len(log.records)
    wrapped = attributes.get(vm, memoised, "__wrapped__")
    result = vm.look(calls.call(vm, wrapped, arguments, keywords))
    effects = log.records[before:]
    if not effects:
        return result
    writes = all(isinstance(effect, DeferredCall) and effect.function in WRITERS for effect in effects)
    is_nothing = isinstance(result, Constant) and result.value is None
    owner, *rest = arguments or [Constant(None)]
    known = is_lasting(vm, owner) or isinstance(getattr(vm.look(owner), "real", None), logging.Logger)
    rest += keywords.values()
    if not (writes and is_nothing and known and all(is_lasting(vm, value) for value in rest)):
        raise Break(reasons.UNSUPPORTED_CALL, "a memoised function that has effects")
    log.drop(effects)
    log.add(DeferredCall(call_again, (memoised, *arguments, *keywords.values()), tuple(keywords)))
    return result
