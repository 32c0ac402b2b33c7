"""What programs say and ask about sizes: ``torch._check``, ``guard_or_false``, ``mark_static``; and the
numbers of a tensor."""

from __future__ import annotations

import torch

from framelift import marks, torch_internals
from framelift.capture.datamodel import constants, items, numbers, operators, tensors
from framelift.capture.natives.registry import native
from framelift.capture.torch_calls.tensors import tensor_of
from framelift.capture.values import Constant, ListObject, Symbol, Tensor, TupleObject, Value
from framelift.capture.values.objects import type_of
from framelift.observe import reasons
from framelift.observe.errors import Break


@native(*torch_internals.checks())
def check(vm, arguments, keywords):
    """``torch._check(condition, message)`` and its kin, which differ in what they raise."""
    require(vm, arguments[0] if arguments else keywords["cond"])
    return Constant(None)


@native(torch_internals.check_with)
def check_with(vm, arguments, keywords):
    require(vm, arguments[1] if len(arguments) > 1 else keywords["cond"])
    return Constant(None)


@native(torch_internals.check_is_size)
def check_is_size(vm, arguments, keywords):
    size = vm.look(arguments[0] if arguments else keywords["i"])
    require(vm, operators.compare(vm, ">=", size, Constant(0)))
    limit = vm.look(keywords.get("max", Constant(None)))
    if not (isinstance(limit, Constant) and limit.value is None):
        require(vm, operators.compare(vm, "<=", size, limit))
    return Constant(None)


def require(vm, condition: Value) -> None:
    """The condition holds in every call of the entry, or the graph raises; a break where it fails now."""
    condition = vm.look(condition)
    if isinstance(condition, Symbol) and condition.cls is bool and numbers.depends_on_data(condition):
        try:
            holds = torch_internals.assume(condition.symbolic)
        except torch_internals.data_dependent_errors() as error:
            raise Break(reasons.DATA_DEPENDENT_BRANCH, f"a check of {condition.symbolic}") from error
        vm.graph.assumed.note()
    elif isinstance(condition, Tensor):
        raise Break(reasons.DATA_DEPENDENT_BRANCH, "a check of a tensor")
    else:
        holds = operators.truth(vm, condition)
    if not holds:
        raise Break(reasons.OPERATOR_RAISED, "a check that does not hold")


@native(torch.broadcast_shapes)
def broadcast_shapes(vm, arguments, keywords):
    """From the right: a size of 1 gives way to the other one, and else they must be equal."""
    common: list[Value] = []
    for argument in arguments:
        shape = vm.look(argument)
        sizes = [shape] if issubclass(type_of(shape), int) else vm.unpack(shape)
        common = [Constant(1)] * (len(sizes) - len(common)) + common
        for place in range(-len(sizes), 0):
            if operators.equal(vm, common[place], Constant(1)):
                common[place] = vm.look(sizes[place])
            elif not operators.equal(vm, sizes[place], Constant(1)):
                require(vm, operators.compare(vm, "==", common[place], sizes[place]))
            require(vm, operators.compare(vm, ">=", sizes[place], Constant(0)))
    return TupleObject(common, torch.Size)


def size_questions():
    """``(function, handler)`` of torch's questions about symbolic numbers that are decided at once."""
    for real in torch_internals.size_questions():
        yield real, size_question(real)


def size_question(real):
    """A handler that asks about symbolic numbers; the answer may be one."""

    def ask(vm, arguments, keywords):
        operands = [numbers.host_number(number_of(vm, item)) for item in arguments]
        try:
            result = real(*operands)
        except torch_internals.data_dependent_errors() as error:
            raise Break(reasons.DATA_DEPENDENT_BRANCH, f"{real.__name__}: {error}") from error
        vm.graph.assumed.note()
        return tensors.node_value(vm, None, result)

    return ask


def number_of(vm, value: Value) -> Symbol | Constant:
    """A symbol, or a known number."""
    value = vm.look(value)
    return value if isinstance(value, Symbol) else Constant(constants.required(vm, value, "a number"))


@native(torch.Tensor.tolist)
def to_list(vm, arguments, keywords):
    """Every number by itself: sizes are fixed."""
    return numbers_of(vm, tensor_of(vm, arguments[0]))


def numbers_of(vm, tensor: Tensor) -> Value:
    """A tensor of no dimension as a number, others as lists of what they hold."""
    if tensor.example.dim() == 0:
        return tensors.graph_method(vm, "item", [tensor], {})
    if not isinstance(tensor.example.shape[0], int):
        vm.ask(tensor.example.shape[0])
    return ListObject([numbers_of(vm, vm.look(part)) for part in tensors.unbind(vm, tensor)])


@native(marks.mark_static)
def fix_sizes(vm, arguments, keywords):
    """``mark_static(t, index)`` inside a compiled function: these sizes become facts."""
    tensor = tensor_of(vm, arguments[0] if arguments else keywords["t"])
    index = vm.look(arguments[1] if len(arguments) > 1 else keywords.get("index", Constant(None)))
    shape = tensors.size(tensor).items
    if isinstance(index, Constant) and index.value is None:
        chosen = shape
    elif isinstance(index, (ListObject, TupleObject)):
        chosen = [shape[items.index_of(vm, one)] for one in index.items]
    else:
        chosen = [shape[items.index_of(vm, index)]]
    for one in chosen:
        constants.specialized(vm, one)
    return Constant(None)
