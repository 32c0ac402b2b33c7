"""What framelift runs on: the interpreters and the releases of torch that it knows from the inside.

Frames of CPython are entered in their middle, and objects of torch are read where they lie. A version that
nobody has looked at is therefore refused when framelift is imported, before anything is loaded, with a
sentence that says what to do. How supported versions differ is written down where it matters.

This module imports nothing of the package and uses no new syntax: it must work where nothing else does.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
import sysconfig

PYTHONS = ((3, 11), (3, 12), (3, 13))
TORCHES = ((2, 11), (2, 12), (2, 13), (2, 14), (2, 15))
TORCH_REQUIREMENT = f"torch>={TORCHES[0][0]}.{TORCHES[0][1]},<{TORCHES[-1][0]}.{TORCHES[-1][1] + 1}"

UNTESTED_TORCH = "FRAMELIFT_UNTESTED_TORCH"
"""The environment variable with which somebody asks for a newer torch all the same."""


def check() -> None:
    """Raise ImportError unless framelift can run in this process."""
    objection = (
        about_interpreter(
            platform.python_implementation(),
            platform.python_version(),
            free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        )
        or (None if _in_main_interpreter() else SUBINTERPRETER)
        or _about_extension()
        or about_torch(_torch_version(), allow_newer=bool(os.environ.get(UNTESTED_TORCH)))
    )
    if objection is not None:
        raise ImportError(objection)


def about_interpreter(implementation: str, version: str, *, free_threaded: bool) -> str | None:
    """What is wrong with an interpreter, and what to do; None if nothing is."""
    release = _release(version)
    if implementation != "CPython" or release not in PYTHONS:
        newest = _dotted(PYTHONS[-1])
        return (
            f"framelift needs CPython {_listed(PYTHONS)}; this is {implementation} {version}. "
            f"Make an environment with one of them, such as: python{newest} -m venv ..."
        )
    if free_threaded:
        name = f"python{_dotted(release)}"
        return (
            f"framelift needs a build of CPython with the GIL; this is the free-threaded build of {version}. "
            f"Use the ordinary one: {name} in place of {name}t."
        )
    return None


def about_torch(version: str | None, *, allow_newer: bool) -> str | None:
    """What is wrong with a version of torch, None for no torch at all; None if nothing is."""
    known = _listed(TORCHES)
    install = f"{sys.executable} -m pip install '{TORCH_REQUIREMENT}'"
    if version is None:
        return f"framelift needs PyTorch {known}; {sys.prefix} has none. Install it: {install}"
    release = _release(version)
    if release < TORCHES[0]:
        return f"framelift needs PyTorch {known}; this is {version}. Install a newer one: {install}"
    if release > TORCHES[-1] and not allow_newer:
        return (
            f"framelift knows PyTorch {known}; this is {version}. Install a newer framelift, or this torch: "
            f"{install}. To try it as it is, set {UNTESTED_TORCH}=1."
        )
    return None


SUBINTERPRETER = (
    "framelift works in the main interpreter of a process; this is a subinterpreter. Import it in the main "
    "one (under mod_wsgi: WSGIApplicationGroup %{GLOBAL}), or use processes."
)


def _about_extension() -> str | None:
    """What to do where there is no native extension for this interpreter; None where there is."""
    if importlib.util.find_spec("framelift._native") is not None:
        return None
    tag = sysconfig.get_config_var("SOABI")
    return (
        f"framelift has no native extension for this interpreter ({tag}). Install the wheel made for it, or "
        f"in a clone of the sources: make build PYTHON={sys.executable}"
    )


def _in_main_interpreter() -> bool:
    """Whether this is the interpreter the process began with."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # as CPython calls it from 3.13 on, and before
        if importlib.util.find_spec(name) is not None:
            interpreters = importlib.import_module(name)
            return bool(interpreters.get_current() == interpreters.get_main())
    return True  # a small build, in which Python code can't make any


def _torch_version() -> str | None:
    """The version of torch, None where there is none. An error in its import passes."""
    try:
        return str(importlib.import_module("torch").__version__)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return None


def _release(version: str) -> tuple[int, int]:
    """Major and minor version; what stands behind them makes no other version to us."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _listed(versions: tuple[tuple[int, int], ...]) -> str:
    return f"{_dotted(versions[0])} to {_dotted(versions[-1])}"
