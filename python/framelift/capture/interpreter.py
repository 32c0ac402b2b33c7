"""The symbolic interpreter: runs frames over values, inlines calls, unwinds exceptions.

It holds what one capture accumulates: the graph under construction, the guards, the side-effect log, the
objects already opened, and the stack of frames. An instruction it cannot do raises ``Break``; the position
in every inlined frame is written into it on the way out.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING

import torch

from framelift import _native, rules, torch_internals
from framelift.capture import closing, outside
from framelift.capture.datamodel import calls, iteration
from framelift.capture.effects import EffectLog, SlotStore
from framelift.capture.exceptions import CONTEXT, TRACEBACK, Raised, raised
from framelift.capture.polyfills import is_polyfill
from framelift.capture.values import (
    Constant,
    FunctionObject,
    GeneratorObject,
    IdentityNumber,
    Lazy,
    OutsideIterator,
    Postponed,
    Symbol,
    Tensor,
    Value,
)
from framelift.children import SUSPENDED, is_driven
from framelift.config import config
from framelift.guards import kinds
from framelift.guards.sources import HandledException
from framelift.observe import reasons
from framelift.observe.errors import Break

if TYPE_CHECKING:
    from framelift.capture.decode.instruction import Instruction
    from framelift.capture.frame import Frame
    from framelift.capture.policy import Policy
    from framelift.capture.tables import Tables
    from framelift.graph import GraphBuilder
    from framelift.graph.failing import Line
    from framelift.guards import GuardSet


class Interpreter:
    """One capture. Public state, by subject:

    ``graph``, ``guards``, ``effects``: what the capture produces.
    ``policy``: which sizes and numbers are symbols, which tensor classes are taken.
    ``tables``: handlers, polyfills and torch calls by the callable they stand for.
    ``seen`` (real object id → value), ``tensors`` (fake tensor id → value), ``type_lookups``,
    ``type_stores``: what was opened, so that an object has one value. ``gradients``, ``gradient_stores``: the
    ``.grad`` of tensors by the id of their values (``datamodel/gradients``). ``untraced_contexts``: classes
    of contexts of autograd functions whose backward can't be run during capture, and why.
    ``looks_at_history``: a node of autograd was asked for.
    ``identities``: values compared by identity; ``key_types``: classes of the keys of outside containers.
    ``frames``: the stack of frames, outermost first; ``handled``: the exception being handled, or None,
    ``handled_at_start`` until a handler begins or ends.
    ``iterated``: containers whose items were taken from an iterator that came from outside.
    ``executed``: instructions of the outermost frame begun so far; ``stop_at``: how many to do, -1 for all;
    ``done``: when the frame was left, how many were complete before a place where CPython could go on;
    ``last``: the last instruction begun; ``raises``: the same as ``done`` for exceptions of the program, and
    in which callees that was; ``postponed``: text of data made so far; ``generators``: those made, each with
    ``done`` of when that was.
    """

    Raised = Raised

    def __init__(self, graph: GraphBuilder, guards: GuardSet, policy: Policy, tables: Tables) -> None:
        self.graph = graph
        self.guards = guards
        self.policy = policy
        self.tables = tables
        self.effects = EffectLog()
        self.seen: dict[int, Value] = {}
        self.keep_alive: list[object] = []
        self.tensors: dict[int, Tensor] = {}
        self.gradients: dict[int, Value] = {}
        self.gradient_stores: dict[int, SlotStore] = {}
        self.untraced_contexts: dict[type, str] = {}
        self.looks_at_history = False
        self.type_lookups: dict[tuple, tuple] = {}
        self.type_stores: dict[tuple[type, str], Value | None] = {}
        self.identities: dict[int, Value] = {}
        self.key_types: set[type] = set()
        self.iterated: dict[int, tuple[OutsideIterator, Lazy | None]] = {}
        self.identity_numbers: dict[int, IdentityNumber] = {}
        self.frames: list[Frame] = []
        self.handled_at_start = Lazy(_native.handled_exception(), HandledException())
        self.handled: Value = self.handled_at_start
        self.executed = 0
        self.done = 0
        self.last: Instruction | None = None
        self.raises: list[tuple[int, tuple[types.CodeType, ...]]] = []
        self.postponed: list[Postponed] = []
        self.generators: list[tuple[int, GeneratorObject]] = []
        self.stop_at = -1
        graph.assumed.where = self.positions
        graph.line_up, graph.is_covered = self.line_up, self.is_covered

    def close(self) -> None:
        """Let go of the program's objects: values refer to one another, and to the interpreter."""
        self.graph.assumed.where = list
        self.effects = EffectLog()
        for table in (self.seen, self.tensors, self.gradients, self.gradient_stores, self.identities):
            table.clear()
        self.handled = self.handled_at_start = Lazy(None, HandledException())
        self.identity_numbers.clear()
        for _, generator in self.generators:
            generator.frame.generator = None
        for held in (self.keep_alive, self.generators, self.postponed, self.iterated):
            held.clear()

    def positions(self) -> list[tuple]:
        """Where the program is, outermost frame first."""
        return [active.position() for active in self.frames]

    def line_up(self) -> tuple[Line, ...]:
        """The instructions that the program's frames are at, outermost first."""
        lines = []
        for active in self.frames:
            code = active.decoded.code
            if not is_polyfill(code):
                lines.append((code, active.decoded.instructions[active.current_index].offset))
        return tuple(lines)

    def is_covered(self, *, only_caught: bool = False) -> bool:
        """Whether an exception would come to a handler of the program in one of the frames; with
        ``only_caught`` to one that may end it there."""
        return any(active.is_covered(only_caught=only_caught) for active in self.frames)

    def look(self, value: Value) -> Value:
        """Open a lazy value."""
        return outside.look(self, value)

    def call(self, callee: Value, arguments: list[Value], keywords: dict[str, Value] | None = None) -> Value:
        """``callee(*arguments, **keywords)``."""
        return calls.call(self, callee, arguments, keywords or {})

    def driven_callees(self) -> tuple[types.CodeType, ...]:
        """The codes of the active callees that have frames of their own, and are compiled in them, when the
        captured frame's instruction is performed outside of a capture. What a function transform calls stays
        in CPython."""
        if self.graph.in_transform:
            return ()
        callees = []
        for frame in self.frames[1:]:
            code, real = frame.decoded.code, frame.function.real
            if not code.co_flags & SUSPENDED and not is_polyfill(code) and (real is None or is_driven(real)):
                callees.append(code)
        return tuple(dict.fromkeys(callees))

    def postpone(self, error: Break) -> Lazy:
        """Text of data: a value that breaks when it is looked at, as if there, where it was made.

        The exit can't make it: what it shows may be overwritten by then.
        """
        self.place(error)
        text = Postponed(error, completed(self.frames[0], self.executed))
        self.postponed.append(text)
        return Lazy(text, outside.Held(text, "text"))

    def unpack(self, value: Value) -> list[Value]:
        """The items of an iterable."""
        return iteration.unpack(self, value)

    def polyfill(self, name: str) -> Value:
        """A polyfill that stands for no callable of its own, by name."""
        return self.host_function(self.tables.by_name[name])

    def host_function(self, function: types.FunctionType) -> FunctionObject:
        """A value for one of framelift's own Python functions, to be inlined."""
        known = self.seen.get(id(function))
        if known is None:
            known = FunctionObject(
                function.__code__,
                outside.open_namespace(self, function.__globals__, function.__module__),
                name=function.__name__,
                qualname=function.__qualname__,
                real=function,
                source=outside.Held(function, function.__qualname__),
            )
            self.seen[id(function)] = known
            self.keep_alive.append(function)
        return known

    def rule_of(self, real: object) -> rules.Rule:
        """How calls of a real callable are treated."""
        return rules.lookup(real)

    def is_pure(self, real: object) -> bool:
        """Whether a callable has no effects and may be run during capture."""
        return rules.is_pure(real)

    def specialize(self, value: Symbol) -> int | float | bool:
        """The number a symbol has in this call; the entry becomes valid for that number only."""
        match value.symbolic:
            case torch.SymFloat() if value.source is not None:
                if str(value.source) in self.policy.open_floats:
                    raise Break(reasons.SYMBOLIC_VALUE, f"{value.source} was another number in most calls")
                self.guards.add(value.source, kinds.Equals(value.concrete))
                return value.concrete
            case torch.SymFloat() if value.inputs and value.concrete is not None:
                for part in value.inputs:
                    self.specialize(part)
                return value.concrete
        number = self.ask(value.symbolic)
        if isinstance(number, float) and (number == 0.0 or number != number):
            # a condition tells neither zeros nor nans apart
            raise Break(reasons.SYMBOLIC_VALUE, f"{number} from an expression over floats")
        return number

    def ask(self, symbolic: torch.SymInt | torch.SymFloat | torch.SymBool) -> int | float | bool:
        """The number that torch's symbolic number is in this call, which becomes a condition; a break where
        it depends on data."""
        kind = {torch.SymInt: int, torch.SymFloat: float, torch.SymBool: bool}[type(symbolic)]
        try:
            number = kind(symbolic)
        except torch_internals.data_dependent_errors() as error:
            reason = reasons.DATA_DEPENDENT_BRANCH if kind is bool else reasons.DATA_DEPENDENT_VALUE
            raise Break(reason, f"{symbolic} is not known before the graph runs") from error
        self.graph.assumed.note()
        return number

    def identity_used(self, value: Value) -> None:
        """Note that the result depends on which object this is: those noted must stay distinct."""
        if getattr(value, "real", None) is not None and value.source is not None:
            self.identities[id(value)] = value

    def identity_number(self, owner: Value | None) -> IdentityNumber:
        """``id(owner)``; without an owner the number of the thread."""
        if owner is not None:
            self.identity_used(owner)
        known = self.identity_numbers.get(id(owner))
        if known is None:
            known = self.identity_numbers[id(owner)] = IdentityNumber(owner)
        return known

    # -- frames ------------------------------------------------------------------------------------------

    def run(self, frame: Frame) -> Value:
        """Run a frame to its end (or next yield) and return what it returns (yields)."""
        if len(self.frames) >= config.inline_depth_limit:  # the host's own stack is used for each
            raise Break(reasons.TOO_DEEP, f"{len(self.frames)} frames")
        if not self.frames:
            return self.run_outermost(frame)
        self.frames.append(frame)
        steps = self.tables.steps(frame.decoded)
        if self.policy.break_inlined and not is_polyfill(frame.decoded.code):
            steps = with_break(steps, frame, self.policy.break_at)
        try:
            while True:
                try:
                    while True:
                        index = frame.index
                        frame.index = index + 1
                        handler, inst = steps[index]
                        result = handler(self, frame, inst)
                        if result is not None:
                            return result
                except Raised as error:
                    if not self.unwind(frame, error):
                        raise
        except Break as error:
            if not error.stack:
                self.place(error)
            raise
        finally:
            self.frames.pop()

    def run_outermost(self, frame: Frame) -> Value:
        """``run`` for the captured frame: counts its instructions, and stops before number ``stop_at``.

        An instruction of this frame with all that it calls is one step; capture can be repeated up to
        the step before the one that could not be done. The loop is that of ``run`` once more: a function for
        what they share would take more of the host's own stack for every frame.
        """
        self.frames.append(frame)
        steps = self.tables.steps(frame.decoded)
        if self.policy.break_at >= 0:
            steps = with_break(steps, frame, self.policy.break_at)
        try:
            while True:
                try:
                    while True:
                        if self.executed == self.stop_at:
                            raise Stopped
                        self.executed += 1
                        index = frame.index
                        frame.index = index + 1
                        handler, inst = steps[index]
                        result = handler(self, frame, inst)
                        if result is not None:
                            return result
                except Raised as error:
                    if not self.unwind(frame, error):
                        raise
        except Break as error:
            if not error.stack:
                self.place(error)
            raise
        finally:
            self.frames.pop()
            self.done = completed(frame, self.executed)
            self.last = frame.decoded.instructions[frame.current_index]

    def note_generator(self, generator: GeneratorObject) -> None:
        """A generator has been made."""
        if self.frames[0] is not generator.frame:
            self.generators.append((completed(self.frames[0], self.executed), generator))

    def before_open_generators(self) -> int | None:
        """How many instructions were complete before the first generator was made that has not ended since.

        One that is half-way can't be made again at the same place. None if there is no such generator.
        """
        return next((done for done, generator in self.generators if not generator.finished), None)

    def to_be_closed(self) -> GeneratorObject | None:
        """A generator made here that is half-way where its code has something to do when it is closed.

        CPython closes one when it loses the last reference; capture does not know when that is.
        """
        return next((one for _, one in self.generators if closing_acts(one)), None)

    def place(self, error: Break | Raised) -> None:
        """Write down where an error comes from."""
        error.stack = self.positions()
        error.callees = self.driven_callees()

    def unwind(self, frame: Frame, error: Raised) -> bool:
        """Enter the frame's handler for an exception; False where there is none, and the caller raises it on.

        Raised from here it would hold this frame, and this frame it, with all that the program was given.
        """
        index = frame.current_index
        if not error.stack:
            self.place(error)
        self.raises.append((completed(self.frames[0], self.executed), error.callees))
        if error.value.slots is not None:
            error.value.slots[TRACEBACK] = RAISED
        if error.value.slots is not None and error.value is not self.handled:
            context = error.value.slots.get(CONTEXT)
            if isinstance(context, Constant) and context.value is None:
                error.value.slots[CONTEXT] = self.context()
        handler = frame.decoded.handler_for(index)
        if handler is None:
            return False
        del frame.stack[handler.depth :]
        if handler.lasti:
            frame.stack.append(Constant(index))
        frame.stack.append(error.value)
        frame.index = handler.target_index
        return True

    def context(self) -> Value:
        """What an exception raised now gets as its context; at the start nobody looks at it for that."""
        return self.handled if self.handled is self.handled_at_start else self.handled_exception()

    def handled_exception(self) -> Value:
        """The exception being handled, looked at: an instance or None."""
        handled = self.look(self.handled)
        if self.handled is not self.handled_at_start and isinstance(handled, Constant):
            beyond = HandledException(beyond=True)
            return self.look(Lazy(_native.handled_exception(beyond.beyond), beyond))
        return handled

    def resume(
        self, generator: GeneratorObject, sent: Value, error: Raised | None = None
    ) -> tuple[Value] | None:
        """Run a generator to its next yield: a 1-tuple with what it yields, None when it returns.

        The returned value is kept in ``generator.returned``. With ``error`` the exception is thrown in.
        """
        if generator.running:
            raise raised(ValueError, "generator already executing")
        if generator.finished:
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # see `unwind`
            generator.returned = Constant(None)
            return None
        frame = generator.frame
        outer, self.handled = self.handled, frame.handled or self.handled
        generator.running = True
        try:
            if error is None:
                frame.stack.append(sent)
            elif not self.unwind(frame, error):
                raise error
            result = self.run(frame)
        except Raised as raised_error:
            generator.finished = True
            if issubclass(raised_error.value.cls, StopIteration):
                if is_polyfill(frame.decoded.code):
                    generator.returned = Constant(None)
                    return None
                raise raised(RuntimeError, "generator raised StopIteration") from None
            raise
        finally:
            del error
            generator.running = False
            frame.handled = self.handled if self.handled is not outer else None
            self.handled = outer
        if isinstance(result, Yielded):
            return (result.value,)
        generator.finished = True
        generator.returned = result
        return None


