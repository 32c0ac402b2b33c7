"""Arguments of ``compile``: checked at once, before anything is changed.

An argument that has no meaning must not wait for the first call, or be ignored: what is wrong, and what could
stand there instead, is said where ``compile`` is called. Whether a backend knows a mode or an option is asked
of the backend (``codegen.resolve``), in the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from framelift.observe import reasons
from framelift.observe.errors import Misuse


@dataclass(frozen=True, slots=True)
class Arguments:
    """What ``compile`` was asked for. Equal arguments make equal compiled callables."""

    fullgraph: bool = False
    dynamic: bool | None = None
    backend: str | Callable[..., Any] | None = None
    mode: str | None = None
    options: Mapping[str, Any] | None = None
    name: str | None = None
    disable: bool = False
    recompile_limit: int | None = None
    isolate_recompiles: bool = False
    dynamic_shapes: object = None

    def check(self) -> None:
        """Raise ``Misuse`` for the first argument that has no meaning."""
        for name in ("fullgraph", "disable", "isolate_recompiles"):
            value = getattr(self, name)
            if type(value) is not bool:
                raise Misuse(reasons.WRONG_ARGUMENT_TYPE, f"{name}={value!r}", allowed="True or False")
        if self.dynamic is not None and type(self.dynamic) is not bool:
            allowed = "None (open what is seen to change), True (open all sizes), False (fix all sizes)"
            raise Misuse(reasons.WRONG_ARGUMENT_TYPE, f"dynamic={self.dynamic!r}", allowed=allowed)
        if self.backend is not None and not isinstance(self.backend, str) and not callable(self.backend):
            allowed = "a name, a callable `(graph_module, example_inputs) -> callable`, or None"
            raise Misuse(reasons.WRONG_ARGUMENT_TYPE, f"backend={self.backend!r}", allowed=allowed)
        for name in ("mode", "name"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise Misuse(reasons.WRONG_ARGUMENT_TYPE, f"{name}={value!r}", allowed="a string or None")
        self._check_options()
        limit = self.recompile_limit
        if limit is not None and (type(limit) is not int or limit < 1):
            allowed = "a whole number from 1 on, or None for `config.recompile_limit`"
            raise Misuse(reasons.WRONG_ARGUMENT_TYPE, f"recompile_limit={limit!r}", allowed=allowed)
        if self.dynamic_shapes is not None:
            what = f"dynamic_shapes={self.dynamic_shapes!r}"
            raise Misuse(reasons.ARGUMENT_NOT_IMPLEMENTED, what, allowed="None; see `dynamic`")

    def _check_options(self) -> None:
        if self.options is None:
            return
        if not isinstance(self.options, Mapping) or not all(isinstance(key, str) for key in self.options):
            what = f"options={self.options!r}"
            raise Misuse(reasons.WRONG_ARGUMENT_TYPE, what, allowed="a dict with strings as keys, or None")
        if self.mode is not None:
            what = f"mode={self.mode!r}, options={dict(self.options)!r}"
            raise Misuse(reasons.MODE_AND_OPTIONS, what, allowed="one of the two")
