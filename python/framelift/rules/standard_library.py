"""The standard library's C modules, and the exceptions in them.

Functions, types and methods of the modules in ``BUILTIN_MODULES`` have handlers, polyfills or constant
folding in capture; those of ``DISALLOWED_MODULES`` act on the world outside the program's objects. What is in
neither is unknown. Python functions of the standard library are in ``modules.py``.
"""

from __future__ import annotations

from framelift.observe import reasons
from framelift.observe.reasons import Reason
from framelift.rules.rows import Rows
from framelift.rules.rule import RuleKind

_BUILTIN, _DISALLOWED, _SKIP = RuleKind.BUILTIN, RuleKind.DISALLOWED, RuleKind.SKIP
_INLINE = RuleKind.INLINE

BUILTIN_MODULES = frozenset(
    [
        "builtins",
        "math",
        "cmath",
        "_operator",
        "operator",
        "itertools",
        "_functools",
        "functools",
        "_collections",
        "collections",
        "_struct",
        "struct",
        "re",
        "_sre",
        "_abc",
        "_bisect",
        "_heapq",
        "_string",
        "_typing",
        "typing",
        "types",
        "_weakref",
        "weakref",
        "_contextvars",
        "contextvars",
        "_statistics",
        "binascii",
        "unicodedata",
        "_codecs",
        "_warnings",
        "array",
        "_stat",
        "copyreg",
    ]
)

DISALLOWED_MODULES: dict[str, tuple[str, Reason | None]] = {
    name: (reason, row)
    for names, reason, row in (
        ("time _datetime datetime", "it may read the clock", reasons.CLOCK),
        (
            "posix nt _posixsubprocess fcntl select mmap resource pwd grp termios syslog",
            "it calls the system",
            reasons.INPUT_OUTPUT,
        ),
        (
            "io _io _pickle marshal _csv _sqlite3 sqlite3 _dbm _gdbm",
            "it reads or writes files or streams",
            reasons.INPUT_OUTPUT,
        ),
        ("_socket _ssl _asyncio", "it talks to other processes or machines", reasons.INPUT_OUTPUT),
        (
            "_thread _threading _queue _posixshmem _multiprocessing",
            "it works with threads or processes",
            reasons.LOCK,
        ),
        (
            "sys gc _imp faulthandler _tracemalloc _signal atexit _lsprof",
            "it reads or changes the interpreter",
            None,
        ),
        ("_ctypes ctypes _cffi_backend", "it reaches into the machine below Python", None),
        ("_random random _uuid", "its result depends on chance", reasons.RANDOM_STATE),
        ("_hashlib", "its result depends on a hidden state", None),
        ("ast _ast _symtable _tokenize parser", "it works on source text", reasons.DYNAMIC_CODE),
    )
    for name in names.split()
}
"""By module: the reason, and the row of a break."""

_WEAK = "whether its object still lives when the graph has run is not known"
_RANDOM = "it advances Python's random numbers"

TABLE = (
    Rows(
        "builtins",
        "input breakpoint",
        _DISALLOWED,
        "it talks to the person at the terminal",
        reasons.INPUT_OUTPUT,
    ),
    Rows("builtins", "exec eval compile", _DISALLOWED, "it compiles source text", reasons.DYNAMIC_CODE),
    Rows("builtins", "locals", _DISALLOWED, "a captured call has no frame of its own", reasons.DYNAMIC_CODE),
    Rows(
        "builtins",
        "BaseExceptionGroup ExceptionGroup BaseExceptionGroup.__new__",
        _DISALLOWED,
        "exception groups are not captured yet",
        reasons.EXCEPTION_GROUP,
    ),
    Rows(
        "logging",
        "Logger.debug Logger.info Logger.warning Logger.error Logger.critical Logger.log "
        "Logger.getEffectiveLevel",
        _INLINE,
        "a record is written when the graph has run",
    ),
    Rows("_codecs", "register register_error unregister", _DISALLOWED, "it changes the interpreter"),
    Rows("_abc", "_reset_*", _DISALLOWED, "it changes the interpreter"),
    Rows(
        "_warnings",
        "warn_explicit",
        _DISALLOWED,
        "a warning shows the line that gives it",
        reasons.LIVE_FRAME,
    ),
    Rows("_weakref", "proxy getweakrefs getweakrefcount", _DISALLOWED, _WEAK, reasons.WEAK_REFERENCE),
    Rows("weakref", "ref ref.__call__", _DISALLOWED, _WEAK, reasons.WEAK_REFERENCE),
    Rows(
        "sys",
        "exc_info exception intern getrecursionlimit getdefaultencoding is_finalizing",
        _BUILTIN,
        "it asks the interpreter what capture knows",
    ),
    Rows(
        "inspect",
        "currentframe stack trace getsource* getframeinfo getouterframes getinnerframes getmodule getfile "
        "findsource",
        _SKIP,
        "it looks at source text or frames, which a captured call does not have",
        reasons.LIVE_FRAME,
    ),
    Rows(
        "sys",
        "_getframe _current_frames",
        _DISALLOWED,
        "a captured call has no frames of its own",
        reasons.LIVE_FRAME,
    ),
    Rows("_thread", "get_ident get_native_id", _DISALLOWED, "the answer depends on the thread"),
    Rows("_random", "Random Random.*", _DISALLOWED, _RANDOM, reasons.RANDOM_STATE),
    Rows("random", "Random Random.* SystemRandom SystemRandom.*", _SKIP, _RANDOM, reasons.RANDOM_STATE),
    Rows(
        "re",
        "compile match fullmatch search sub subn split findall escape",
        _BUILTIN,
        "with constant arguments the answer is a constant",
    ),
    Rows("re", "purge template", _SKIP, "it changes a cache of the interpreter"),
    Rows("copy", "_reconstruct", _SKIP, "copying an object through its pickle form is left to CPython"),
    Rows("weakref", "finalize finalize.*", _SKIP, "it acts when an object dies", reasons.WEAK_REFERENCE),
    Rows(
        "contextlib",
        "redirect_stdout redirect_stderr chdir",
        _SKIP,
        "it changes the process while it is entered",
        reasons.GLOBAL_STATE,
    ),
    Rows(
        "os",
        "popen spawn* exec* walk makedirs removedirs renames fwalk fdopen",
        _SKIP,
        "it calls the system",
        reasons.INPUT_OUTPUT,
    ),
)
