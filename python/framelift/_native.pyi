"""The native half, for type checkers and readers (``tests/execute/test_stub.py`` compares the two)."""

from collections.abc import Callable, Sequence
from types import CodeType, FrameType, FunctionType
from typing import Any, Final, SupportsIndex, final

__version__: Final[str]

Operand = tuple[str, Any]
OnMiss = Callable[["CompiledCallable", tuple[Any, ...], "Failures", int], "Entry | None"]

@final
class Unbound:
    """The type of ``UNBOUND``."""

UNBOUND: Final[Unbound]
"""Stands for an empty place among the locals and operands of a frame."""

def frame_at(code: CodeType, offset: int, /) -> FrameType:
    """A frame object without locals that stands at the instruction at ``offset``: for tracebacks."""

def handled_exception(beyond: bool = False, /) -> BaseException | None:
    """What the thread is handling; ``beyond``: outside the generator that runs innermost."""

def set_handled_exception(exception: BaseException | None, /) -> BaseException | None:
    """Replace what the innermost generator or the thread handles; gives what it was."""

iterator_parts: Final[dict[type, dict[str, Any]]]
"""The classes of iterators that can be read half-way, with the descriptors of what they hold."""

def next_item(iterator: object, ahead: int, part: str) -> Any:
    """What an iterator, which stays as it is, gives after ``ahead`` other items (IndexError: its end)."""

def advance(iterator: object, count: int) -> None:
    """Takes items and drops them; of an enumeration only the number goes on."""

@final
class CompiledCallable:
    """What ``compile`` returns for a function; with a ``bound_self``, that comes before the arguments."""

    def __init__(
        self,
        function: FunctionType,
        bound_self: object | None,
        on_miss: OnMiss | None,
    ) -> None: ...
    def __call__(self, *arguments: Any, **keywords: Any) -> Any: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Any: ...
    def __reduce__(self) -> str: ...
    def add(self, entry: Entry, offset: int = 0) -> None: ...
    def entries_at(self, offset: int, /) -> tuple[Entry, ...]: ...
    def clear(self) -> None: ...

    on_miss: OnMiss | None
    child_for: Callable[[FunctionType, Any], CompiledCallable | None] | None
    takes_function: bool
    of_one_object: bool
    passthrough: bool
    @property
    def function(self) -> FunctionType: ...
    @property
    def bound_self(self) -> object | None: ...
    @property
    def entries(self) -> tuple[Entry, ...]: ...
    @property
    def resume_points(self) -> tuple[int, ...]: ...
    @property
    def misses(self) -> int: ...
    @property
    def fallbacks(self) -> int: ...
    @property
    def graph_errors(self) -> int: ...
    # As functools.update_wrapper leaves them.
    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]
    # The function's own; none on a callable with a bound_self.
    __code__: CodeType
    __defaults__: tuple[Any, ...] | None
    __kwdefaults__: dict[str, Any] | None
    __closure__: tuple[Any, ...] | None
    @property
    def __globals__(self) -> dict[str, Any]: ...

@final
class Failures:
    """Given to ``on_miss``: for each entry, what ``tree.explain`` says (None: made for other arguments)."""

    def __call__(self) -> list[tuple[Entry, tuple[int, int, Any] | None]]: ...

@final
class Entry:
    """One set of facts and what runs when they hold: the graph, then the exit program."""

    def __new__(
        cls,
        tree: GuardTree,
        graph: Callable[..., Sequence[Any]] | None,
        graph_inputs: Sequence[int],
        program: ExitProgram,
        replayable: bool,
        info: Any,
        stop: tuple[int, int, int] | None = None,
        codes: tuple[CodeType, ...] | None = None,
        outdated: Sequence[int] = [],
        restores: bool = False,
        failed: Callable[[Exception], tuple[int, FrameType | None] | None] | None = None,
    ) -> Entry: ...
    @staticmethod
    def cpython(tree: GuardTree, info: Any) -> Entry: ...
    @property
    def tree(self) -> GuardTree: ...
    @property
    def graph(self) -> Callable[..., Sequence[Any]] | None: ...
    @property
    def program(self) -> ExitProgram | None: ...
    @property
    def replayable(self) -> bool: ...
    @property
    def runs_in_cpython(self) -> bool: ...
    @property
    def stop(self) -> tuple[int, int, int] | None: ...
    @property
    def codes(self) -> tuple[CodeType, ...] | None: ...
    @property
    def info(self) -> Any: ...
    @property
    def question(self) -> int | None: ...
    @property
    def hits(self) -> int: ...
    @property
    def graph_errors(self) -> int: ...

