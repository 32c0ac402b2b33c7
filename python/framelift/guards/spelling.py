"""Guards, values and conditions in the user's words."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import sympy
import torch

from framelift import _native, torch_internals
from framelift.guards import kinds
from framelift.guards.kinds import Guard
from framelift.guards.sources import Source

LONGEST = 60
"""Representations of values are cut at this many characters."""

_DTYPES = {
    torch.float64: "f64",
    torch.float32: "f32",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.int16: "i16",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.bool: "bool",
    torch.complex64: "c64",
    torch.complex128: "c128",
}


def spell_type(cls: type) -> str:
    """``int``, ``torch.nn.Linear``."""
    return (
        cls.__qualname__
        if cls.__module__ in ("builtins", "__main__")
        else f"{cls.__module__}.{cls.__qualname__}"
    )


def spell_value(value: object) -> str:
    """A short representation that runs no user code: literals as they are, others by class."""
    cls = type(value)
    if value is _native.UNBOUND:
        return "unbound"
    if value is None or cls in (
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        range,
        slice,
        torch.device,
        torch.dtype,
    ):
        text = repr(value)
    elif cls in (tuple, list) and len(value) <= 8:
        items = ", ".join(map(spell_value, value))
        text = f"({items}{',' if len(value) == 1 else ''})" if cls is tuple else f"[{items}]"
    elif cls in (set, frozenset) and len(value) <= 8:
        text = "{" + ", ".join(sorted(map(spell_value, value))) + "}" if value else f"{cls.__name__}()"
    elif isinstance(value, torch.Tensor):
        text = spell_tensor(type(value), torch_internals.tensor_facts(value))
    elif isinstance(value, type):
        text = spell_type(value)
    elif (
        callable(value)
        and isinstance(getattr(cls, "__qualname__", None), str)
        and cls.__module__ == "builtins"
    ):
        text = f"{cls.__name__} {getattr(value, '__qualname__', '')}".rstrip()
    else:
        text = f"{spell_type(cls)} object"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def spell_tensor(
    cls: type,
    facts: dict[str, Any],
    sizes: tuple[int | None, ...] | None = None,
    strides: tuple[int | None, ...] | None = None,
) -> str:
    """``f32[8, 4]``, and whatever of the rest is not the ordinary case. A size of None is written ``?``."""
    sizes = facts["sizes"] if sizes is None else sizes
    strides = facts["strides"] if strides is None else strides
    shape = ", ".join("?" if size is None else str(size) for size in sizes)
    text = f"{_DTYPES.get(facts['dtype'], str(facts['dtype']).removeprefix('torch.'))}[{shape}]"
    if strides is not None and not _contiguous(sizes, strides):
        text += f" strides ({', '.join('?' if stride is None else str(stride) for stride in strides)})"
    if facts["layout"] is not torch.strided:
        text += f" {str(facts['layout']).removeprefix('torch.')}"
    if facts["device"].type != "cpu":
        text += f" on {facts['device']}"
    if facts["requires_grad"]:
        text += " requires grad"
    text += "".join(f" {word}" for word in facts["flags"])
    if cls not in (torch.Tensor, torch.nn.Parameter):
        text = f"{spell_type(cls)} {text}"
    return text


def _contiguous(sizes: tuple[int | None, ...], strides: tuple[int | None, ...]) -> bool:
    expected: int | None = 1
    for size, stride in zip(reversed(sizes), reversed(strides), strict=True):
        if stride is not None and expected is not None and size != 1 and stride != expected:
            return False
        expected = None if size is None or expected is None else expected * max(size, 1)
    return True


def spell_guard(source: Source, guard: Guard) -> str:
    """One line: ``self.layers[3].weight: tensor f32[8, 4]``."""
    return f"{source}: {spell_demand(guard)}"


def spell_demand(guard: Guard) -> str:
    """What a guard demands of its object."""
    match guard:
        case kinds.TypeIs(expected):
            return f"type {spell_type(expected)}"
        case kinds.Is(expected):
            return f"is {spell_value(expected)}"
        case kinds.IsNot(unexpected):
            return f"is not {spell_value(unexpected)}"
        case kinds.Equals(expected):
            return f"== {spell_value(expected)}"
        case kinds.Length(expected):
            return f"length {expected}"
        case kinds.DictKeys(expected):
            return f"keys {spell_value(expected)}"
        case kinds.DictMissing(key):
            return f"no key {spell_value(key)}"
        case kinds.SetOrder(expected):
            return f"iterated in the order {spell_value(expected)}"
        case kinds.SetEquals(expected):
            return f"members {spell_value(expected)}"
        case kinds.TypeAttribute(name, expected, after):
            behind = f" behind {spell_type(after)}" if after is not None else ""
            found = "not defined" if expected is kinds.ABSENT else f"is {spell_value(expected)}"
            return f"class attribute {name}{behind} {found}"
        case kinds.Mro(expected):
            return f"bases {', '.join(map(spell_type, expected[1:]))}"
        case kinds.CodeIs(expected):
            return f"code of {getattr(expected, 'co_qualname', '?')}"
        case kinds.NoInstanceDict():
            return "no instance attributes"
        case kinds.SlotEmpty(descriptor):
            return f"slot {getattr(descriptor, '__name__', '?')} is empty"
        case kinds.CellEmpty():
            return "empty cell"
        case kinds.ItemsLeft(at_least, ended):
            return f"{at_least} items left" if ended else f"at least {at_least} items left"
        case kinds.SameAs(other):
            return f"is {other}"
        case kinds.TensorMatch():
            return f"tensor {spell_tensor(guard.cls, guard.facts, guard.sizes, guard.strides)}"
    raise TypeError(f"not a kind of guard: {guard!r}")


def spell_found(guard: Guard, found: Any) -> str:
    """What there is instead of what ``guard`` demands; ``found`` is the object at the guard's source."""
    match guard:
        case kinds.TypeIs():
            return f"type {spell_type(type(found))}"
        case kinds.ItemsLeft() if type(found) in _native.iterator_parts:
            return f"{operator.length_hint(found)} left"
        case kinds.Length() if (length := stored_length(found)) is not None:
            return f"length {length}"
        case kinds.DictKeys() if isinstance(found, dict):
            return f"keys {spell_value(tuple(dict.__iter__(found)))}"
        case kinds.DictMissing(key) if isinstance(found, dict):
            return f"key {spell_value(key)}"
        case kinds.SetEquals() if isinstance(found, set | frozenset):
            return f"members {spell_value(frozenset(found))}"
        case kinds.TypeAttribute(name) if isinstance(found, type):
            return f"another {name}"
        case kinds.Mro() if isinstance(found, type):
            return f"bases {', '.join(map(spell_type, type.__dict__['__mro__'].__get__(found)[1:]))}"
        case kinds.CodeIs():
            code = getattr(found, "__code__", None)
            return f"code of {code.co_qualname}" if code is not None else spell_value(found)
        case kinds.NoInstanceDict():
            return "instance attributes"
        case kinds.SlotEmpty():
            return "a value"
        case kinds.CellEmpty():
            return "a value"
        case kinds.TensorMatch() if isinstance(found, torch.Tensor):
            return f"tensor {spell_tensor(type(found), torch_internals.tensor_facts(found))}"
    return spell_value(found)


def stored_length(container: object) -> int | None:
    """The number of items in the C storage of a container, None where it has none."""
    for cls in (list, tuple, dict, set, frozenset):
        if isinstance(container, cls):
            return cls.__len__(container)
    return (
        len(container) if hasattr(container, "__len__") and not isinstance(container, torch.Tensor) else None
    )


def spell_condition(condition: sympy.Basic, bindings: Mapping[sympy.Symbol, object]) -> str:
    """``x.size(0) >= 2``: symbols are replaced by what they are read from."""
    names = {symbol: sympy.Symbol(str(bound)) for symbol, bound in bindings.items()}
    return str(condition.xreplace(names))
