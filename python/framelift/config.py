"""Settings: ``framelift.config.cache_size_limit = 16``.

One object for the whole process, in force in every thread at once (``torch.compile`` keeps its settings per
thread, so a limit set in the main thread has no effect in a worker). Names are torch's where the meaning is
the same. An unknown name or a value of the wrong type raises and changes nothing.

A setting is read when it is needed, not when ``compile`` is called. ``config.patch(name=value)`` sets some
for the time of a ``with`` block or of a decorated function. An environment variable named ``FRAMELIFT_`` and
the setting's name in capitals gives it another value at import: ``FRAMELIFT_CACHE_SIZE_LIMIT=16``.

To add a setting, write a row in ``SETTINGS`` and the attribute with its sentence in ``Config``.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from framelift.observe import reasons
from framelift.observe.errors import Misuse, UnknownSetting

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Setting:
    """A row: the default, the allowed type, the name in the environment."""

    name: str
    default: bool | int
    alias_of: str | None = None
    least: int = 1
    """The smallest whole number it takes."""

    @property
    def kind(self) -> type:
        return type(self.default)

    @property
    def variable(self) -> str:
        return f"FRAMELIFT_{self.name.upper()}"

    def check(self, value: object) -> None:
        """Raise unless the setting can take ``value``."""
        name = f"config.{self.name} = {value!r}"
        if type(value) is not self.kind:
            allowed = "True or False" if self.kind is bool else "a whole number"
            raise Misuse(reasons.WRONG_SETTING_TYPE, name, allowed=allowed)
        if self.kind is int and value < self.least:  # type: ignore[operator]
            raise Misuse(reasons.WRONG_SETTING_TYPE, name, allowed=f"a whole number from {self.least} on")

    def from_text(self, text: str) -> bool | int:
        """The value an environment variable gives."""
        if self.kind is bool and text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        if self.kind is int and text.strip().isdecimal():
            value = int(text)
            self.check(value)
            return value
        allowed = "0 or 1" if self.kind is bool else "a whole number"
        raise Misuse(reasons.WRONG_SETTING_TYPE, f"{self.variable}={text}", allowed=allowed)


_BOOLEANS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(
    ("0", "false", "no", "off"), False
)

SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("cache_size_limit", 8),
        Setting("recompile_limit", 8, alias_of="cache_size_limit"),
        Setting("accumulated_cache_size_limit", 256),
        Setting("accumulated_recompile_limit", 256, alias_of="accumulated_cache_size_limit"),
        Setting("error_on_recompile", False),
        Setting("assume_static_by_default", True),
        Setting("automatic_dynamic_shapes", True),
        Setting("specialize_int", False),
        Setting("specialize_float", False),
        Setting("capture_scalar_outputs", False),
        Setting("capture_dynamic_output_shape_ops", False),
        Setting("inline_depth_limit", 150),
        Setting("loop_limit", 131_072),
        Setting("fallback_random", False),
        Setting("suppress_errors", False),
        Setting("raise_internal_errors", False),
        Setting("check_guards", False),
        Setting("break_at", -1, least=-1),
        Setting("break_inlined", False),
        Setting("verbose", False),
    )
}
"""All settings by name. Readers of one that has an alias use the name in ``alias_of``."""


class Config:
    """The settings. Reading an attribute takes no lock; what is set is seen by all threads."""

    cache_size_limit: int
    """Entries (compiled variants) of one resume point, after which further calls run in CPython."""

    recompile_limit: int
    """Another name of ``cache_size_limit``."""

    accumulated_cache_size_limit: int
    """Entries of all resume points of one compiled callable."""

    accumulated_recompile_limit: int
    """Another name of ``accumulated_cache_size_limit``."""

    error_on_recompile: bool
    """Raise instead of compiling a function a second time; the error says which guard failed."""

    assume_static_by_default: bool
    """Take each size as fixed until it is seen to change. Off: every size is open from the first call."""

    automatic_dynamic_shapes: bool
    """Keep a size or number open once it has been seen to change. Off: compile anew for each."""

    specialize_int: bool
    """Take every int as fixed, also one that has been seen to change."""

    specialize_float: bool
    """Take every float as fixed, also one that has been seen to change."""

    capture_scalar_outputs: bool
    """Keep ``.item()`` and its like in the graph, as numbers that are not known during capture. With
    ``fullgraph=True`` it is done anyway."""

    capture_dynamic_output_shape_ops: bool
    """Keep operators whose results' sizes depend on data in the graph (``nonzero``, a mask as an index). With
    ``fullgraph=True`` it is done anyway."""

    inline_depth_limit: int
    """Calls inside one another that capture follows."""

    loop_limit: int
    """Items of one loop that capture runs through."""

    fallback_random: bool
    """Draw random numbers exactly as without compilation, at some cost in speed."""

    suppress_errors: bool
    """Run a call in CPython when its backend raises, instead of raising."""

    raise_internal_errors: bool
    """Raise framelift's own failures instead of warning and running in CPython."""

    check_guards: bool
    """Check every guard a second time in plain Python and raise when the two disagree (slow)."""

    break_at: int
    """For tests: the byte offset of an instruction before which every captured frame breaks; -1 for none."""

    break_inlined: bool
    """For tests: ``break_at`` holds for the frames of inlined functions, too."""

    verbose: bool
    """Show in errors where in framelift they were decided."""

    __slots__ = tuple(name for name, setting in SETTINGS.items() if setting.alias_of is None)

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """All defaults, or what ``environment`` says."""
        for setting in SETTINGS.values():
            if setting.alias_of is None:
                object.__setattr__(self, setting.name, setting.default)
        for setting in SETTINGS.values():
            if setting.variable in environment:
                object.__setattr__(
                    self, _home(setting).name, setting.from_text(environment[setting.variable])
                )

    def __getattr__(self, name: str) -> Any:
        # Only names that are not slots come here.
        return object.__getattribute__(self, _find(name).name)

    def __setattr__(self, name: str, value: object) -> None:
        setting = _find(name)
        SETTINGS[name].check(value)
        object.__setattr__(self, setting.name, value)

    def __delattr__(self, name: str) -> None:
        raise UnknownSetting(f"config.{name} can't be deleted, only set", reasons.UNKNOWN_SETTING)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *SETTINGS]

    def __repr__(self) -> str:
        values = self.to_dict()
        changed = [name for name, value in values.items() if value != SETTINGS[name].default]
        lines = [
            f"  {name} = {value!r}{'  (changed)' if name in changed else ''}"
            for name, value in values.items()
        ]
        return "\n".join(["framelift.config", *lines])

    def to_dict(self) -> dict[str, bool | int]:
        """The values by name, without aliases."""
        return {name: getattr(self, name) for name, setting in SETTINGS.items() if setting.alias_of is None}

    def reset(self) -> None:
        """Everything as at import (``framelift.reset`` leaves settings alone)."""
        fresh = Config()
        for name in fresh.to_dict():
            object.__setattr__(self, name, getattr(fresh, name))

    @overload
    def patch(self, settings: Mapping[str, object], /, **more: object) -> Patch: ...
    @overload
    def patch(self, name: str, value: object, /, **more: object) -> Patch: ...
    @overload
    def patch(self, **settings: object) -> Patch: ...
    def patch(self, first: Any = None, second: Any = None, /, **settings: object) -> Patch:
        """Settings for a while: ``with config.patch(verbose=True):`` or ``@config.patch(verbose=True)``.

        Also ``patch("verbose", True)`` and ``patch({"verbose": True})``. Names and types are checked now.
        Other threads see the change as well. Afterwards these settings have the values they had before.
        """
        if isinstance(first, str):
            settings = {first: second, **settings}
        elif isinstance(first, Mapping):
            settings = {**first, **settings}
        elif first is not None:
            raise Misuse(
                reasons.WRONG_ARGUMENT_TYPE, f"patch({first!r})", allowed="names with values, or a dict"
            )
        for name, value in settings.items():
            _find(name)
            SETTINGS[name].check(value)
        return Patch(self, {_find(name).name: value for name, value in settings.items()})


