"""Building a graph: one node per call of the program, each run on fake tensors when it is recorded.

The body of the graph keeps the program's order. In front of it stand the placeholders, and behind those the
nodes that read sizes, so that a size is what it was before any tensor changed its shape.

A node that may change something (writes to an argument, draws random numbers, sets torch state, returns
nothing) stays in the graph even if nobody uses its result; any other unused node is dropped at ``finish``,
and so is an input that no remaining node reads.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import sympy
import torch
from torch import fx

from framelift import torch_internals
from framelift.graph.arithmetic import raising_functions, real_power
from framelift.graph.assumptions import Assumptions
from framelift.graph.autograd import ON_FAKES, run_engine, store_gradient
from framelift.graph.errors import UnsupportedOperator
from framelift.graph.failing import Place, leaves, leaves_something, place_of, risk_of
from framelift.graph.finished import FinishedGraph
from framelift.graph.inputs import (
    GraphInput,
    GraphInputs,
    InputState,
    as_before,
    can_be_put_back,
    changes_metadata,
    is_written,
    overlapping_inputs,
)
from framelift.graph.metadata import Answer, Metadata, has_history
from framelift.graph.nodes import (
    EFFECT,
    EXAMPLE,
    PLACE,
    PLAIN_ARGUMENTS,
    PLAIN_RESULTS,
    SIZE_READERS,
    UNTRACED,
    drop_unused,
    enter_inference_mode,
    exit_inference_mode,
    has_effect,
    rebuild,
    runs_autograd,
    size_reader,
    target_name,
    tensors_in,
)
from framelift.graph.shapes import (
    NO_OPEN_SIZES,
    Binding,
    InputSymbols,
    Number,
    OpenSizes,
    ShapeConditions,
    ShapeExpressions,
    Symbolic,
    collect_conditions,
    is_symbolic,
)
from framelift.graph.verify import verify

if TYPE_CHECKING:
    from framelift.guards.sources import Source


ASSERT_SCALAR = torch_internals.assert_scalar()


def _not_covered(*, only_caught: bool) -> bool:
    """Who builds a graph of no program has no handlers."""
    return False


class GraphBuilder:
    """One graph in the making. ``check`` has the finished graph verified against its laws.

    ``scalar_outputs`` and ``dynamic_outputs`` let numbers from data (``item``) and sizes that depend on data
    (``nonzero``) be symbols; else such calls fail. ``assumed`` knows what is assumed of all symbols.
    ``line_up`` tells the instructions that the program's frames are at, outermost first, and ``is_covered``
    whether one of them is inside of a block that handles exceptions; with ``only_caught`` one that may not
    raise them again.
    """

    __slots__ = (
        "_body",
        "_expressions",
        "_graph",
        "_inputs",
        "_items",
        "_lifted",
        "_metadata",
        "_open_contexts",
        "_producers",
        "_reads",
        "_stores_gradients",
        "_symbols",
        "assumed",
        "check",
        "in_transform",
        "is_covered",
        "line_up",
        "parent",
    )

    def __init__(
        self,
        *,
        check: bool = False,
        scalar_outputs: bool = False,
        dynamic_outputs: bool = False,
        parent: GraphBuilder | None = None,
        transforms: bool = False,
    ) -> None:
        self.check = check
        self.parent = parent
        self.in_transform: bool = transforms or (parent is not None and parent.in_transform)
        self.line_up: Callable[[], tuple[tuple[types.CodeType, int], ...]] = tuple
        self.is_covered: Callable[..., bool] = _not_covered
        self._lifted: dict[fx.Node, fx.Node] = {}
        if parent is None:
            self._metadata = Metadata(scalar_outputs=scalar_outputs, dynamic_outputs=dynamic_outputs)
            self.assumed = Assumptions(self._metadata.shape_env)
        else:
            self._metadata, self.assumed = parent._metadata, parent.assumed
        self._graph = fx.Graph()
        self._inputs = GraphInputs(self._graph)
        self._items: dict[tuple[fx.Node, Any], fx.Node] = {}
        self._producers: dict[int, fx.Node] = {}
        self._reads: dict[tuple[fx.Node, str, int], fx.Node] = {}
        self._body: fx.Node | None = None
        self._open_contexts: list[Any] = []
        self._stores_gradients = False
        self._symbols = InputSymbols()
        self._expressions = ShapeExpressions(self._symbols, self._read_symbol, self._emit_scalar)

    @property
    def graph(self) -> fx.Graph:
        """The graph in the making."""
        return self._graph

    @property
    def fake_mode(self) -> Any:
        """The mode whose fake tensors stand in this graph."""
        return self._metadata.fake_mode

    @property
    def shape_env(self) -> Any:
        """The shape environment of this graph's symbols."""
        return self._metadata.shape_env

    # --- inputs ------------------------------------------------------------------------------------------

    def tensor_input(
        self, tensor: torch.Tensor, source: Source, open_sizes: OpenSizes = NO_OPEN_SIZES
    ) -> fx.Node:
        """A placeholder for an outside tensor; sizes in ``open_sizes`` become symbols.

        A tensor has one placeholder: asking twice for the same object is the caller's mistake. Raises
        ``UnsupportedOperator`` for kinds of tensors that fake tensors don't know.
        """
        if self.parent is not None:
            return self.parent.tensor_input(tensor, source, open_sizes)
        name = self._inputs.unique_name(str(source))
        fake = self._metadata.fake_input(tensor, name, open_sizes)
        node = self._inputs.placeholder(name, fake)
        self._producers[id(fake)] = node
        self._inputs.add(GraphInput(node, source, tensor, fake, InputState.of(fake)))
        if open_sizes:
            self._symbols.add_tensor(fake, source, node, open_sizes.dynamic)
            self.assumed.promise(fake, source, open_sizes)
        return node

    def scalar_input(
        self, value: int | float, source: Source
    ) -> tuple[fx.Node, torch.SymInt | torch.SymFloat]:
        """A placeholder for a number of the program that the graph leaves open, and its symbol.

        Raises ``UnsupportedOperator`` for what can't be one: bools, infinities, nan, ints beyond 64 bits.
        """
        if self.parent is not None:
            return self.parent.scalar_input(value, source)
        name = self._inputs.unique_name(str(source))
        if type(value) is int and -(2**63) <= value < 2**63:
            symbolic = torch_internals.symbolic_int(self.shape_env, value, name)
        elif type(value) is float and value - value == 0.0:
            symbolic = torch_internals.symbolic_float(self.shape_env, value, name)
        else:
            raise UnsupportedOperator(NotImplementedError(repr(value)), name, f"{value!r} can't be a symbol")
        node = self._inputs.placeholder(name, symbolic)
        self._inputs.add(GraphInput(node, source, value, symbolic, None))
        self._symbols.add_number(symbolic, source, node)
        return node, symbolic

    # --- calls -------------------------------------------------------------------------------------------

    def call_function(
        self, target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None = None
    ) -> fx.Node:
        """Record ``target(*args, **kwargs)``; nodes and symbolic numbers stand in ``args`` for their values.

        The node's ``meta["example_value"]`` is the result on fake tensors: a fake, a container of them, or a
        plain or symbolic number. Raises ``OperatorError``, ``DataDependent`` or ``UnsupportedOperator``;
        then nothing is recorded.
        """
        arguments, named = tuple(args), dict(kwargs or {})
        answer = self._metadata.run(target, self._values(arguments), self._values(named))
        return self._record("call_function", torch_internals.node_target(target), arguments, named, answer)

    def call_method(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> fx.Node:
        """Record ``args[0].name(*args[1:], **kwargs)``, as ``call_function`` does."""
        arguments, named = tuple(args), dict(kwargs or {})
        answer = self._metadata.run_method(name, self._values(arguments), self._values(named))
        return self._record("call_method", name, arguments, named, answer)

    def run_engine(self, args: Sequence[Any], accumulated: Sequence[fx.Node]) -> fx.Node:
        """Record ``autograd.run_engine(*args)``, which may write to the gradients in ``accumulated``."""
        arguments = tuple(args)
        on_fakes = ON_FAKES[run_engine]
        answer = self._metadata.run(on_fakes, self._values(arguments), {}, self._values(tuple(accumulated)))
        node = self._record("call_function", run_engine, arguments, {}, answer)
        if answer.value is None:
            node.meta[EFFECT] = "data"
            self._stores_gradients = True
            leaves_something(node)
        return node

    def data_number(self, node: fx.Node) -> fx.Node:
        """Record ``node.item()`` of a float: the node of a number that only the graph's run knows."""
        return self._record_data("call_method", "item", (node,))

    def data_arithmetic(self, function: Callable[..., Any], args: Sequence[Any]) -> fx.Node:
        """Record ``function(*args)``, which gives a float, on numbers of which only the run knows one."""
        if function is operator.pow and not (isinstance(args[0], Number) and args[0] > 0):
            function = real_power
        return self._record_data("call_function", function, tuple(args))

    def _record_data(self, kind: str, target: Any, args: tuple[Any, ...]) -> fx.Node:
        """A node with a symbol of its own: algebra over real numbers would compute other floats."""
        symbolic = torch_internals.symbolic_data(self.shape_env)
        answer = Answer(symbolic, False, False, refuses=target in raising_functions())
        node = self._record(kind, target, args, {}, answer)
        self._symbols.unbacked[torch_internals.symbolic_expression(symbolic)] = node
        return node

    def history_of(self, nodes: Sequence[fx.Node]) -> tuple[list[torch.Tensor], set[type]]:
        """What running the engine from these nodes' tensors reaches: the fakes of leaves, and the classes of
        the nodes of autograd."""
        return torch_internals.history_of([node.meta[EXAMPLE] for node in nodes])

    def store_gradient(self, tensor: fx.Node, gradient: fx.Node | None) -> fx.Node:
        """Record ``tensor.grad = gradient``."""
        arguments = (tensor, gradient)
        answer = self._metadata.run(ON_FAKES[store_gradient], self._values(arguments), {})
        node = self._record("call_function", store_gradient, arguments, {}, answer)
        node.meta[EFFECT] = "data"
        self._stores_gradients = True
        leaves_something(node)
        return node

    def item(self, node: fx.Node, index: Any) -> fx.Node:
        """The node of one item of a tuple, list, named tuple or dictionary result; the same one every
        time."""
        node = self._lift(node)
        key = (node, index)
        found = self._items.get(key)
        if found is None:
            found = self._graph.create_node("call_function", operator.getitem, (node, index))
            found.meta[EXAMPLE] = node.meta[EXAMPLE][index]
            self._note_producer(found)
            self._begin_body(found)
            self._items[key] = found
        return found

    def scalar(self, symbolic: Symbolic) -> fx.Node | Number:
        """A node that computes a symbolic number; the number itself where it has become known.

        Raises ``UnsupportedOperator`` for expressions that no node can compute.
        """
        if self.parent is not None:
            outer = self.parent.scalar(symbolic)
            return self._lift(outer) if isinstance(outer, fx.Node) else outer
        return self._expressions.node(symbolic)

    def is_symbol_of(self, symbolic: Symbolic, node: fx.Node) -> bool:
        """Whether a number is a symbol of its own: the number from data that ``node`` computes."""
        return self._symbols.unbacked.get(torch_internals.symbolic_expression(symbolic)) is node

    def node_of(self, fake: torch.Tensor) -> fx.Node | None:
        """The first node whose result was this very fake: in-place calls return an old tensor."""
        node = self._producers.get(id(fake))
        return node if node is not None and node.meta[EXAMPLE] is fake else None

    def _record(
        self, kind: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], answer: Answer
    ) -> fx.Node:
        """Put an answered call into the graph."""
        value = answer.value
        self._check_result(target, value)
        if answer.unbacked and self.parent is not None:
            error = NotImplementedError(target_name(target))
            raise UnsupportedOperator(error, target_name(target), "a number from data inside a transform")
        node = self._graph.create_node(kind, target, self._nodes(args), self._nodes(kwargs))
        node.meta[EXAMPLE] = value
        covered = answer.refuses and self.is_covered(only_caught=target in raising_functions())
        node.meta[PLACE] = Place(self.line_up(), answer.written, answer.refuses, covered, answer.random)
        if answer.writes or answer.random:
            node.meta[EFFECT] = "data"
        elif has_effect(target, value):
            node.meta[EFFECT] = "state"
        if target is enter_inference_mode:
            self._open_contexts.append(value)
        elif target is exit_inference_mode:
            self._open_contexts.remove(self._values(args)[0])
        self._note_producer(node)
        self._begin_body(node)
        if answer.unbacked:
            self._bind_unbacked(node, answer.unbacked)
        self.assumed.note()
        return node

    def _bind_unbacked(self, node: fx.Node, made: Mapping[Any, torch_internals.KeyPath]) -> None:
        """Numbers from data that a call brought in: nodes read them from its result, right behind it."""
        node.meta[torch_internals.UNBACKED_BINDINGS] = made
        for symbol, path in made.items():
            found, method = node, None
            for kind, detail in torch_internals.key_steps(path):
                if kind == "item" and method is not None:
                    found = self._emit_scalar(SIZE_READERS[method], (found, detail))
                    method = None
                elif kind == "item":
                    found = self.item(found, detail)
                elif kind == "method" and detail == "storage_offset":
                    found = self._emit_scalar(SIZE_READERS[detail], (found,))
                elif kind == "method":
                    method = detail
                elif kind == "quotient":
                    found = self._emit_scalar(operator.floordiv, (found, self._nodes(detail)))
                else:
                    found = self._emit_scalar(torch.sym_ite, (found, 1, 0))
            self._symbols.unbacked[symbol] = found

    def _note_producer(self, node: fx.Node) -> None:
        value = node.meta[EXAMPLE]
        if isinstance(value, torch.Tensor):
            self._producers.setdefault(id(value), node)
        elif is_symbolic(value) and self.parent is None:
            self._expressions.remember(value, node)

    def _begin_body(self, node: fx.Node) -> None:
        if self._body is None:
            self._body = node

    def _check_result(self, target: Any, value: Any) -> None:
        """Refuse results that a graph can't hold."""
        name = target_name(target)
        if isinstance(value, torch.Tensor):
            if not torch_internals.is_fake_of(self.fake_mode, value):
                error = NotImplementedError(f"{name} returned a {type(value).__qualname__}")
                raise UnsupportedOperator(
                    error, name, "it returns a tensor that does not come from its arguments"
                )
        elif isinstance(value, tuple | list):
            for item in value:
                self._check_result(target, item)
        elif isinstance(value, dict):
            for item in value.values():
                self._check_result(target, item)
        elif not (value is None or isinstance(value, PLAIN_RESULTS) or target is enter_inference_mode):
            error = NotImplementedError(f"{name} returned a {type(value).__qualname__}")
            raise UnsupportedOperator(
                error, name, f"a {type(value).__qualname__} can't be a value in a graph"
            )

    def _values(self, argument: Any) -> Any:
        """Arguments with nodes replaced by their examples."""
        if isinstance(argument, fx.Node):
            return argument.meta[EXAMPLE]
        return rebuild(argument, self._values)

    def _nodes(self, argument: Any) -> Any:
        """Arguments with symbolic numbers replaced by nodes that compute them."""
        if is_symbolic(argument):
            return self.scalar(argument)
        if isinstance(argument, fx.Node):
            return self._lift(argument)
        if isinstance(argument, tuple | list | dict | slice):
            return rebuild(argument, self._nodes)
        if argument is None or isinstance(argument, PLAIN_ARGUMENTS) or callable(argument):
            return argument
        kind = type(argument).__qualname__
        error = NotImplementedError(f"a {kind} among the arguments")
        raise UnsupportedOperator(error, kind, f"a {kind} can't be an argument in a graph")

    def depend_on_storage_offsets(self) -> None:
        """The caller has read a storage offset from a fake: those of the inputs become conditions."""
        self._metadata.offsets_matter = True

    # --- bodies of function transforms -------------------------------------------------------------------

    def body(self, *, transforms: bool = False) -> GraphBuilder:
        """A builder for what a node calls: it takes nodes of this one as further inputs.

        With ``transforms`` a function transform calls it, with tensors of a level of its own.
        """
        return GraphBuilder(parent=self, transforms=transforms)

    def body_input(self, example: torch.Tensor) -> fx.Node:
        """A placeholder of a body for an argument of its function."""
        return self._inputs.placeholder(self._inputs.unique_name("argument"), example)

    def _lift(self, node: fx.Node) -> fx.Node:
        """A node of this graph for one of this graph or of one around it."""
        if node.graph is self._graph:
            return node
        if self.parent is None:
            error = NotImplementedError(str(node))
            raise UnsupportedOperator(error, str(node), "a tensor of a transform, used behind it")
        outer = self.parent._lift(node)
        found = self._lifted.get(outer)
        if found is None:
            found = self._lifted[outer] = self._inputs.placeholder(
                self._inputs.unique_name(outer.name), outer.meta[EXAMPLE]
            )
        return found

    def finish_body(self, outputs: Sequence[fx.Node | Number]) -> tuple[fx.GraphModule, list[fx.Node]]:
        """A body's module, and the nodes of the graph around it that are its further inputs, in order."""
        self._graph.output(tuple(self._lift(item) if isinstance(item, fx.Node) else item for item in outputs))
        for node in self._graph.nodes:
            node.meta.clear()  # the examples are of levels that end with the transform
        return torch_internals.graph_module(self._graph, "FrameliftBody"), list(self._lifted)

    def run_transform(self, function: Callable[[], Any], inputs: Callable[[], Sequence[fx.Node]]) -> Answer:
        """The answer of a call that captures a body on its way. Raises what ``function`` raises.

        ``inputs`` gives, afterwards, the nodes that it had for arguments. Raises ``UnsupportedOperator`` if
        it wrote to one of them.
        """
        value, random, written, refuses = self._metadata.run_transform(function)
        reached = {
            torch_internals.storage_key(tensor) for tensor in tensors_in(self._values(tuple(inputs())))
        }
        if not written.isdisjoint(reached):
            error = NotImplementedError("write")
            raise UnsupportedOperator(error, "transform", "a function transform that writes to its arguments")
        return Answer(value, False, random, refuses=refuses)

    def call_transform(
        self, target: Callable[..., Any], inputs: Sequence[fx.Node], answer: Answer
    ) -> fx.Node:
        """Record the call of a transform whose answer is known."""
        return self._record("call_function", target, tuple(inputs), {}, answer)

    def run_body(self, function: Callable[[], Any], inputs: Callable[[], Sequence[fx.Node]]) -> Answer:
        """``run_transform`` for a call that hands tensors through as they are, and may write to them."""
        value, random, written, refuses = self._metadata.run_transform(function)
        reached = {
            torch_internals.storage_key(tensor) for tensor in tensors_in(self._values(tuple(inputs())))
        }
        self._metadata.written |= written & reached
        known = frozenset(written & reached)
        return Answer(value, bool(known), random, written=known, refuses=refuses)

    def call_body(
        self, target: Callable[..., Any], inputs: Sequence[fx.Node], answer: Answer, untraced: str
    ) -> fx.Node:
        """Record the call of a body whose answer is known; ``untraced``: why a compiler must not trace it."""
        node = self._record("call_function", target, tuple(inputs), {}, answer)
        if untraced:
            node.meta[UNTRACED] = untraced
        return node

    # --- symbolic numbers --------------------------------------------------------------------------------

    def _read_symbol(self, bound: Binding, node: fx.Node) -> fx.Node:
        """The node that reads a symbol from its input, in front of the body."""
        if bound.what in ("int", "float"):
            return node
        key = (node, bound.what, bound.dimension)
        found = self._reads.get(key)
        if found is None:
            target, args = size_reader(bound, node)
            if self._body is None:
                found = self._graph.create_node("call_function", target, args)
            else:
                with self._graph.inserting_before(self._body):
                    found = self._graph.create_node("call_function", target, args)
            found.meta[EXAMPLE] = target(*(self._values(argument) for argument in args))
            self._reads[key] = found
        return found

    def _emit_scalar(self, target: Callable[..., Any], args: tuple[Any, ...]) -> fx.Node:
        """A node of the arithmetic of symbolic numbers."""
        node = self._graph.create_node("call_function", target, args)
        node.meta[EXAMPLE] = target(*(self._values(argument) for argument in args))
        self._begin_body(node)
        return node

    def _write_checks(self) -> None:
        """What is assumed of numbers from data becomes nodes that raise where it does not hold.

        Each check stands right behind the last node that gives it a number: what follows relies on it.
        """
        known = self._symbols.unbacked
        for expression, where in self.assumed.of_data():
            places = {known[symbol] for symbol in expression.free_symbols if symbol in known}
            last = next((node for node in reversed(self._graph.nodes) if node in places), None)
            before = self._body if last is None else last.next
            writing = ShapeExpressions(self._symbols, self._read_symbol, self._emit_scalar)
            with nullcontext() if before is None else self._graph.inserting_before(before):
                holds = writing.write(expression)
                message = f"compiled for {expression}{where}"
                node = self._graph.create_node("call_function", ASSERT_SCALAR, (holds, message))
                node.meta[EXAMPLE], node.meta[EFFECT] = None, "check"

    def shape_conditions(self) -> ShapeConditions:
        """What the graph assumes of its symbols, with their bindings; complete once a backend has compiled
        it."""
        if self._metadata.offsets_matter:
            for entry in self._inputs:
                if entry.before is not None and entry.fake.layout is torch.strided:
                    self._symbols.require_offset(entry.fake, entry.source)
            self._metadata.offsets_matter = False
        return collect_conditions(self.shape_env, self._symbols)

    def fixing(self, condition: sympy.Basic) -> list[sympy.Basic]:
        """Conditions under which ``condition``, which holds now, holds too: its symbols are what they are."""
        values = torch_internals.symbol_values(self.shape_env)
        symbols = sorted(condition.free_symbols, key=str)
        return [sympy.Eq(symbol, values[symbol], evaluate=False) for symbol in symbols]

    def fails_too_late(self, node: fx.Node) -> bool:
        """Whether ``node`` may refuse its data where a handler of the program would learn of it, although an
        input, or an argument of it, has been written to by then."""
        place = place_of(node)
        if place is None or not place.covered:
            return False
        storages = self._inputs.storages()
        return any(leaves(other, storages) for other in self._graph.nodes)

    # --- the end -----------------------------------------------------------------------------------------

    def finish(self, outputs: Sequence[fx.Node], *, keeps_history: bool = False) -> FinishedGraph:
        """The graph with these outputs, as a tuple; the builder takes no more calls afterwards."""
        self._leave_contexts()
        self._write_checks()
        writes = self._metadata.written
        changed = [entry for entry in self._inputs if changes_metadata(entry, writes, self.shape_env)]
        written = [entry for entry in self._inputs if is_written(entry, writes)]
        runs = any(runs_autograd(node) for node in self._graph.nodes)
        results = [node.meta[EXAMPLE] for node in outputs] + [entry.fake for entry in written]
        trains = runs or any(tensor.requires_grad and has_history(tensor) for tensor in tensors_in(results))
        self._graph.output(tuple(outputs))
        for node in self._graph.nodes:
            if changed and node.meta.get(EFFECT) == "state" and place_of(node) is not None:
                leaves_something(node)
        drop_unused(self._graph)
        kept = self._inputs.drop_unused()
        written_nodes = {entry.node for entry in written}
        fakes, reals = [entry.fake for entry in written], [entry.real for entry in written]
        overlap = overlapping_inputs(kept, written_nodes) if written else ()
        # How they overlap is part of what a compiler assumes, so their offsets become conditions.
        self._metadata.offsets_matter |= bool(overlap)
        finished = FinishedGraph(
            module=torch_internals.graph_module(self._graph, "FrameliftGraph"),
            inputs=tuple(entry.source for entry in kept),
            example_inputs=[entry.real if entry.before is not None else entry.fake for entry in kept],
            fake_inputs=[as_before(entry) if entry.node in written_nodes else entry.fake for entry in kept],
            fake_mode=self.fake_mode,
            mutated_inputs=bool(written or changed or self._stores_gradients),
            written=tuple(place for place, entry in enumerate(kept) if entry.node in written_nodes),
            overlap=overlap,
            changes_metadata=bool(changed),
            uses_rng=self._metadata.random,
            sets_state=any(node.meta.get(EFFECT) == "state" for node in self._graph.nodes),
            trains=trains,
            checks_data=any(node.meta.get(EFFECT) == "check" for node in self._graph.nodes),
            runs_autograd=runs,
            keeps_history=keeps_history,
            operator_count=sum(node.op in ("call_function", "call_method") for node in self._graph.nodes),
            risk=risk_of(
                self._graph.nodes,
                self._inputs.storages(),
                undoable=not changed and can_be_put_back(fakes, reals),
            ),
        )
        if self.check:
            bound = frozenset(self._symbols.bindings) | frozenset(self._symbols.unbacked)
            verify(finished, self.fake_mode, bound)
        return finished

    def close(self) -> None:
        """Leave what recorded calls have entered on this thread and not left, and let go of the program's
        tensors; safe to call twice."""
        self._leave_contexts()
        self._inputs.forget()

    def _leave_contexts(self) -> None:
        while self._open_contexts:
            exit_inference_mode(self._open_contexts.pop())
