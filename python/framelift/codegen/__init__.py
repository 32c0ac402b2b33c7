"""The codegen room: from a finished graph to something that computes it.

A *backend* is a name or a callable ``(graph_module, example_inputs) -> callable``, the same thing it is for
``torch.compile``. ``resolve`` turns what the user passed into a ``Backend`` (and refuses what it does not
know, before anything runs); ``compile_graph`` applies it to a ``FinishedGraph`` and says what was used and
why, for ``explain``.

- ``"eager"`` runs the graph node by node. It is right for every graph.
- ``"inductor"`` is PyTorch's compiler. Graphs that it does not compute rightly outside of TorchDynamo run
  eagerly (``why_not_compiled``).
- Any other name is looked up in torch's registry of backends; the same graphs run eagerly.
- ``None``, the default, is the same, and a graph on which Inductor fails runs eagerly too.
- A callable gets every graph, and what it raises reaches the user unchanged.

A backend's callable takes the graph's inputs as positional arguments and returns a tuple or a list.
"""

from framelift.codegen.backends import Backend, CompiledGraph, compile_graph, resolve

__all__ = ["Backend", "CompiledGraph", "compile_graph", "resolve"]
