"""Fake tensors: metadata without data, on which capture runs what the program computes.

Used of torch: ``FakeTensorMode`` and its converter with its memo, ``ShapeEnv`` as far as it is given to a
mode, the contexts by which sizes are made symbols, and the errors that operators raise on fake tensors.

Promised here: a mode belongs to one capture; the same tensor gives the same fake; a fake has no data, and
nobody is given zeros in place of it. What the log says about operators that fail is ours to say.
"""

from __future__ import annotations

import functools
import logging
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._guards import GuardSource, Source
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    MetadataMismatchError,
    UnsupportedFakeTensorException,
    UnsupportedMutationAliasingException,
    UnsupportedOperatorException,
)
from torch.fx.experimental.symbolic_shapes import (
    DimDynamic,
    GuardOnDataDependentSymNode,
    ShapeEnv,
    StatelessSymbolicContext,
    StrictMinMaxConstraint,
)
from torch.utils._sympy.numbers import int_oo
from torch.utils._sympy.value_ranges import ValueRanges

from framelift.torch_internals.modes import inside_transforms

if TYPE_CHECKING:
    from torch._ops import OpOverload


def new_fake_mode(
    *, scalar_outputs: bool = False, dynamic_outputs: bool = False
) -> tuple[FakeTensorMode, ShapeEnv]:
    """A fake-tensor mode with a shape environment of its own, for one capture.

    Numbers from data raise, unless ``scalar_outputs`` (``item``) or ``dynamic_outputs`` (the sizes of what
    ``nonzero`` gives) makes them unbacked symbols: symbols without a value in this call. Symbols are never
    merged because their values happen to be equal (no duck sizing): what must be equal for the graph to be
    right becomes a condition. Data pointers of fake tensors raise instead of reading as 0, and operators
    without a fake kernel raise instead of being run on zeros.
    """
    shape_env = ShapeEnv(
        allow_scalar_outputs=scalar_outputs,
        allow_dynamic_output_shape_ops=dynamic_outputs,
        assume_static_by_default=True,
        duck_shape=False,
    )
    mode = FakeTensorMode(shape_env=shape_env, allow_fallback_kernels=False, allow_non_fake_inputs=False)
    mode._allow_unsafe_data_ptr_access = False
    _silence_fake_tensor_log()
    return mode, shape_env


def is_fake_of(mode: FakeTensorMode, value: object) -> bool:
    """Whether ``value`` is a fake tensor that belongs to ``mode``, or a function transform's view of one."""
    if type(value) is torch.Tensor:
        value = inside_transforms(value)
    return getattr(value, "fake_mode", None) is mode


def remember_fake(mode: FakeTensorMode, tensor: torch.Tensor, fake: torch.Tensor) -> None:
    """From now on ``fake`` is what ``mode`` gives for ``tensor``: what AOTAutograd asks for real inputs."""
    mode.fake_tensor_converter.set_tensor_memo(tensor, fake)


