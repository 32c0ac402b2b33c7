"""Handlers of C callables: what needs storage, types or identity and so can't be a polyfill."""

from framelift.capture.natives import (
    classes,
    functions,
    getters,
    introspection,
    iterators,
    logs,
    mappings,
    numbers,
    sequences,
    sets,
    strings,
    warning,
)
from framelift.capture.natives.registry import marked

NATIVES = [
    *marked(classes),
    *marked(functions),
    *marked(getters),
    *marked(introspection),
    *marked(iterators),
    *marked(logs),
    *marked(mappings),
    *marked(numbers),
    *marked(sequences),
    *marked(sets),
    *marked(strings),
    *marked(warning),
    *classes.exception_constructors(),
    *classes.exception_texts(),
    *functions.operator_functions(),
    *getters.getter_classes(),
    *mappings.view_methods(),
    *numbers.number_functions(),
    *sequences.order_methods(),
    *sets.set_methods(),
]

__all__ = ["NATIVES"]
