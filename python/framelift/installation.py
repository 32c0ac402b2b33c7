"""Putting framelift under programs that call ``torch.compile``: ``install``, ``uninstall``.

While it is installed, ``torch.compile`` and ``Module.compile`` are framelift's. Nothing that was compiled
before is touched. What another package has put in their place since is left alone when framelift is
uninstalled.
"""

from __future__ import annotations

from typing import Any

import torch

from framelift.api import compile as framelift_compile


def install() -> None:
    """Make ``torch.compile`` and ``Module.compile`` mean ``framelift.compile``; again does nothing."""
    if torch.compile is framelift_compile:
        return
    _replaced[:] = [torch.compile, torch.nn.Module.compile]
    torch.compile = framelift_compile
    torch.nn.Module.compile = compile_in_place  # type: ignore[method-assign]


def uninstall() -> None:
    """Undo ``install``."""
    if not _replaced:
        return
    own_compile, own_method = _replaced
    if torch.compile is framelift_compile:
        torch.compile = own_compile
    if torch.nn.Module.compile is compile_in_place:
        torch.nn.Module.compile = own_method  # type: ignore[method-assign]
    _replaced.clear()


def compile_in_place(self: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
    """Compile this module's calls, in place; takes the arguments of ``framelift.compile`` but the model."""
    self._compiled_call_impl = framelift_compile(self._call_impl, *args, **kwargs)


_replaced: list[Any] = []
"""What ``install`` found."""
