"""Function transforms: a call of ``torch.func.grad(f)`` and its like becomes one node.

The transform itself runs on the fake tensors of its arguments, so torch decides what it means. What it calls
in the place of ``f`` captures ``f`` into a graph of its own, the body, on the tensors that it hands in. The
node's target does the same with real tensors and the body. Tensors of the program that ``f`` reaches by other
ways are further inputs of the body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from framelift.capture.datamodel import calls, constants, mapping, tensors
from framelift.capture.natives.registry import native
from framelift.capture.polyfills.registry import apply_transform
from framelift.capture.torch_calls.nests import filled, pattern_of, value_of, without_tensors
from framelift.capture.values import Tensor, Value
from framelift.graph import GraphBuilder
from framelift.graph.errors import CallFailed
from framelift.graph.metadata import classify
from framelift.observe import reasons
from framelift.observe.errors import Break


@native(apply_transform)
def transform_call(vm, arguments, keywords):
    transform, function, options, args, kwargs = (vm.look(item) for item in arguments)
    found: list[Tensor] = []
    pattern = (pattern_of(vm, args, found), pattern_of(vm, kwargs, found))
    call = Transform(vm, transform.real, constants.required(vm, options, "an option"), function)
    return call.capture(pattern, found)


class Transform:
    """One call of a transformed function while it is captured."""

    def __init__(self, vm, transform: Callable, options: dict, function: Value) -> None:
        self.vm = vm
        self.transform = transform
        self.options = options
        self.function = function
        self.outer: GraphBuilder = vm.graph
        self.error: BaseException | None = None
        self.outputs: Any = None
        self.module: fx.GraphModule | None = None
        self.lifted: list[fx.Node] = []

    def capture(self, pattern: tuple, found: list[Tensor]) -> Value:
        """Run the transform on fakes, and record the node."""
        args, kwargs = filled(pattern, [item.example for item in found])
        nodes = [item.node for item in found]

        def run() -> object:
            return self.transform(self.body, **self.options)(*args, **kwargs)

        try:
            answer = self.outer.run_transform(run, lambda: [*nodes, *self.lifted])
        except CallFailed as error:
            raise self.left_out(error.description) from None
        except Exception as error:
            if self.error is not None:
                raise self.error from None
            failed = classify(error, self.transform.__name__, self.transform)
            raise self.left_out(f"{type(error).__name__}: {failed.description}") from None
        results: list[torch.Tensor] = []
        shape = without_tensors(answer.value, results)
        target = runner(self.transform, self.options, pattern, len(nodes), self.module, self.outputs)
        flat = type(answer)(tuple(results), answer.writes, answer.random)
        node = self.outer.call_transform(target, [*nodes, *self.lifted], flat)
        values = tensors.node_value(self.vm, node, flat.value).items if results else []
        return value_of(self.vm, shape, values)

    def left_out(self, because: str) -> Break:
        """The break for a transform that can't be a node."""
        return Break(reasons.FUNCTION_TRANSFORM, f"{self.transform.__name__}: {because}")

    def body(self, *args: object, **kwargs: object) -> object:
        """What the transform calls in the place of the function."""
        try:
            if self.module is not None:
                raise self.left_out("the function is called more than once")
            return self.capture_body(args, kwargs)
        except BaseException as error:
            self.error = error
            raise

    def capture_body(self, args: tuple, kwargs: dict) -> object:
        """Interpret the function on what the transform hands in, in a graph of its own."""
        vm = self.vm
        builder = vm.graph = self.outer.body(transforms=True)
        try:
            found: list[torch.Tensor] = []
            shape = without_tensors((args, kwargs), found)
            values = []
            for tensor in found:
                value = vm.tensors[id(tensor)] = Tensor(builder.body_input(tensor), tensor)
                values.append(value)
            positional, named = (value_of(vm, part, values) for part in shape)
            names = {key.value: item for key, item in mapping.items(vm, named)}
            result = vm.look(calls.call(vm, self.function, positional.items, names))
            outputs: list[Tensor] = []
            self.outputs = pattern_of(vm, result, outputs)
            self.module, self.lifted = builder.finish_body([item.node for item in outputs])
        except CallFailed as error:
            raise self.left_out(error.description) from None
        finally:
            vm.graph = self.outer
        return filled(self.outputs, [item.example for item in outputs])


def runner(
    transform: Callable, options: dict, pattern: tuple, count: int, module: fx.GraphModule, outputs: Any
) -> Callable:
    """What the node calls: the transform of the body; the tensors of its result in a tuple."""

    def transformed(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        further = inputs[count:]

        def body(*args: object, **kwargs: object) -> object:
            handed: list[torch.Tensor] = []
            without_tensors((args, kwargs), handed)
            return filled(outputs, module.forward(*handed, *further))

        args, kwargs = filled(pattern, inputs)
        results: list[torch.Tensor] = []
        without_tensors(transform(body, **options)(*args, **kwargs), results)
        return tuple(results)

    transformed.__name__ = transform.__name__
    transformed.__module__ = __name__
    return transformed
