"""Logs: an account of each step, off until asked for.

``FRAMELIFT_LOGS`` (or ``logs.configure``) is a list of names: ``graph_breaks,recompiles``, ``+capture`` for
more of one, ``-guards`` for errors only, ``+framelift`` for everything. They are loggers of Python's
``logging`` under ``framelift``, so a program that sets up logging itself needs no variable.

Messages go to logging and never to ``warnings``: a compiled function warns exactly as the original does.
"""

from __future__ import annotations

import difflib
import logging
import os
import sys

from framelift.observe import reasons
from framelift.observe.errors import Misuse

NAMES = {
    "framelift": "everything below",
    "capture": "functions captured, and (+) each instruction",
    "guards": "guards of each entry, and (+) each evaluation that failed",
    "graph": "each graph as it is given to the backend",
    "codegen": "backends and what they were chosen for",
    "execute": "calls that CPython had to take over",
    "rules": "callables that are skipped or disallowed, and by which rule",
    "graph_breaks": "each graph break with its reason and the user's stack",
    "recompiles": "each recompile with the guard that failed",
}
VARIABLE = "FRAMELIFT_LOGS"
_LEVELS = {"+": logging.DEBUG, "-": logging.ERROR, "": logging.INFO}
_said: set[object] = set()


def logger(name: str) -> logging.Logger:
    """The log of this name, one of ``NAMES``."""
    if name not in NAMES:
        raise KeyError(name)
    return logging.getLogger("framelift" if name == "framelift" else f"framelift.{name}")


def configure(text: str) -> None:
    """Set levels as ``FRAMELIFT_LOGS`` does, and show what is logged on standard error.

    All names are checked before anything is set. ``configure("")`` turns everything off again.
    """
    levels = dict(map(_parse, filter(None, (word.strip() for word in text.split(",")))))
    for name in NAMES:
        logger(name).setLevel(levels.get(name, logging.NOTSET))
    root = logger("framelift")
    for handler in list(root.handlers):
        if type(handler) is _StandardError:
            root.removeHandler(handler)
    if levels:
        handler = _StandardError()
        handler.setFormatter(logging.Formatter("[%(name)s] %(message)s"))
        root.addHandler(handler)
    root.propagate = not levels


def say_once(name: str, key: object, message: str, level: int = logging.WARNING) -> None:
    """Log a message the first time that ``key`` is met (again after ``framelift.reset()``)."""
    if key not in _said:
        _said.add(key)
        logger(name).log(level, message)


def forget() -> None:
    """Everything may be said again."""
    _said.clear()


def _parse(word: str) -> tuple[str, int]:
    sign = word[0] if word[0] in "+-" else ""
    name = word[len(sign) :]
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        what = f"{VARIABLE}: {word!r}"
        raise Misuse(
            reasons.UNKNOWN_LOG, what, allowed=", ".join(NAMES), suggestion=close[0] if close else ""
        )
    return name, _LEVELS[sign]


class _StandardError(logging.StreamHandler):
    """Writes to the ``sys.stderr`` of the moment, which a program or a test may have replaced."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> object:
        return sys.stderr


if os.environ.get(VARIABLE):
    configure(os.environ[VARIABLE])
