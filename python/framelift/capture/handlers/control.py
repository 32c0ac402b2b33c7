"""Handlers of jumps, loops, returns, calls, function objects, imports."""

from __future__ import annotations

import sys

from framelift.capture import outside
from framelift.capture.datamodel import attributes, calls, iteration, mapping, operators
from framelift.capture.decode import instruction as op
from framelift.capture.exceptions import raised
from framelift.capture.handlers.containers import pairs_of
from framelift.capture.handlers.registry import handler
from framelift.capture.values import EMPTY, Constant, FunctionObject, Lazy
from framelift.config import config
from framelift.guards import kinds
from framelift.guards.sources import DictItem, Held
from framelift.observe import reasons
from framelift.observe.errors import Break


@handler(op.Jump)
def jump(vm, frame, inst):
    jump_to(frame, inst.target)


def jump_to(frame, target: int) -> None:
    """Go on at ``target``; a jump back is another round of a loop, of which there are only so many."""
    if target < frame.index:
        rounds = frame.rounds[target] = frame.rounds.get(target, 0) + 1
        if rounds > config.loop_limit:
            raise Break(reasons.LOOP_TOO_LONG, f"more than {config.loop_limit} rounds")
    frame.index = target


@handler(op.PopJumpIf)
def pop_jump_if(vm, frame, inst):
    value = frame.stack.pop()
    if condition_holds(vm, inst.condition, value):
        jump_to(frame, inst.target)


def condition_holds(vm, condition: str, value) -> bool:
    """Whether a jump on ``true``, ``false``, ``none``, ``not none`` is taken."""
    match condition:
        case "true":
            return operators.truth(vm, value)
        case "false":
            return not operators.truth(vm, value)
        case "none":
            return is_none(vm, value)
        case _:
            return not is_none(vm, value)


def is_none(vm, value) -> bool:
    """``value is None``."""
    return operators.same(vm, value, Constant(None))


@handler(op.JumpIfOrPop)
def jump_if_or_pop(vm, frame, inst):
    if condition_holds(vm, inst.condition, frame.stack[-1]):
        frame.index = inst.target
    else:
        frame.stack.pop()


@handler(op.GetIter)
def get_iter(vm, frame, inst):
    frame.stack.append(iteration.iterator_of(vm, frame.stack.pop()))


@handler(op.ForIter)
def for_iter(vm, frame, inst):
    value = iteration.next_of(vm, frame.stack[-1])
    if value is not None:
        frame.stack.append(value)
        return
    if inst.pops_at_end:
        frame.stack.pop()
    else:
        frame.stack.append(EMPTY)
    frame.index = inst.target


@handler(op.EndFor)
def end_for(vm, frame, inst):
    frame.pop(2)


@handler(op.ReturnValue)
def return_value(vm, frame, inst):
    return frame.stack.pop()


@handler(op.Call)
def call(vm, frame, inst):
    arguments = frame.pop(inst.count)
    first, second = frame.pop(2)
    if inst.null_first:
        callee, leading = (second, []) if first is EMPTY else (first, [second])
    else:
        callee, leading = (first, []) if second is EMPTY else (first, [second])
    keywords = {}
    if inst.keywords:
        split = len(arguments) - len(inst.keywords)
        keywords = dict(zip(inst.keywords, arguments[split:], strict=True))
        arguments = arguments[:split]
    frame.stack.append(calls.call(vm, callee, leading + arguments, keywords))


@handler(op.CallFunctionEx)
def call_function_ex(vm, frame, inst):
    keywords = {}
    if inst.has_kwargs:
        for key, value in pairs_of(vm, frame.stack.pop()):
            name = vm.look(key)
            if not isinstance(name, Constant) or not isinstance(name.value, str):
                raise raised(TypeError, "keywords must be strings")
            keywords[name.value] = value
    arguments = vm.unpack(frame.stack.pop())
    first, second = frame.pop(2)
    callee = second if inst.null_first else first
    frame.stack.append(calls.call(vm, callee, arguments, keywords))


@handler(op.MakeFunction)
def make_function(vm, frame, inst):
    code = vm.look(frame.stack.pop()).value
    function = FunctionObject(code, frame.function.globals, name=code.co_name, qualname=code.co_qualname)
    for flag in (8, 4, 2, 1):
        if inst.flags & flag:
            set_function_part(vm, function, flag, frame.stack.pop())
    if function.closure is None:
        function.closure = []
    frame.stack.append(function)


@handler(op.SetFunctionAttribute)
def set_function_attribute(vm, frame, inst):
    function = frame.stack.pop()
    if function.real is not None:  # made before the segment
        raise Break(reasons.UNSUPPORTED_INSTRUCTION, "SET_FUNCTION_ATTRIBUTE of a function from outside")
    set_function_part(vm, function, inst.flag, frame.stack.pop())
    frame.stack.append(function)


def set_function_part(vm, function: FunctionObject, flag: int, part) -> None:
    """One of the optional parts of a new function."""
    match flag:
        case 1:
            function.defaults = part
        case 2:
            function.keyword_defaults = part
        case 8:
            function.closure = [vm.look(cell) for cell in vm.look(part).items]
        case _:
            function.slots = {**(function.slots or {}), "__annotations__": part}


@handler(op.ImportName)
def import_name(vm, frame, inst):
    fromlist, level = frame.stack.pop(), vm.look(frame.stack.pop()).value
    name = absolute_name(vm, frame, inst.name, level)
    if name not in sys.modules:
        raise Break(reasons.IMPORT_RUNS_CODE, name)
    has_fromlist = operators.truth(vm, fromlist)
    found = name if has_fromlist or level else name.partition(".")[0]
    vm.guards.add(DictItem(Held(sys.modules, "sys.modules"), name), kinds.Is(sys.modules[name]))
    frame.stack.append(
        outside.look(vm, Lazy(sys.modules[found], DictItem(Held(sys.modules, "sys.modules"), found)))
    )


def absolute_name(vm, frame, name: str, level: int) -> str:
    """The full name of an imported module; relative ones start at the package of the function's module."""
    if level == 0:
        return name
    package = mapping.get(vm, frame.function.globals, "__package__")
    base = vm.look(package).value if package is not None else None
    if not isinstance(base, str):
        raise Break(reasons.IMPORT_RUNS_CODE, f"relative import of {name!r} without __package__")
    parts = base.split(".")
    parent = ".".join(parts[: len(parts) - level + 1])
    return f"{parent}.{name}" if name else parent


@handler(op.ImportFrom)
def import_from(vm, frame, inst):
    module = vm.look(frame.stack[-1])
    found = attributes.find(vm, module, inst.name)
    if found is None:
        full = f"{getattr(module.value, '__name__', '')}.{inst.name}"
        if full in sys.modules:
            found = vm.look(Lazy(sys.modules[full], DictItem(Held(sys.modules, "sys.modules"), full)))
        else:
            raise Break(reasons.IMPORT_RUNS_CODE, full)
    frame.stack.append(found)


@handler(op.ImportStar)
def import_star(vm, frame, inst):
    raise Break(reasons.UNSUPPORTED_INSTRUCTION, "import *")
