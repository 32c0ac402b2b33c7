"""The version-independent instruction set: what one step of CPython means, whatever its spelling.

Decoding (``cpython_3_x.py``) turns a code object into a tuple of these. Each class states its stack effect
in words, ``(before -- after)``, the top on the right; the printer, the verifier and the depth analysis read
it there. An instruction that CPython fuses appears here as its parts, all with the offset of the fused one.
Only offsets at which CPython could start are resume points: ``Instruction.resumable``.

How a stack effect is read (by ``depths.py``): each word is one item. ``name...`` is as many items as the
instruction says, ``name?`` is there only if the instruction says so, and a bare ``...`` stands for items on
both sides that the instruction leaves alone. For a jump it is the effect of not jumping.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar, dataclass_transform

Marked = TypeVar("Marked", bound="Instruction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One step. ``offset`` is the byte offset in ``co_code`` of the CPython instruction it comes from
    (its first prefix; of ``KW_NAMES`` for a call that has one); ``line`` its source line or None;
    ``resumable`` is False for the later parts of a split instruction."""

    offset: int
    line: int | None
    resumable: bool = True

    stack_effect: ClassVar[str] = ""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def instruction(stack_effect: str) -> Callable[[type[Marked]], type[Marked]]:
    """Class decorator: a frozen instruction whose stack effect is ``stack_effect``."""

    def mark(cls: type[Marked]) -> type[Marked]:
        cls = dataclass(frozen=True, slots=True, kw_only=True)(cls)
        cls.stack_effect = stack_effect
        return cls

    return mark


@instruction("( -- )")
class Nop(Instruction):
    """Does nothing."""


@instruction("( -- )")
class Resume(Instruction):
    """Marks where a frame starts or goes on; nothing to do."""


@instruction("(value -- )")
class Pop(Instruction):
    """Discard the top."""


@instruction("(item, ... -- item, ..., item)")
class Copy(Instruction):
    """Push again the item ``depth`` from the top (1 is the top)."""

    depth: int


@instruction("(item, ..., top -- top, ..., item)")
class Swap(Instruction):
    """Exchange the top with the item ``depth`` from the top."""

    depth: int


@instruction("( -- NULL)")
class PushNull(Instruction):
    """Push the NULL that calls expect beside a callable."""


@instruction("( -- value)")
class LoadConst(Instruction):
    """Push a constant of the code object."""

    value: object


@instruction("( -- value)")
class LoadFast(Instruction):
    """Push a local; UnboundLocalError where it is unbound."""

    name: str
    slot: int


@instruction("( -- value)")
class LoadFastAndClear(Instruction):
    """Push a local or NULL and unbind it (inlined comprehensions)."""

    name: str
    slot: int


@instruction("(value -- )")
class StoreFast(Instruction):
    """Bind a local (NULL unbinds it)."""

    name: str
    slot: int


@instruction("( -- )")
class DeleteFast(Instruction):
    """Unbind a local."""

    name: str
    slot: int


@instruction("( -- )")
class MakeCell(Instruction):
    """Replace a local by a new cell that holds it."""

    name: str
    slot: int


@instruction("( -- )")
class CopyFreeVars(Instruction):
    """Put the function's closure cells into the free variables' slots."""

    count: int


@instruction("( -- cell)")
class LoadClosure(Instruction):
    """Push the cell itself."""

    name: str
    slot: int


@instruction("( -- value)")
class LoadDeref(Instruction):
    """Push the contents of a cell; NameError where it is empty."""

    name: str
    slot: int


@instruction("( -- value)")
class LoadClassDeref(Instruction):
    """Push from the class namespace, else the contents of a cell."""

    name: str
    slot: int


@instruction("(value -- )")
class StoreDeref(Instruction):
    """Fill a cell."""

    name: str
    slot: int


@instruction("( -- )")
class DeleteDeref(Instruction):
    """Empty a cell."""

    name: str
    slot: int


@instruction("( -- mapping)")
class LoadLocals(Instruction):
    """Push the namespace of a class body."""


@instruction("(mapping -- value)")
class LoadFromDictOrDeref(Instruction):
    """Push from the mapping, else the contents of a cell."""

    name: str
    slot: int


@instruction("(mapping -- value)")
class LoadFromDictOrGlobals(Instruction):
    """Push from the mapping, else as ``LoadGlobal``."""

    name: str


