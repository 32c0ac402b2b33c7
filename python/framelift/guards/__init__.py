"""Guards: the facts under which what was captured may be used again.

Capture looks at objects through *sources*, paths that can be walked again on every call without running user
code (``sources.py``), and writes down each fact it relied on as a *guard* of one of a closed set of kinds
(``kinds.py``). A ``GuardSet`` (``collect.py``) gathers them in order, together with

- the objects to collect: the inputs of the graph and what the exit needs, fetched in the same walk;
- objects that must be pairwise different, because the graph takes them as separate inputs;
- symbols read from tensors and numbers, and the conditions on them that the graph was made under;
- a snapshot of torch's state, which kernels and Python code read without being asked.

``build`` flattens the set into a native ``GuardTree``, which answers a call in nanoseconds per fact; the
``BuiltGuards`` around it can say, in the user's spelling, what did not hold. ``ReferenceTree`` answers the
same question in plain Python. Tests and ``config.check_guards`` hold the two against each other.
"""

from framelift.guards.build import BuiltGuards, build
from framelift.guards.changes import find_changes, is_elsewhere
from framelift.guards.collect import GuardSet
from framelift.guards.reference import ReferenceTree

__all__ = ["BuiltGuards", "GuardSet", "ReferenceTree", "build", "find_changes", "is_elsewhere"]
