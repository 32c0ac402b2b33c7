"""Handlers of C callables: what needs storage, types or identity and so can't be a polyfill."""

from framelift.capture.natives import classes, containers, functions, introspection, logs, numbers
from framelift.capture.natives.registry import marked

NATIVES = [
    *marked(classes),
    *marked(containers),
    *marked(functions),
    *marked(introspection),
    *marked(logs),
    *marked(numbers),
    *classes.exception_constructors(),
    *classes.exception_texts(),
    *containers.getter_classes(),
    *containers.order_methods(),
    *containers.set_methods(),
    *containers.view_methods(),
    *functions.operator_functions(),
    *numbers.number_functions(),
]

__all__ = ["NATIVES"]
