"""``torch.autograd.Function``: a call of ``apply`` becomes one node with the captured forward as its body.

The node's target applies a function of the same kind, whose forward runs the body and leaves on the context
what the program's forward left there. The context is one of the program's own class, so the engine calls the
program's own backward, with everything that eager has: needs, gradients that are None, double backward,
errors about tensors written to since. On fake tensors the same is done while the body is captured.

A compiler that traces the graph runs that backward while it compiles. This is right only if the backward does
nothing but compute from the context and its gradients; so it is captured, too, and thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from framelift import torch_internals
from framelift.capture import outside
from framelift.capture.datamodel import attribute_stores, attributes, calls, constants, mapping, tensors
from framelift.capture.exceptions import Raised
from framelift.capture.natives.registry import native
from framelift.capture.torch_calls.bodies import Handover, forget_body, graph_value, trouble_of
from framelift.capture.torch_calls.nests import filled, pattern_of, value_of
from framelift.capture.values import Constant, Instance, Tensor, TupleObject, Value
from framelift.graph import GraphBuilder
from framelift.graph.errors import CallFailed
from framelift.graph.metadata import classify
from framelift.guards import GuardSet, kinds
from framelift.guards.sources import FunctionField, Link, Source
from framelift.observe import reasons
from framelift.observe.errors import Break

CONTEXT = torch_internals.context_members()
"""The C-level members of a context, by name."""

SETTABLE = tuple(
    name
    for name in (
        "to_save",
        "saved_for_forward",
        "dirty_tensors",
        "non_differentiable",
        "materialize_grads",
        "output_grad_dtypes",
        "_materialize_non_diff_grads",
        "_is_pure_view",
    )
    if name in CONTEXT
)
"""Those that a forward sets, mostly through methods written in Python. Older torches lack some."""

LASTING = (
    kinds.Is,
    kinds.IsNot,
    kinds.SameAs,
    kinds.TypeIs,
    kinds.TypeAttribute,
    kinds.Mro,
    kinds.CodeIs,
    kinds.DictMissing,
    kinds.NoInstanceDict,
)
"""Guards on what a program is made of. Other facts may have changed when the engine runs a backward."""


@native(CONTEXT["apply"])
def apply(vm, arguments, keywords):
    cls = vm.look(arguments[0]).value
    if keywords:
        raise left_out(cls, "keyword arguments")
    if torch_internals.transforms_active():
        raise left_out(cls, "inside a function transform")
    return FunctionCall(vm, cls, [vm.look(item) for item in arguments[1:]]).capture()


def left_out(cls: type, because: str) -> Break:
    """The break for a call that can't be a node."""
    return Break(reasons.AUTOGRAD_FUNCTION, f"{cls.__name__}: {because}")


