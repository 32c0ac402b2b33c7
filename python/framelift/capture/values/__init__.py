"""Values: what the interpreter's stack and locals hold while a frame runs symbolically.

There are few kinds, and none of them is per library type:

- ``Constant``: an object known exactly, immutable data or something guarded by identity (a class, a module,
  a C function).
- ``Tensor``: a node of the graph with its fake tensor.
- ``Symbol``: an int, float or bool with a symbolic expression.
- ``Lazy``: an outside object at a source nobody has looked at; looking adds the guard.
- Objects (``ListObject``, ``TupleObject``, ``DictObject``, ``SetObject``, ``Instance``, ``FunctionObject``,
  ``CellObject``, ``MethodObject``, …): things with identity. One with ``real`` exists outside already and
  its changes are effects to replay; one without was made during capture and becomes real only if it escapes.

Attributes, operators and calls follow Python's data model over the *real* types (``capture/datamodel``).
"""

from framelift.capture.values.objects import (
    EMPTY,
    CellObject,
    Constant,
    ConstructedObject,
    DictObject,
    FunctionObject,
    GeneratorObject,
    HostArray,
    IdentityNumber,
    Instance,
    IteratorObject,
    Lazy,
    ListObject,
    MethodObject,
    Opaque,
    OutsideIterator,
    Postponed,
    SetObject,
    SliceObject,
    SuperObject,
    Symbol,
    Tensor,
    TupleObject,
    Unknown,
    Unwritten,
    Value,
    ViewObject,
)

__all__ = [
    "EMPTY",
    "CellObject",
    "Constant",
    "ConstructedObject",
    "DictObject",
    "FunctionObject",
    "GeneratorObject",
    "HostArray",
    "IdentityNumber",
    "Instance",
    "IteratorObject",
    "Lazy",
    "ListObject",
    "MethodObject",
    "Opaque",
    "OutsideIterator",
    "Postponed",
    "SetObject",
    "SliceObject",
    "SuperObject",
    "Symbol",
    "Tensor",
    "TupleObject",
    "Unknown",
    "Unwritten",
    "Value",
    "ViewObject",
]
