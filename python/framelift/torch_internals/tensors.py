"""Real tensors: their metadata and their memory, whatever their class.

Used of torch: dispatch key sets, the addresses of C++ objects (``_cdata``), version counters.

Promised here: functions that a subclass overrides are not called, so a guard never runs the user's code.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any

import torch

from framelift.torch_internals.modes import inside_transforms


def storage_key(tensor: torch.Tensor) -> int:
    """A number shared by exactly the living tensors that share ``tensor``'s storage."""
    if type(tensor) is torch.Tensor:
        tensor = inside_transforms(tensor)
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):  # layouts without storage
        return id(tensor)


def contents_of(tensor: torch.Tensor) -> tuple[torch.Tensor, int]:
    """A copy of the numbers in a tensor, and how often it has been written to."""
    return tensor.detach().clone(), 0 if tensor.is_inference() else tensor._version


def put_back(tensor: torch.Tensor, contents: tuple[torch.Tensor, int]) -> None:
    """Undo what was written to a tensor since ``contents_of`` was asked."""
    numbers, version = contents
    with torch.no_grad():
        tensor.copy_(numbers)
    if not tensor.is_inference():
        torch._C._autograd._unsafe_set_version_counter((tensor,), (version,))


_ORDINARY_KEYS = (
    *("Dense", "AutogradFunctionality", "ADInplaceOrView", "Conjugate", "Negative", "ZeroTensor"),
    *("AutocastCPU", "AutocastCUDA", "AutocastXPU", "AutocastMPS"),
)
"""Dispatch keys of tensors whose sizes and strides are plain numbers in the tensor itself."""


@functools.cache
def _unordinary_keys() -> int:
    """The bits of dispatch key sets that an ordinary strided tensor does not have. Bits of backends, which
    are the lowest ones, are no matter: ``Dense`` alone is the functionality behind all of them."""
    keys = torch._C.DispatchKey
    ordinary = 0
    for name in _ORDINARY_KEYS:
        if hasattr(keys, name):
            ordinary |= torch._C.DispatchKeySet(getattr(keys, name)).raw_repr()
    backends = torch._C.DispatchKeySet(keys.Dense).raw_repr() - 1
    return ~(ordinary | backends)


def tensor_facts(tensor: torch.Tensor) -> dict[str, Any]:
    """The metadata of any tensor, by accessors. Functions a subclass overrides are not called.

    ``plain`` says that sizes and strides are numbers kept in the tensor itself, and that the key set says so.
    """
    with torch._C.DisableTorchFunction():
        key_set = torch._C._dispatch_keys(tensor).raw_repr()
        strided = tensor.layout is torch.strided and not tensor.is_nested
        return {
            "dtype": tensor.dtype,
            "device": tensor.device,
            "layout": tensor.layout,
            "requires_grad": tensor.requires_grad,
            "key_set": key_set,
            "sizes": tuple(tensor.size()) if not tensor.is_nested else (),
            "strides": tuple(tensor.stride()) if strided else None,
            "storage_offset": tensor.storage_offset() if strided else 0,
            "plain": strided and not key_set & _unordinary_keys(),
            "flags": tuple(
                word
                for word, flag in (
                    ("conjugate", tensor.is_conj()),
                    ("negative", tensor.is_neg()),
                    ("inference tensor", tensor.is_inference()),
                )
                if flag
            ),
        }


def tensor_matches(
    tensor: torch.Tensor,
    facts: dict[str, Any],
    sizes: tuple[int | None, ...],
    strides: tuple[int | None, ...] | None,
) -> bool:
    """Whether ``tensor`` has the metadata in ``facts``, with these sizes and strides (None is anything)."""
    found = tensor_facts(tensor)
    names = ("dtype", "device", "layout", "requires_grad", "key_set")
    if any(found[name] != facts[name] for name in names):
        return False
    return _same_numbers(found["sizes"], sizes) and _same_numbers(found["strides"], strides)


def _same_numbers(found: tuple[int, ...] | None, expected: tuple[int | None, ...] | None) -> bool:
    if found is None or expected is None:
        return found is None and expected is None
    if len(found) != len(expected):
        return False
    return all(want is None or have == want for have, want in zip(found, expected, strict=True))


def tensor_number(tensor: torch.Tensor, what: str, dimension: int) -> int:
    """One size, stride or storage offset of any tensor."""
    with torch._C.DisableTorchFunction():
        if what == "size":
            return int(tensor.size(dimension))
        return int(tensor.stride(dimension) if what == "stride" else tensor.storage_offset())


def memory_range(tensor: torch.Tensor) -> tuple[int, int]:
    """The addresses from a tensor's first element to behind its last; equal where it has none."""
    with torch._C.DisableTorchFunction():
        try:
            begin = tensor.data_ptr()
        except (NotImplementedError, RuntimeError):  # layouts without storage: anywhere
            return 0, sys.maxsize
        if begin == 0 or tensor.numel() == 0:
            return 0, 0
        pairs = zip(tensor.size(), tensor.stride(), strict=True)
        return begin, begin + (1 + sum((size - 1) * stride for size, stride in pairs)) * tensor.element_size()


def overlapping(tensors: Sequence[Any], written: Sequence[bool]) -> tuple[tuple[int, int], ...]:
    """The positions, in order, of two tensors each whose memory overlaps and one of which is written to."""
    ranges = [memory_range(tensor) for tensor in tensors]
    order = sorted(range(len(ranges)), key=ranges.__getitem__)
    pairs = []
    reaching: list[int] = []
    for place in order:
        begin, end = ranges[place]
        if begin < end:
            reaching = [other for other in reaching if ranges[other][1] > begin]
            pairs += [
                (min(place, other), max(place, other))
                for other in reaching
                if written[place] or written[other]
            ]
            reaching.append(place)
    return tuple(sorted(pairs))


def tensor_probes() -> list[tuple[torch.Tensor, int, int, int]]:
    """Tensors of odd metadata with the addresses by which offsets are found: those of their C++
    implementation, of their storage and of its memory.

    One has memory that is not torch's own, so that the address of what owns it is another. None of them is a
    view: autograd keeps notes of views, which would look like a gradient being required.
    """
    probes: list[torch.Tensor] = []
    cases: tuple[tuple[tuple[int, ...], tuple[int, ...], int, torch.dtype, str], ...] = (
        ((3, 5, 7), (71, 13, 2), 11, torch.float32, "cpu"),
        ((3, 5, 7), (71, 13, 2), 11, torch.float64, "cpu"),
        ((2, 9, 4, 3), (111, 12, 3, 1), 23, torch.int64, "cpu"),
        ((6,), (17,), 5, torch.bool, "cpu"),
        ((2, 3, 2, 3, 2, 3, 5), (2100, 701, 340, 101, 45, 14, 2), 29, torch.float32, "cpu"),
        ((4, 3, 2, 5, 3), (901, 202, 83, 14, 3), 31, torch.float32, "meta"),
    )
    with torch._C.DisableTorchFunction(), torch.no_grad():
        for sizes, strides, offset, dtype, device in cases:
            probe = torch.empty(0, dtype=dtype, device=device)
            last = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
            needed = 1 + offset + last
            storage = torch.empty(needed, dtype=dtype, device=device).untyped_storage()
            probes.append(probe.set_(storage, offset, sizes, strides))
        probes[1].requires_grad_()
        probes.append(torch.frombuffer(bytearray(68), dtype=torch.float32, offset=4, count=16))
        storages = [probe.untyped_storage() for probe in probes]
        return [
            (probe, probe._cdata, storage._cdata, storage.data_ptr())
            for probe, storage in zip(probes, storages, strict=True)
        ]
