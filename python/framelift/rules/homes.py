"""Where a callable was written, as far as it says so itself.

Reads only what C gives: nothing here runs a program's code, so the answer of a class is read past its
metaclass.
"""

from __future__ import annotations

import functools
import types

C_FUNCTION_TYPES = frozenset({types.BuiltinFunctionType})
DESCRIPTOR_TYPES = frozenset(
    {
        types.MethodDescriptorType,
        types.WrapperDescriptorType,
        types.ClassMethodDescriptorType,
        types.GetSetDescriptorType,
        types.MemberDescriptorType,
    }
)

LRU_CACHE = type(functools.lru_cache(id))

_MODULE_OF_TYPE = type.__dict__["__module__"]
_NAMES_OF_TYPE = type.__dict__["__dict__"]
_MRO_OF_TYPE = type.__dict__["__mro__"]
_FLAGS_OF_TYPE = type.__dict__["__flags__"]
_HEAP_TYPE = 1 << 9


def is_class(value: object) -> bool:
    """Whether a value is a class, without asking its ``__class__``."""
    return issubclass(type(value), type)


def module_of_class(cls: type) -> str:
    """The module a class says it comes from."""
    module = _MODULE_OF_TYPE.__get__(cls)
    return module if isinstance(module, str) else ""


def own_names(cls: type) -> types.MappingProxyType[str, object]:
    """A class's own dict, whatever its metaclass says."""
    return _NAMES_OF_TYPE.__get__(cls)


def mro_of(cls: type) -> tuple[type, ...]:
    """A class and its bases."""
    return _MRO_OF_TYPE.__get__(cls)


def is_static(cls: type) -> bool:
    """Whether a class is a static structure of C code, which never dies."""
    return not _FLAGS_OF_TYPE.__get__(cls) & _HEAP_TYPE


def is_written_in_python(cls: type) -> bool:
    """Whether a class statement made it, as far as one can see: it, or a base that isn't C's, has Python
    functions.
    """
    return any(
        isinstance(value, types.FunctionType | property | staticmethod | classmethod)
        for base in mro_of(cls)
        if not is_static(base)
        for value in own_names(base).values()
    )


def class_attribute(cls: type, name: str) -> object | None:
    """An attribute as found in the classes' own dicts, or None."""
    return next((own_names(base)[name] for base in mro_of(cls) if name in own_names(base)), None)


def homes(value: object) -> tuple[str, ...]:
    """The modules whose rows may name this object, the likeliest first."""
    kind = type(value)
    if kind is types.FunctionType:
        written, claimed = value.__globals__.get("__name__"), value.__module__
        return tuple(name for name in (written, claimed) if isinstance(name, str))
    if is_class(value):
        return (module_of_class(value),)
    if kind in C_FUNCTION_TYPES:
        return _home_of_c_function(value)
    if kind in DESCRIPTOR_TYPES:
        return (module_of_class(value.__objclass__),)
    if issubclass(kind, types.ModuleType):
        name = object.__getattribute__(value, "__dict__").get("__name__")
        return (name,) if isinstance(name, str) else ()
    if kind is functools.partial:
        return homes(value.func)
    if kind is LRU_CACHE:
        return homes(value.__wrapped__)
    return (module_of_class(kind),)


def _home_of_c_function(function: types.BuiltinFunctionType) -> tuple[str, ...]:
    if isinstance(function.__module__, str):
        return (function.__module__,)
    # How it would be pickled, `getattr(owner, name)`: unlike `__self__`, it names a static method's class.
    reduced = function.__reduce__()
    if not isinstance(reduced, tuple):
        return ()
    owner = reduced[1][0]
    return (module_of_class(owner if is_class(owner) else type(owner)),)