@instruction("( -- value)")
class LoadGlobal(Instruction):
    """Push a global or a builtin. A NULL beside it is an instruction of its own."""

    name: str


@instruction("(value -- )")
class StoreGlobal(Instruction):
    """Bind a global."""

    name: str


@instruction("( -- )")
class DeleteGlobal(Instruction):
    """Unbind a global."""

    name: str


@instruction("( -- value)")
class LoadName(Instruction):
    """Push from the local namespace, the globals or the builtins."""

    name: str


@instruction("(value -- )")
class StoreName(Instruction):
    """Bind in the local namespace (class and module bodies)."""

    name: str


@instruction("( -- )")
class DeleteName(Instruction):
    """Unbind in the local namespace."""

    name: str


@instruction("(owner -- value)")
class LoadAttr(Instruction):
    """``owner.name``."""

    name: str


@instruction("(owner -- first, second)")
class LoadMethod(Instruction):
    """Push a method unbound with its self, or the attribute and NULL. ``null_first``: NULL or method,
    then self or attribute (to 3.12); else the callable, then self or NULL."""

    name: str
    null_first: bool


@instruction("(global_super, cls, self -- value)")
class LoadSuperAttr(Instruction):
    """``super(cls, self).name``, without making the super object. ``explicit``: written with two
    arguments."""

    name: str
    explicit: bool


@instruction("(global_super, cls, self -- first, second)")
class LoadSuperMethod(Instruction):
    """As ``LoadSuperAttr``, pushing what ``LoadMethod`` pushes."""

    name: str
    explicit: bool
    null_first: bool


@instruction("(value, owner -- )")
class StoreAttr(Instruction):
    """``owner.name = value``."""

    name: str


@instruction("(owner -- )")
class DeleteAttr(Instruction):
    """``del owner.name``."""

    name: str


@instruction("(operand -- result)")
class UnaryOp(Instruction):
    """One of ``+ - ~ not``."""

    operator: str


@instruction("(left, right -- result)")
class BinaryOp(Instruction):
    """``left operator right``; an operator that ends in ``=`` works in place. ``[]`` subscribes."""

    operator: str


@instruction("(left, right -- result)")
class CompareOp(Instruction):
    """One of ``< <= == != > >=``."""

    operator: str


@instruction("(value -- result)")
class ToBool(Instruction):
    """``bool(value)``."""


@instruction("(left, right -- result)")
class IsOp(Instruction):
    """``left is right``."""

    invert: bool


@instruction("(item, container -- result)")
class ContainsOp(Instruction):
    """``item in container``."""

    invert: bool


@instruction("(value, container, key -- )")
class StoreSubscr(Instruction):
    """``container[key] = value``."""


@instruction("(container, key -- )")
class DeleteSubscr(Instruction):
    """``del container[key]``."""


@instruction("(container, start, stop -- result)")
class BinarySlice(Instruction):
    """``container[start:stop]``."""


@instruction("(value, container, start, stop -- )")
class StoreSlice(Instruction):
    """``container[start:stop] = value``."""


@instruction("(operands... -- slice)")
class BuildSlice(Instruction):
    """``slice`` of 2 or 3 operands."""

    count: int


@instruction("(value -- value, length)")
class GetLen(Instruction):
    """Push ``len`` of the top."""


@instruction("(items... -- tuple)")
class BuildTuple(Instruction):
    """Pack into a tuple."""

    count: int


@instruction("(items... -- list)")
class BuildList(Instruction):
    """Pack into a list."""

    count: int


@instruction("(items... -- set)")
class BuildSet(Instruction):
    """Pack into a set."""

    count: int


@instruction("(pairs... -- dict)")
class BuildMap(Instruction):
    """Pack ``count`` pairs into a dict."""

    count: int


@instruction("(values..., keys -- dict)")
class BuildConstKeyMap(Instruction):
    """Pack values under a constant tuple of keys."""

    count: int


@instruction("(strings... -- string)")
class BuildString(Instruction):
    """Concatenate."""

    count: int


@instruction("(list, ..., value -- list, ...)")
class ListAppend(Instruction):
    """Append to the list ``depth`` from the top, counted after the pop."""

    depth: int


