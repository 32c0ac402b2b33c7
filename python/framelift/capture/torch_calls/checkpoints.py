"""``torch.utils.checkpoint``: a checkpointed call becomes one node with the captured function as its body.

Run node by node, the node is torch's own checkpoint of the body: what autograd saves is dropped, and the
backward runs the body again, with the random numbers of the first time. A compiler that traces the graph gets
the body alone, and decides by itself what to keep: numbers and gradients are the same, as long as the body
does nothing but compute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from framelift import torch_internals
from framelift.capture.datamodel import calls, constants
from framelift.capture.natives.registry import native
from framelift.capture.torch_calls.bodies import body_arguments, forget_body, graph_value, trouble_of
from framelift.capture.torch_calls.nests import filled, pattern_of
from framelift.capture.values import Constant, Tensor, TupleObject, Value
from framelift.graph import GraphBuilder
from framelift.graph.errors import CallFailed
from framelift.graph.metadata import classify
from framelift.observe import reasons
from framelift.observe.errors import Break

OPTIONS = ("preserve_rng_state", "determinism_check", "debug", "early_stop", "respect_saved_tensors_hooks")


@native(torch_internals.checkpoint_function())
def checkpoint(vm, arguments, keywords):
    named = dict(keywords)
    reentrant = constants.required(vm, named.pop("use_reentrant", Constant(None)), "use_reentrant")
    if reentrant is None:
        raise left_out("`use_reentrant` is not given, of which torch warns")
    if "context_fn" in named or not arguments:
        raise left_out("`context_fn` is given" if arguments else "it is used as a decorator")
    options = {name: constants.required(vm, named.pop(name), name) for name in OPTIONS if name in named}
    if options.get("debug") or (reentrant and (named or "respect_saved_tensors_hooks" in options)):
        raise left_out("arguments that torch refuses, or debug=True")
    options["use_reentrant"] = bool(reentrant)
    function, *given = arguments
    return Checkpoint(vm, function, [vm.look(item) for item in given], named, options).capture()


def left_out(because: str) -> Break:
    """The break for a checkpoint that can't be a node."""
    return Break(reasons.CHECKPOINT, because)


class Checkpoint:
    """One checkpointed call while it is captured."""

    def __init__(
        self, vm, function: Value, arguments: list[Value], keywords: dict[str, Value], options: dict[str, Any]
    ) -> None:
        self.vm = vm
        self.function = function
        self.arguments = arguments
        self.keywords = keywords
        self.options = options
        self.outer: GraphBuilder = vm.graph
        self.error: BaseException | None = None
        self.module: fx.GraphModule | None = None
        self.lifted: list[fx.Node] = []
        self.outputs: Any = None
        self.untraced = ""

    def capture(self) -> Value:
        """Run the body on fakes, and record the node."""
        given = [item for item in self.arguments if isinstance(item, Tensor)]
        examples = [item.example if isinstance(item, Tensor) else None for item in self.arguments]
        nodes = [item.node for item in given]

        def run() -> object:
            if not self.options["use_reentrant"]:
                return self.body()
            body = [self.body]
            fast = {"use_reentrant": True, "preserve_rng_state": False}
            # The node of autograd that this leaves on the fakes must not keep the capture alive.
            return torch_internals.run_checkpoint(lambda *_: body.pop()(), examples, fast)

        try:
            answer = self.outer.run_body(run, lambda: [*nodes, *self.lifted])
        except CallFailed as error:
            raise left_out(error.description) from None
        except Exception as error:
            if self.error is not None:
                raise self.error from None
            failed = classify(error, "checkpoint", torch_internals.checkpoint_function())
            raise left_out(f"{type(error).__name__}: {failed.description}") from None
        vm = self.vm
        if self.options["use_reentrant"]:
            self.untraced = "a reentrant checkpoint runs autograd's engine"
            vm.untraced_contexts[torch_internals.reentrant_context()] = self.untraced
        elif answer.writes:
            self.untraced = "a checkpoint writes to tensors again when the backward repeats it"
        single = not isinstance(answer.value, tuple)
        results = (answer.value,) if single else answer.value
        is_tensor = [isinstance(item, Tensor) for item in self.arguments]
        target = checkpoint_runner(is_tensor, self.module, self.outputs, self.options)
        flat = type(answer)(results, answer.writes, answer.random)
        node = self.outer.call_body(target, [*nodes, *self.lifted], flat, self.untraced)
        values = [graph_value(vm, node, place, item) for place, item in enumerate(results)]
        return values[0] if single else TupleObject(values)

    def body(self) -> object:
        """What stands in the place of the function."""
        try:
            return self.capture_body()
        except BaseException as error:
            self.error = error
            raise

    def capture_body(self) -> object:
        """Interpret the function in a graph of its own."""
        vm = self.vm
        builder = vm.graph = self.outer.body()
        found: list[Any] = []
        try:
            with body_arguments(vm, builder, self.arguments) as values, vm.effects.watched() as records:
                result = calls.call(vm, self.function, values, self.keywords)
                self.outputs = pattern_of(vm, result, found, reasons.CHECKPOINT)
            if records:
                raise left_out("the function changes something, and again when the backward repeats it")
            self.untraced = trouble_of(builder.graph)
            self.module, self.lifted = builder.finish_body([item.node for item in found])
        except CallFailed as error:
            raise left_out(error.description) from None
        finally:
            vm.graph = self.outer
            forget_body(vm, builder)
        return filled(self.outputs, [item.example for item in found])


def run_body(module: fx.GraphModule, outputs: Any, handed: tuple, further: Any) -> object:
    """The body on the arguments that it is given and its further inputs; its result like the function's."""
    tensors = [item for item in handed if isinstance(item, torch.Tensor)]
    return filled(outputs, module.forward(*tensors, *further))


def checkpoint_runner(
    is_tensor: list[bool], module: fx.GraphModule, outputs: Any, options: dict[str, Any]
) -> Callable:
    """What the node calls: torch's checkpoint of the body, its results in a tuple.

    ``is_tensor`` says of each argument whether it is one; the others are in the body. What the function
    reaches by other ways than its arguments comes behind these, and the body closes over it.
    """
    torch_internals.generate_code(module)
    count = sum(is_tensor)

    def checkpointed(*inputs: torch.Tensor) -> tuple[Any, ...]:
        further = inputs[count:]

        def body(*handed: object) -> object:
            return run_body(module, outputs, handed, further)

        given = iter(inputs[:count])
        arguments = [next(given) if tensor else None for tensor in is_tensor]
        if torch_internals.modes_active():
            results = body(*arguments)
        else:
            results = torch_internals.run_checkpoint(body, arguments, options)
        return results if isinstance(results, tuple) else (results,)

    checkpointed.__name__ = "checkpoint"
    checkpointed.__module__ = __name__
    return checkpointed
