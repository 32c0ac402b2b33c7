"""Errors: how a reason becomes an exception, and how it is shown.

Three kinds of failure are never mixed. An exception of the user's program passes through unchanged and has
no class here. A ``Break`` is ordinary control flow between the rooms: somebody gave up, for a reason of the
table. ``InternalError`` is a bug of framelift. What reaches the user is a ``FrameliftError``: ``Unsupported``
is a ``Break`` that ``fullgraph=True`` doesn't allow, ``Misuse`` an argument that has no meaning, and so on.

A message answers: what happened, why, what to write instead, and at which line of the user's program, through
all calls that capture followed.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Iterable, Sequence
from types import CodeType
from typing import NamedTuple

from framelift.observe.reasons import (
    BACKEND_FAILED,
    CACHE_SIZE_LIMIT,
    CONSTRAINT_VIOLATED,
    INTERNAL_ERROR,
    RECOMPILED,
    UNKNOWN_BACKEND,
    Reason,
)

Positions = tuple[int | None, int | None, int | None, int | None]
"""Line, end line, column, end column, as ``code.co_positions()`` has them (columns count UTF-8 bytes)."""


class UserFrame(NamedTuple):
    """Where a frame of the user's program stands."""

    filename: str
    line: int
    function: str
    positions: Positions | None = None


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def user_frames(stack: Iterable[tuple]) -> list[UserFrame]:
    """The frames without those of framelift's own Python: the call of a callable object, polyfills."""
    return [UserFrame(*frame) for frame in stack if not frame[0].startswith(_PACKAGE)]


def format_stack(stack: Iterable[tuple]) -> str:
    """The user's frames, outermost first, in the shape of a Python traceback, with their source lines."""
    return "".join(traceback.StackSummary.from_list(map(_summary, user_frames(stack))).format())


def _summary(frame: UserFrame) -> traceback.FrameSummary:
    filename, line, function, positions = frame
    _, end_line, column, end_column = positions or (None, None, None, None)
    if end_line != line:  # carets under the first of several lines would be wrong
        end_line = column = end_column = None
    return traceback.FrameSummary(
        filename, line, function, end_lineno=end_line, colno=column, end_colno=end_column
    )


class Break(Exception):
    """Capture can't go on, for ``reason``. Control flow: it never leaves ``pipeline``.

    ``detail`` says what was met this time, for developers; ``because`` is a sentence for the user that the
    row can't know (a rule's own reason, the message of ``graph_break``); ``context`` is more of what was met,
    shown by name. ``stack`` holds the frames of the user's program, outermost first, and ``callees`` the
    codes of those inside the captured one that are compiled in frames of their own; the interpreter fills
    them in.
    """

    def __init__(self, reason: Reason, detail: object = "", *, because: str = "", **context: object) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = str(detail)
        self.because = because
        self.context = {name: str(value) for name, value in context.items()}
        self.stack: list[tuple] = []
        self.callees: tuple[CodeType, ...] = ()

    def add_frame(self, filename: str, line: int, function: str, positions: Positions | None = None) -> None:
        """Put a frame around those known so far: for an interpreter that unwinds from inside out."""
        self.stack.insert(0, UserFrame(filename, line, function, positions))

    def __str__(self) -> str:
        return format_message(self.reason, self.detail, self.because, self.context, self.stack)


def format_message(
    reason: Reason,
    detail: str = "",
    because: str = "",
    context: dict[str, str] | None = None,
    stack: Sequence[tuple] = (),
) -> str:
    """The text a user reads; every break and error is shown in this shape."""
    explanation = f"{reason.explanation} {because}" if because else reason.explanation
    lines = [reason.title, f"  Explanation: {explanation}"]
    lines += [f"  Hint: {hint}" for hint in reason.hints]
    developer = ([detail] if detail else []) + [f"{name}: {value}" for name, value in (context or {}).items()]
    if developer:
        lines += ["", "  Developer debug context: " + "\n    ".join(developer)]
    lines += ["", f"  Reason {reason.code}, {reason.slug}: see {reason.anchor}"]
    if frames := format_stack(stack).rstrip():
        lines += ["", "from user code:", frames]
    return "\n".join(lines)


VERBOSE_HINT = (
    "Set FRAMELIFT_VERBOSE=1 to see where in framelift this was decided (please do so for a bug report). "
    'For an account of each step, set FRAMELIFT_LOGS="+framelift".'
)


class FrameliftError(RuntimeError):
    """Base of what framelift raises to the user: ``reason`` is its row."""

    reason: Reason

    @property
    def code(self) -> str:
        return self.reason.code

    def __reduce__(self) -> tuple[object, ...]:
        # The default calls the class with the message, which is not what the classes here take.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(cls: type[FrameliftError], args: tuple, fields: dict[str, object]) -> FrameliftError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(fields)
    return error


class Unsupported(FrameliftError):
    """``fullgraph=True``, and the function can't be captured whole."""

    def __init__(self, cause: Break, *, verbose: bool = False) -> None:
        """``verbose`` adds the stack inside framelift (``config.verbose``)."""
        text = str(cause)
        if verbose:
            text += "\n\nfrom framelift:\n" + "".join(traceback.format_tb(cause.__traceback__)).rstrip()
        super().__init__(f"{text}\n\n{VERBOSE_HINT}\n")
        self.reason = cause.reason
        self.detail = cause.detail
        self.user_stack = user_frames(cause.stack)


