"""Warnings: given when the segment has run, with the place of the program that asked for them.

https://docs.python.org/3/library/warnings.html#warnings.warn

What a filter makes an error is CPython's to raise. So every filter up to the one that applies is a fact.
"""

from __future__ import annotations

import _warnings
import warnings

from framelift.capture.polyfills.registry import give_warning, leave_to_cpython, place_of_warning, polyfill


@polyfill(_warnings.warn)
def warn(message, category=None, stacklevel=1, source=None, **others):
    if others or source is not None or type(message) is not str:
        leave_to_cpython("a warning object, its source, or files to skip")
    if category is None:
        category = UserWarning
    elif not (isinstance(category, type) and issubclass(category, Warning)):
        leave_to_cpython("a category that is none")
    file, line, namespace = place_of_warning(stacklevel)
    if type(namespace.get("__name__")) is not str:
        leave_to_cpython("a warning of a module without a name")
    module = namespace["__name__"]
    for action, text, of, where, number in warnings.filters:
        if not (
            issubclass(category, of)
            and (number == 0 or number == line)
            and applies(text, message)
            and applies(where, module)
        ):
            continue
        if action == "error":
            leave_to_cpython("a warning that is an error")
        break
    else:
        if warnings.defaultaction == "error":
            leave_to_cpython("a warning that is an error")
    give_warning(message, category, file, line, module, namespace)


def applies(pattern, text):
    """Whether a part of a filter is one of this text."""
    if pattern is None:
        return True
    if type(pattern) is str:
        return pattern == text
    return pattern.match(text) is not None
