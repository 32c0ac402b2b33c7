"""The one door to what PyTorch does not promise.

Everything the package uses of PyTorch that is not public API is a small function here, with what it relies on
written down. Support for another torch release means reading this file, and version differences stand nowhere
else. Imports are lazy where they cost: fake tensors, symbolic shapes and Inductor are loaded at first use.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    import sympy
    from torch._ops import OpOverload
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx import GraphModule
    from torch.fx.experimental.symbolic_shapes import ShapeEnv


# ---------------------------------------------------------------------------------------------------------
# Fake tensors and symbolic shapes
# ---------------------------------------------------------------------------------------------------------


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
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

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


def inside_transforms(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor below what function transforms that are running have put around it."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor


def outside_transforms() -> Any:
    """A context in which no function transform is running."""
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

    return temporarily_clear_interpreter_stack()


def shape_source(name: str) -> Any:
    """What a ``ShapeEnv`` wants as the origin of a symbol: torch's ``Source`` with nothing but a name."""
    return _shape_source_class()(name)


@functools.cache
def _shape_source_class() -> type:
    from torch._guards import Source

    class ShapeSource(Source):  # type: ignore[misc]
        """Adapter: the shape environment asks its sources for a name only (as long as it writes no guards).

        A subclass of torch's class because the shape environment checks the type; ``name`` is a property in
        new releases and was a method in old ones.
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
            from torch._guards import GuardSource

            return GuardSource.LOCAL

        if callable(getattr(Source, "name", None)):

            def name(self) -> str:
                return self._text
        else:

            @property
            def name(self) -> str:
                return self._text

    return ShapeSource


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
    return mode.from_tensor(tensor, static_shapes=True, source=shape_source(name), trace=False)


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
    from torch._subclasses.fake_tensor import FakeTensor

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
    from torch.fx.experimental.symbolic_shapes import (
        DimDynamic,
        StatelessSymbolicContext,
        StrictMinMaxConstraint,
    )

    def kind(dimension: int) -> DimDynamic:
        if dimension in unbacked:
            return DimDynamic.UNBACKED
        return DimDynamic.DYNAMIC if dimension in dynamic else DimDynamic.STATIC

    def constraint(dimension: int) -> Any:
        if dimension not in ranges or dimension in unbacked:
            return None
        return StrictMinMaxConstraint(vr=_value_range(*ranges[dimension]), warn_only=False)

    context = StatelessSymbolicContext(
        dynamic_sizes=[kind(dimension) for dimension in range(tensor.dim())],
        constraint_sizes=[constraint(dimension) for dimension in range(tensor.dim())],
        unbacked_bounds={dimension: ranges[dimension] for dimension in unbacked if dimension in ranges},
    )
    # The general conversion would convert the gradient too, with symbols of its own.
    has_gradient = tensor.is_leaf and tensor.grad is not None
    plain = tensor.detach() if tensor._is_view() or has_gradient else tensor
    fake = mode.from_tensor(plain, source=shape_source(name), symbolic_context=context, trace=False)
    if isinstance(tensor, torch.nn.Parameter) and plain is not tensor:
        fake._is_param = True
    if tensor.requires_grad and not fake.requires_grad:
        with torch.enable_grad():
            fake.requires_grad_()
            if not tensor.is_leaf:
                fake = fake.view_as(fake)
    return fake


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


def remember_fake(mode: FakeTensorMode, tensor: torch.Tensor, fake: torch.Tensor) -> None:
    """From now on ``fake`` is what ``mode`` gives for ``tensor``: what AOTAutograd asks for real inputs."""
    mode.fake_tensor_converter.set_tensor_memo(tensor, fake)


def symbolic_int(shape_env: ShapeEnv, value: int, name: str) -> torch.SymInt:
    """A fresh symbol for an int of the program: any value, 0 and 1 included."""
    from torch.fx.experimental.symbolic_shapes import DimDynamic

    source = shape_source(name)
    symbol = shape_env.create_unspecified_symbol(value, source=source, dynamic_dim=DimDynamic.DYNAMIC)
    return shape_env.create_symintnode(symbol, hint=value, source=source)


def symbolic_float(shape_env: ShapeEnv, value: float, name: str) -> torch.SymFloat:
    """A fresh symbol for a finite float of the program."""
    from torch.fx.experimental.symbolic_shapes import DimDynamic

    source = shape_source(name)
    symbol = shape_env.create_unspecified_symbol(value, source=source, dynamic_dim=DimDynamic.DYNAMIC)
    return shape_env.create_symfloatnode(symbol, hint=value, source=source)


def symbolic_data(shape_env: ShapeEnv) -> torch.SymFloat:
    """A fresh symbol for a float of which nothing is known before the graph runs."""
    symbolic = shape_env.create_unbacked_symfloat()
    pending = (
        shape_env.pending_fresh_unbacked_symbols
    )  # those that the next fake call must show in its result
    pending[:] = [symbol for symbol in pending if symbol != symbolic.node.expr]
    return symbolic


def symbolic_expression(symbolic: torch.SymInt | torch.SymFloat | torch.SymBool) -> sympy.Basic:
    """The expression a symbolic number stands for, with what is known by now put in."""
    node = symbolic.node
    return node.expr


def with_what_is_known(shape_env: ShapeEnv, numbers: Iterable[int | sympy.Basic]) -> tuple[Any, ...]:
    """Expressions of ``symbolic_expression`` from some time ago, and numbers, as they are by now."""
    return tuple(number if isinstance(number, int) else shape_env.replace(number) for number in numbers)


def symbol_hint(symbolic: torch.SymInt | torch.SymFloat | torch.SymBool) -> int | float | bool | None:
    """The number a symbolic number has in this call, without assuming it; None where it depends on data."""
    node = symbolic.node
    return node.hint if node.has_hint() else None


def _value_range(least: int | None, greatest: int | None) -> Any:
    from torch.utils._sympy.numbers import int_oo
    from torch.utils._sympy.value_ranges import ValueRanges

    return ValueRanges(0 if least is None else least, int_oo if greatest is None else greatest)


def shape_guards(shape_env: ShapeEnv) -> list[sympy.Basic]:
    """Every condition over inputs that the shape environment has assumed so far, in order."""
    return [guard.expr for guard in shape_env.guards]


def symbol_values(shape_env: ShapeEnv) -> Mapping[sympy.Symbol, sympy.Basic]:
    """What the symbols of inputs are in this call."""
    return shape_env.backed_var_to_val


def runtime_asserts(shape_env: ShapeEnv) -> list[sympy.Basic]:
    """Every condition over numbers from data that it has assumed so far: the graph has to check them."""
    return [
        assertion.expr for deferred in shape_env.deferred_runtime_asserts.values() for assertion in deferred
    ]


def assumption_counts(shape_env: ShapeEnv) -> tuple[int, int]:
    """How many conditions ``shape_guards`` and ``runtime_asserts`` have."""
    return len(shape_env.guards), shape_env.num_deferred_runtime_asserts


def known_number(shape_env: ShapeEnv, symbol: sympy.Symbol) -> int | None:
    """The number that a symbol has turned out to be, None while it is open."""
    found = shape_env.replace(symbol)
    return int(found) if found.is_Integer else None


def holds_in_range(condition: sympy.Basic, symbol: sympy.Symbol, promised: Range) -> bool:
    """Whether a condition on one symbol is true for every value in a range."""
    from torch.utils._sympy.value_ranges import bound_sympy

    try:
        found = bound_sympy(condition, {symbol: _value_range(*promised)})
    except Exception:
        return False
    return bool(found.is_singleton() and found.lower)


KeyPath = tuple[Any, ...]


def fresh_unbacked_symbols(shape_env: ShapeEnv, value: object) -> dict[sympy.Symbol, KeyPath]:
    """The symbols without a value that a call has just made, and where in its result each of them is found.

    Raises ``NotImplementedError`` if the result does not show one of them.
    """
    from torch.fx.experimental.symbolic_shapes import (
        PendingUnbackedSymbolNotFound,
        compute_unbacked_bindings,
    )

    if not shape_env.pending_fresh_unbacked_symbols:
        return {}
    try:
        return compute_unbacked_bindings(shape_env, value) or {}
    except PendingUnbackedSymbolNotFound as error:
        raise NotImplementedError(f"a number from data that its result does not show: {error}") from error


def forget_fresh_symbols(shape_env: ShapeEnv) -> None:
    """A call has failed: the symbols that it made are nowhere."""
    shape_env.pending_fresh_unbacked_symbols.clear()
    shape_env.ignorable_fresh_unbacked_symbols.clear()


def key_steps(path: KeyPath) -> list[tuple[str, Any]]:
    """A path of ``fresh_unbacked_symbols`` as steps: an "item" by index, a "method" without arguments, a
    "number" made of a truth value, a "quotient" by a number."""
    from torch.fx.experimental.symbolic_shapes import CallMethodKey, ConvertIntKey, DivideByKey
    from torch.utils._pytree import MappingKey, SequenceKey

    steps: list[tuple[str, Any]] = []
    for key in path:
        match key:
            case SequenceKey():
                steps.append(("item", key.idx))
            case MappingKey():
                steps.append(("item", key.key))
            case CallMethodKey():
                steps.append(("method", key.name))
            case ConvertIntKey():
                steps.append(("number", None))
            case DivideByKey():
                steps.append(("quotient", key.divisor))
            case _:
                raise NotImplementedError(f"a number from data at {key}")
    return steps


def unbacked_symbols(symbolic: torch.SymInt | torch.SymFloat | torch.SymBool) -> frozenset[sympy.Symbol]:
    """The symbols without a value that a symbolic number depends on."""
    from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

    return frozenset(free_unbacked_symbols(symbolic))


def assume(condition: torch.SymBool) -> bool:
    """Assume a condition on numbers from data: False if it is known not to hold, else it becomes a runtime
    assert."""
    from torch.fx.experimental.symbolic_shapes import expect_true

    return bool(expect_true(condition))


def checks() -> tuple[Any, ...]:
    """``torch._check`` and those that raise another error: ``(condition, message)``."""
    names = ("_check", "_check_index", "_check_value", "_check_type", "_check_not_implemented")
    return present(*((torch, name) for name in names))


def size_questions() -> tuple[Any, ...]:
    """Functions on symbolic numbers whose answer is known at once, if their module has been imported."""
    module = sys.modules.get("torch.fx.experimental.symbolic_shapes")
    if module is None:
        return ()
    names = (
        *("guard_or_false", "guard_or_true", "guard_size_oblivious", "statically_known_true"),
        *("statically_known_false", "sym_and", "sym_or", "sym_eq", "guard_scalar", "has_static_value"),
        *("expect_true", "is_concrete_int", "is_concrete_float", "is_concrete_bool"),
    )
    return present(*((module, name) for name in names))


def static_marks() -> tuple[Any, ...]:
    """TorchDynamo's ``mark_static``, if it has been imported."""
    return present((sys.modules.get("torch._dynamo.decorators"), "mark_static"))


