"""What a call does to shape, stride, dtype, device, aliasing and gradients: asked here and nowhere else.

The answer comes from running the call on fake tensors, which have all of that and no data. The call runs on
this thread with the thread's real torch state (grad mode, autocast, default dtype ...), because the state
takes part in the answer: whoever asks has set it. Results computed under grad mode carry a real autograd
history.

Besides the result, ``Metadata`` watches every operator that the call reaches and reports which tensors it
writes to and whether it draws random numbers. The sources are the operators' schemas and tags; operators that
update running statistics say so by their argument names only.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from framelift import torch_internals
from framelift.graph.arithmetic import raising_functions
from framelift.graph.errors import CallFailed, DataDependent, OperatorError, UnsupportedOperator
from framelift.graph.nodes import enter_inference_mode, exit_inference_mode, target_name, tensors_in
from framelift.graph.shapes import OpenSizes

if TYPE_CHECKING:
    import sympy
    from torch._ops import OpOverload

_NEEDS_DATA = frozenset({"numpy", "__array__"})
"""Methods that give a tensor's numbers to Python and that fake tensors refuse with a general error."""

_OFFSET_READERS = frozenset({"storage_offset", "as_strided", "as_strided_", "as_strided_scatter", "set_"})
"""Methods whose result depends on the storage offset of their tensor."""

_WRITTEN_IN_C = (types.BuiltinFunctionType, types.MethodDescriptorType, types.MethodWrapperType)

_THREAD_GUARDS = (enter_inference_mode, exit_inference_mode)
"""Functions that save or restore all dispatch state of the thread: called while the fake mode is not on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a call on fake tensors; ``writes`` if it changed an argument or something global.

    ``unbacked`` are the numbers from data that the call brought in, and where its result shows them;
    ``written`` the storages of its arguments that it wrote to. ``refuses``: it may raise for some data.
    """

    value: Any
    writes: bool
    random: bool
    unbacked: Mapping[sympy.Symbol, torch_internals.KeyPath] = field(default_factory=dict)
    written: frozenset[int] = frozenset()
    refuses: bool = False


