"""What closing a suspended generator does: CPython raises ``GeneratorExit`` at its ``yield``.

Most handlers decline it: the ``except`` clauses of other exceptions, and the bookkeeping that the compiler
puts around them. Closing a generator that meets only such handlers does nothing, and capture need not know
when CPython would do it.
"""

from __future__ import annotations

import builtins

from framelift.capture.decode import instruction as op
from framelift.capture.frame import Frame


def is_silent(frame: Frame) -> bool:
    """Whether a suspended frame ends without running anything when its generator is closed."""
    index = frame.current_index
    for _ in frame.decoded.instructions:  # each round leaves one handler for the one around it
        handler = frame.decoded.handler_for(index)
        if handler is None:
            return True
        raised_at = declined_at(frame, handler.target_index)
        if raised_at is None:
            return False
        index = raised_at
    return False


def declined_at(frame: Frame, index: int) -> int | None:
    """Where a handler raises ``GeneratorExit`` on without having done anything; None if it does something."""
    instructions = frame.decoded.instructions
    asked: list[object] = []
    while index < len(instructions):
        inst = instructions[index]
        index += 1
        match inst:
            case op.Reraise():
                return index - 1
            case op.LoadGlobal():
                asked.append(found_globally(frame, inst.name))
            case op.BuildTuple() if inst.count <= len(asked):
                asked = [tuple(asked[len(asked) - inst.count :])]
            case op.CheckExcMatch() if asked and not matches(asked.pop()):
                following = instructions[index]
                if not isinstance(following, op.PopJumpIf) or following.condition != "false":
                    return None
                index = following.target
            case op.PushExcInfo() | op.Copy() | op.PopExcept() | op.Nop() | op.StopIterationError():
                pass
            case op.CleanupThrow():  # a generator that is delegated to is closed on its own account
                return index - 1
            case _:
                return None
    return None


def found_globally(frame: Frame, name: str) -> object:
    """What a name stands for, as far as that can be told without asking the program."""
    namespace = frame.function.globals.real
    return namespace[name] if namespace and name in namespace else vars(builtins).get(name)


def matches(asked: object) -> bool:
    """Whether ``except asked`` may take a ``GeneratorExit``."""
    classes = asked if type(asked) is tuple else (asked,)
    return not all(
        type(cls) is type
        and type.__subclasscheck__(BaseException, cls)
        and not issubclass(GeneratorExit, cls)
        for cls in classes
    )