UNBACKED_BINDINGS = "unbacked_bindings"
"""The key of ``fx.Node.meta`` under which AOTAutograd looks for the symbols that a node makes."""


def is_unbacked(symbol: sympy.Symbol) -> bool:
    """Whether a symbol has no value while a graph is made."""
    from torch.utils._sympy.symbol import SymT, symbol_is_type

    return symbol_is_type(symbol, (SymT.UNBACKED_INT, SymT.UNBACKED_FLOAT))


def symbol_range(shape_env: ShapeEnv, symbol: sympy.Symbol) -> tuple[int | float | None, int | float | None]:
    """The least and the greatest value assumed for a symbol; None where there is no bound."""
    bounds = shape_env.var_to_range.get(symbol)
    if bounds is None:
        return None, None
    return _finite(bounds.lower), _finite(bounds.upper)


def _finite(bound: Any) -> int | float | None:
    """A bound as a number; None for the infinities."""
    if bound.is_Integer:
        return int(bound)
    if bound.is_Float:
        return float(bound)
    return None


@dataclass(frozen=True, slots=True)
class ShapeFunctions:
    """The sympy functions that torch adds for Python's arithmetic, by meaning; absent ones are left out."""

    floor_division: tuple[type, ...]
    remainder: tuple[type, ...]
    true_division: tuple[type, ...]
    power: tuple[type, ...]
    maximum: tuple[type, ...]
    minimum: tuple[type, ...]
    to_float: tuple[type, ...]
    truncate: tuple[type, ...]
    ceiling: tuple[type, ...]
    floor: tuple[type, ...]
    round_to_int: tuple[type, ...]
    modular_index: tuple[type, ...]
    choice: tuple[type, ...]
    shift_left: tuple[type, ...]
    shift_right: tuple[type, ...]
    bitwise_and: tuple[type, ...]
    bitwise_or: tuple[type, ...]
    bitwise_xor: tuple[type, ...]
    square_root: tuple[type, ...]
    by_function: dict[type, Callable[..., Any]]
    """Functions of one float, which take the functions of ``symbolic_math``."""


@functools.cache
def shape_functions() -> ShapeFunctions:
    """The classes of ``torch.utils._sympy.functions`` that occur in shape expressions."""
    import sympy
    from torch.utils._sympy import functions

    def present(*names: str) -> tuple[type, ...]:
        return tuple(getattr(functions, name) for name in names if hasattr(functions, name))

    return ShapeFunctions(
        floor_division=present("FloorDiv", "CleanDiv"),
        remainder=(*present("Mod", "PythonMod"), sympy.Mod),
        true_division=present("IntTrueDiv", "FloatTrueDiv"),
        power=present("PowByNatural", "FloatPow"),
        maximum=(*present("Max"), sympy.Max),
        minimum=(*present("Min"), sympy.Min),
        to_float=present("ToFloat"),
        truncate=present("TruncToInt"),
        ceiling=present("CeilToInt"),
        floor=present("FloorToInt"),
        round_to_int=present("RoundToInt"),
        modular_index=present("ModularIndexing"),
        choice=present("Where"),
        shift_left=present("LShift"),
        shift_right=present("RShift"),
        bitwise_and=present("BitwiseFn_bitwise_and"),
        bitwise_or=present("BitwiseFn_bitwise_or"),
        bitwise_xor=present("BitwiseFn_bitwise_xor"),
        square_root=present("OpaqueUnaryFn_sqrt"),
        by_function={
            kind: function
            for function in symbolic_math()
            for kind in present(f"OpaqueUnaryFn_{function.__name__}")
        },
    )


def symbolic_math() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Functions of ``math`` on floats, and torch's that do the same, on symbolic numbers too."""
    import math

    names = ["acos", "asin", "atan", "cos", "cosh", "log2", "sin", "sinh", "sqrt", "tan", "tanh"]
    found = {getattr(math, name): getattr(torch, f"_sym_{name}", None) for name in names}
    return {function: symbolic for function, symbolic in found.items() if symbolic is not None}


