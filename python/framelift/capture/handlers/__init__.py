"""Handlers: the symbolic meaning of every instruction, one short function each, in one table."""

from framelift.capture.handlers import (
    containers,
    control,
    exceptions,
    generators,
    operations,
    patterns,
    stack,
)
from framelift.capture.handlers.registry import collect

HANDLERS = collect(stack, operations, containers, control, exceptions, generators, patterns)

__all__ = ["HANDLERS"]