@instruction("(set, ..., value -- set, ...)")
class SetAdd(Instruction):
    """Add to a set, as ``ListAppend``."""

    depth: int


@instruction("(dict, ..., key, value -- dict, ...)")
class MapAdd(Instruction):
    """Store into a dict, as ``ListAppend``."""

    depth: int


@instruction("(list, ..., iterable -- list, ...)")
class ListExtend(Instruction):
    """Extend a list."""

    depth: int


@instruction("(set, ..., iterable -- set, ...)")
class SetUpdate(Instruction):
    """Update a set."""

    depth: int


@instruction("(dict, ..., mapping -- dict, ...)")
class DictUpdate(Instruction):
    """Update a dict."""

    depth: int


@instruction("(callable, ..., dict, ..., mapping -- callable, ..., dict, ...)")
class DictMerge(Instruction):
    """Update the keyword arguments of a call; a duplicate is a TypeError."""

    depth: int


@instruction("(list -- tuple)")
class ListToTuple(Instruction):
    """``tuple(list)``."""


@instruction("(sequence -- items...)")
class UnpackSequence(Instruction):
    """Unpack exactly ``count`` items, the first on top."""

    count: int


@instruction("(sequence -- items...)")
class UnpackEx(Instruction):
    """Unpack with a starred target, the first on top."""

    before: int
    after: int


@instruction("(value, spec? -- string)")
class FormatValue(Instruction):
    """``format``; conversion is '', 's', 'r' or 'a'. Without ``has_spec`` no spec is on the stack."""

    conversion: str
    has_spec: bool


@instruction("(value -- string)")
class ConvertValue(Instruction):
    """``str``, ``repr`` or ``ascii`` by 's', 'r', 'a'."""

    conversion: str


@instruction("( -- )")
class Jump(Instruction):
    """Go to the instruction at index ``target``."""

    target: int


@instruction("(value -- )")
class PopJumpIf(Instruction):
    """Pop and jump if the value is ``true``, ``false``, ``none`` or ``not none``."""

    condition: str
    target: int


@instruction("(value -- value?)")
class JumpIfOrPop(Instruction):
    """Jump and keep the value if it is ``true`` (``false``), else pop it."""

    condition: str
    target: int


@instruction("(iterable -- iterator)")
class GetIter(Instruction):
    """``iter(iterable)``."""


@instruction("(iterator -- iterator, value)")
class ForIter(Instruction):
    """Push ``next(iterator)``; when exhausted go to ``target``, having popped the iterator if
    ``pops_at_end``, else leaving it and a placeholder for ``EndFor``. Up to 3.13 it always pops: where the
    loop ends in END_FOR, CPython goes behind it, and so does ``target``."""

    target: int
    pops_at_end: bool


@instruction("(iterator, placeholder -- )")
class EndFor(Instruction):
    """End of an exhausted loop."""


@instruction("(value -- )")
class ReturnValue(Instruction):
    """Return from the frame."""


@instruction("(callable, NULL or self, args... -- result)")
class Call(Instruction):
    """Call; the last arguments are the keywords'. ``null_first`` as in ``LoadMethod``: NULL before the
    callable, or method before self."""

    count: int
    keywords: tuple[str, ...]
    null_first: bool


@instruction("(callable, NULL, args, kwargs? -- result)")
class CallFunctionEx(Instruction):
    """``callable(*args, **kwargs)``."""

    has_kwargs: bool
    null_first: bool


@instruction("(attributes..., code -- function)")
class MakeFunction(Instruction):
    """Make a function; flags 1 defaults, 2 keyword defaults, 4 annotations, 8 closure name what is on
    the stack."""

    flags: int


@instruction("(attribute, function -- function)")
class SetFunctionAttribute(Instruction):
    """Set one of ``MakeFunction``'s attributes."""

    flag: int


@instruction("( -- builder)")
class LoadBuildClass(Instruction):
    """Push ``builtins.__build_class__``."""


@instruction("( -- )")
class SetupAnnotations(Instruction):
    """Make ``__annotations__`` in the local namespace."""


@instruction("(level, fromlist -- module)")
class ImportName(Instruction):
    """``__import__``."""

    name: str


@instruction("(module -- module, value)")
class ImportFrom(Instruction):
    """``from module import name``."""

    name: str


@instruction("(module -- )")
class ImportStar(Instruction):
    """``from module import *``."""