# ---------------------------------------------------------------------------------------------------------
# Errors of fake tensors
# ---------------------------------------------------------------------------------------------------------


@functools.cache
def data_dependent_errors() -> tuple[type[BaseException], ...]:
    """What fake tensors raise where a value can't be known without data."""
    from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    return (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode)


@functools.cache
def dynamic_shape_errors() -> tuple[type[BaseException], ...]:
    """Those of ``data_dependent_errors`` that say that the shape of a result depends on data."""
    from torch._subclasses.fake_tensor import DynamicOutputShapeException

    return (DynamicOutputShapeException,)


@functools.cache
def unsupported_errors() -> tuple[type[BaseException], ...]:
    """What fake tensors raise where they, not the program, are at fault."""
    from torch._subclasses.fake_tensor import (
        MetadataMismatchError,
        UnsupportedFakeTensorException,
        UnsupportedMutationAliasingException,
        UnsupportedOperatorException,
    )

    return (
        MetadataMismatchError,
        UnsupportedFakeTensorException,
        UnsupportedMutationAliasingException,
        UnsupportedOperatorException,
        NotImplementedError,
    )


def operators_in_python() -> Any:
    """A context in which operators that are made of others run as their Python forms, where they have one."""
    from torch._dispatch.python import enable_python_dispatcher

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


# ---------------------------------------------------------------------------------------------------------
# What an operator does besides computing
# ---------------------------------------------------------------------------------------------------------


ArgumentPlace = tuple[int, str, Any]
"""Position, name and default of an operator's argument."""


@dataclass(frozen=True, slots=True)
class OperatorEffects:
    """What an operator overload may do to its arguments and to the random number generator.

    Arguments are given as position, name and default. ``written`` are those its schema says it writes to;
    ``statistics`` running statistics that it writes to without saying so, when ``training`` is true. With
    ``random``, it draws random numbers unless an argument of ``switches`` is false or 0. ``refuses``: it may
    raise for the numbers in its arguments; ``divides``: for whole ones, as they may be divided by zero.
    """

    written: tuple[ArgumentPlace, ...]
    statistics: tuple[ArgumentPlace, ...]
    training: ArgumentPlace | None
    random: bool
    switches: tuple[ArgumentPlace, ...]
    refuses: bool = False
    divides: bool = False

    @property
    def none(self) -> bool:
        return not (self.written or self.statistics or self.random or self.refuses or self.divides)


_RANDOM_SWITCHES = frozenset({"train", "training", "dropout", "dropout_p"})
_TRAINING_FLAGS = frozenset({"train", "training", "use_input_stats"})

_REFUSE_NUMBERS = re.compile(
    r"index|_?index_(put|put_impl|select|add|copy|fill|reduce)|gather|scatter(_add|_reduce)?|take|put"
    r"|_?embedding(_bag|_bag_forward_only|_renorm)?|nll_loss(2d)?(_forward)?|multi(label)?_margin_loss(_forward)?"
    r"|binary_cross_entropy|_?ctc_loss|bincount|histc|histogram|_histogramdd\w*|max_unpool[23]d"
    r"|multinomial|bernoulli|poisson|binomial|repeat_interleave|masked_scatter|segment_reduce"
    r"|_?linalg_(?!vector_norm|cross)\w+|cholesky\w*|inverse|_local_scalar_dense|_(functional_)?assert_(async|scalar)|resize"
)
"""Operators that look at numbers, or at memory, and may refuse them: at indices, classes, probabilities,
matrices, sizes. Those of others than torch may do so in any case."""

_DIVISIONS = frozenset({"div", "divide", "floor_divide", "remainder", "fmod"})
_WITH_PLAIN_NUMBER = frozenset({"float", "p", "float_out"})
_TORCHS_OWN = frozenset({"aten", "prim", "prims", "rngprims"})


@functools.cache
def operator_effects(operator: OpOverload) -> OperatorEffects:
    """What the schema and tags of an overload say about its effects."""
    schema = getattr(operator, "_schema", None)
    if schema is None:
        return OperatorEffects((), (), None, False, ())
    places = [
        (position, argument.name, argument.default_value if argument.has_default_value() else None)
        for position, argument in enumerate(schema.arguments)
    ]
    written = tuple(
        place
        for place, argument in zip(places, schema.arguments, strict=True)
        if argument.alias_info is not None and argument.alias_info.is_write
    )
    statistics: tuple[ArgumentPlace, ...] = ()
    training = None
    if not written and not schema.name.endswith("_functional"):
        statistics = tuple(place for place in places if place[1] in ("running_mean", "running_var"))
        training = next((place for place in places if place[1] in _TRAINING_FLAGS), None)
        if training is None:
            statistics = ()
    random = torch.Tag.nondeterministic_seeded in operator.tags
    switches = tuple(place for place in places if random and place[1] in _RANDOM_SWITCHES)
    namespace, _, name = schema.name.partition("::")
    name = name.rstrip("_")
    refuses = namespace not in _TORCHS_OWN or (
        _REFUSE_NUMBERS.fullmatch(name) is not None
        and not (random and schema.overload_name in _WITH_PLAIN_NUMBER)
    )
    return OperatorEffects(written, statistics, training, random, switches, refuses, name in _DIVISIONS)


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


# ---------------------------------------------------------------------------------------------------------
# Graph modules
# ---------------------------------------------------------------------------------------------------------


def graph_module(graph: torch.fx.Graph, name: str) -> GraphModule:
    """A graph module whose Python code is generated when it is first called, not now."""
    from torch.fx._lazy_graph_module import _LazyGraphModule

    return _LazyGraphModule(torch.nn.Module(), graph, name)


# ---------------------------------------------------------------------------------------------------------
# Torch state of a thread
# ---------------------------------------------------------------------------------------------------------