class Metadata:
    """The fake tensors of one capture.

    ``written`` holds the storage of every tensor that a call wrote to; ``random`` is true once a call drew
    random numbers, ``refused`` once one may refuse its data; ``offsets_matter`` once a result depended on a
    storage offset.
    """

    __slots__ = (
        "_drew",
        "_refuses",
        "_touched",
        "fake_mode",
        "offsets_matter",
        "random",
        "refused",
        "shape_env",
        "written",
    )

    def __init__(self, *, scalar_outputs: bool = False, dynamic_outputs: bool = False) -> None:
        self.fake_mode, self.shape_env = torch_internals.new_fake_mode(
            scalar_outputs=scalar_outputs, dynamic_outputs=dynamic_outputs
        )
        self.written: set[int] = set()
        self.random = self.refused = False
        self.offsets_matter = False
        self._touched: list[torch.Tensor] = []
        self._drew = self._refuses = False
        torch_internals.observe_dispatch(self.fake_mode, self._observe)

    def fake_input(self, tensor: torch.Tensor, name: str, open_sizes: OpenSizes) -> torch.Tensor:
        """The fake that stands for an outside tensor. Raises ``UnsupportedOperator`` if there is none."""
        try:
            if type(tensor) is not torch.Tensor and type(tensor) is not torch.nn.Parameter:
                raise NotImplementedError(f"tensor subclass {type(tensor).__qualname__}")
            if torch_internals.inside_transforms(tensor) is not tensor:
                raise NotImplementedError("a tensor of a function transform")
            with torch_internals.outside_transforms():
                if tensor.is_inference() is torch.is_inference_mode_enabled():
                    return self._convert(tensor, name, open_sizes)
                with torch.inference_mode(tensor.is_inference()):
                    return self._convert(tensor, name, open_sizes)
        except Exception as error:
            raise UnsupportedOperator(
                error, name, f"this tensor can't be an input of a graph: {error}"
            ) from error

    def _convert(self, tensor: torch.Tensor, name: str, open_sizes: OpenSizes) -> torch.Tensor:
        if open_sizes:
            fake = torch_internals.fake_dynamic_tensor(
                self.fake_mode, tensor, name, open_sizes.dynamic, open_sizes.unbacked, open_sizes.ranges
            )
            torch_internals.forget_fresh_symbols(self.shape_env)
            return fake
        return torch_internals.fake_static_tensor(self.fake_mode, tensor, name)

    def run(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        reachable: Sequence[Any] = (),
    ) -> Answer:
        """Call ``function`` with fakes in the place of tensors. Raises a ``CallFailed`` and nothing else.

        ``reachable`` are tensors outside of the arguments that it can write to.
        """
        name = target_name(function)
        if touches_generator(function):
            error = NotImplementedError(name)
            raise UnsupportedOperator(error, name, "reads or sets the state of a random number generator")
        if name in _OFFSET_READERS:
            self.offsets_matter = True
        return self._ask(name, function, args, kwargs, (*args, *reachable))

    def run_method(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Answer:
        """Call the method ``name`` of ``args[0]`` with the other arguments."""
        if name in _NEEDS_DATA:
            raise DataDependent(NotImplementedError(name), name, "gives the numbers in a tensor to Python")
        if name in _OFFSET_READERS:
            self.offsets_matter = True
        try:
            method = getattr(args[0], name)
        except AttributeError as error:
            raise OperatorError(error, name, str(error)) from error
        return self._ask(name, method, args[1:], kwargs, args)

    def _ask(
        self,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        reachable: Sequence[Any],
    ) -> Answer:
        """Run the call under the fake mode; ``reachable`` and ``kwargs`` hold all tensors it can write to."""
        self._touched.clear()
        self._drew = self._refuses = False
        try:
            mode = nullcontext() if function in _THREAD_GUARDS else self.fake_mode
            with mode, self._forms(), torch_internals.quiet_fake_tensors():
                value = self._call(function, args, kwargs)
            unbacked = torch_internals.fresh_unbacked_symbols(self.shape_env, value)
        except Exception as error:
            torch_internals.forget_fresh_symbols(self.shape_env)
            raise classify(error, name, function) from error
        if isinstance(value, torch.SymFloat) and torch_internals.unbacked_symbols(value):
            self._refuses |= function in raising_functions()
        written = self._note_writes(reachable, kwargs) if self._touched else frozenset()
        self.random |= self._drew
        self.refused |= self._refuses
        return Answer(value, bool(written), self._drew, unbacked, written, self._refuses)

    def _forms(self) -> AbstractContextManager[None]:
        """The forms of composite operators to ask: with symbols those in Python, as C++ fixes some."""
        has_symbols = torch_internals.symbol_values(self.shape_env)
        return torch_internals.operators_in_python() if has_symbols else nullcontext()

    def _call(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call ``function``; where its C++ code looks at data and has written nothing yet, its Python form.

        Some operators look only to check their arguments, which their forms in Python leave to the run.
        """
        try:
            return function(*args, **kwargs)
        except torch_internals.data_dependent_errors():
            if self._touched or not isinstance(function, _WRITTEN_IN_C):
                raise
            with torch_internals.operators_in_python():
                return function(*args, **kwargs)

    def run_transform(self, function: Callable[[], Any]) -> tuple[Any, bool, set[int], bool]:
        """Run a function transform that asks for more answers on its way: its result, whether it drew random
        numbers, the storage of what it wrote to, and whether it may refuse its data."""
        random, written, refused = self.random, self.written, self.refused
        self.random, self.written, self.refused = False, set(), False
        try:
            with self.fake_mode, self._forms(), torch_internals.quiet_fake_tensors():
                value = function()
            return value, self.random, self.written, self.refused
        finally:
            self.random |= random
            self.written = written
            self.refused |= refused

    def _observe(self, overload: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Note the effects of one operator that is about to run on fakes."""
        effects = torch_internals.operator_effects(overload)
        if effects.none:
            return
        for place in effects.written:
            self._touch(_argument(place, args, kwargs))
        if effects.statistics and _argument(effects.training, args, kwargs):
            for place in effects.statistics:
                self._touch(_argument(place, args, kwargs))
        if effects.random:
            switches = [_argument(place, args, kwargs) for place in effects.switches]
            self._drew |= not any(type(switch) in (bool, int, float) and not switch for switch in switches)
        self._refuses |= effects.refuses or (effects.divides and divides_whole_numbers(args))

    def _touch(self, written: object) -> None:
        if isinstance(written, torch.Tensor):
            self._touched.append(written)
        elif isinstance(written, list | tuple):
            for item in written:
                self._touch(item)

    def _note_writes(self, args: Sequence[Any], kwargs: dict[str, Any]) -> frozenset[int]:
        """The storages written to that are those of arguments, rather than of something made by the call."""
        touched = {torch_internals.storage_key(tensor) for tensor in self._touched}
        self._touched.clear()
        reached = {torch_internals.storage_key(tensor) for tensor in tensors_in((args, kwargs))}
        self.written |= touched & reached
        return frozenset(touched & reached)


def touches_generator(function: object) -> bool:
    """Whether a function belongs to torch's interface to its generators (``torch.manual_seed`` ...).

    Told by the module that defines it: other parts of torch put wrappers in the place of these functions.
    """
    module = getattr(function, "__module__", None)
    return isinstance(module, str) and re.fullmatch(r"torch\.(\w+\.)?random", module) is not None


def divides_whole_numbers(args: Sequence[Any]) -> bool:
    """Whether a division has a tensor of whole numbers for its divisor and no other kind of tensor."""
    tensors = [item for item in args if isinstance(item, torch.Tensor)]
    return len(tensors) > 1 and not any(item.is_floating_point() or item.is_complex() for item in tensors)


def has_history(tensor: torch.Tensor) -> bool:
    """Whether autograd knows how a tensor was computed.

    A view made under ``no_grad``, of what was written to through it, must not be asked: nothing leads back.
    """
    try:
        return not tensor.is_leaf
    except RuntimeError:
        return False


def classify(error: Exception, name: str, function: object = None) -> CallFailed:
    """Which kind of failure an exception raised by a call on fake tensors is."""
    text = str(error) or type(error).__name__
    if isinstance(error, torch_internals.data_dependent_errors()):
        return DataDependent(error, name, "the result depends on the numbers in a tensor")
    if isinstance(error, torch_internals.unsupported_errors()):
        return UnsupportedOperator(error, name, f"no answer without running it: {text}")
    if isinstance(error, AttributeError | AssertionError) and function is not getattr:
        return UnsupportedOperator(error, name, f"{type(error).__name__} without running it: {text}")
    if "no fake impl registered" in text:
        return UnsupportedOperator(error, name, "a custom operator without a fake implementation")
    if "data pointer" in text or "invalid python storage" in text:
        return UnsupportedOperator(
            error, name, "the memory of a tensor does not exist while it is being captured"
        )
    return OperatorError(error, name, text)


def _argument(
    place: torch_internals.ArgumentPlace | None, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """The argument of an operator by position or by name, or its default."""
    if place is None:
        return None
    position, name, default = place
    return args[position] if position < len(args) else kwargs.get(name, default)
