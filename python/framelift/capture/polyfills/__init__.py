"""Polyfills: builtins in plain Python, inlined in their place."""

from framelift.capture.polyfills import builtins, containers, copying, libraries, patterns, texts

POLYFILLS = {
    name: function
    for module in (builtins, containers, copying, libraries, patterns, texts)
    for name, function in vars(module).items()
    if hasattr(function, "replaces")
}

__all__ = ["POLYFILLS"]