class FunctionCall:
    """One call of ``apply`` while it is captured."""

    def __init__(self, vm, cls: type, arguments: list[Value]) -> None:
        self.vm = vm
        self.cls = cls
        self.arguments = arguments
        self.outer: GraphBuilder = vm.graph
        self.error: BaseException | None = None
        self.module: fx.GraphModule | None = None
        self.lifted: list[fx.Node] = []
        self.outputs: Any = None
        self.context: dict[str, Any] = {}
        self.members: dict[str, Any] = {}
        self.found: list[Any] = []
        self.trouble = ""
        self.needs: tuple[bool, ...] = ()

    def capture(self) -> Value:
        """Apply on fakes, and record the node."""
        given = [item.node if isinstance(item, Tensor) else None for item in self.arguments]
        examples = [item.example if isinstance(item, Tensor) else None for item in self.arguments]

        def run() -> object:
            return torch_internals.function_with(self.cls, self.forward).apply(*examples)

        try:
            answer = self.outer.run_body(run, lambda: [node for node in (*given, *self.lifted) if node])
        except CallFailed as error:
            raise left_out(self.cls, error.description) from None
        except Exception as error:
            if self.error is not None:
                raise self.error from None
            failed = classify(error, self.cls.__name__, self.cls)
            raise left_out(self.cls, f"{type(error).__name__}: {failed.description}") from None
        vm = self.vm
        single = not isinstance(answer.value, tuple)
        results = (answer.value,) if single else answer.value
        target = function_runner(
            self.cls,
            [node is not None for node in given],
            self.module,
            self.outputs,
            self.context,
            self.members,
        )
        flat = type(answer)(results, answer.writes, answer.random)
        inputs = [*(node for node in given if node is not None), *self.lifted]
        untraced = self.why_not_traced()
        if untraced:
            vm.untraced_contexts.setdefault(torch_internals.context_class(self.cls), untraced)
        node = self.outer.call_body(target, inputs, flat, untraced)
        values = [graph_value(vm, node, place, item) for place, item in enumerate(results)]
        return values[0] if single else TupleObject(values)

    def forward(self, context: Any, *handed: object) -> object:
        """What ``apply`` calls in the place of the program's forward."""
        try:
            return self.capture_body(context)
        except BaseException as error:
            self.error = error
            raise

    def capture_body(self, real: Any) -> object:
        """Interpret the forward in a graph of its own."""
        vm = self.vm
        builder = vm.graph = self.outer.body()
        try:
            self.needs = real.needs_input_grad
            members = {name: Constant(getattr(real, name, None)) for name in SETTABLE}
            context = new_context(self.cls, {**members, NEEDS: constants.from_host(vm, self.needs)})
            initial = dict(context.slots)
            result = self.call_forward(context)
            self.outputs = self.pattern(result)
            if vm.look(outside.instance_dict(vm, context)) is not None:
                for key, item in mapping.items(vm, context.attributes):
                    self.context[key.value] = self.pattern(item)
            for name in SETTABLE:
                if context.slots[CONTEXT[name]] is not initial[CONTEXT[name]]:
                    self.members[name] = self.pattern(context.slots[CONTEXT[name]])
            nodes = [graph_node(vm, item) for item in self.found]
            self.trouble = trouble_of(builder.graph)
            self.module, self.lifted = builder.finish_body(nodes)
        except CallFailed as error:
            raise left_out(self.cls, error.description) from None
        finally:
            vm.graph = self.outer
            forget_body(vm, builder)
        examples = [example_of(item) for item in self.found]
        fill_context(real, self.context, self.members, examples)
        return filled(self.outputs, examples)

    def pattern(self, value: Value) -> Any:
        return pattern_of(self.vm, value, self.found, reasons.AUTOGRAD_FUNCTION, symbols=True)

    def call_forward(self, context: Instance) -> Value:
        """Both ways to write a forward: with the context, or with a function of its own that sets it up."""
        vm, cls = self.vm, Constant(self.cls)
        forward = attributes.get(vm, cls, "forward")
        setup = attributes.lookup(vm, self.cls, "setup_context")
        if setup is attributes.lookup(vm, torch.autograd.Function, "setup_context"):
            return calls.call(vm, forward, [context, *self.arguments], {})
        result = calls.call(vm, forward, list(self.arguments), {})
        inputs = TupleObject(list(self.arguments))
        calls.call(vm, attributes.get(vm, cls, "setup_context"), [context, inputs, result], {})
        return result

    def why_not_traced(self) -> str:
        """Why a compiler must not run this function's backward while it compiles, "" if it may."""
        name = self.cls.__name__
        if self.trouble:
            return f"the forward of {name}: {self.trouble}"
        if self.members.get("dirty_tensors") or not self.members.get("materialize_grads", True):
            return f"{name} marks tensors as written to, or takes None for a gradient"
        trouble = self.trouble_in_backward()
        return f"the backward of {name}: {trouble}" if trouble else ""

    def trouble_in_backward(self) -> str:
        """Capture the backward apart from everything else; on success its guards are those of the call."""
        vm = self.vm
        guards = GuardSet()
        builder = self.outer.body()
        inner = type(vm)(builder, guards, vm.policy, vm.tables)
        inner.frames = [*vm.frames]
        try:
            with torch.no_grad():
                self.call_backward(inner, builder)
        except Break as error:
            return error.reason.title
        except CallFailed as error:
            return error.description
        except Raised:
            return "it raises an exception"
        finally:
            vm.graph.assumed.where = vm.positions
        if inner.effects.records or guards.collected or guards.distinct_groups or inner.identities:
            return "it changes something besides its results"
        if not all(isinstance(guard, LASTING) or of_defaults(source) for source, guard in guards.guards):
            return "it reads what may change before it runs"
        for source, guard in guards.guards:
            vm.guards.add(source, guard)
        return ""

    def call_backward(self, vm, builder: GraphBuilder) -> None:
        """Interpret the backward on tensors like those that it will get."""

        def fresh(example: torch.Tensor) -> Tensor:
            with builder.fake_mode:
                like = torch.empty_like(example).detach()
            value = vm.tensors[id(like)] = Tensor(builder.body_input(like), like)
            return value

        values = [fresh(item.example) if isinstance(item, Tensor) else item for item in self.found]
        saved = value_of(vm, self.members.get("to_save") or (), values)
        needs = constants.from_host(vm, self.needs)
        context = new_context(self.cls, {NEEDS: needs, "saved_tensors": saved})
        for name, pattern in self.context.items():
            attribute_stores.store(vm, context, name, value_of(vm, pattern, values))
        results = self.outputs if isinstance(self.outputs, tuple) else (self.outputs,)
        gradients = [
            gradient if isinstance(gradient := value_of(vm, item, values), Tensor) else NONE
            for item in results
        ]
        backward = attributes.get(vm, Constant(self.cls), "backward")
        calls.call(vm, backward, [context, *gradients], {})


