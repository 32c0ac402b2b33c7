"""Exceptions of the program that is interpreted.

``Raised`` travels through the interpreter as a host exception and carries the program's own exception
object, a value. It never leaves a capture: one that escapes the outermost frame is a break.
"""

from __future__ import annotations

import types

from framelift.capture.values import Constant, Instance, Lazy, Opaque, TupleObject, Value
from framelift.guards.sources import Descriptor

ARGUMENTS = BaseException.__dict__["args"]
CAUSE = BaseException.__dict__["__cause__"]
CONTEXT = BaseException.__dict__["__context__"]
SUPPRESS_CONTEXT = BaseException.__dict__["__suppress_context__"]
TRACEBACK = BaseException.__dict__["__traceback__"]
STOP_VALUE = StopIteration.__dict__["value"]
EXIT_CODE = SystemExit.__dict__["code"]


class Raised(Exception):
    """A program's exception on its way to a handler; ``stack`` is where it was raised, ``callees`` the codes
    called there that have frames of their own in CPython."""

    def __init__(self, value: Instance) -> None:
        super().__init__(value)
        self.value = value
        self.stack: list[tuple] = []
        self.callees: tuple[types.CodeType, ...] = ()


def new_exception(cls: type[BaseException], arguments: list[Value]) -> Instance:
    """An exception object as ``BaseException.__new__`` makes it."""
    value = Instance(cls)
    value.slots = {
        ARGUMENTS: TupleObject(list(arguments)),
        CAUSE: Constant(None),
        CONTEXT: Constant(None),
        SUPPRESS_CONTEXT: Constant(False),
        TRACEBACK: Constant(None),
    }
    if issubclass(cls, StopIteration):
        value.slots[STOP_VALUE] = arguments[0] if arguments else Constant(None)
    if issubclass(cls, SystemExit):
        single = arguments[0] if arguments else Constant(None)
        value.slots[EXIT_CODE] = single if len(arguments) < 2 else TupleObject(list(arguments))
    return value


def raised(cls: type[BaseException], *arguments: object) -> Raised:
    """``raise cls(*arguments)`` with constants (or values) as arguments, to be raised by the caller."""
    values = [item if isinstance(item, Value) else Constant(item) for item in arguments]
    return Raised(new_exception(cls, values))


def arguments_of(value: Instance) -> list[Value]:
    """The ``args`` of an exception made during capture."""
    arguments = (value.slots or {}).get(ARGUMENTS)
    return arguments.items if isinstance(arguments, TupleObject) else []


def details(exception: Instance) -> list[Value]:
    """Class, exception and traceback, as ``__exit__`` and ``sys.exc_info`` have them."""
    if exception.real is None:
        trace = Opaque(types.TracebackType, "a traceback")
    else:
        source = Descriptor(exception.source, TRACEBACK, "__traceback__")
        trace = Lazy(exception.real.__traceback__, source)
    return [Constant(exception.cls), exception, trace]
