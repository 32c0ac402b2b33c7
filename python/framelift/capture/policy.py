"""Which sizes and numbers are symbols, and which tensor classes are taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from framelift.guards.sources import Source


@dataclass(frozen=True)
class Policy:
    """Decided before a capture from options, marks and what changed since the last one.

    ``dynamic_sizes`` holds ``(source text, dimension)`` and ``dynamic_scalars`` source texts: the symbols.
    ``break_at`` and ``break_inlined`` are those of ``config``.
    """

    dynamic_sizes: frozenset[tuple[str, int]] = frozenset()
    dynamic_scalars: frozenset[str] = frozenset()
    all_sizes: bool = False
    break_at: int = -1
    break_inlined: bool = False
    tensor_types: tuple[type, ...] = field(default=(torch.Tensor, torch.nn.Parameter, torch.nn.Buffer))

    def symbolic_scalar(self, source: Source, real: int | float) -> bool:
        """Whether an outside number becomes a symbol."""
        return str(source) in self.dynamic_scalars

    def dynamic_dimensions(self, source: Source, real: torch.Tensor) -> frozenset[int]:
        """The dimensions of an outside tensor whose sizes become symbols (0 and 1 are specialized)."""
        name = str(source)
        return frozenset(
            i
            for i, size in enumerate(real.shape)
            if size > 1 and ((name, i) in self.dynamic_sizes or (self.all_sizes and not is_parameter(real)))
        )


def is_parameter(real: torch.Tensor) -> bool:
    """Parameters keep their sizes."""
    return isinstance(real, torch.nn.Parameter)
