"""What an object is made of: facts that must be equal in both worlds, and children to be compared in turn.

Everything that walks objects (comparing, counting references) asks ``shape_of`` and nothing else, so a new
kind of object is one case here.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import gc
import struct
import sys
import types
import weakref
from collections.abc import Mapping

import numpy
import torch

ATOMS: tuple[type, ...] = (
    types.NoneType,
    types.EllipsisType,
    types.NotImplementedType,
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    range,
    torch.dtype,
    torch.device,
    torch.layout,
    torch.memory_format,
    torch.Size,
    types.CodeType,
    types.ModuleType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    weakref.ReferenceType,
)
"""Compared by value; their identity means nothing to a program (or cannot be compared across worlds)."""

BUILTIN_ITERATORS: tuple[type, ...] = (
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
    type(iter("")),
    type(reversed([])),
    enumerate,
    zip,
    map,
    filter,
)
"""Iterators that say by ``__reduce__`` where they stand, without being advanced."""


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """``facts``: name and comparable value; ``children``: label and object."""

    facts: tuple[tuple[str, object], ...] = ()
    children: tuple[tuple[str, object], ...] = ()


def is_atom(value: object) -> bool:
    return type(value) in ATOMS or isinstance(value, (torch.Size, enum.Enum, numpy.generic, numpy.dtype))


def is_immutable_container(value: object) -> bool:
    """Containers that CPython may share or copy as it likes, as long as no argument is involved."""
    return isinstance(value, (tuple, frozenset, slice))


def same_type(expected: type, actual: type) -> bool:
    """The same class, or one made while the program ran, once in each world, under the same name."""
    if expected is actual:
        return True
    if (expected.__module__, expected.__qualname__) != (actual.__module__, actual.__qualname__):
        return False
    return getattr(sys.modules.get(expected.__module__), expected.__qualname__, None) is not expected


def atom_value(value: object) -> object:
    """A value to compare atoms by: floats by their bits, so that nan equals nan and 0.0 is not -0.0."""
    match value:
        case float():
            return struct.pack("<d", value)
        case complex():
            return struct.pack("<dd", value.real, value.imag)
        case enum.Enum():
            return value.name
        case weakref.ReferenceType():
            return value() is None
        case _:
            return value


def _slots(value: object) -> list[tuple[str, object]]:
    found = []
    for cls in type(value).__mro__:
        names = cls.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            mangled = (
                f"_{cls.__name__.lstrip('_')}{name}"
                if name.startswith("__") and not name.endswith("__")
                else name
            )
            if name not in ("__dict__", "__weakref__") and hasattr(value, mangled):
                found.append((f".{name}", getattr(value, mangled)))
    return found


def _attributes(value: object) -> tuple[tuple[str, object], ...]:
    """Instance dictionary (in its order) and slots."""
    found = [(f".{name}", item) for name, item in getattr(value, "__dict__", {}).items()]
    return tuple(found + _slots(value))


def _module(value: torch.nn.Module) -> Shape:
    """Hooks are keyed by numbers drawn from one process-wide counter: only their order is compared."""
    children = []
    for name, item in value.__dict__.items():
        if "_hooks" in name and isinstance(item, dict):
            children += [(f".{name}#{index}", hook) for index, hook in enumerate(item.values())]
        else:
            children.append((f".{name}", item))
    return Shape(children=tuple(children))


def _tensor_attributes(value: torch.Tensor) -> dict[str, object]:
    """What the program has set on a tensor; asking for ``__dict__`` would make one and change the tensor."""
    return next((one for one in gc.get_referents(value) if type(one) is dict), {})


def _tensor(value: torch.Tensor) -> Shape:
    strided = value.layout is torch.strided
    facts: list[tuple[str, object]] = [
        ("dtype", value.dtype),
        ("device", value.device),
        ("layout", value.layout),
        ("shape", tuple(value.shape)),
        ("requires_grad", value.requires_grad),
        ("is_leaf", value.is_leaf),
        ("grad_fn", type(value.grad_fn).__name__),
        ("is_inference", value.is_inference()),
    ]
    if strided:
        facts += [
            ("stride", value.stride()),
            ("storage_offset", value.storage_offset()),
            ("is_conj", value.is_conj()),
            ("is_neg", value.is_neg()),
            ("is_view", value._is_view()),
        ]
    if not value.is_inference():
        facts.append(("version", value._version))
    children = [(f".{name}", item) for name, item in _tensor_attributes(value).items()]
    if value.is_leaf and value.grad is not None:
        children.append((".grad", value.grad))
    return Shape(tuple(facts), tuple(children))


def _function(value: types.FunctionType) -> Shape:
    code = value.__code__
    cells = []
    for name, cell in zip(code.co_freevars, value.__closure__ or (), strict=True):
        try:
            cells.append((f".<cell {name}>", cell.cell_contents))
        except ValueError:
            cells.append((f".<cell {name}>", "<empty cell>"))
    facts = (
        ("code", (code.co_filename, code.co_firstlineno, code.co_qualname)),
        ("name", (value.__name__, value.__qualname__, value.__module__)),
        ("doc", value.__doc__),
    )
    children = (
        (".__defaults__", value.__defaults__),
        (".__kwdefaults__", value.__kwdefaults__),
        (".__dict__", value.__dict__),
        *cells,
    )
    return Shape(facts, children)


def _mapping(value: Mapping, extra: tuple[tuple[str, object], ...] = ()) -> Shape:
    children: list[tuple[str, object]] = []
    for index, (key, item) in enumerate(value.items()):
        label = f"[{key!r}]" if is_atom(key) else f"[<key {index}>]"
        if not is_atom(key):
            children.append((f"<key {index}>", key))
        children.append((label, item))
    order = tuple((type(key).__name__, key) if is_atom(key) else "<object>" for key in value)
    attributes = () if type(value) in (dict, collections.OrderedDict) else _attributes(value)
    return Shape((("keys", order),), (*children, *extra, *attributes))


def _sequence(value: object) -> Shape:
    items = tuple((f"[{index}]", item) for index, item in enumerate(value))
    return Shape((("length", len(items)),), (*items, *_attributes(value)))


def _set(value: set | frozenset) -> Shape:
    atoms = {(type(item).__name__, atom_value(item)) for item in value if is_atom(item)}
    return Shape((("length", len(value)), ("members", frozenset(atoms))), _attributes(value))


def shape_of(value: object) -> Shape:
    """The shape of anything that is not an atom."""
    match value:
        case torch.Tensor():
            return _tensor(value)
        case torch.nn.Module():
            return _module(value)
        case torch.utils.hooks.RemovableHandle():
            return Shape()
        case torch.Generator():
            return Shape((("state", tuple(value.get_state().tolist())),))
        case numpy.ndarray():
            return Shape((("dtype", value.dtype), ("shape", value.shape), ("values", value.tobytes())))
        case type():
            return Shape((("class", (value.__module__, value.__qualname__)),))
        case types.FunctionType():
            return _function(value)
        case types.MethodType():
            return Shape(children=((".__func__", value.__func__), (".__self__", value.__self__)))
        case functools.partial():
            return Shape(
                children=(
                    (".func", value.func),
                    (".args", value.args),
                    (".keywords", value.keywords),
                    *_attributes(value),
                )
            )
        case types.CellType():
            try:
                return Shape(children=((".cell_contents", value.cell_contents),))
            except ValueError:
                return Shape((("cell", "empty"),))
        case collections.defaultdict():
            return _mapping(value, ((".default_factory", value.default_factory),))
        case dict() | types.MappingProxyType():
            return _mapping(value)
        case collections.deque():
            inner = _sequence(value)
            return Shape((*inner.facts, ("maxlen", value.maxlen)), inner.children)
        case list() | tuple():
            return _sequence(value)
        case set() | frozenset():
            return _set(value)
        case bytearray():
            return Shape((("bytes", bytes(value)),))
        case slice():
            return Shape(children=((".start", value.start), (".stop", value.stop), (".step", value.step)))
        case BaseException():
            return Shape((("text", str(value)),), ((".args", value.args), *_attributes(value)))
        case types.GeneratorType():
            return Shape((("code", value.gi_code.co_qualname), ("running", value.gi_frame is not None)))
        case _ if type(value) in BUILTIN_ITERATORS:
            return Shape(children=((".__reduce__", value.__reduce__()[1:]),))
        case _:
            return Shape(children=_attributes(value))


def reachable(roots: object) -> list[object]:
    """Every object a caller could hold on to below ``roots``, each once, atoms and classes left out."""
    seen: dict[int, object] = {}
    pending = [roots]
    while pending:
        value = pending.pop()
        if is_atom(value) or isinstance(value, type) or id(value) in seen:
            continue
        seen[id(value)] = value
        pending += [child for _, child in reversed(shape_of(value).children)]
    return list(seen.values())