@final
class ExitProgram:
    """How a result is made of slots and graph outputs, and which objects are written to."""

    def __new__(cls, operations: list[tuple[Any, ...]], commit_at: int, result: Operand) -> ExitProgram: ...
    def __len__(self) -> int: ...
    @property
    def commit_at(self) -> int: ...

@final
class GuardTree:
    """Facts that must hold for an entry, and the objects its plan is given."""

    def __new__(
        cls,
        nodes: list[tuple[int, tuple[Any, ...], list[tuple[Any, ...]], int]],
        conditions: list[list[tuple[Any, ...]]],
        symbols: list[tuple[int, str, int]],
        distinct: Sequence[Sequence[SupportsIndex]],
        state: TorchState | None,
        argument_count: int,
        apart: Sequence[tuple[list[tuple[int, bool, int]], Sequence[tuple[int, int]]]] = (),
    ) -> GuardTree: ...
    def check(self, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None: ...
    def explain(self, arguments: tuple[Any, ...]) -> tuple[int, int, Any] | None: ...
    @property
    def slot_count(self) -> int: ...
    @property
    def standing(self) -> tuple[int, int, int] | None: ...
    @property
    def node_count(self) -> int: ...

@final
class TorchState:
    """A snapshot of the thread's torch state: what kernels read without being told."""

    @staticmethod
    def capture() -> TorchState: ...
    def holds(self) -> bool: ...
    def differences(self) -> list[tuple[str, Any, Any]]: ...
    def values(self) -> dict[str, int]: ...
    @property
    def modes(self) -> tuple[Any, ...]: ...

@final
class RuleTable:
    """Callable rules by identity, with the functions that decide what is not known yet."""

    def __new__(
        cls,
        classify: Callable[..., Any],
        module_rule: Callable[..., Any],
        marked: Callable[..., Any],
        markers: tuple[Any, ...],
        recorded_sets: Callable[..., Any],
        settle: Callable[..., Any],
    ) -> RuleTable: ...
    def __len__(self) -> int: ...
    def lookup(self, object: object) -> Any: ...
    def known(self, object: object) -> Any | None: ...
    def is_pure(self, object: object) -> bool: ...
    @staticmethod
    def canonical(object: object) -> Any: ...
    def assign(self, object: object, rule: Any, layer: str) -> None: ...
    def assign_pure(self, object: object) -> None: ...
    def forget_answers(self) -> None: ...
    def clear(self) -> None: ...

def call_by_slot(cls: type, /) -> None:
    """Instances of ``cls`` are called as their ``_framelift_call``, without a Python frame."""

def compiling(flag: bool) -> bool: ...
def forget_children() -> None: ...
def set_frame_decisions(
    decide: Callable[[FunctionType], int] | None, markers: tuple[str, ...], /
) -> tuple[Callable[[FunctionType], int] | None, tuple[str, ...]]: ...
def set_tracer_switch(switch: Callable[[object], object] | None, /) -> Callable[[object], object] | None: ...
def set_graph_error_hook(
    hook: Callable[[CompiledCallable, Entry, Exception], object] | None, /
) -> Callable[[CompiledCallable, Entry, Exception], object] | None: ...
def set_repeat_question(question: Callable[[], bool] | None, /) -> Callable[[], bool] | None: ...
def testing_start_at(
    function: FunctionType, offset: int, slots: Sequence[Any], stack: Sequence[Any]
) -> Any: ...
def testing_state(
    frame: FrameType,
    depth: int | None = None,  # noqa: PT028
) -> tuple[tuple[Any, ...], tuple[Any, ...], int]: ...
def calibrate_torch(
    probes: list[Any],
    facts: Callable[..., Any],
    matches: Callable[..., Any],
    number: Callable[..., Any],
    memory: Callable[..., Any],
    modes: Callable[..., Any],
    libraries: list[str],
    state: list[tuple[Any, ...]],
    plain_value_types: list[type],
) -> dict[str, Any]: ...
