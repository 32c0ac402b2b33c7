"""Polyfills: builtins in plain Python, inlined in their place."""

from framelift.capture.polyfills import builtins, copying, libraries

POLYFILLS = {
    name: function
    for module in (builtins, copying, libraries)
    for name, function in vars(module).items()
    if hasattr(function, "replaces")
}

__all__ = ["POLYFILLS"]