def of_defaults(source: Source) -> bool:
    """Whether a source is in the defaults of a function."""
    while isinstance(source, Link):
        if isinstance(source, FunctionField) and source.name in ("defaults", "kwdefaults"):
            return True
        source = source.base
    return False


NEEDS = "needs_input_grad"

NONE = Constant(None)


def new_context(cls: type, members: dict[str, Value]) -> Instance:
    """The context that a function is given."""
    context = Instance(torch_internals.context_class(cls))
    context.slots = {CONTEXT[name]: value for name, value in members.items()}
    return context


def graph_node(vm, value: Value) -> Any:
    """The node of a tensor or of a number that is a symbol."""
    return value.node if isinstance(value, Tensor) else tensors.scalar_node(vm, value)


def example_of(value: Any) -> Any:
    """The fake of a tensor, torch's number of a symbol."""
    return value.example if isinstance(value, Tensor) else value.symbolic


def fill_context(
    context: Any, stored: dict[str, Any], members: dict[str, Any], values: Sequence[Any]
) -> None:
    """Leave on a real context what the program's forward leaves there."""
    for name, pattern in stored.items():
        setattr(context, name, filled(pattern, values))
    for name, pattern in members.items():
        setattr(context, name, filled(pattern, values))


def function_runner(
    cls: type,
    is_tensor: list[bool],
    module: fx.GraphModule,
    outputs: Any,
    stored: dict[str, Any],
    members: dict[str, Any],
) -> Callable:
    """What the node calls: the function applied to tensors, its results in a tuple.

    ``is_tensor`` says of each argument whether it is one; the others are in the body. The body's inputs come
    behind the arguments and reach the forward around ``apply``, which would count them as arguments.
    """
    handover = Handover()
    torch_internals.generate_code(module)
    count = sum(is_tensor)

    def forward(context: Any, *handed: object) -> object:
        values = module.forward(*handover.take())
        fill_context(context, stored, members, values)
        return filled(outputs, values)

    function = torch_internals.function_with(cls, forward)

    def applied(*inputs: torch.Tensor) -> tuple[Any, ...]:
        given = iter(inputs[:count])
        handover.put(inputs[count:])
        results = function.apply(*(next(given) if tensor else None for tensor in is_tensor))
        return results if isinstance(results, tuple) else (results,)

    applied.__name__ = cls.__name__
    applied.__module__ = __name__
    return applied