def state_items(item: Callable[[str, Callable[[], Any], Callable[[Any], None]], Any]) -> tuple[Any, ...]:
    """One ``item(name, read, write)`` for each piece of torch state that Python code can set.

    The function-mode stack is restored to its old members; dispatch modes are pushed and popped only by
    context managers whose exit runs in any case, and are left alone.
    """
    devices = tuple(
        device for device in ("cpu", "cuda", "xpu", "mps") if torch.amp.is_autocast_available(device)
    )
    items = [
        item("grad mode", torch.is_grad_enabled, torch._C._set_grad_enabled),
        item("default dtype", torch.get_default_dtype, torch.set_default_dtype),
        item("deterministic algorithms", _deterministic, _set_deterministic),
        item("fill uninitialized memory", _fills_memory, _set_fills_memory),
        item(
            "float32 matmul precision",
            _matmul_precision,
            _set_matmul_precision,
        ),
        item("autocast cache", torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
        item("autocast nesting", _autocast_nesting, _set_autocast_nesting),
        item("function modes", _function_modes, _set_function_modes),
        item("forward-mode gradients", torch._C._is_fwd_grad_enabled, torch._C._set_fwd_grad_enabled),
        item(
            "multithreaded backward",
            torch._C._is_multithreading_enabled,
            torch._C._set_multithreading_enabled,
        ),
        item(
            "cudnn",
            _flags(torch.backends.cudnn, _CUDNN_FLAGS),
            _set_flags(torch.backends.cudnn, _CUDNN_FLAGS),
        ),
        item(
            "attention kernels",
            _flags(torch.backends.cuda, _ATTENTION_FLAGS, "{}_sdp_enabled"),
            _set_attention,
        ),
    ]
    for device in devices:
        items.append(
            item(
                f"autocast on {device}",
                functools.partial(torch.is_autocast_enabled, device),
                functools.partial(torch.set_autocast_enabled, device),
            )
        )
        items.append(
            item(
                f"autocast dtype on {device}",
                functools.partial(torch.get_autocast_dtype, device),
                functools.partial(torch.set_autocast_dtype, device),
            )
        )
    return tuple(items)


_CUDNN_FLAGS = ("enabled", "benchmark", "deterministic", "allow_tf32")
_ATTENTION_FLAGS = ("flash", "mem_efficient", "math", "cudnn")


def _flags(owner: Any, names: tuple[str, ...], pattern: str = "{}") -> Callable[[], tuple[Any, ...]]:
    """A reader of several flags: attributes, or functions where the pattern names functions."""

    def read() -> tuple[Any, ...] | None:
        try:
            found = (getattr(owner, pattern.format(name)) for name in names)
            return tuple(value() if callable(value) else value for value in found)
        except RuntimeError:  # the program set precision both the old and the new way: torch refuses to tell
            return None

    return read


def _set_flags(owner: Any, names: tuple[str, ...]) -> Callable[[tuple[Any, ...]], None]:
    def write(values: tuple[Any, ...] | None) -> None:
        for name, value in zip(names, values or (), strict=values is not None):
            if getattr(owner, name) != value:
                setattr(owner, name, value)

    return write


def _set_attention(values: tuple[bool, ...] | None) -> None:
    for name, value in zip(_ATTENTION_FLAGS, values or (), strict=values is not None):
        getattr(torch.backends.cuda, f"enable_{name}_sdp")(value)


def _matmul_precision() -> str | None:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # as in ``_flags``
        return None


def _set_matmul_precision(value: str | None) -> None:
    if value is not None:
        torch.set_float32_matmul_precision(value)


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _fills_memory() -> bool:
    return torch.utils.deterministic.fill_uninitialized_memory


def _set_fills_memory(value: bool) -> None:
    torch.utils.deterministic.fill_uninitialized_memory = value


def _autocast_nesting() -> int:
    """The nesting depth of autocast: it can only be read by changing it."""
    torch.autocast_increment_nesting()
    return torch.autocast_decrement_nesting()


def _set_autocast_nesting(depth: int) -> None:
    while (present := _autocast_nesting()) != depth:
        if present < depth:
            torch.autocast_increment_nesting()
        else:
            torch.autocast_decrement_nesting()
    if depth == 0:
        torch.clear_autocast_cache()


def _function_modes() -> tuple[Any, ...]:
    """The stack of function modes and the mode of the default device, which is one of them."""
    stack = (torch._C._get_function_stack_at(place) for place in range(torch._C._len_torch_function_stack()))
    return (*stack, getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None))


def _set_function_modes(modes: tuple[Any, ...]) -> None:
    while torch._C._len_torch_function_stack():
        torch._C._pop_torch_function_stack()
    *stack, torch._GLOBAL_DEVICE_CONTEXT.device_context = modes
    for mode in stack:
        torch._C._push_on_torch_function_stack(mode)


# ---------------------------------------------------------------------------------------------------------
# Inductor
# ---------------------------------------------------------------------------------------------------------


def inductor_patches(mode: str | None, options: dict[str, Any] | None) -> dict[str, Any]:
    """Inductor's settings for ``torch.compile``'s ``mode`` and ``options``; torch's error for others."""
    if mode in (None, "default") and not options:
        return {}
    from torch import _TorchCompileInductorWrapper

    return dict(_TorchCompileInductorWrapper(mode, options, None).config)


def inductor_modes() -> tuple[str, ...]:
    """The names that ``mode`` may be for Inductor."""
    from torch._inductor import list_mode_options

    return tuple(list_mode_options())


class UnguardedAliasing(Exception):
    """AOTAutograd relies on a relation among inputs that nobody guards: a mistake of this package."""


def compile_with_inductor(
    module: GraphModule,
    examples: Sequence[Any],
    mode: FakeTensorMode,
    patches: dict[str, Any],
    written: Sequence[int],
) -> Callable[..., Any]:
    """Inductor's callable for a torch-level graph module. ``module`` is left as it is.

    ``examples`` are the fakes of the inputs, which belong to ``mode``. What Inductor assumes about symbols is
    added to the mode's shape environment. The tracing context is what Inductor's disk cache asks for shapes,
    and where AOTAutograd leaves what it assumes: which inputs are written to, which are one tensor, and which
    overlap. ``written`` are the inputs that the caller knows to be written to, and guards to be apart from
    all others; so nothing else may be assumed.
    """
    from torch._guards import TracingContext, tracing
    from torch._inductor.compile_fx import compile_fx

    graph = torch.fx.Graph()
    graph.output(graph.graph_copy(module.graph, {}))
    own = torch.fx.GraphModule(torch.nn.Module(), graph, "FrameliftGraph")
    if written and torch.is_grad_enabled():
        patches = {"custom_partitioner_fn": _partitioner(), **patches}
    context = TracingContext(mode)
    with tracing(context):
        run = compile_fx(own, list(examples), config_patches=patches or None)
    if context.fw_metadata is not None:
        inputs = enumerate(context.fw_metadata.input_info)
        changed = {place for place, info in inputs if info.mutates_data or info.mutates_metadata}
        if not changed <= set(written):
            raise UnguardedAliasing(f"inputs {sorted(changed)} are written to, not {list(written)}")
    if context.guards_context.aotautograd_guards:
        raise UnguardedAliasing(str(context.guards_context.aotautograd_guards))
    return run


def wants_known_floats(error: BaseException) -> bool:
    """Whether AOTAutograd asks for another capture, in which floats are not symbols."""
    from torch._dynamo.exc import TensorifyScalarRestartAnalysis

    return isinstance(error, TensorifyScalarRestartAnalysis)


def buffers_kept() -> Any:
    """While this is entered, backwards are compiled such that they can be run more than once."""
    return torch._functorch.config.patch(donated_buffer=False)


class SavedBeforeWritten(Exception):
    """A backward needs what an input held before the forward wrote to it."""


@functools.cache
def _partitioner() -> Any:
    """What divides a graph that writes to inputs into forward and backward.

    Inductor's own way may compute a value again in the backward from an input that the forward has written to
    meanwhile. Where it does, everything that the backward needs is kept instead.
    """
    from torch._functorch import partitioners
    from torch._inductor.custom_graph_pass import CustomPartitionerFn

    def needs_written(forward: GraphModule, backward: GraphModule) -> bool:
        copies = (node for node in forward.graph.nodes if node.target is torch.ops.aten.copy_.default)
        written = {node.args[0].name for node in copies if node.args[0].op == "placeholder"}
        return any(node.name in written for node in backward.graph.nodes if node.op == "placeholder")

    class Partitioner(CustomPartitionerFn):
        def __call__(self, gm: GraphModule, joint_inputs: Sequence[object], **kwargs: Any) -> Any:
            graph = torch.fx.Graph()
            graph.output(graph.graph_copy(gm.graph, {}))
            graph._codegen = gm.graph._codegen
            second = torch.fx.GraphModule(gm, graph)
            parts = partitioners.min_cut_rematerialization_partition(gm, joint_inputs, **kwargs)
            if needs_written(*parts):
                names = ("num_fwd_outputs", "static_lifetime_input_indices", "static_lifetime_input_nodes")
                some = {name: kwargs[name] for name in names if name in kwargs}
                parts = partitioners.default_partition(second, joint_inputs, **some)
            if needs_written(*parts):
                raise SavedBeforeWritten("the backward needs what an input held before it was written to")
            return parts

        def uuid(self) -> str:
            return "framelift: inputs that are written to are not saved"

        def __reduce__(self) -> tuple[Any, ...]:
            return (_partitioner, ())  # a part of the keys of Inductor's caches

    return Partitioner()


