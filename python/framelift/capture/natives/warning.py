"""Where a warning is given, and giving it at the exit (``polyfills/warning.py``)."""

from __future__ import annotations

import warnings

from framelift.capture.effects import DeferredCall
from framelift.capture.natives.logs import is_lasting
from framelift.capture.natives.registry import native
from framelift.capture.polyfills import is_polyfill
from framelift.capture.polyfills.registry import give_warning, place_of_warning
from framelift.capture.values import Constant, TupleObject, Value
from framelift.observe import reasons
from framelift.observe.errors import Break


def warn_there(message: str, category: type, file: str, line: int, module: str, namespace: dict) -> None:
    """What ``warnings.warn`` does behind finding its caller."""
    registry = namespace.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, file, line, module, registry)


@native(place_of_warning)
def place_of_frame(vm, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """File, line and globals of the frame that a stack level means."""
    level = vm.look(arguments[0])
    frames = [frame for frame in reversed(vm.frames) if not is_polyfill(frame.decoded.code)]
    if not isinstance(level, Constant) or type(level.value) is not int or level.value > len(frames):
        raise Break(reasons.LIVE_FRAME, "a warning of a frame outside of the compiled function")
    frame = frames[max(level.value, 1) - 1]
    file, line, *_ = frame.position()
    return TupleObject([Constant(file), Constant(line), frame.function.globals])


@native(give_warning)
def warn_at_the_exit(vm, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    if not all(is_lasting(vm, argument) for argument in (arguments[0], *arguments[2:5])):
        raise Break(reasons.LIVE_FRAME, "a warning with a text that may change")
    vm.effects.add(DeferredCall(warn_there, tuple(arguments), ()))
    return Constant(None)
