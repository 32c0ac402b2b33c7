"""The kinds of values. They are data: what can be done with them is in ``capture/datamodel``."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import torch

from framelift import torch_internals
from framelift.observe import reasons
from framelift.observe.errors import Break

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelift.capture.frame import Frame
    from framelift.guards.sources import Source


class Value:
    """What a stack slot or a local holds. ``source`` is where it came from, None if made during capture."""

    __slots__ = ("source",)

    def __init__(self, source: Source | None = None) -> None:
        self.source = source


class Constant(Value):
    """An object known exactly."""

    __slots__ = ("value",)

    def __init__(self, value: object, source: Source | None = None) -> None:
        self.source = source
        self.value = value

    def __repr__(self) -> str:
        return f"Constant({self.value!r})"


class Lazy(Value):
    """An outside object that nobody has looked at. ``seen`` is its value once somebody has."""

    __slots__ = ("real", "seen")

    def __init__(self, real: object, source: Source) -> None:
        self.source = source
        self.real = real
        self.seen: Value | None = None

    def __repr__(self) -> str:
        return f"Lazy({type(self.real).__name__} at {self.source})"


class Postponed:
    """In the place of a lazy value's object: text of data. Looking at it raises ``error``.

    Most text made of tensors is the message of a check that holds. ``done`` is the number of instructions of
    the captured frame before it was made.
    """

    __slots__ = ("done", "error")

    def __init__(self, error: Break, done: int) -> None:
        self.error = error
        self.done = done


class Unwritten:
    """In the place of a lazy value's object: text of sizes that are open. Looking at it fixes them.

    ``write`` gives the text for the sizes of this call. Most such text is the message of a check that holds.
    """

    __slots__ = ("write",)

    def __init__(self, write: Callable[[], Value]) -> None:
        self.write = write


class Tensor(Value):
    """A tensor: its node in the graph and the fake tensor with its metadata.

    ``real`` and ``source`` are those of a graph input. ``attributes`` is the ``__dict__`` once asked for.
    """

    __slots__ = ("attributes", "example", "node", "real")

    def __init__(
        self, node: Any, example: torch.Tensor, source: Source | None = None, real: torch.Tensor | None = None
    ) -> None:
        self.source = source
        self.node = node
        self.example = example
        self.real = real
        self.attributes: DictObject | None = None

    @property
    def cls(self) -> type:
        """The type the program sees."""
        if self.real is not None:
            return type(self.real)
        return torch.nn.Parameter if isinstance(self.example, torch.nn.Parameter) else torch.Tensor

    def __repr__(self) -> str:
        return f"Tensor({self.node}: {tuple(self.example.shape)})"


class Symbol(Value):
    """A number whose value is an expression over the call's inputs.

    ``concrete`` is the number in this call (None where only ``symbolic`` knows), ``inputs`` the symbols it
    was computed from, ``node`` computes it where ``symbolic`` is not exact (``datamodel/numbers``).
    """

    __slots__ = ("concrete", "inputs", "node", "symbolic")

    def __init__(
        self,
        symbolic: torch.SymInt | torch.SymFloat | torch.SymBool,
        source: Source | None = None,
        *,
        inputs: tuple[Symbol, ...] = (),
        concrete: object = None,
        node: Any = None,
    ) -> None:
        self.source = source
        self.symbolic = symbolic
        self.inputs = inputs
        self.node = node
        self.concrete = torch_internals.symbol_hint(symbolic) if concrete is None else concrete

    @property
    def cls(self) -> type:
        match self.symbolic:
            case torch.SymInt():
                return int
            case torch.SymFloat():
                return float
            case _:
                return bool

    def __repr__(self) -> str:
        return f"Symbol({self.symbolic})"


class Object(Value):
    """Something with identity. ``cls`` is its type; ``real`` the outside object, None if made inside.

    ``attributes`` is its ``__dict__`` (made on first use), ``slots`` what was read from or written to
    C-level members, by descriptor.
    """

    __slots__ = ("attributes", "cls", "real", "slots")

    def __init__(self, cls: type, real: object = None, source: Source | None = None) -> None:
        self.source = source
        self.cls = cls
        self.real = real
        self.attributes: DictObject | None = None
        self.slots: dict[object, Value] | None = None

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.cls.__name__}{'' if self.real is None else f' at {self.source}'})"
        )


class Instance(Object):
    """An instance without C-level storage that the interpreter models: user objects, exceptions, partials."""

    __slots__ = ()


class ConstructedObject(Object):
    """An instance of an immutable C class made during capture, known and rebuilt by what it was made of.

    ``maker`` is what makes it, the class itself if None.
    """

    __slots__ = ("arguments", "keywords", "maker")

    def __init__(
        self,
        cls: type,
        arguments: list[Value],
        keywords: dict[str, Value],
        maker: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(cls)
        self.maker = maker or cls
        self.arguments = arguments
        self.keywords = keywords


class Opaque(Object):
    """Something of which only the class is known, and that it is not None: another use of it is a break."""

    __slots__ = ("what",)

    def __init__(self, cls: type, what: str) -> None:
        super().__init__(cls)
        self.what = what


class IdentityNumber(Object):
    """``id(owner)``, or the number of the running thread (no owner): differs from call to call.

    It can be a key beside others of its kind, and be made at the exit. There is one per owner in a capture.
    """

    __slots__ = ("owner",)

    def __init__(self, owner: Value | None) -> None:
        super().__init__(int)
        self.owner = owner


class Unknown(Value):
    """Something nothing is known of, not even its class: any use of it is a break."""

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    @property
    def cls(self) -> type:
        raise Break(reasons.UNSUPPORTED_ATTRIBUTE, self.what)


class ListObject(Object):
    """A list, a deque, or an instance of a subclass of them. ``maxlen`` is the deque's.

    An outside one may be closed: nobody has looked at its items, which ``opening`` gives (and guards).
    ``appended`` are those put behind them meanwhile.
    """

    __slots__ = ("_items", "appended", "maxlen", "opening")

    def __init__(
        self,
        items: list[Value] | None,
        cls: type = list,
        real: object = None,
        source: Source | None = None,
        opening: Callable[[], list[Value]] | None = None,
    ) -> None:
        super().__init__(cls, real, source)
        self._items = items
        self.opening = opening
        self.appended: list[Value] = []
        self.maxlen: int | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nobody has looked at the items."""
        return self._items is None

    @property
    def items(self) -> list[Value]:
        """The items themselves; looking opens."""
        if self._items is None:
            self._items = [*self.opening(), *self.appended]
        return self._items


