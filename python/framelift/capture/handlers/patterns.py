"""Handlers of ``match`` statements: what the patterns ask of their subject.

https://docs.python.org/3/reference/compound_stmts.html#the-match-statement
"""

from __future__ import annotations

from framelift.capture.decode import instruction as op
from framelift.capture.handlers.registry import handler
from framelift.capture.values import Constant
from framelift.capture.values.objects import type_of

SEQUENCE, MAPPING = 1 << 5, 1 << 6
"""Flags of types: instances match sequence patterns, mapping patterns."""


@handler(op.MatchSequence)
def match_sequence(vm, frame, inst):
    frame.stack.append(Constant(has_flag(vm, frame.stack[-1], SEQUENCE)))


@handler(op.MatchMapping)
def match_mapping(vm, frame, inst):
    frame.stack.append(Constant(has_flag(vm, frame.stack[-1], MAPPING)))


def has_flag(vm, subject, flag: int) -> bool:
    """Whether the type of a subject has a flag."""
    return bool(type_of(vm.look(subject)).__flags__ & flag)


@handler(op.MatchKeys)
def match_keys(vm, frame, inst):
    frame.stack.append(vm.look(vm.call(vm.polyfill("match_keys"), frame.stack[-2:])))


@handler(op.MatchClass)
def match_class(vm, frame, inst):
    subject, cls, names = frame.pop(3)
    arguments = [subject, cls, Constant(inst.count), names]
    frame.stack.append(vm.look(vm.call(vm.polyfill("match_class"), arguments)))