def compile_with_callable(
    function: Callable[..., Any],
    module: GraphModule,
    examples: Sequence[Any],
    fakes: Sequence[Any],
    mode: FakeTensorMode,
    named: dict[str, Any],
) -> Any:
    """What a backend in the form that ``torch.compile`` takes makes of a graph.

    It is given the real inputs. Backends that use AOTAutograd find the fakes of these in the fake mode of the
    tracing context, with their symbols.
    """
    from torch._guards import TracingContext, tracing

    for real, fake in zip(examples, fakes, strict=True):
        if isinstance(real, torch.Tensor):
            remember_fake(mode, real, fake)
    with tracing(TracingContext(mode)):
        return function(module, list(examples), **named)


def registered_backends(hidden: Sequence[str] = ()) -> list[str]:
    """Names in torch's registry of backends, entry points of installed packages included, without those that
    have a tag in ``hidden``."""
    from torch._dynamo.backends.registry import list_backends

    return list_backends(exclude_tags=tuple(hidden))


def registered_backend(name: str) -> Callable[..., Any] | None:
    """The callable in torch's registry of backends, None where nobody registered one."""
    from torch._dynamo.backends import registry

    return registry.lookup_backend(name) if name in registered_backends() else None


@functools.cache
def no_cpp_compiler_errors() -> tuple[type[BaseException], ...]:
    """What Inductor raises where the machine has no C++ compiler for it."""
    from torch._inductor import exc

    return tuple(getattr(exc, name) for name in ("InvalidCxxCompiler",) if hasattr(exc, name))