class Patch:
    """What ``config.patch`` returns. Can be entered any number of times, also inside itself."""

    def __init__(self, config: Config, settings: dict[str, object]) -> None:
        self._config = config
        self._settings = settings
        self._before: list[dict[str, object]] = []

    def __enter__(self) -> Config:
        self._before.append({name: getattr(self._config, name) for name in self._settings})
        for name, value in self._settings.items():
            setattr(self._config, name, value)
        return self._config

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.pop().items():
            setattr(self._config, name, value)

    def __call__(self, function: Function) -> Function:
        @functools.wraps(function)
        def patched(*args: Any, **kwargs: Any) -> Any:
            with Patch(self._config, self._settings):
                return function(*args, **kwargs)

        return patched  # type: ignore[return-value]


def _home(setting: Setting) -> Setting:
    return SETTINGS[setting.alias_of] if setting.alias_of else setting


def _find(name: str) -> Setting:
    """The setting of this name, an alias resolved."""
    if name in SETTINGS:
        return _home(SETTINGS[name])
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(name)
    close = difflib.get_close_matches(name, SETTINGS, n=1, cutoff=0.5)
    suggestion = f" Did you mean {close[0]!r}?" if close else ""
    raise UnknownSetting(
        f"framelift.config has no setting {name!r}.{suggestion}\n  Allowed: {', '.join(SETTINGS)}\n"
        f"  Reason {reasons.UNKNOWN_SETTING.code}: see {reasons.UNKNOWN_SETTING.anchor}",
        reasons.UNKNOWN_SETTING,
    )


config = Config()
