"""The read-only tables of a capture: handlers of instructions and of callables, polyfills."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from framelift.capture.datamodel import calls
from framelift.capture.handlers import HANDLERS
from framelift.capture.natives import NATIVES
from framelift.capture.polyfills import POLYFILLS
from framelift.capture.torch_calls import TORCH_CALLS, late_calls

if TYPE_CHECKING:
    import types

    from framelift.capture.decode import Decoded


class Tables:
    """Collected once per process."""

    def __init__(self) -> None:
        self.by_name: dict[str, types.FunctionType] = POLYFILLS
        self._callables: dict[int, Callable] = {}
        self._held: list[object] = []
        self._steps: weakref.WeakKeyDictionary[Decoded, list] = weakref.WeakKeyDictionary()
        for real, handler in (*NATIVES, *TORCH_CALLS):
            self._add(real, handler)
        for function in POLYFILLS.values():
            for real in function.replaces:
                self._add(real, inline_polyfill(function))

    def _add(self, real: object, handler: Callable) -> None:
        if id(real) not in self._callables:
            self._callables[id(real)] = handler
            self._held.append(real)

    def add_late(self) -> None:
        """Handlers of functions in modules that may be imported at any time."""
        for real, handler in late_calls():
            self._add(real, handler)

    def find(self, real: object) -> Callable | None:
        """The handler of a real callable, if it has one."""
        return self._callables.get(id(real))

    def steps(self, decoded: Decoded) -> list[tuple[Callable, object]]:
        """``(handler, instruction)`` for every instruction of a code object."""
        steps = self._steps.get(decoded)
        if steps is None:
            steps = [(HANDLERS[type(inst)], inst) for inst in decoded.instructions]
            self._steps[decoded] = steps
        return steps


def inline_polyfill(function: types.FunctionType) -> Callable:
    """A handler that inlines a polyfill."""
    return lambda vm, arguments, keywords: calls.inline(vm, vm.host_function(function), arguments, keywords)


TABLES = Tables()