class TupleObject(Object):
    """A tuple or an instance of a subclass: named tuples, ``torch.Size``, ``torch.return_types``."""

    __slots__ = ("items",)

    def __init__(
        self,
        items: list[Value] | tuple[Value, ...],
        cls: type = tuple,
        real: object = None,
        source: Source | None = None,
    ) -> None:
        super().__init__(cls, real, source)
        self.items = list(items)


class SetObject(Object):
    """A set or frozenset. ``items`` maps hashable keys (``datamodel/hashing``) to their values.

    ``mirror`` tells the order of one that was made here (``datamodel/set_order``).
    """

    __slots__ = ("items", "mirror")

    def __init__(
        self, items: dict[object, Value], cls: type = set, real: object = None, source: Source | None = None
    ) -> None:
        super().__init__(cls, real, source)
        self.items = items
        self.mirror: set | None = None


class DictObject(Object):
    """A dict or an instance of a subclass; also any object's ``__dict__`` and a module's globals.

    ``items`` maps a hashable key to ``(key value, value)``. An outside dict is opened key by key: ``items``
    then holds only what was looked at or written (a deleted or missing key maps to None) until ``complete``.
    ``owner_class`` is the class of the object whose ``__dict__`` it is.
    """

    __slots__ = ("complete", "items", "owner_class")

    def __init__(
        self,
        items: dict[object, tuple[Value, Value] | None],
        cls: type = dict,
        real: object = None,
        source: Source | None = None,
    ) -> None:
        super().__init__(cls, real, source)
        self.items = items
        self.complete = real is None
        self.owner_class: type | None = None


class ViewObject(Object):
    """A view of a dict (``keys``, ``items``, ``values`` by ``cls``): its contents are read on use."""

    __slots__ = ("mapping",)

    def __init__(self, cls: type, mapping: DictObject) -> None:
        super().__init__(cls)
        self.mapping = mapping