@instruction("( -- class)")
class LoadAssertionError(Instruction):
    """Push ``AssertionError``."""


@instruction("(operands... -- )")
class RaiseVarargs(Instruction):
    """``raise`` with 0, 1 or 2 operands."""

    count: int


@instruction("(values..., exception -- values...)")
class Reraise(Instruction):
    """Raise again; ``keep`` items lie below (the instruction to report)."""

    keep: int


@instruction("(exception -- previous, exception)")
class PushExcInfo(Instruction):
    """Enter a handler."""


@instruction("(previous -- )")
class PopExcept(Instruction):
    """Leave a handler."""


@instruction("(exception, match -- exception, result)")
class CheckExcMatch(Instruction):
    """``isinstance(exception, match)`` as ``except`` means it."""


@instruction("(exception, match -- rest, match)")
class CheckExceptionGroupMatch(Instruction):
    """Split an exception group (``except*``)."""


@instruction("(original, exceptions -- exception)")
class PrepareReraiseStar(Instruction):
    """Join what ``except*`` left."""


@instruction("(manager -- exit, value)")
class BeforeWith(Instruction):
    """Enter a context manager."""


@instruction("(manager -- exit, awaitable)")
class BeforeAsyncWith(Instruction):
    """Enter an asynchronous context manager."""


@instruction("(exit, lasti, previous, exception -- exit, lasti, previous, exception, result)")
class WithExceptStart(Instruction):
    """Call ``__exit__`` with the exception."""


@instruction("( -- sent)")
class ReturnGenerator(Instruction):
    """Return the generator or coroutine whose frame this is; when that is started, the first value sent
    (None) is on the stack and the next instruction pops it."""


@instruction("(value -- sent)")
class YieldValue(Instruction):
    """Suspend with a value."""


@instruction("(exception -- exception)")
class StopIterationError(Instruction):
    """Turn a StopIteration that leaves a generator into RuntimeError."""


@instruction("(iterable -- iterator)")
class GetYieldFromIter(Instruction):
    """The iterator of ``yield from``."""


@instruction("(receiver, value -- receiver, result)")
class Send(Instruction):
    """Send to a sub-generator; when it returns go to ``target`` with its value, having popped the
    receiver if ``pops_at_end``."""

    target: int
    pops_at_end: bool


@instruction("(receiver, value -- value)")
class EndSend(Instruction):
    """End of a ``Send`` loop."""


@instruction("(receiver, value, exception -- none, value)")
class CleanupThrow(Instruction):
    """End of a throw into a sub-generator."""


@instruction("(value -- awaitable)")
class GetAwaitable(Instruction):
    """The iterator of ``await``."""

    where: int


@instruction("(value -- iterator)")
class GetAsyncIter(Instruction):
    """``__aiter__``."""


@instruction("(iterator -- iterator, awaitable)")
class GetAsyncNext(Instruction):
    """``__anext__``."""


@instruction("(iterator, exception -- )")
class EndAsyncFor(Instruction):
    """End of an asynchronous loop."""


@instruction("(value -- wrapped)")
class AsyncGeneratorWrap(Instruction):
    """Wrap what an asynchronous generator yields."""


@instruction("(subject, cls, names -- attributes or None)")
class MatchClass(Instruction):
    """A class pattern."""

    count: int


@instruction("(subject -- subject, result)")
class MatchMapping(Instruction):
    """Is it a mapping."""


@instruction("(subject -- subject, result)")
class MatchSequence(Instruction):
    """Is it a sequence."""


@instruction("(subject, keys -- subject, keys, values or None)")
class MatchKeys(Instruction):
    """The values under the keys, or None."""


@instruction("(operands... -- result)")
class TypeParameterOp(Instruction):
    """A step of the type parameter syntax (PEP 695, 696), which the language has no other name for.
    ``operation``: ``typevar``, ``paramspec``, ``typevartuple`` (of a name), ``subscript generic`` (of a tuple
    of parameters), ``type alias`` (of a triple), ``typevar with bound``, ``typevar with constraints`` (of a
    name and a function), ``set function type params`` (of a function and a tuple), ``set default`` (of a
    parameter and a function)."""

    operation: str
    count: int


@instruction("(value -- )")
class PrintExpression(Instruction):
    """``sys.displayhook``."""
