"""The state of one interpreted frame: locals, operand stack, the next instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelift.capture.decode import decode

if TYPE_CHECKING:
    from framelift.capture.decode import Decoded
    from framelift.capture.decode.exception_table import Handler
    from framelift.capture.values import FunctionObject, GeneratorObject, Value


class Frame:
    """One activation of a function.

    ``slots`` are CPython's localsplus (locals, cells, free variables; None is unbound), ``stack`` the
    operand stack (may hold ``EMPTY``), ``index`` the next instruction, ``handled`` the exception being
    handled by this frame's generator while it is suspended. ``rounds`` counts the jumps back to each
    instruction.
    """

    __slots__ = (
        "decoded",
        "function",
        "generator",
        "handled",
        "index",
        "namespace",
        "rounds",
        "slots",
        "stack",
    )

    def __init__(self, decoded: Decoded, function: FunctionObject) -> None:
        self.decoded = decoded
        self.function = function
        self.slots: list[Value | None] = [None] * decoded.slot_count
        self.stack: list[Value] = []
        self.index = 0
        self.namespace: Value | None = None
        self.generator: GeneratorObject | None = None
        self.handled: Value | None = None
        self.rounds: dict[int, int] = {}

    def pop(self, count: int) -> list[Value]:
        """Pop ``count`` values, the deepest first."""
        if count == 0:
            return []
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    @property
    def current_index(self) -> int:
        """Index of the instruction being executed."""
        return max(self.index - 1, 0)

    def is_covered(self, *, only_caught: bool) -> bool:
        """Whether an exception would come to a handler of the program in this frame; with ``only_caught`` to
        one that may end it there."""
        return self.decoded.is_handled(self.current_index, self._swallows, only_caught=only_caught)

    def _swallows(self, handler: Handler) -> bool:
        """Whether the ``__exit__`` of a ``with`` block, which waits on the stack, may end an exception."""
        leave = self.stack[handler.depth - 1]
        function = getattr(leave, "function", leave)
        real = getattr(function, "real", None)
        code = getattr(function, "code", None) or getattr(real, "__code__", None)
        return code is None or not decode(code).returns_false

    def position(self) -> tuple[str, int, str, tuple]:
        """``(file, line, function, positions)`` of the instruction being executed."""
        code = self.decoded.code
        positions = self.decoded.positions[self.current_index]
        line = positions[0] or code.co_firstlineno
        return code.co_filename, line, code.co_name, positions
