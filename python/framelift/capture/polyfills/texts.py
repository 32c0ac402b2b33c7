"""``repr`` of containers in plain Python: of those whose items are not all constants.

https://docs.python.org/3/library/functions.html#repr

A container that holds itself is followed until capture gives up: CPython then shows ``[...]``.
"""

from __future__ import annotations

import collections
import logging

import torch

from framelift.capture.polyfills.registry import leave_to_cpython, polyfill


@polyfill(list.__repr__)
def list_repr(self, /):
    return "[" + ", ".join([repr(item) for item in self]) + "]"


@polyfill(tuple.__repr__)
def tuple_repr(self, /):
    if len(self) == 1:
        return "(" + repr(self[0]) + ",)"
    return "(" + ", ".join([repr(item) for item in self]) + ")"


@polyfill(torch.Size.__repr__)
def size_repr(self, /):
    return "torch.Size([" + ", ".join([repr(item) for item in self]) + "])"


@polyfill(dict.__repr__)
def dict_repr(self, /):
    pairs = [repr(key) + ": " + repr(value) for key, value in dict.items(self)]
    return "{" + ", ".join(pairs) + "}"


@polyfill(collections.defaultdict.__repr__)
def defaultdict_repr(self, /):
    return type(self).__name__ + "(" + repr(self.default_factory) + ", " + dict.__repr__(self) + ")"


@polyfill(collections.deque.__repr__)
def deque_repr(self, /):
    limit = "" if self.maxlen is None else ", maxlen=" + repr(self.maxlen)
    return type(self).__name__ + "([" + ", ".join([repr(item) for item in self]) + "]" + limit + ")"


@polyfill(set.__repr__)
def set_repr(self, /):
    if not self:
        return type(self).__name__ + "()"
    if len(self) > 1:
        leave_to_cpython("repr of a set of objects")
    items = "{" + ", ".join([repr(item) for item in self]) + "}"
    return items if type(self) is set else type(self).__name__ + "(" + items + ")"


@polyfill(type({}.keys()).__repr__, type({}.items()).__repr__, type({}.values()).__repr__)
def view_repr(self, /):
    return type(self).__name__ + "(" + repr(list(self)) + ")"


@polyfill(BaseException.__repr__)
def exception_repr(self, /):
    arguments = self.args
    shown = repr(arguments[0]) if len(arguments) == 1 else ", ".join([repr(item) for item in arguments])
    return type(self).__name__ + "(" + shown + ")"


@polyfill(logging.Logger.isEnabledFor)
def logger_is_enabled(self, level):
    """Without the cache, which needs a lock."""
    if self.disabled or self.manager._disable >= level:
        return False
    return level >= self.getEffectiveLevel()
