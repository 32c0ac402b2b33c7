"""The pipeline: what happens when no entry of a compiled callable fits a call.

This is the one place that knows all rooms, in their order:

    capture    the call is run symbolically: a graph, guards, effects, an exit (or a break)
    graph      the finished graph, with the conditions on its symbols
    codegen    the backend makes it a callable
    guards     what was looked at becomes a native tree
    execute    tree, graph and exit program become an entry, which the callable keeps

A call that can't be captured to its end gets an entry too: while the same facts hold, it runs in CPython at
once. A failure of framelift itself is said once and never changes what the program does.
"""

from __future__ import annotations

import collections
import inspect
import os
import threading
import time
import traceback
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from framelift import _native, codegen, torch_internals
from framelift.capture import Captured, CaptureFailed, Policy, ResumePoint, capture_segment
from framelift.capture.exceptions import Raised
from framelift.children import SUSPENDED, Children, key_of
from framelift.config import config
from framelift.graph.failing import FailedGraph, Undone
from framelift.graph.shapes import describe_binding
from framelift.guards import BuiltGuards, GuardSet, ReferenceTree, build, find_changes, is_elsewhere
from framelift.guards.collect import same_demand
from framelift.guards.conditions import is_expressible
from framelift.guards.failure import GuardFailure
from framelift.guards.spelling import spell_condition
from framelift.observe import logs, reasons
from framelift.observe.counters import count
from framelift.observe.errors import (
    BackendFailed,
    Break,
    ConstraintViolated,
    InternalError,
    LimitReached,
    Misuse,
    Recompiled,
    Unsupported,
)
from framelift.observe.records import BreakRecord, CaptureRecord, GraphRecord

_compiling = threading.RLock()
"""Held by the thread that compiles; a second one runs its call in CPython meanwhile."""


def _unlock_after_fork() -> None:
    """In a forked child the thread that compiled does not exist."""
    global _compiling
    _compiling = threading.RLock()


os.register_at_fork(after_in_child=_unlock_after_fork)


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """What an entry remembers for explanations: its guards, and how it came to be."""

    guards: BuiltGuards
    reference: ReferenceTree
    record: CaptureRecord