class Misuse(FrameliftError, TypeError, ValueError):
    """An argument or a setting that has no meaning. Nothing was changed."""

    def __init__(self, reason: Reason, what: str, *, allowed: str = "", suggestion: str = "") -> None:
        """``what`` names the argument and its value, ``allowed`` says what could stand there instead."""
        text = f"{what}\n  {reason.title}. {reason.explanation}"
        if suggestion:
            text += f"\n  Did you mean {suggestion!r}?"
        if allowed:
            text += f"\n  Allowed: {allowed}"
        text += "".join(f"\n  Hint: {hint}" for hint in reason.hints)
        super().__init__(f"{text}\n  Reason {reason.code}, {reason.slug}: see {reason.anchor}")
        self.reason = reason


class UnknownBackend(FrameliftError, ValueError):
    """A backend's name that nobody knows."""

    def __init__(self, name: object, known: Iterable[str], suggestion: str = "") -> None:
        text = f"backend={name!r}\n  {UNKNOWN_BACKEND.title}. {UNKNOWN_BACKEND.explanation}"
        if suggestion:
            text += f"\n  Did you mean {suggestion!r}?"
        text += f"\n  Allowed: {', '.join(repr(one) for one in known)}, or a callable"
        super().__init__(f"{text}\n  Reason {UNKNOWN_BACKEND.code}: see {UNKNOWN_BACKEND.anchor}")
        self.reason = UNKNOWN_BACKEND


class UnknownSetting(FrameliftError, AttributeError, KeyError):
    """A name that ``config`` doesn't have."""

    __str__ = RuntimeError.__str__  # KeyError's would quote the message

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


class ConstraintViolated(FrameliftError):
    """A size that the program has marked as open is not: it was promised by ``mark_dynamic``.

    ``size`` is the size in the program's spelling, ``condition`` what the function needs of it,
    ``user_stack`` where.
    """

    def __init__(
        self, size: str, condition: str, limits: tuple | None = None, stack: Sequence[tuple] = ()
    ) -> None:
        detail = f"{size} {condition}"
        if limits is not None:
            least, greatest = ("" if limit is None else str(limit) for limit in limits)
            detail += f", and is marked for the range [{least}, {greatest}]"
        super().__init__(format_message(CONSTRAINT_VIOLATED, detail, stack=stack))
        self.reason = CONSTRAINT_VIOLATED
        self.size = size
        self.condition = condition
        self.user_stack = user_frames(stack)


class BackendFailed(FrameliftError):
    """The backend raised while it compiled a graph: ``inner_exception`` (also the cause) is its exception."""

    def __init__(self, backend: str, error: Exception) -> None:
        super().__init__(
            f"backend {backend!r} raised {type(error).__name__}: {error}\n"
            f"  {BACKEND_FAILED.explanation}\n"
            + "".join(f"  Hint: {hint}\n" for hint in BACKEND_FAILED.hints)
            + f"  Reason {BACKEND_FAILED.code}, {BACKEND_FAILED.slug}: see {BACKEND_FAILED.anchor}"
        )
        self.reason = BACKEND_FAILED
        self.backend_name = backend
        self.inner_exception = error
        self.__cause__ = error


class Recompiled(FrameliftError):
    """``config.error_on_recompile``: no entry fits, and ``failures`` says why not (one text per entry)."""

    def __init__(self, function: str, failures: Sequence[str]) -> None:
        detail = "\n    ".join([f"{function} has {len(failures)} entries; what failed in each:", *failures])
        super().__init__(format_message(RECOMPILED, detail))
        self.reason = RECOMPILED
        self.failures = tuple(failures)


class LimitReached(FrameliftError):
    """``fullgraph=True``, and the function has been compiled as often as the limit allows."""

    def __init__(
        self, function: str, limit: int, failures: Sequence[str], reason: Reason = CACHE_SIZE_LIMIT
    ) -> None:
        detail = "\n    ".join([f"{function} has {limit} entries; what failed in each:", *failures])
        super().__init__(format_message(reason, detail))
        self.reason = reason
        self.failures = tuple(failures)


class InternalError(FrameliftError):
    """A bug in framelift. ``cause`` is what went wrong, ``stack`` where the user's program was."""

    def __init__(
        self, room: str, doing: str, cause: BaseException | None = None, stack: Sequence[tuple] = ()
    ) -> None:
        """``room`` is one of the five rooms, ``doing`` says what it was at: "capturing f (model.py:12)"."""
        what = f"{type(cause).__name__}: {cause}" if cause is not None else "a check failed"
        text = [f"{INTERNAL_ERROR.title} in {room}, {doing}: {what}", f"  {INTERNAL_ERROR.explanation}"]
        if frames := format_stack(stack).rstrip():
            text += ["", "from user code:", frames]
        text += ["", _how_to_reproduce()]
        super().__init__("\n".join(text))
        self.reason = INTERNAL_ERROR
        self.room = room
        self.user_stack = user_frames(stack)
        self.__cause__ = cause


def _how_to_reproduce() -> str:
    command = shlex.join(sys.orig_argv) or "python"
    if len(command) > 200 or "\n" in command:
        command = f"{sys.executable} ..."
    return (
        "To reproduce it with the whole traceback, run\n"
        f"  FRAMELIFT_RAISE_INTERNAL_ERRORS=1 FRAMELIFT_VERBOSE=1 {command}\n"
        "and please report the output. To go on without the function, mark it with `framelift.disable`."
    )