def node_target(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a node calls in the place of ``function``, so that generated code calls the same.

    It names what comes from torch by its path, and some operators' C functions have the name of a function in
    Python around them: ``torch.split`` takes other arguments than the operator. For these it is a function
    of ours, which the code holds as an object.
    """
    if not is_operator_function(function) or getattr(torch, function.__name__, None) is function:
        return function
    return _calling(function)


@functools.cache
def _calling(function: Callable[..., Any]) -> Callable[..., Any]:
    """One function in Python for each C function."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = function.__name__
    return call


def generate_code(module: GraphModule) -> None:
    """Generate the Python code of a graph module made by ``graph_module`` now.

    After that ``module.forward`` is the generated function; before, it is one that would generate it first.
    """
    real_recompile = getattr(module, "real_recompile", None)
    if real_recompile is not None:
        real_recompile()
    vars(type(module))["forward"].__globals__["__name__"] = GRAPH_CODE


GRAPH_CODE = "framelift.graphs"
"""The name of the module to which the generated code of graphs belongs."""

COMPILERS = tuple(
    os.path.join(os.path.dirname(torch.__file__), *path, "")
    for path in (("_functorch", "_aot_autograd"), ("_inductor",))
)


def is_compiled_code(function: types.FunctionType) -> bool:
    """Whether a function is what a compiler made of a program, or belongs to what runs that."""
    is_graph = function.__globals__.get("__name__") == GRAPH_CODE
    return is_graph or function.__code__.co_filename.startswith(COMPILERS)


def _below_generated_code(module: GraphModule, error: BaseException) -> types.TracebackType | None:
    """The entry of a traceback that is the generated code of a graph module."""
    code = getattr(module.forward, "__func__", module.forward).__code__
    entry = error.__traceback__
    while entry is not None and entry.tb_frame.f_code is not code:
        entry = entry.tb_next
    return entry


def failing_node(module: GraphModule, error: BaseException) -> int | None:
    """The position of the node at which the generated code of a module raised; None if it did not.

    Relies on the table of lines that fx keeps with the code.
    """
    entry = _below_generated_code(module, error)
    lines = getattr(module, "_lineno_map", None)
    if entry is None or not lines:
        return None
    return lines.get(entry.tb_lineno - module._prologue_start)


def traceback_below(module: GraphModule, error: BaseException) -> types.TracebackType | None:
    """The part of a traceback that lies below the generated code of a module."""
    entry = _below_generated_code(module, error)
    return None if entry is None else entry.tb_next


# ---------------------------------------------------------------------------------------------------------
# Callables: what kind of object of torch is this?
# ---------------------------------------------------------------------------------------------------------


def is_operator_function(function: object) -> bool:
    """Whether a C function is an operator of the namespace ``torch`` (``torch.relu``).

    They are static functions of one class, and keep its name in theirs when ``torch`` republishes them.
    """
    return getattr(function, "__qualname__", "").startswith("_VariableFunctionsClass.")


def is_tensor_class(cls: type) -> bool:
    """Whether C methods of this class are methods of tensors: ``Tensor``, or the C class below it."""
    return cls is torch.Tensor or cls is torch._C.TensorBase


@functools.cache
def constant_classes() -> frozenset[type]:
    """Classes whose instances are immutable values: dtypes, devices, sizes and the like."""
    names = ("dtype", "device", "layout", "memory_format", "qscheme", "Size", "finfo", "iinfo")
    return frozenset(getattr(torch, name) for name in names)


def is_operator(value: object) -> bool:
    """Whether a value is an operator of ``torch.ops`` that takes tensors, or one of its overloads."""
    return issubclass(type(value), torch._ops.OpOverload | torch._ops.OpOverloadPacket)


def is_higher_order_operator(value: object) -> bool:
    """Whether a value is an operator that takes functions (``torch.ops.higher_order.cond``)."""
    return issubclass(type(value), torch._ops.HigherOrderOperator)


def is_bound_class(cls: type) -> bool:
    """Whether a class is C++ made visible by pybind11: its methods are opaque. Python subclasses are not."""
    return (
        type(type(cls)) is type
        and type(cls).__name__ == "pybind11_type"
        and (vars(torch._C).get(cls.__name__) is cls)
    )


def wrapped_by(value: object) -> object | None:
    """What an instance that ``torch.compile`` or ``torch.jit`` made stands for: what it wraps.

    Both keep it: compiled modules as ``_orig_mod``, scripted and traced functions under a marker. A disabled
    module is of the class of compiled ones and stands for itself.
    """
    eval_frame = sys.modules.get("torch._dynamo.eval_frame")
    compiled_module = getattr(eval_frame, "OptimizedModule", None)
    if compiled_module is not None and type(value) is compiled_module:
        forward = value.__dict__.get("forward")
        return None if getattr(forward, "_torchdynamo_disable", False) else value._orig_mod
    if type(value) is torch._C.ScriptFunction:
        return value.__dict__.get("_torchdynamo_inline")
    return None


@dataclass(frozen=True)
class RecordedCallables:
    """The live sets in which ``torch.compiler``'s decorators record callables by ``id``."""

    allowed: set[int]
    disallowed: set[int]
    nonstrict: set[int]


def recorded_callables() -> RecordedCallables | None:
    """These sets, or None while no program can have used the decorators: their module is not loaded.

    torch removes an ``id`` when the callable dies, and adds to these very sets.
    """
    rules = sys.modules.get("torch._dynamo.trace_rules")
    names = ("_allowed_callable_ids", "_disallowed_callable_ids", "_nonstrict_trace_callable_ids")
    if rules is None or not all(hasattr(rules, name) for name in names):
        return None
    return RecordedCallables(*(getattr(rules, name)() for name in names))


# ---------------------------------------------------------------------------------------------------------
# Functions that capture answers itself
# ---------------------------------------------------------------------------------------------------------


def present(*places: tuple[object, str]) -> tuple[Any, ...]:
    """The attributes that this release of torch has among ``(owner, dotted name)``."""
    found = []
    for owner, dotted in places:
        value: Any = owner
        for name in dotted.split("."):
            value = getattr(value, name, None)
        if value is not None:
            found.append(value)
    return tuple(found)


def state_readers() -> tuple[Any, ...]:
    """C functions without effects that read state which every entry guards."""
    names = [
        "is_grad_enabled",
        "is_inference_mode_enabled",
        "get_default_dtype",
        "is_autocast_enabled",
        "is_autocast_cpu_enabled",
        "is_autocast_cache_enabled",
        "get_autocast_dtype",
        "get_autocast_gpu_dtype",
        "get_autocast_cpu_dtype",
        "is_anomaly_enabled",
        "is_anomaly_check_nan_enabled",
        "_C._is_autocast_available",
        "_C._get_deterministic_algorithms",
        "_C._get_deterministic_algorithms_warn_only",
        "_C._get_float32_matmul_precision",
        "_C._get_cudnn_enabled",
        "_C._get_cudnn_benchmark",
        "_C._get_cudnn_deterministic",
        "_C._get_mkldnn_enabled",
        "_C._get_flash_sdp_enabled",
        "_C._get_mem_efficient_sdp_enabled",
        "_C._get_math_sdp_enabled",
        "_C._get_privateuse1_backend_name",
        "_C._is_fwd_grad_enabled",
        "_C._has_mkldnn",
        "_C._len_torch_function_stack",
        "_C._is_torch_function_enabled",
        "_C._is_torch_function_all_disabled",
        "_C._cuda_isCurrentStreamCapturing",
    ]
    return present(*((torch, name) for name in names))


def compiling_questions() -> tuple[Any, ...]:
    """Functions by which a program asks whether it is being compiled; during capture the answer is yes."""
    found = present((torch, "compiler.is_compiling"), (torch, "compiler.is_dynamo_compiling"))
    import sys

    modules = [
        sys.modules.get(name)
        for name in ("torch._dynamo", "torch._dynamo.external_utils", "torch._utils_internal")
    ]
    extra = present(
        *((m, n) for m in modules if m is not None for n in ("is_compiling", "is_dynamo_compiling"))
    )
    return (*found, *extra)


def tracing_questions() -> tuple[Any, ...]:
    """Functions by which a program asks for other tracers; during capture the answer is no."""
    return present(
        (torch, "jit.is_scripting"),
        (torch, "jit.is_tracing"),
        (torch, "_C._is_tracing"),
        (torch, "_jit_internal.is_scripting"),
        (torch, "compiler.is_exporting"),
        (torch, "onnx.is_in_onnx_export"),
        (torch, "_C._functorch.is_functorch_wrapped_tensor"),
        (torch, "_C._is_torch_function_mode_enabled"),
    )


def override_questions() -> tuple[Any, ...]:
    """C functions that ask whether an argument overrides torch functions."""
    names = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    found = present(*((torch.overrides, name) for name in names), (torch._C, "_has_torch_function"))
    return (*found, *present(*((torch._C, f"_{name}") for name in names)))


# ---------------------------------------------------------------------------------------------------------
# What guards compare: tensor metadata and torch's state
# ---------------------------------------------------------------------------------------------------------

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


def torch_libraries() -> list[str]:
    """Paths of torch's shared libraries, some of which may not exist."""
    import os

    folder = os.path.join(os.path.dirname(torch.__file__), "lib")
    names = ("c10", "torch_cpu", "torch_python", "torch_cuda")
    return [os.path.join(folder, f"lib{name}.so") for name in names]


def torch_modes() -> tuple[Any, ...]:
    """What stands on the function-mode and dispatch-mode stacks, in a form that compares by value where modes
    mean the same: a default device is one mode object per ``with`` statement. The mode itself comes last: its
    address, compared before, decides, and cannot be another mode's as long as the mode is held here."""
    found: list[Any] = []
    for place in range(torch._C._len_torch_function_stack()):
        mode = torch._C._get_function_stack_at(place)
        if type(mode) is torch.utils._device.DeviceContext:
            found.append(("default device", str(mode.device)))
        else:
            found.append(("function mode", type(mode), id(mode), mode))
    for mode in torch.utils._python_dispatch._get_current_dispatch_mode_stack():
        found.append(("dispatch mode", type(mode), id(mode), mode))
    return tuple(found)


_DTYPE_CODES = {
    torch.float16: 5,
    torch.float32: 6,
    torch.float64: 7,
    torch.bfloat16: 15,
}
"""``c10::ScalarType`` of the dtypes that a default or autocast dtype can be."""

_PRECISION_CODES = {"none": 0, "ieee": 1, "tf32": 2, "bf16": 3, "default": 4, "bf16x9": 5}
"""``at::Float32Precision``."""

StateRow = tuple[str, str | None, str, list[int], int, Callable[[], int]]


def state_rows() -> list[StateRow]:
    """Torch's state that kernels and Python code read implicitly: every entry is good for one state only.

    ``(name, C++ symbol, what it is, arguments, bits, how Python reads it)``. The symbol is a "function", a
    method of the global "context", a "precision" of it, a "variable", the "thread keys", "autograd" modes or
    "function modes" of a thread; what it gives is compared with Python's answer once, and Python is asked at
    every call where they disagree. No getter named here throws for the arguments given: they are valid, since
    Python's own getter took them.
    """
    c = torch._C
    rows: list[StateRow] = [
        ("included dispatch keys", _THREAD_KEYS, "thread keys", [0], 64, _included_keys),
        ("excluded dispatch keys", _THREAD_KEYS, "thread keys", [1], 64, _excluded_keys),
        ("autograd modes", "_ZN3c1013AutogradState13get_tls_stateEv", "autograd", [], 8, _autograd_modes),
        (
            *("function modes", f"{_FUNCTION_TLS}9stack_lenEv", "function modes", [1], 32),
            c._len_torch_function_stack,
        ),
        (
            *("disabled torch functions", f"{_FUNCTION_TLS}18get_disabled_stateEv"),
            *("function modes", [0], 32),
            lambda: int(c._get_torch_function_state()),
        ),
        (
            *("default dtype", "_ZN3c1031get_default_dtype_as_scalartypeEv", "function", [], 8),
            _default_dtype,
        ),
        (
            *("autocast cache", "_ZN2at8autocast25is_autocast_cache_enabledEv", "function", [], 8),
            _autocast_cache,
        ),
        ("anomaly mode", "_ZN5torch8autograd11AnomalyMode8_enabledE", "variable", [], 8, _anomaly),
        (
            *("anomaly nan check", "_ZN5torch8autograd11AnomalyMode10_check_nanE", "variable", [], 8),
            _anomaly_nan,
        ),
    ]
    accelerator = torch._C._get_accelerator().type
    for device, code in (("cpu", 0), ("cuda", 1), ("xpu", 12), ("mps", 13)):
        if device in ("cpu", "cuda", accelerator) and torch.amp.is_autocast_available(device):
            symbol = "_ZN2at8autocast18get_autocast_dtypeEN3c1010DeviceTypeE"
            read = functools.partial(_autocast_dtype, device)
            rows.append((f"autocast dtype on {device}", symbol, "function", [code], 8, read))
    for name, method, getter in _CONTEXT_FLAGS:
        if hasattr(c, getter):
            symbol = f"_ZNK2at7Context{len(method)}{method}Ev"
            rows.append((name, symbol, "context", [], 8, functools.partial(_flag, getattr(c, getter))))
    symbol = "_ZNK2at7Context16float32PrecisionENS_14Float32BackendENS_9Float32OpE"
    for backend, operation, codes in _PRECISIONS:
        if hasattr(c, "_get_fp32_precision_getter"):
            read = functools.partial(_precision, backend, operation)
            rows.append((f"float32 precision of {backend} {operation}", symbol, "precision", codes, 32, read))
    return rows


_THREAD_KEYS = "_ZN3c104impl26raw_local_dispatch_key_setE"
_FUNCTION_TLS = "_ZN2at4impl22PythonTorchFunctionTLS"
_CONTEXT_FLAGS = (
    ("deterministic algorithms", "deterministicAlgorithms", "_get_deterministic_algorithms"),
    (
        *("deterministic algorithms, warn only", "deterministicAlgorithmsWarnOnly"),
        "_get_deterministic_algorithms_warn_only",
    ),
    (
        *("fill uninitialized memory", "deterministicFillUninitializedMemory"),
        "_get_deterministic_fill_uninitialized_memory",
    ),
    ("cudnn", "userEnabledCuDNN", "_get_cudnn_enabled"),
    ("cudnn benchmark", "benchmarkCuDNN", "_get_cudnn_benchmark"),
    ("cudnn deterministic", "deterministicCuDNN", "_get_cudnn_deterministic"),
    ("mkldnn", "userEnabledMkldnn", "_get_mkldnn_enabled"),
    ("mkldnn deterministic", "deterministicMkldnn", "_get_mkldnn_deterministic"),
    ("flash attention", "userEnabledFlashSDP", "_get_flash_sdp_enabled"),
    ("memory-efficient attention", "userEnabledMemEfficientSDP", "_get_mem_efficient_sdp_enabled"),
    ("math attention", "userEnabledMathSDP", "_get_math_sdp_enabled"),
    ("cudnn attention", "userEnabledCuDNNSDP", "_get_cudnn_sdp_enabled"),
    ("float16 reduction", "allowFP16ReductionCuBLAS", "_get_cublas_allow_fp16_reduced_precision_reduction"),
    ("bfloat16 reduction", "allowBF16ReductionCuBLAS", "_get_cublas_allow_bf16_reduced_precision_reduction"),
    ("float16 accumulation", "allowFP16AccumulationCuBLAS", "_get_cublas_allow_fp16_accumulation"),
    ("float16 reduction on cpu", "allowFP16ReductionCPU", "_get_cpu_allow_fp16_reduced_precision_reduction"),
)
"""(name, method of ``at::Context``, Python getter)"""
_PRECISIONS = (("cuda", "matmul", [1, 3]), ("mkldnn", "matmul", [2, 3]), ("cuda", "conv", [1, 1]))
"""(backend, operation, their codes in ``at::Float32Backend`` and ``at::Float32Op``). Those that a generated
kernel bakes in and that ``torch.get_float32_matmul_precision`` follows; libraries read the others when they
run."""


def _included_keys() -> int:
    return torch._C._dispatch_tls_local_include_set().raw_repr()


def _excluded_keys() -> int:
    return torch._C._dispatch_tls_local_exclude_set().raw_repr()


def _autograd_modes() -> int:
    """The bits of ``c10::AutogradState`` in their order there."""
    c = torch._C
    readers = (
        *(torch.is_grad_enabled, torch.is_inference_mode_enabled, c._is_fwd_grad_enabled),
        *(c._is_multithreading_enabled, c._is_view_replay_enabled),
        getattr(c, "_is_grad_layout_enforcement_enabled", bool),
    )
    return sum(read() << place for place, read in enumerate(readers))


_AUTOGRAD_MODES = (
    *("grad mode", "inference mode", "forward-mode gradients", "multithreaded backward"),
    *("view replay", "gradient layout enforcement"),
)


def spell_state_difference(name: str, expected: Any, found: Any) -> tuple[str, str, str]:
    """A difference between two states in words: what, expected, found."""
    if name == "autograd modes":
        for place, mode in enumerate(_AUTOGRAD_MODES):
            if (expected ^ found) >> place & 1:
                return mode, str(bool(expected >> place & 1)), str(bool(found >> place & 1))
    if name == "default dtype" or name.startswith("autocast dtype"):
        dtypes = {code: str(dtype) for dtype, code in _DTYPE_CODES.items()}
        return name, dtypes.get(expected, "another dtype"), dtypes.get(found, "another dtype")
    if name.endswith("dispatch keys"):
        keys = torch._C.DispatchKeySet.from_raw_repr
        return name, str(keys(expected & ~found)), str(keys(found & ~expected))
    if name.startswith("float32 precision"):
        names = {code: word for word, code in _PRECISION_CODES.items()}
        return name, names.get(expected, "?"), names.get(found, "?")
    flags = {"autocast cache", "anomaly mode", *(row[0] for row in _CONTEXT_FLAGS)}
    if name in flags and name not in _LEVELS:
        return name, str(bool(expected)), str(bool(found))
    if name == "modes":
        return name, _spell_modes(expected), _spell_modes(found)
    return name, str(expected), str(found)


_LEVELS = ("float16 reduction", "bfloat16 reduction")


def _spell_modes(modes: tuple[Any, ...]) -> str:
    words = (f"{what} {cls}" if type(cls) is str else cls.__qualname__ for what, cls, *_ in modes)
    return ", ".join(words) or "none"


def _default_dtype() -> int:
    return _DTYPE_CODES.get(torch.get_default_dtype(), 255)


def _autocast_cache() -> int:
    return int(torch.is_autocast_cache_enabled())


def _autocast_dtype(device: str) -> int:
    return _DTYPE_CODES.get(torch.get_autocast_dtype(device), 255)


def _anomaly() -> int:
    return int(torch.is_anomaly_enabled())


def _anomaly_nan() -> int:
    return int(torch.is_anomaly_check_nan_enabled())


def _flag(getter: Callable[[], Any]) -> int:
    """A flag; where torch tells two flags at once, the pair in the order of the enumeration behind it."""
    value = getter()
    if isinstance(value, tuple):
        reduced, split = value
        return 0 if reduced and split else 1 if split else 2
    return int(value)


def _precision(backend: str, operation: str) -> int:
    """The precision; nothing set ("none") is the same to kernels as full precision ("ieee")."""
    return max(_PRECISION_CODES.get(torch._C._get_fp32_precision_getter(backend, operation), 255), 1)


def change_function_modes() -> None:
    """Push a function mode and disable torch functions on this thread, until ``restore_function_modes``."""
    torch._C._push_on_torch_function_stack(torch.overrides.BaseTorchFunctionMode())
    torch._C._set_torch_function_state(torch._C._TorchFunctionState.ALL_DISABLED)


def restore_function_modes() -> None:
    """Undo ``change_function_modes``, which found torch functions enabled."""
    torch._C._set_torch_function_state(torch._C._TorchFunctionState.ENABLED)
    torch._C._pop_torch_function_stack()


def plain_value_types() -> list[type]:
    """Classes of torch whose values compare in C without calling anybody."""
    return [torch.device]


enter_inference_mode = torch.autograd.grad_mode._enter_inference_mode
"""Enters inference mode and returns the context to leave it with."""
exit_inference_mode = torch.autograd.grad_mode._exit_inference_mode
"""Leaves the inference mode of a context."""


def modes_active() -> bool:
    """Whether a mode of the program, for functions or for dispatch, or a function transform is active.

    The mode of ``torch.set_default_device`` does not count: it gives constructors a device, in a graph too,
    and the guarded state tells which one it is.
    """
    from torch.utils._device import DeviceContext

    if torch._C._functorch.peek_interpreter_stack() is not None:
        return True
    functions = torch._C._len_torch_function_stack()
    default_device = functions == 1 and type(torch._C._get_function_stack_at(0)) is DeviceContext
    return (functions > 0 and not default_device) or torch._C._len_torch_dispatch_stack() > 0


def engine_function() -> Callable[..., Any]:
    """The Python function through which ``backward`` and ``autograd.grad`` run the engine."""
    return torch.autograd.graph._engine_run_backward


def run_engine(
    outputs: Sequence[torch.Tensor],
    gradients: Sequence[torch.Tensor | None],
    retain_graph: bool,
    create_graph: bool,
    inputs: Sequence[torch.Tensor],
    allow_unreachable: bool,
    accumulate: bool,
) -> tuple[torch.Tensor | None, ...] | None:
    """Run autograd's engine: the gradients of ``inputs``; None if they are accumulated in the leaves."""
    found = torch.autograd.Variable._execution_engine.run_backward(
        tuple(outputs),
        tuple(gradients),
        retain_graph,
        create_graph,
        tuple(inputs),
        allow_unreachable=allow_unreachable,
        accumulate_grad=accumulate,
    )
    return None if accumulate else tuple(found)


def context_members() -> Mapping[str, Any]:
    """What the contexts of autograd functions have in C, by name, and how functions are applied."""
    return vars(torch._C._FunctionBase)


def context_class(cls: type) -> type:
    """The class of the contexts of an autograd function."""
    return cls._backward_cls


def function_with(cls: type, forward: Callable[..., Any]) -> Any:
    """An autograd function like ``cls`` but for its forward: contexts and backward are those of ``cls``."""
    parts = {name: getattr(cls, name) for name in ("clear_saved_tensors_on_access", "boxed_grads_call")}
    parts["forward"] = staticmethod(forward)
    made: Any = type(torch.autograd.Function)(cls.__name__, (torch.autograd.Function,), parts)
    made._backward_cls = cls._backward_cls
    return made


def checkpoint_function() -> Callable[..., Any]:
    """``torch.utils.checkpoint.checkpoint``."""
    return torch.utils.checkpoint.checkpoint


def run_checkpoint(function: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """A checkpointed call, without the wrapper that keeps it from torch's own compiler."""
    return checkpoint_function().__wrapped__(function, *arguments, **options)


def reentrant_context() -> type:
    """The class of the nodes of autograd that reentrant checkpoints leave."""
    return torch.utils.checkpoint.CheckpointFunction._backward_cls


def no_saved_tensors_hooks() -> bool:
    """Whether the program has no hooks for what autograd saves: they have seen a graph that raised, or raised
    themselves, as those of a checkpoint do when they have seen enough."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is None


@contextmanager
def without_saved_tensors_hooks() -> Iterator[None]:
    """Autograd's hooks for what it saves, which belong to the program, are off: they would be given fakes."""
    autograd = torch._C._autograd
    hooks = []
    while (top := autograd._top_saved_tensors_default_hooks(True)) is not None:
        hooks.append(top)
        autograd._pop_saved_tensors_default_hooks()
    try:
        yield
    finally:
        for pack, unpack in reversed(hooks):
            autograd._push_saved_tensors_default_hooks(pack, unpack)


class RecordOperators(NamedTuple):
    """The operators that begin and end a name for profilers."""

    enter: Callable[..., Any]
    exit: Callable[..., Any]


def record_operators() -> RecordOperators:
    """See ``RecordOperators``."""
    profiler = torch.ops.profiler
    return RecordOperators(
        profiler._record_function_enter_new, profiler._record_function_exit._RecordFunction
    )


def entered_torch_function_guard() -> Any:
    """A guard in force under which subclasses of tensors don't override torch's functions."""
    guard = torch._C.DisableTorchFunctionSubclass()
    guard.__enter__()
    return guard


class OptimizerFunctions(NamedTuple):
    """Functions of ``torch.optim`` that compute otherwise while torch's own compiler runs."""

    value_of_step: Callable[..., Any]
    stack_if_compiling: Callable[..., Any]


def optimizer_functions() -> OptimizerFunctions:
    """See ``OptimizerFunctions``."""
    from torch.optim import optimizer

    return OptimizerFunctions(optimizer._get_value, optimizer._stack_if_compiling)


def group_tensors() -> Callable[..., Any]:
    """The C function that sorts lists of tensors by device and type."""
    return torch._C._group_tensors_by_device_and_dtype


def history_of(outputs: Iterable[torch.Tensor]) -> tuple[list[torch.Tensor], set[type]]:
    """The leaves that running the engine from these tensors reaches, and the classes of its nodes."""
    found: dict[int, torch.Tensor] = {}
    pending: list[Any] = []
    for output in outputs:
        if output.grad_fn is not None:
            pending.append(output.grad_fn)
        elif output.requires_grad:
            found[id(output)] = output
    seen = set(pending)
    while pending:
        node = pending.pop()
        if type(node).__name__ == "AccumulateGrad":
            found[id(node.variable)] = node.variable
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                pending.append(following)
    return list(found.values()), {type(node) for node in seen}


def inputs_reached(output: torch.Tensor, inputs: Sequence[torch.Tensor]) -> frozenset[int]:
    """Which of these tensors an engine started at ``output`` reaches, by position."""
    nodes = {}
    for place, tensor in enumerate(inputs):
        if tensor.requires_grad:
            node = tensor.grad_fn
            if node is None:
                node = torch.autograd.graph.get_gradient_edge(tensor).node
            nodes[node] = place
    if output.grad_fn is None:
        return frozenset(place for place, tensor in enumerate(inputs) if tensor is output)
    pending, seen = [output.grad_fn], {output.grad_fn}
    while pending:
        node = pending.pop()
        if node in nodes:
            continue
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                pending.append(following)
    return frozenset(place for node, place in nodes.items() if node in seen)


def graph_break_functions() -> tuple[Any, ...]:
    """``torch._dynamo.graph_break``, if that module has been imported (it does nothing unless traced)."""
    import sys

    dynamo = sys.modules.get("torch._dynamo")
    return present((dynamo, "graph_break")) if dynamo is not None else ()


def dynamo_hook() -> object:
    """TorchDynamo's callback for frames on this thread, None if there is none."""
    from torch._C._dynamo.eval_frame import get_eval_frame_callback

    return get_eval_frame_callback()


def tracer_switch() -> Any:
    """``switch(None)`` turns TorchDynamo off on this thread and returns what turns it on: ``switch(that)``.

    Used to keep it from tracing framelift's own code, never to trace anything.
    """
    return torch._C._dynamo.eval_frame.set_eval_frame


def bookkeeping_functions() -> tuple[Any, ...]:
    """Functions by which TorchDynamo, once it has run, notes new modules for itself."""
    import sys

    return present((sys.modules.get("torch._dynamo.mutation_guard"), "_GenerationTracker.tag"))