class CellObject(Object):
    """A closure cell; ``contents`` is None while it is empty."""

    __slots__ = ("contents", "opened")

    def __init__(
        self, contents: Value | None, real: types.CellType | None = None, source: Source | None = None
    ) -> None:
        super().__init__(types.CellType, real, source)
        self.contents = contents
        self.opened = real is None


class FunctionObject(Object):
    """A Python function. Its parts are values; of an outside one they are opened on use."""

    __slots__ = ("closure", "code", "defaults", "globals", "keyword_defaults", "name", "qualname")

    def __init__(
        self,
        code: types.CodeType,
        namespace: DictObject,
        *,
        name: str,
        qualname: str,
        real: types.FunctionType | None = None,
        source: Source | None = None,
    ) -> None:
        super().__init__(types.FunctionType, real, source)
        self.code = code
        self.globals = namespace
        self.name = name
        self.qualname = qualname
        self.defaults: Value | None = None
        self.keyword_defaults: Value | None = None
        self.closure: list[CellObject] | None = None


class HostArray(Object):
    """A NumPy array made during capture, of numbers that are known (``datamodel/arrays``)."""

    __slots__ = ("array",)

    def __init__(self, array: Any) -> None:
        super().__init__(type(array))
        self.array = array


class MethodObject(Object):
    """A callable bound to its first argument: ``types.MethodType``, or a C method looked up on a value."""

    __slots__ = ("function", "owner")

    def __init__(
        self, function: Value, owner: Value, real: object = None, source: Source | None = None
    ) -> None:
        super().__init__(types.MethodType, real, source)
        self.function = function
        self.owner = owner


class SuperObject(Object):
    """``super(start, owner)``: attributes are searched behind ``start`` in ``search``'s order."""

    __slots__ = ("owner", "search", "start")

    def __init__(self, start: type, owner: Value, search: type) -> None:
        super().__init__(super)
        self.start = start
        self.owner = owner
        self.search = search


class SliceObject(Object):
    """``slice(start, stop, step)`` with values inside."""

    __slots__ = ("start", "step", "stop")

    def __init__(self, start: Value, stop: Value, step: Value) -> None:
        super().__init__(slice)
        self.start = start
        self.stop = stop
        self.step = step


class IteratorObject(Object):
    """An iterator over a sequence made during capture: ``index`` of ``items`` have been taken.

    ``items`` is the list that is iterated itself, so that appending while iterating is seen. One that goes
    ``backwards`` began with the last of ``length`` items.
    """

    __slots__ = ("backwards", "index", "items", "length", "sequence")

    def __init__(
        self, items: list[Value], cls: type, sequence: Value | None = None, backwards: bool = False
    ) -> None:
        super().__init__(cls)
        self.items = items
        self.index = 0
        self.sequence = sequence
        self.backwards = backwards
        self.length = len(items)

    @property
    def place(self) -> int:
        """Where the next item is."""
        return self.length - 1 - self.index if self.backwards else self.index


class OutsideIterator(Object):
    """An iterator of C from outside: ``taken`` items further than the real one, and then ``ended``.

    Those that take their items from other iterators have no place of their own.
    """

    __slots__ = ("ended", "taken")

    def __init__(self, cls: type, real: object, source: Source) -> None:
        super().__init__(cls, real, source)
        self.taken = 0
        self.ended = False


class GeneratorObject(Object):
    """A generator made during capture: its frame, suspended. ``returned`` is what it returned at its end."""

    __slots__ = ("finished", "frame", "returned", "running")

    def __init__(self, frame: Frame) -> None:
        super().__init__(types.GeneratorType)
        self.frame = frame
        self.running = False
        self.finished = False
        self.returned: Value = Constant(None)


class Empty:
    """The type of ``EMPTY``, the NULL of the operand stack."""

    def __repr__(self) -> str:
        return "EMPTY"


EMPTY: Any = Empty()


def type_of(value: Value) -> type:
    """The real type of a value that is not lazy."""
    if isinstance(value, Constant):
        return type(value.value)
    return value.cls