class Compilation:
    """The compilation of one callable: its options, its policy on symbols, its records."""

    def __init__(
        self,
        function: types.FunctionType,
        *,
        name: str,
        backend: codegen.Backend,
        fullgraph: bool = False,
        dynamic: bool | None = None,
        recompile_limit: int | None = None,
        takes_function: bool = False,
    ) -> None:
        self.function = function
        self.takes_function = takes_function
        self.name = name
        self.backend = backend
        self.fullgraph = fullgraph
        self.dynamic = dynamic
        self.recompile_limit = recompile_limit
        self.records: list[CaptureRecord] = []
        self.dynamic_sizes: set[tuple[str, int]] = set()
        self.dynamic_scalars: set[str] = set()
        self.float_changes: collections.Counter[str] = collections.Counter()
        self.limited: set[int] = set()
        self.differing: set[int] = set()
        self.children = Children(self.new_child)

    @property
    def suspends(self) -> bool:
        """Whether frames of the function are suspended: it is a generator function or a coroutine."""
        return bool(self.function.__code__.co_flags & SUSPENDED)

    def reset(self) -> None:
        """Forget what was learnt and recorded."""
        self.records.clear()
        self.children.clear()
        self.dynamic_sizes.clear()
        self.dynamic_scalars.clear()
        self.float_changes.clear()
        self.limited.clear()
        self.differing.clear()

    def miss(
        self,
        compiled: _native.CompiledCallable,
        arguments: tuple[object, ...],
        failures: Callable[[], list],
        offset: int = 0,
    ) -> _native.Entry | None:
        """No entry of the resume point at ``offset`` fits: a new one, or None to go on in CPython."""
        if offset in self.limited:
            return None
        lock = _compiling
        if not lock.acquire(blocking=False):
            return None
        before = _native.compiling(True)
        try:
            return self.compile(compiled, arguments, failures, offset)
        finally:
            torch_internals.forget_answers_about_sizes()
            _native.compiling(before)
            lock.release()

    def child_for(self, function: types.FunctionType, first: object) -> _native.CompiledCallable | None:
        """What drives a frame that a break's instruction enters; None for plain CPython."""
        return self.children.find(function, first)

    def new_child(self, function: types.FunctionType) -> _native.CompiledCallable:
        """A compiled callable for frames of a function's code, with this one's options, whose records are
        shown with this one's."""
        child = Compilation(
            function,
            name=function.__qualname__,
            backend=self.backend,
            dynamic=self.dynamic,
            recompile_limit=self.recompile_limit,
            takes_function=True,
        )
        child.records = self.records
        compiled = _native.CompiledCallable(function, None, child.miss)
        compiled.takes_function = True
        compiled.child_for = child.child_for
        child.children.lineage = (*self.children.lineage, (key_of(function), compiled))
        return compiled

    def compile(
        self,
        compiled: _native.CompiledCallable,
        arguments: tuple[object, ...],
        failures: Callable[[], list],
        offset: int,
    ) -> _native.Entry | None:
        """``miss``, with the lock held."""
        described = self.describe(failures, arguments)
        failed = [failure for failure, elsewhere in described if not (offset and elsewhere)]
        if failed and config.error_on_recompile:
            raise Recompiled(self.name, [one.text for one in failed])
        if described:
            if self.at_limit(compiled, failed or [failure for failure, _ in described], offset):
                return None
            self.learn(compiled, arguments, offset)
        if failed:
            count("recompiles", failed[0].text)
            logs.logger("recompiles").info("%s: %s", self.name, failed[0].text)
        if offset == 0 and self.suspends:
            return self.generator_entry(compiled, len(arguments))
        record = self.new_record(failed)
        count("frames", "total")
        try:
            start = ResumePoint(self.function, offset, self.takes_function)
            with torch_internals.without_saved_tensors_hooks():
                entry = self.make_entry(start, arguments, record)
        except (Unsupported, BackendFailed, ConstraintViolated, Misuse, InternalError):
            raise
        except UserBackendError as error:
            raise error.original from None
        except Exception as error:
            entry = self.internal_failure(error, compiled, record)
        if self.function.__closure__:  # a record may outlive the function, and guards hold objects
            record.guards = str(record.guards)
        self.records.append(record)
        if entry is not None:
            compiled.add(entry, offset)
        return entry

    def generator_entry(self, compiled: _native.CompiledCallable, argument_count: int) -> _native.Entry:
        """The one entry for calls of a generator function or coroutine: CPython makes the generator.

        Its resume points, the first of which is where its code begins, have the segments. That is more than
        one graph.
        """
        if self.fullgraph:
            code = self.function.__code__
            is_plain = code.co_flags & inspect.CO_GENERATOR
            several = Break(reasons.GENERATOR_ESCAPES if is_plain else reasons.ASYNC_FUNCTION, self.name)
            several.stack = [(code.co_filename, code.co_firstlineno, code.co_name, next(code.co_positions()))]
            raise Unsupported(several, verbose=config.verbose)
        guards = GuardSet()
        built = build(guards, argument_count)
        entry = _native.Entry.cpython(
            built.tree, EntryInfo(built, ReferenceTree(guards), self.new_record([]))
        )
        compiled.add(entry)
        return entry

    def describe(
        self, failures: Callable[[], list], arguments: tuple[object, ...]
    ) -> list[tuple[GuardFailure, bool]]:
        """Which guard failed in each entry, the newest entry first; and whether the entry is for a loop that
        has another number of rounds to go, which is to this one as the branches of an `if` are."""
        described = []
        for entry, failure in failures():
            info: EntryInfo = entry.info
            if config.check_guards and info.reference.check(arguments) is not None:
                raise InternalError(
                    "guards", f"checking {self.name}: the native tree misses, the plain one hits"
                )
            if failure is not None:
                elsewhere = is_elsewhere(info.guards.guards, arguments)
                described.append((info.guards.describe(failure), elsewhere))
        return described

    @property
    def entry_limit(self) -> int:
        """How many entries a resume point may have."""
        return self.recompile_limit or config.cache_size_limit

    def at_limit(self, compiled: _native.CompiledCallable, failed: list[GuardFailure], offset: int) -> bool:
        """Whether there are as many entries as may be; then it is said once and CPython runs what misses."""
        limit, reason = self.entry_limit, reasons.CACHE_SIZE_LIMIT
        if len(compiled.entries_at(offset)) < limit:
            limit, reason = config.accumulated_cache_size_limit, reasons.ACCUMULATED_LIMIT
            if sum(len(compiled.entries_at(point)) for point in (0, *compiled.resume_points)) < limit:
                return False
        texts = [one.text for one in failed]
        if self.fullgraph:
            raise LimitReached(self.name, limit, texts, reason)
        self.limited.add(offset)
        _native.forget_children()
        count("limits", self.name)
        count("graph_break", reason.title)
        message = f"{reason.title}: {self.name} has {limit} entries; last failed guard: {texts[0]}"
        hints = "".join(f"\n  Hint: {hint}" for hint in reason.hints)
        logs.say_once("recompiles", (weakref.ref(self), reason.code), message + hints)
        return True

    def learn(self, compiled: _native.CompiledCallable, arguments: tuple[object, ...], offset: int) -> None:
        """Sizes and numbers that were seen to change become symbols in the next capture; where several rounds
        of a loop have gone on in several ways, it takes one."""
        if offset and len(compiled.entries_at(offset)) > 1:
            self.differing.add(offset)
        if self.dynamic is False or not config.automatic_dynamic_shapes:
            return
        fixed = {int: config.specialize_int, float: config.specialize_float}
        floats: set[str] = set()
        for entry in compiled.entries_at(offset):
            for change in find_changes(entry.info.guards.guards, arguments):
                self.dynamic_sizes.update((str(change.source), dimension) for dimension in change.dimensions)
                if change.number is not None and not (fixed[change.number] or change.fixed):
                    self.dynamic_scalars.add(str(change.source))
                    if change.number is float:
                        floats.add(str(change.source))
        self.float_changes.update(floats)

    def continue_from(self, other: Compilation) -> None:
        """What another compilation of the same code has learnt holds here, and its children are shared."""
        self.dynamic_sizes |= other.dynamic_sizes
        self.dynamic_scalars |= other.dynamic_scalars
        self.float_changes |= other.float_changes
        self.children = other.children

    def policy(self) -> Policy:
        """What the next capture takes for symbols."""
        all_sizes = self.dynamic is True or (self.dynamic is None and not config.assume_static_by_default)
        often = self.entry_limit // 2
        open_floats = (name for name, times in self.float_changes.items() if times > often)
        return Policy(
            frozenset(self.dynamic_sizes),
            frozenset(self.dynamic_scalars),
            all_sizes=all_sizes,
            scalar_outputs=self.fullgraph or config.capture_scalar_outputs,
            dynamic_outputs=self.fullgraph or config.capture_dynamic_output_shape_ops,
            break_at=config.break_at,
            break_inlined=config.break_inlined,
            open_floats=frozenset(() if self.fullgraph else open_floats),  # there a break is an error
        )

    def new_record(self, failed: list[GuardFailure]) -> CaptureRecord:
        """An empty record of this compilation."""
        code = self.function.__code__
        because = failed[0].text if failed else ""
        return CaptureRecord(self.name, code.co_filename, code.co_firstlineno, recompiled_because=because)

    def make_entry(
        self, start: ResumePoint, arguments: tuple[object, ...], record: CaptureRecord
    ) -> _native.Entry | None:
        """Capture, compile, guard."""
        started = time.perf_counter()
        try:
            captured = self.capture(start, arguments, record)
        finally:
            record.capture_seconds = time.perf_counter() - started
        if isinstance(captured, CaptureFailed):
            try:
                return self.entry_in_cpython(captured, arguments, record)
            finally:
                del captured  # its traceback leads back to this frame
        record.guards = captured.guards
        run = self.run_backend(captured, record)
        if run is None and captured.graph is not None:
            return None
        check_promises(captured)
        entry = assemble(captured, run, len(arguments), record)
        if entry.tree.check(arguments) is None:
            failure = entry.info.guards.describe(entry.tree.explain(arguments))
            raise InternalError("guards", f"compiling {self.name}: {failure.text} fails right after capture")
        check_reference(entry, arguments, self.name)
        count("frames", "ok")
        return entry

    def capture(
        self, start: ResumePoint, arguments: tuple[object, ...], record: CaptureRecord
    ) -> Captured | CaptureFailed:
        """Capture a segment to the function's return, or up to the instruction that can't be done.

        The second is a graph break: the segment is captured again and stops before that instruction. No
        handler of ours is entered meanwhile: the exception that the program handles is a part of its state.
        """
        policy = replace(self.policy(), round_by_round=start.offset in self.differing)
        captured, error = self.capture_with(policy, start, arguments)
        if not self.fullgraph and fails_where_it_is_handled(captured):
            policy = replace(policy, before_failures=True)
            captured, error = self.capture_with(policy, start, arguments)
        if not self.fullgraph and may_fail_late(captured):
            known = replace(policy, scalar_outputs=False, dynamic_outputs=False)
            captured, error = self.capture_with(known, start, arguments)
        if error is not None:
            self.note_break(error, record)
        return captured

    def capture_with(
        self, policy: Policy, start: ResumePoint, arguments: tuple[object, ...]
    ) -> tuple[Captured | CaptureFailed, Break | None]:
        """``capture`` under a policy: the segment, and the break it ends with if that is to be counted."""
        capture = partial(capture_segment, start, arguments, policy, check=config.raise_internal_errors)
        whole = attempt(capture)
        shorter = None
        try:
            if isinstance(whole, Captured) or self.fullgraph:
                return whole, None
            if whole.looks_at_history:
                seen = replace(policy, keeps_history=True)
                capture = partial(capture_segment, start, arguments, seen, check=config.raise_internal_errors)
            for stop in whole.stops:
                shorter = attempt(capture, end=stop)
                if isinstance(shorter, Captured):
                    # What makes something to await, and `await`, are where the function may be suspended.
                    awaits = self.suspends and whole.error.reason is reasons.ASYNC_FUNCTION
                    return shorter, None if whole.counted_elsewhere or awaits else whole.error
            return whole, None
        finally:
            del whole, shorter  # a failure's traceback leads back to this frame

    def note_break(self, error: Break, record: CaptureRecord) -> None:
        """Count and record a graph break."""
        record.breaks.append(BreakRecord.of(error))
        count("graph_break", error.reason.title)
        logs.logger("graph_breaks").info("%s", error)

    def run_backend(self, captured: Captured, record: CaptureRecord) -> Callable | None:
        """Give the graph to the backend; None if there is no graph, or its failure is suppressed."""
        graph = captured.graph
        if graph is None:
            return None
        started = time.perf_counter()
        try:
            made = codegen.compile_graph(self.backend, graph)
        except Misuse:
            raise
        except Exception as error:
            if config.suppress_errors:
                count("fallbacks", f"backend {self.backend.name}")
                logs.say_once("framelift", weakref.ref(self), str(BackendFailed(self.backend.name, error)))
                return None
            raise UserBackendError(error) from error
        seconds = time.perf_counter() - started
        count("graphs", made.used)
        record.graphs.append(GraphRecord(graph.module, made.used, made.reason, seconds))
        logs.logger("graph").info("%s:\n%s", self.name, graph)
        return made.run

    def entry_in_cpython(
        self, failed: CaptureFailed, arguments: tuple[object, ...], record: CaptureRecord
    ) -> _native.Entry | None:
        """An entry for a call that can't be captured: the same facts lead to CPython at once."""
        error: Break = failed.error
        if self.fullgraph:
            raise Unsupported(error, verbose=config.verbose) from None
        record.in_cpython = error.reason.title
        record.guards = failed.guards
        self.note_break(error, record)
        built = build(failed.guards, len(arguments))
        entry = _native.Entry.cpython(built.tree, EntryInfo(built, ReferenceTree(failed.guards), record))
        return entry if entry.tree.check(arguments) is not None else None

    def internal_failure(
        self, error: Exception, compiled: _native.CompiledCallable, record: CaptureRecord
    ) -> None:
        """A bug in framelift: said once; the callable runs in CPython from now on."""
        code = self.function.__code__
        internal = InternalError(
            "capture", f"compiling {self.name} ({code.co_filename}:{code.co_firstlineno})", error
        )
        if config.raise_internal_errors:
            raise internal from error
        detail = "".join(traceback.format_exception(error)) if config.verbose else ""
        logs.say_once("framelift", (self.name, type(error), str(error)), f"{internal}\n{detail}")
        count("fallbacks", "internal error")
        record.in_cpython = reasons.INTERNAL_ERROR.title
        compiled.passthrough = True


