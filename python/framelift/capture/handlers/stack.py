"""Handlers that move values: the operand stack, constants, locals, cells, globals."""

from __future__ import annotations

import builtins

from framelift.capture import outside
from framelift.capture.datamodel import mapping
from framelift.capture.decode import instruction as op
from framelift.capture.exceptions import raised
from framelift.capture.handlers.registry import handler
from framelift.capture.values import EMPTY, CellObject, Constant, DictObject, FunctionObject
from framelift.observe import reasons
from framelift.observe.errors import Break


@handler(op.Nop, op.Resume)
def nop(vm, frame, inst):
    return None


@handler(op.Pop)
def pop(vm, frame, inst):
    frame.stack.pop()


@handler(op.Copy)
def copy(vm, frame, inst):
    frame.stack.append(frame.stack[-inst.depth])


@handler(op.Swap)
def swap(vm, frame, inst):
    stack = frame.stack
    stack[-1], stack[-inst.depth] = stack[-inst.depth], stack[-1]


@handler(op.PushNull)
def push_null(vm, frame, inst):
    frame.stack.append(EMPTY)


@handler(op.LoadConst)
def load_const(vm, frame, inst):
    frame.stack.append(outside.literal(inst.value))


@handler(op.LoadFast)
def load_fast(vm, frame, inst):
    value = frame.slots[inst.slot]
    if value is None:
        raise raised(
            UnboundLocalError,
            f"cannot access local variable '{inst.name}' where it is not associated with a value",
        )
    frame.stack.append(value)


@handler(op.LoadFastAndClear)
def load_fast_and_clear(vm, frame, inst):
    value = frame.slots[inst.slot]
    frame.stack.append(EMPTY if value is None else value)
    frame.slots[inst.slot] = None


@handler(op.StoreFast)
def store_fast(vm, frame, inst):
    value = frame.stack.pop()
    frame.slots[inst.slot] = None if value is EMPTY else value


@handler(op.DeleteFast)
def delete_fast(vm, frame, inst):
    if frame.slots[inst.slot] is None:
        raise raised(
            UnboundLocalError,
            f"cannot access local variable '{inst.name}' where it is not associated with a value",
        )
    frame.slots[inst.slot] = None


@handler(op.MakeCell)
def make_cell(vm, frame, inst):
    frame.slots[inst.slot] = CellObject(frame.slots[inst.slot])


@handler(op.CopyFreeVars)
def copy_free_vars(vm, frame, inst):
    cells = outside.open_closure(vm, frame.function)
    first = len(frame.slots) - inst.count
    frame.slots[first:] = cells


@handler(op.LoadClosure)
def load_closure(vm, frame, inst):
    frame.stack.append(frame.slots[inst.slot])


@handler(op.LoadDeref)
def load_deref(vm, frame, inst):
    value = outside.open_cell(vm, frame.slots[inst.slot])
    if value is None:
        free = inst.name in frame.decoded.code.co_freevars
        where = "free variable" if free else "local variable"
        text = f"cannot access {where} '{inst.name}' where it is not associated with a value"
        raise raised(NameError if free else UnboundLocalError, text + (" in enclosing scope" if free else ""))
    frame.stack.append(value)


@handler(op.StoreDeref)
def store_deref(vm, frame, inst):
    cell = frame.slots[inst.slot]
    outside.open_cell(vm, cell)
    cell.contents = frame.stack.pop()
    vm.effects.contents_changed(cell)


@handler(op.DeleteDeref)
def delete_deref(vm, frame, inst):
    cell = frame.slots[inst.slot]
    if outside.open_cell(vm, cell) is None:
        raise raised(
            NameError, f"cannot access free variable '{inst.name}' where it is not associated with a value"
        )
    cell.contents = None
    vm.effects.contents_changed(cell)


@handler(op.LoadGlobal)
def load_global(vm, frame, inst):
    frame.stack.append(global_value(vm, frame, inst.name))


def global_value(vm, frame, name: str):
    """A global, else a builtin, else NameError."""
    namespace = frame.function.globals
    value = mapping.get(vm, namespace, name)
    if value is None:
        value = mapping.get(vm, builtin_namespace(vm, frame.function), name)
    if value is None:
        raise raised(NameError, f"name '{name}' is not defined")
    return value


def builtin_namespace(vm, function: FunctionObject) -> DictObject:
    """The dictionary of the ``builtins`` module, unless the function was made to know others."""
    known = vars(builtins) if function.real is None else function.real.__builtins__
    return outside.open_namespace(vm, known, "builtins")


@handler(op.StoreGlobal)
def store_global(vm, frame, inst):
    mapping.store(vm, frame.function.globals, Constant(inst.name), frame.stack.pop())


@handler(op.DeleteGlobal)
def delete_global(vm, frame, inst):
    if mapping.delete(vm, frame.function.globals, inst.name) is None:
        raise raised(NameError, f"name '{inst.name}' is not defined")


@handler(op.LoadBuildClass)
def class_statement(vm, frame, inst):
    raise Break(reasons.CLASS_DEFINITION, f"in {frame.function.qualname}")


@handler(op.LoadName, op.StoreName, op.DeleteName, op.LoadLocals, op.SetupAnnotations)
def class_body(vm, frame, inst):
    raise Break(reasons.CLASS_DEFINITION, type(inst).__name__)


@handler(op.LoadClassDeref, op.LoadFromDictOrDeref, op.LoadFromDictOrGlobals)
def class_body_names(vm, frame, inst):
    raise Break(reasons.CLASS_DEFINITION, type(inst).__name__)
