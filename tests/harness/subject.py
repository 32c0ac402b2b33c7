"""framelift as the harness sees it: what all tests compare with CPython unless they name another compiler."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import framelift
from tests.harness.compiler import Counts


def _flat(counter: object) -> dict[str, int]:
    return {str(name): number for name, number in counter.items()} if isinstance(counter, Mapping) else {}


def _total(counter: object) -> int:
    return sum(counter.values()) if isinstance(counter, Mapping) else int(counter)


@dataclass(frozen=True, slots=True)
class Framelift:
    """``framelift.compile``, its counters and its strict settings; with a break forced somewhere."""

    break_at: int = -1
    break_inlined: bool = False

    def compile(
        self, program: Callable, *, backend: object, fullgraph: bool, dynamic: bool | None
    ) -> Callable:
        return framelift.compile(program, backend=backend, fullgraph=fullgraph, dynamic=dynamic)

    def reset(self) -> None:
        framelift.reset()

    def counts(self) -> Counts:
        counters = framelift.counters
        return Counts(
            _total(counters["graphs"]),
            _flat(counters["graph_break"]),
            _flat(counters["recompiles"]),
            _total(counters["fallbacks"]),
        )

    def strict(self) -> contextlib.AbstractContextManager:
        return framelift.config.patch(
            raise_internal_errors=True,
            check_guards=True,
            break_at=self.break_at,
            break_inlined=self.break_inlined,
        )