def attempt(capture: Callable[..., Captured], **options: object) -> Captured | CaptureFailed:
    """What a capture gives, with its failure as a result.

    The frames of the capture are forgotten: through them a failure would keep the program's objects.
    """
    try:
        return capture(**options)
    except CaptureFailed as failed:
        if not config.verbose:
            failed.__traceback__ = None
            forget_frames(failed.error)
        return failed


def forget_frames(error: BaseException | None) -> None:
    """Of an exception of capture's own and those that led to it. What the program handles is not touched."""
    while isinstance(error, (Break, Raised)):
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def may_fail_late(captured: Captured | CaptureFailed) -> bool:
    """Whether a graph may find that it does not apply to some data when CPython can't repeat its work."""
    graph = captured.graph if isinstance(captured, Captured) else None
    return graph is not None and graph.checks_data and (graph.mutated_inputs or graph.uses_rng)


def fails_where_it_is_handled(captured: Captured | CaptureFailed) -> bool:
    """Whether a graph may fail in a block that handles it, when CPython can't repeat its work."""
    graph = captured.graph if isinstance(captured, Captured) else None
    return graph is not None and graph.risk.covered and graph.risk.too_late and graph.risk.beyond_repair


def note_graph_error(compiled: _native.CompiledCallable, entry: _native.Entry, error: Exception) -> None:
    """A graph raised and CPython repeats its work: counted."""
    if isinstance(error, Undone):
        error = error.__cause__
    count("fallbacks", "graph raised")
    logs.logger("framelift").info(
        "%s: the graph raised %r; CPython runs the call", compiled.__qualname__, error
    )


