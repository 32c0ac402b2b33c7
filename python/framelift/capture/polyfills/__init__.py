"""Polyfills: builtins in plain Python, inlined in their place."""

import os
import types

from framelift.capture.polyfills import (
    builtins,
    containers,
    copying,
    libraries,
    patterns,
    texts,
    transforms,
    warning,
)

POLYFILLS = {
    name: function
    for module in (builtins, containers, copying, libraries, patterns, texts, transforms, warning)
    for name, function in vars(module).items()
    if hasattr(function, "replaces")
}

FOLDER = os.path.dirname(__file__)


def is_polyfill(code: types.CodeType) -> bool:
    """Whether code stands for a C callable: its generators are iterators, which pass a StopIteration on."""
    return code.co_filename.startswith(FOLDER)


__all__ = ["POLYFILLS", "is_polyfill"]
