"""The standard library's C modules, and the exceptions in them.

Functions, types and methods of the modules in ``BUILTIN_MODULES`` have handlers, polyfills or constant
folding in capture; those of ``DISALLOWED_MODULES`` act on the world outside the program's objects. What is in
neither is unknown. Python functions of the standard library are in ``modules.py``.
"""

from __future__ import annotations

from framelift.rules.rows import Rows
from framelift.rules.rule import RuleKind

_BUILTIN, _DISALLOWED, _SKIP = RuleKind.BUILTIN, RuleKind.DISALLOWED, RuleKind.SKIP

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

DISALLOWED_MODULES: dict[str, str] = {
    name: reason
    for names, reason in (
        ("time _datetime datetime", "it may read the clock"),
        (
            "posix nt _posixsubprocess fcntl select mmap resource pwd grp termios syslog",
            "it calls the system",
        ),
        (
            "io _io _pickle marshal _csv zlib _bz2 _lzma _sqlite3 sqlite3 _dbm _gdbm",
            "it reads or writes files or streams",
        ),
        ("_socket _ssl _asyncio _queue", "it talks to other processes or machines"),
        ("_thread _threading _posixshmem _multiprocessing", "it works with threads or processes"),
        (
            "sys gc _imp faulthandler _tracemalloc _signal atexit _lsprof",
            "it reads or changes the interpreter",
        ),
        ("_ctypes ctypes _cffi_backend", "it reaches into the machine below Python"),
        ("_random random _uuid _hashlib", "its result depends on a hidden state or on chance"),
        ("ast _ast _symtable _tokenize parser", "it works on source text"),
    )
    for name in names.split()
}

TABLE = (
    Rows("builtins", "input breakpoint", _DISALLOWED, "it talks to the person at the terminal"),
    Rows("builtins", "exec eval compile", _DISALLOWED, "it compiles source text"),
    Rows("_codecs", "register register_error unregister", _DISALLOWED, "it changes the interpreter"),
    Rows("_abc", "_reset_*", _DISALLOWED, "it changes the interpreter"),
    Rows(
        "sys",
        "exc_info exception intern getrecursionlimit getdefaultencoding is_finalizing",
        _BUILTIN,
        "it asks the interpreter what capture knows",
    ),
    Rows(
        "inspect",
        "currentframe stack trace getsource* getframeinfo getouterframes getinnerframes getmodule getfile findsource",
        _SKIP,
        "it looks at source text or frames, which a captured call does not have",
    ),
    Rows("sys", "_getframe _current_frames", _DISALLOWED, "a captured call has no frames of its own"),
    Rows("_thread", "get_ident get_native_id", _DISALLOWED, "the answer depends on the thread"),
    Rows("_random", "Random Random.*", _DISALLOWED, "it advances Python's random numbers"),
    Rows(
        "random", "Random Random.* SystemRandom SystemRandom.*", _SKIP, "it advances Python's random numbers"
    ),
    Rows(
        "re",
        "compile match fullmatch search sub subn split findall escape",
        _BUILTIN,
        "with constant arguments the answer is a constant",
    ),
    Rows("re", "purge template", _SKIP, "it changes a cache of the interpreter"),
    Rows("copy", "_reconstruct", _SKIP, "copying an object through its pickle form is left to CPython"),
    Rows("weakref", "finalize finalize.*", _SKIP, "it acts when an object dies"),
    Rows(
        "contextlib",
        "redirect_stdout redirect_stderr chdir",
        _SKIP,
        "it changes the process while it is entered",
    ),
    Rows(
        "os",
        "popen spawn* exec* walk makedirs removedirs renames fwalk fdopen",
        _SKIP,
        "it calls the system",
    ),
)
