"""Modules and classes: what ``compile`` does to the call of an object.

``compile(module)`` returns a new object that is the module in everything but its call: it has the same
``__dict__`` (the same dictionary, not a copy, so parameters, hooks, flags and attributes set later on either
are those of both, and ``state_dict`` has the same keys), it is an instance of the module's class, and prints
the same. The module that was given stays eager.

Its class is a subclass of the module's class, made once for each class, with slots for what only the twin
has. One of them holds the callable of this very instance, which is what a call takes at once, in native code.
The class has a ``__call__`` all the same, which does that in Python: for whoever reads code in order to know
what a call does, as TorchDynamo does. The callable is bound to the original module, so ``self`` in user code
is always an object of the user's own class.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from types import MemberDescriptorType
from typing import Any

import torch

from framelift import _native
from framelift.observe import reasons
from framelift.observe.errors import Misuse

Remake = Callable[[torch.nn.Module], Any]


class CompiledModule:
    """First base of every twin's class: recognises twins, and keeps the user's class hooks from running.

    ``type.__new__`` calls ``__init_subclass__`` of the next class in line, which is this one's: a class that
    registers its subclasses, or wants arguments for them, doesn't notice ours.

    A copy of a twin, also a pickled one, is a twin of a copy of the module.
    """

    __slots__ = ()
    _framelift_call: Callable[..., Any]
    _orig_mod: torch.nn.Module
    _framelift_remake: Remake

    def __init_subclass__(cls, **_: object) -> None:
        """Nothing: see above."""

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _remade, (self._orig_mod, self._framelift_remake)

    def __copy__(self) -> Any:
        return self._framelift_remake(copy.copy(self._orig_mod))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._framelift_remake(copy.deepcopy(self._orig_mod, memo))


def call_twin(self: Any, /, *args: Any, **kwargs: Any) -> Any:
    """``__call__`` of every twin's class."""
    return self._framelift_call(*args, **kwargs)


def make_twin(module: torch.nn.Module, call: Callable[..., Any], remake: Remake) -> Any:
    """A twin of ``module`` that runs ``call`` when it is called; ``remake`` makes one of a copy of it."""
    cls = _twin_class(type(module))
    twin = object.__new__(cls)
    object.__setattr__(twin, "__dict__", module.__dict__)
    for slot, value in (("_framelift_call", call), ("_orig_mod", module), ("_framelift_remake", remake)):
        cls.__dict__[slot].__set__(twin, value)
    return twin


def own_call(cls: type) -> Any:
    """What runs when an instance of ``cls`` is called, as it stands in the class that defines it."""
    for base in cls.__mro__:
        if "__call__" in base.__dict__:
            return base.__dict__["__call__"]
    what = f"class {cls.__qualname__}, whose instances can't be called"
    raise Misuse(reasons.NOT_CALLABLE, what, allowed="a function that makes the object")


def _remade(module: torch.nn.Module, remake: Remake) -> Any:
    return remake(module)


_classes: weakref.WeakValueDictionary[int, type] = weakref.WeakValueDictionary()
"""By ``id`` of the module's class, which lives at least as long as the twins' class does."""


def _twin_class(cls: type) -> type:
    known = _classes.get(id(cls))
    if known is not None:
        return known
    namespace: dict[str, Any] = {
        "__slots__": ("_framelift_call", "_orig_mod", "_framelift_remake"),
        "__call__": call_twin,
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
    }
    for base in reversed(cls.__mro__):
        slots = (name for name, member in base.__dict__.items() if isinstance(member, MemberDescriptorType))
        namespace.update({name: _slot_of_original(name) for name in slots})
    if hasattr(cls, "__del__"):
        namespace["__del__"] = _leave_to_original
    made = type(cls)(cls.__name__, (CompiledModule, cls), namespace)
    _native.call_by_slot(made)
    return _classes.setdefault(id(cls), made)


def _slot_of_original(name: str) -> property:
    """A slot of the user's class: its value lies in the original module and not in its ``__dict__``."""
    return property(
        lambda twin: getattr(twin._orig_mod, name),
        lambda twin, value: setattr(twin._orig_mod, name, value),
        lambda twin: delattr(twin._orig_mod, name),
    )


def _leave_to_original(twin: Any) -> None:
    """The finaliser of the user's class runs once, for the original module."""
