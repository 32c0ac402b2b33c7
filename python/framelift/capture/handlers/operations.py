"""Handlers of operators, attributes, subscription, text."""

from __future__ import annotations

from framelift.capture.datamodel import attribute_stores, attributes, items, operators, text
from framelift.capture.decode import instruction as op
from framelift.capture.exceptions import raised
from framelift.capture.handlers.registry import handler
from framelift.capture.values import EMPTY, Constant, MethodObject, SliceObject, SuperObject
from framelift.capture.values.objects import type_of
from framelift.observe import reasons
from framelift.observe.errors import Break


@handler(op.UnaryOp)
def unary_op(vm, frame, inst):
    frame.stack.append(operators.unary(vm, inst.operator, frame.stack.pop()))


@handler(op.ToBool)
def to_bool(vm, frame, inst):
    frame.stack.append(Constant(operators.truth(vm, frame.stack.pop())))


@handler(op.BinaryOp)
def binary_op(vm, frame, inst):
    right, left = frame.stack.pop(), frame.stack.pop()
    if inst.operator == "[]":
        frame.stack.append(items.get(vm, left, right))
    else:
        frame.stack.append(operators.binary(vm, inst.operator, left, right))


@handler(op.CompareOp)
def compare_op(vm, frame, inst):
    right, left = frame.stack.pop(), frame.stack.pop()
    frame.stack.append(operators.compare(vm, inst.operator, left, right))


@handler(op.IsOp)
def is_op(vm, frame, inst):
    right, left = frame.stack.pop(), frame.stack.pop()
    frame.stack.append(Constant(operators.same(vm, left, right) != inst.invert))


@handler(op.ContainsOp)
def contains_op(vm, frame, inst):
    container, item = frame.stack.pop(), frame.stack.pop()
    frame.stack.append(Constant(operators.contains(vm, container, item) != inst.invert))


@handler(op.StoreSubscr)
def store_subscr(vm, frame, inst):
    value, container, key = frame.pop(3)
    items.store(vm, container, key, value)


@handler(op.DeleteSubscr)
def delete_subscr(vm, frame, inst):
    container, key = frame.pop(2)
    items.delete(vm, container, key)


@handler(op.BinarySlice)
def binary_slice(vm, frame, inst):
    container, start, stop = frame.pop(3)
    frame.stack.append(items.get(vm, container, SliceObject(start, stop, Constant(None))))


@handler(op.StoreSlice)
def store_slice(vm, frame, inst):
    value, container, start, stop = frame.pop(4)
    items.store(vm, container, SliceObject(start, stop, Constant(None)), value)


@handler(op.BuildSlice)
def build_slice(vm, frame, inst):
    parts = frame.pop(inst.count)
    frame.stack.append(SliceObject(*parts, *[Constant(None)] * (3 - inst.count)))


@handler(op.GetLen)
def get_len(vm, frame, inst):
    frame.stack.append(operators.length(vm, frame.stack[-1]))


@handler(op.LoadAttr)
def load_attr(vm, frame, inst):
    frame.stack.append(attributes.get(vm, frame.stack.pop(), inst.name))


@handler(op.LoadMethod)
def load_method(vm, frame, inst):
    push_method(frame, attributes.get(vm, frame.stack.pop(), inst.name), inst.null_first)


def push_method(frame, found, null_first: bool) -> None:
    """Push a method as function and owner, anything else beside NULL."""
    if isinstance(found, MethodObject) and found.real is None:
        frame.stack += [found.function, found.owner]
    else:
        frame.stack += [EMPTY, found] if null_first else [found, EMPTY]


@handler(op.LoadSuperAttr)
def load_super_attr(vm, frame, inst):
    frame.stack.append(super_attribute(vm, frame, inst))


@handler(op.LoadSuperMethod)
def load_super_method(vm, frame, inst):
    push_method(frame, super_attribute(vm, frame, inst), inst.null_first)


def super_attribute(vm, frame, inst):
    """``super(cls, self).name`` of the three values on the stack."""
    _, start, owner = frame.pop(3)
    return attributes.get(vm, new_super(vm, start, owner), inst.name)


def new_super(vm, start, owner) -> SuperObject:
    """https://docs.python.org/3/library/functions.html#super"""
    start, owner = vm.look(start), vm.look(owner)
    if not isinstance(start, Constant) or not isinstance(start.value, type):
        raise raised(TypeError, "super() argument 1 must be a type")
    if isinstance(owner, Constant) and isinstance(owner.value, type) and issubclass(owner.value, start.value):
        return SuperObject(start.value, owner, owner.value)
    cls = type_of(owner)
    if issubclass(cls, start.value):
        return SuperObject(start.value, owner, cls)
    raise raised(TypeError, "super(type, obj): obj must be an instance or subtype of type")


@handler(op.StoreAttr)
def store_attr(vm, frame, inst):
    value, owner = frame.pop(2)
    attribute_stores.store(vm, owner, inst.name, value)


@handler(op.DeleteAttr)
def delete_attr(vm, frame, inst):
    attribute_stores.delete(vm, frame.stack.pop(), inst.name)


CONVERSIONS = {"s": str, "r": repr, "a": ascii}


@handler(op.FormatValue)
def format_value(vm, frame, inst):
    spec = frame.stack.pop() if inst.has_spec else Constant("")
    value = frame.stack.pop()
    if inst.conversion:
        value = text.to_text(vm, value, CONVERSIONS[inst.conversion])
    frame.stack.append(text.formatted(vm, value, spec))


@handler(op.ConvertValue)
def convert_value(vm, frame, inst):
    frame.stack.append(text.to_text(vm, frame.stack.pop(), CONVERSIONS[inst.conversion]))


@handler(op.BuildString)
def build_string(vm, frame, inst):
    frame.stack.append(text.joined(vm, frame.pop(inst.count)))


@handler(op.PrintExpression)
def unsupported(vm, frame, inst):
    raise Break(reasons.UNSUPPORTED_INSTRUCTION, type(inst).__name__)