_native.set_graph_error_hook(note_graph_error)
_native.set_repeat_question(torch_internals.no_saved_tensors_hooks)
_native.set_tracer_switch(torch_internals.tracer_switch())


class UserBackendError(Exception):
    """Carries what a backend raised past our own failure handling."""

    def __init__(self, original: Exception) -> None:
        super().__init__(str(original))
        self.original = original


def assemble(
    captured: Captured, run: Callable | None, argument_count: int, record: CaptureRecord
) -> _native.Entry:
    """Guards, graph and exit program as an entry."""
    guards: GuardSet = captured.guards
    graph_inputs: list[int] = []
    replayable = restores = True
    failed = None
    shapes = captured.builder.shape_conditions()
    for binding in shapes.bindings:
        guards.bind(binding.symbol, binding.source, binding.what, binding.dimension)
    for condition in shapes.conditions:
        if is_expressible(condition):
            guards.condition(condition)
        else:
            for fixed in captured.builder.fixing(condition):
                guards.condition(fixed)
    if captured.graph is not None:
        graph_inputs = [guards.collect(source) for source in captured.graph.inputs]
        restores = not captured.graph.mutated_inputs
        replayable = restores and not captured.graph.uses_rng
        failed = None if restores else FailedGraph(captured.graph)
    built = build(guards, argument_count)
    program = _native.ExitProgram(captured.operations, captured.commit_at, captured.result)
    info = EntryInfo(built, ReferenceTree(guards), record)
    stop = captured.stop and (captured.stop.offset, captured.stop.slot_count, captured.stop.depth)
    codes = captured.stop and captured.stop.callees
    return _native.Entry(
        built.tree,
        run,
        graph_inputs,
        program,
        replayable,
        info,
        stop,
        codes,
        captured.outdated,
        restores,
        failed,
    )


def check_promises(captured: Captured) -> None:
    """Sizes that are marked as open must be open in the entry."""
    for violation in captured.builder.assumed.violations():
        promise = violation.promise
        bindings = captured.builder.shape_conditions().bindings
        names = {bound.symbol: describe_binding(bound) for bound in bindings}
        condition = f"must meet `{spell_condition(violation.condition, names)}`"
        raise ConstraintViolated(str(promise), condition, promise.limits, violation.place)


def check_reference(entry: _native.Entry, arguments: tuple[object, ...], name: str) -> None:
    """With ``config.check_guards``: the plain engine must find what the native one found."""
    if not config.check_guards:
        return
    expected = entry.info.reference.check(arguments)
    found = entry.tree.check(arguments)
    same = (
        expected is not None
        and found is not None
        and all(map(same_demand, expected, found))  # a number may be made anew by each reading
    )
    if not same:
        raise InternalError("guards", f"compiling {name}: the two guard engines disagree")