@final
class ShapeSource(Source):  # type: ignore[misc]
    """What a ``ShapeEnv`` wants as the origin of a symbol: a name, as long as it writes no guards.

    A subclass of torch's class because the shape environment checks the type; ``name`` is a property in new
    releases and was a method in old ones.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def __eq__(self, other: object) -> bool:
        return type(other) is ShapeSource and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    @property
    def guard_source(self) -> Any:
        return GuardSource.LOCAL

    if callable(getattr(Source, "name", None)):

        def name(self) -> str:
            return self._text
    else:

        @property
        def name(self) -> str:
            return self._text


def fake_static_tensor(mode: FakeTensorMode, tensor: torch.Tensor, name: str) -> torch.Tensor:
    """The fake of ``tensor`` with all sizes known. The same tensor gives the same fake.

    Ordinary tensors (parameters, buffers, activations that own their memory) are made here, at a third of the
    cost; what is a view, has an unusual key set, or shares its memory with a tensor met before goes to the
    general conversion. Both enter the fake into the mode's memo. ``tensor.grad`` is not converted.
    """
    if _is_ordinary(tensor):
        converter = mode.fake_tensor_converter
        memory = converter.meta_converter.describer.get_storage_id(tensor.untyped_storage())
        if memory not in converter.meta_converter.storage_memo:
            fake = _fake_ordinary_tensor(mode, tensor)
            converter.set_tensor_memo(tensor, fake)
            converter.meta_converter.storage_memo[memory] = fake.untyped_storage()
            return fake
    return mode.from_tensor(tensor, static_shapes=True, source=ShapeSource(name), trace=False)


def _is_ordinary(tensor: torch.Tensor) -> bool:
    """Whether ``tensor`` is a strided leaf that fills its own memory, with an everyday key set."""
    keys = torch._C._dispatch_keys(tensor).raw_repr()
    return (
        keys == _everyday_keys(tensor.device, tensor.is_inference())
        and tensor.is_leaf
        and not tensor._is_view()
        and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.itemsize
        and tensor.storage_offset() == 0
        and getattr(tensor, "grad_dtype", tensor.dtype) in (tensor.dtype, None)
        and not getattr(tensor, "_is_buffer", False)
    )


@functools.cache
def _everyday_keys(device: torch.device, inference: bool) -> int:
    """The dispatch keys of a dense tensor on ``device`` that nothing has been done to."""
    with torch._C.DisableTorchFunction(), torch.inference_mode(inference):
        return torch._C._dispatch_keys(torch.empty(0, device=device)).raw_repr()


def _fake_ordinary_tensor(mode: FakeTensorMode, tensor: torch.Tensor) -> torch.Tensor:

    empty = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta")
    fake = FakeTensor(mode, empty, tensor.device)
    if tensor.requires_grad:
        fake.requires_grad = True
    if type(tensor) is torch.nn.Parameter:
        fake._is_param = True
    return fake


Range = tuple[int | None, int | None]
"""The least and the greatest size that were promised, None where there is no bound."""


def fake_dynamic_tensor(
    mode: FakeTensorMode,
    tensor: torch.Tensor,
    name: str,
    dynamic: frozenset[int],
    unbacked: frozenset[int] = frozenset(),
    ranges: Mapping[int, Range] = types.MappingProxyType({}),
) -> torch.Tensor:
    """The fake of ``tensor`` whose sizes in ``dynamic`` are fresh symbols (a size of 0 or 1 stays a number),
    and whose sizes in ``unbacked`` are symbols without a value.

    Strides that are not numbers are products of sizes where they can be, else symbols; the storage offset is
    a symbol unless it is 0 or 1. The fake is not linked to the fake of a base tensor. ``ranges`` are assumed
    of the symbols of their dimensions; this call's sizes lie in them.
    """

    def kind(dimension: int) -> DimDynamic:
        if dimension in unbacked:
            return DimDynamic.UNBACKED
        return DimDynamic.DYNAMIC if dimension in dynamic else DimDynamic.STATIC

    def constraint(dimension: int) -> Any:
        if dimension not in ranges or dimension in unbacked:
            return None
        return StrictMinMaxConstraint(vr=value_range(*ranges[dimension]), warn_only=False)

    context = StatelessSymbolicContext(
        dynamic_sizes=[kind(dimension) for dimension in range(tensor.dim())],
        constraint_sizes=[constraint(dimension) for dimension in range(tensor.dim())],
    )
    # The general conversion would convert the gradient too, with symbols of its own.
    has_gradient = tensor.is_leaf and tensor.grad is not None
    plain = tensor.detach() if tensor._is_view() or has_gradient else tensor
    fake = mode.from_tensor(plain, source=ShapeSource(name), symbolic_context=context, trace=False)
    for dimension in unbacked.intersection(ranges):  # only newer contexts take them
        least, greatest = ranges[dimension]
        if least is not None:
            torch._check(fake.size(dimension) >= least)
        if greatest is not None:
            torch._check(fake.size(dimension) <= greatest)
    if isinstance(tensor, torch.nn.Parameter) and plain is not tensor:
        fake._is_param = True
    if tensor.requires_grad and not fake.requires_grad:
        with torch.enable_grad():
            fake.requires_grad_()
            if not tensor.is_leaf:
                fake = fake.view_as(fake)
    return fake


def value_range(least: int | None, greatest: int | None) -> ValueRanges:
    """The sizes from ``least`` to ``greatest``, in the form that the shape environment takes."""
    return ValueRanges(0 if least is None else least, int_oo if greatest is None else greatest)


def fake_without_history(fake: torch.Tensor, *, requires_grad: bool, is_leaf: bool) -> torch.Tensor:
    """A fake with the metadata and the memory of ``fake`` that needs a gradient, or none, as it is told."""
    with torch.enable_grad(), torch.inference_mode(fake.is_inference()):
        again = fake.detach()
        if requires_grad:
            again.requires_grad_()
            if not is_leaf:
                again = again.view_as(again)
    if getattr(fake, "_is_param", False):
        again._is_param = True  # type: ignore[attr-defined]
    return again


def observe_dispatch(
    mode: FakeTensorMode, observer: Callable[[OpOverload, Sequence[Any], dict[str, Any]], None]
) -> None:
    """Have ``observer`` told of each operator overload that reaches ``mode``, before it runs.

    Relies on ``FakeTensorMode.__torch_dispatch__`` calling ``self.dispatch``, which is replaced on this one
    instance. Operators that others are made of may be left out when the mode remembers the result.
    """
    dispatch = mode.dispatch
    ignored = torch.ops.prim.device.default

    def observed(operator: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> object:
        if operator is not ignored:
            observer(operator, args, kwargs or {})
        return dispatch(operator, types, args, kwargs or {})

    mode.dispatch = observed  # type: ignore[method-assign]


@functools.cache
def data_dependent_errors() -> tuple[type[BaseException], ...]:
    """What fake tensors raise where a value can't be known without data."""
    return (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode)


@functools.cache
def dynamic_shape_errors() -> tuple[type[BaseException], ...]:
    """Those of ``data_dependent_errors`` that say that the shape of a result depends on data."""
    return (DynamicOutputShapeException,)


@functools.cache
def unsupported_errors() -> tuple[type[BaseException], ...]:
    """What fake tensors raise where they, not the program, are at fault."""
    return (
        MetadataMismatchError,
        UnsupportedFakeTensorException,
        UnsupportedMutationAliasingException,
        UnsupportedOperatorException,
        NotImplementedError,
    )


def operators_in_python() -> Any:
    """A context in which operators that are made of others run as their Python forms, where they have one."""
    return enable_python_dispatcher()


class _Quiet(threading.local):
    """Whether this thread is asking a fake tensor: the error it gets is handled, not news for the log."""

    depth = 0


_quiet = _Quiet()


@functools.cache
def _silence_fake_tensor_log() -> None:
    """Drop what the fake-tensor module logs about failing operators while we are the ones asking."""
    logging.getLogger("torch._subclasses.fake_tensor").addFilter(lambda record: _quiet.depth == 0)


@contextmanager
def quiet_fake_tensors() -> Iterator[None]:
    """Inside, an operator that fails on fake tensors raises without writing to the log."""
    _quiet.depth += 1
    try:
        yield
    finally:
        _quiet.depth -= 1
