"""Class and mapping patterns in plain Python.

https://docs.python.org/3/reference/compound_stmts.html#class-patterns
https://docs.python.org/3/reference/compound_stmts.html#mapping-patterns
"""

from __future__ import annotations

from framelift.capture.polyfills.registry import polyfill

MISSING = object()
MATCHES_ITSELF = 1 << 22
"""Flag of the builtin types whose one positional pattern is matched against the subject itself."""


@polyfill()
def match_keys(subject, keys):
    """The values under the keys, None if one is missing."""
    values = []
    seen = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"mapping pattern checks duplicate key ({key!r})")
        seen.add(key)
        value = subject.get(key, MISSING)
        if value is MISSING:
            return None
        values.append(value)
    return tuple(values)


@polyfill()
def match_class(subject, cls, count, names):
    """The attributes for ``count`` positional and the named patterns, None if the subject has not all."""
    if not isinstance(cls, type):
        raise TypeError("called match pattern must be a type")
    if not isinstance(subject, cls):
        return None
    found = []
    seen = set()
    if count:
        positional = getattr(cls, "__match_args__", MISSING)
        if positional is MISSING and cls.__flags__ & MATCHES_ITSELF:
            allowed = 1
            found.append(subject)
        else:
            positional = () if positional is MISSING else positional
            if type(positional) is not tuple:
                given = type(positional).__name__
                raise TypeError(f"{cls.__name__}.__match_args__ must be a tuple (got {given})")
            allowed = len(positional)
            names = positional[:count] + names
        if allowed < count:
            plural = "" if allowed == 1 else "s"
            raise TypeError(
                f"{cls.__name__}() accepts {allowed} positional sub-pattern{plural} ({count} given)"
            )
    for name in names:
        if type(name) is not str:
            raise TypeError(f"__match_args__ elements must be strings (got {type(name).__name__})")
        if name in seen:
            raise TypeError(f"{cls.__name__}() got multiple sub-patterns for attribute {name!r}")
        seen.add(name)
        value = getattr(subject, name, MISSING)
        if value is MISSING:
            return None
        found.append(value)
    return tuple(found)
