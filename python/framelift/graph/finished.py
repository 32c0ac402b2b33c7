"""A finished graph: what the builder hands to a backend, and all that the other rooms ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import fx

from framelift.graph.failing import Risk
from framelift.graph.nodes import print_nodes

if TYPE_CHECKING:
    from framelift.guards.sources import Source


@dataclass(frozen=True, slots=True)
class FinishedGraph:
    """A graph ready for a backend.

    ``checks_data``: it raises for some data although the program would not: what it assumes of numbers from
    data does not hold.

    ``inputs`` are the sources of the placeholders, in order; ``example_inputs`` the real tensors met at
    capture and symbolic numbers (drop them after compiling: they keep the user's tensors alive),
    ``fake_inputs`` their fakes as they are before the graph runs.

    ``mutated_inputs``: running it writes to an input, changes its metadata or its gradient. ``written``: the
    positions of the inputs to whose memory it writes; ``overlap``: the pairs of inputs that share such
    memory. ``changes_metadata``: it gives an input other memory, sizes or strides, or makes it need a
    gradient or none without writing to it. ``uses_rng``: it draws random numbers. ``sets_state``: it has
    nodes that change torch state, and would leave it changed if it failed between them. ``trains``: an output
    or a written input requires a gradient, or the graph itself runs autograd, which ``runs_autograd`` says.
    ``keeps_history``: its outputs must have the nodes of autograd that eager gives them.
    ``risk``: what there is to do when it fails half-way.
    """

    module: fx.GraphModule
    inputs: tuple[Source, ...]
    example_inputs: list[Any]
    fake_inputs: list[Any]
    fake_mode: Any
    mutated_inputs: bool
    written: tuple[int, ...]
    overlap: tuple[tuple[int, int], ...]
    changes_metadata: bool
    uses_rng: bool
    sets_state: bool
    trains: bool
    checks_data: bool
    runs_autograd: bool
    keeps_history: bool
    operator_count: int
    risk: Risk

    def __str__(self) -> str:
        return print_nodes(self.module.graph.nodes)