def closing_acts(generator: GeneratorObject) -> bool:
    """Whether a generator of the program is half-way where closing it runs some of its code."""
    frame = generator.frame
    return not (generator.finished or is_polyfill(frame.decoded.code) or closing.is_silent(frame))


def with_break(steps: list, frame: Frame, offset: int) -> list:
    """The steps of a frame with a graph break in place of the instruction at ``offset``."""
    index = frame.decoded.index_at.get(offset)
    if index is None:
        return steps
    return [*steps[:index], (forced_break, steps[index][1]), *steps[index + 1 :]]


def forced_break(vm: Interpreter, frame: Frame, inst: object) -> None:
    """The step that ``config.break_at`` puts in."""
    raise Break(reasons.FORCED_BREAK, f"before {inst}")


def completed(frame: Frame, executed: int) -> int:
    """Instructions done before the CPython instruction that contains the last one begun."""
    index, done = frame.current_index, max(executed - 1, 0)
    while done and not frame.decoded.instructions[index].resumable:
        index, done = index - 1, done - 1
    return done


class Stopped(Exception):
    """The captured frame has reached the instruction before which it was to stop."""


RAISED = Constant("raised")
"""Stands for the traceback of an exception that was raised during capture: it can't be made again."""


class Yielded(Value):
    """What ``run`` returns when a generator's frame suspends: the yielded value."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value
