"""The graph room: tensor work as an fx graph at torch level.

A graph is what a backend gets: ``torch.fx`` nodes, one for each call of a torch function or tensor method
that the program made, with the called object itself as target. It is built while the program is being
captured. Each call is run on *fake tensors*, which have metadata and no data (``metadata.py``), so that
every node knows the shape, dtype, device, strides, aliasing and gradient history of its result, and calls
that fail in eager fail here too.

Sizes are numbers unless the caller says that a dimension is dynamic; then they are symbols, and everything
the fake tensors assume about a symbol becomes a condition (``shapes.py``). A graph is right for an input
exactly when its conditions hold for it. Numbers of the program can be inputs of a graph too.

Some calls do more than compute. Writes to a tensor, random numbers and changes of torch state are seen by
watching the operators that each call reaches; nodes that do such things are never dropped, and the finished
graph says what it does to the world: ``mutated_inputs``, ``uses_rng``. Torch state (grad mode, autocast ...)
is really changed on the thread while a graph is built, because results depend on it; the caller wraps the
building in ``preserved_torch_state``.

What goes wrong is one of three things, all ``CallFailed``: ``OperatorError`` (eager would raise too),
``DataDependent`` (the answer needs the numbers), ``UnsupportedOperator`` (anything else). A failed call
leaves the graph as it was, although not necessarily the fakes: an in-place operator can fail halfway, as in
eager.

The laws that every finished graph keeps are written in ``verify.py``.

    builder = GraphBuilder()
    x = builder.tensor_input(tensor, source)
    y = builder.call_function(torch.relu, (x,))
    finished = builder.finish([y])
"""

from framelift.graph.builder import GraphBuilder
from framelift.graph.errors import DataDependent, OperatorError, UnsupportedOperator
from framelift.graph.torch_state import preserved_torch_state

__all__ = ["DataDependent", "GraphBuilder", "OperatorError", "UnsupportedOperator", "preserved_torch_state"]
