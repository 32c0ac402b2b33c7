"""Records: what one capture did, for ``explain``, logs and tests.

``pipeline`` makes one ``CaptureRecord`` for each miss it handles, also for those that end in CPython, and
keeps it with the compiled callable. Nothing here is looked at on the way of a call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from framelift.observe.errors import Break, UserFrame, user_frames
from framelift.observe.reasons import Reason

OPERATOR_NODES = ("call_function", "call_method", "call_module")


@dataclass(slots=True)
class GraphRecord:
    """One graph: ``backend`` is the name of what compiled it, ``why`` says why that one.

    ``module`` is the ``fx.GraphModule`` as it was given to the backend.
    """

    module: Any
    backend: str
    why: str = ""
    compile_seconds: float = 0.0

    @property
    def operators(self) -> Mapping[str, int]:
        """How often each operator occurs, by name."""
        nodes = self.module.graph.nodes if self.module is not None else ()
        return Counter(operator_name(node.target) for node in nodes if node.op in OPERATOR_NODES)

    @property
    def inputs(self) -> int:
        nodes = self.module.graph.nodes if self.module is not None else ()
        return sum(node.op == "placeholder" for node in nodes)


@dataclass(slots=True)
class BreakRecord:
    """A graph break, as it was met."""

    reason: Reason
    detail: str
    message: str
    """The whole text, as ``fullgraph=True`` would show it."""
    user_stack: tuple[UserFrame, ...]

    @classmethod
    def of(cls, cause: Break) -> BreakRecord:
        return cls(cause.reason, cause.detail, str(cause), tuple(user_frames(cause.stack)))


@dataclass(slots=True)
class CaptureRecord:
    """One capture of one function.

    ``guards`` is anything whose ``str`` has a line for each guard. ``recompiled_because`` is the guard that
    failed when the function had entries already. ``in_cpython`` says why such calls are run by CPython as a
    whole; it is empty when the capture gave an entry.
    """

    function: str
    filename: str = ""
    line: int = 0
    graphs: list[GraphRecord] = field(default_factory=list)
    breaks: list[BreakRecord] = field(default_factory=list)
    guards: object = ""
    recompiled_because: str = ""
    in_cpython: str = ""
    capture_seconds: float = 0.0

    @property
    def place(self) -> str:
        """Where the function begins; empty for what is not a function of the program."""
        own = not user_frames([(self.filename, self.line, self.function)])
        return "" if own or not self.filename else f"{self.filename}:{self.line}"

    @property
    def guard_lines(self) -> list[str]:
        return [line for line in str(self.guards).splitlines() if line.strip()]

    @property
    def compile_seconds(self) -> float:
        """What the backends took."""
        return sum(graph.compile_seconds for graph in self.graphs)


def operator_name(target: object) -> str:
    """A node's target as one would write it."""
    if isinstance(target, str):
        return target
    module = getattr(target, "__module__", None) or ""
    name = getattr(target, "__qualname__", None) or getattr(target, "__name__", None) or str(target)
    module = {"_operator": "operator", "torch._C._nn": "torch.nn.functional"}.get(module, module)
    if module.startswith("torch._ops"):
        return f"torch.ops.{target}"
    if name.startswith(("_VariableFunctionsClass.", "_VariableFunctions.")):
        return f"torch.{name.split('.', 1)[1]}"
    return f"{module}.{name}" if module not in ("", "builtins") else name
