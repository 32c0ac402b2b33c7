"""From a ``GuardSet`` to the native tree, and from the tree's failures back to the user's words.

Sources become nodes: each is fetched once, parents before children, in the order in which capture met them,
so that a cheap fact about a root is checked before anything is reached through it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from framelift import _native
from framelift.guards import kinds, sources, torch_state
from framelift.guards.collect import GuardSet
from framelift.guards.conditions import Program, postfix
from framelift.guards.failure import GuardFailure
from framelift.guards.kinds import Guard
from framelift.guards.sources import Source
from framelift.guards.spelling import spell_condition, spell_demand, spell_found, spell_value

Description = tuple[object, ...]


def describe_access(source: Source, node_of: Callable[[Source], int]) -> Description:
    """How the native tree is told to fetch the last link of a source."""
    match source:
        case sources.Argument(index):
            return ("argument", index)
        case sources.HandledException(beyond):
            return ("handled_exception", beyond)
        case sources.Held(held):
            return ("held", held)
        case sources.DictItem(_, key):
            return ("dict_item", key)
        case sources.NamedItem(_, key):
            return ("named_item", node_of(key))
        case sources.InstanceDict():
            return ("instance_dict",)
        case sources.ListItem(_, index):
            return ("list_item", index)
        case sources.TupleItem(_, index):
            return ("tuple_item", index)
        case sources.SequenceItem(_, index):
            return ("sequence_item", index)
        case sources.TypeOf():
            return ("type_of",)
        case sources.CellContents():
            return ("cell_contents",)
        case sources.Referent():
            return ("referent",)
        case sources.Reading():
            return ("reading",)
        case sources.NextItem(_, cls, ahead, part):
            return ("next_item", cls, ahead, part)
        case sources.FunctionField(_, name):
            return ("function_field", name)
        case sources.Descriptor(_, descriptor):
            return ("descriptor", descriptor)
        case sources.TypeLookup(_, name, after):
            return ("type_lookup", name, after)
    raise TypeError(f"not a kind of source: {source!r}")


def describe_guard(guard: Guard, node_of: Callable[[Source], int]) -> Description:
    """How the native tree is told of a guard: the name of its kind and what the guard holds, in order."""
    match guard:
        case kinds.TypeAttribute(name, expected, after):
            present = expected is not kinds.ABSENT
            return ("type_attribute", name, present, expected if present else None, after)
        case kinds.SameAs(other):
            return ("same_as", node_of(other))
        case kinds.TensorMatch():
            if (example := guard.example()) is None:
                raise ReferenceError(
                    "the tensor that a guard was made from is gone before its tree was built"
                )
            return ("tensor_match", example, guard.sizes, guard.strides)
    kind = type(guard)
    return (native_name(kind), *(getattr(guard, name) for name in kind.__match_args__))


@functools.cache
def native_name(kind: type[Guard]) -> str:
    """The name of a kind in ``rust/src/guards/kinds/mod.rs``: ``dict_keys`` for ``DictKeys``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


class Nodes:
    """Nodes in evaluation order: a source's parent before it, each source once."""

    __slots__ = ("guards", "index", "sources")

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.index: dict[Source, int] = {}
        self.guards: list[list[tuple[Source, Guard]]] = []
        """The guards checked at a node; the source is the one that capture put the guard on."""

    def node(self, source: Source) -> int:
        """The node that fetches ``source``."""
        links: list[Source] = []
        link: Source | None = source
        while link is not None and link not in self.index:
            links.append(link)
            link = link.base if isinstance(link, sources.Link) else None
        for missing in reversed(links):
            if isinstance(missing, sources.NamedItem):
                self.node(missing.key)
            self.index[missing] = len(self.sources)
            self.sources.append(missing)
            self.guards.append([])
        return self.index[source]

    def guard(self, source: Source, guard: Guard) -> None:
        """Check ``guard`` at the node of ``source``; identity of two objects at the later node of both."""
        node = self.node(source)
        if isinstance(guard, kinds.SameAs):
            node = max(node, self.node(guard.other))
        self.guards[node].append((source, guard))

    def other_node(self, node: int, source: Source, guard: Guard) -> Callable[[Source], int]:
        """For ``SameAs`` at ``node``: the node it is compared with, whichever of the two came later."""
        return lambda other: self.index[other] if self.index[source] == node else self.index[source]

    def describe(self, slots: dict[Source, int]) -> list[Description]:
        """The nodes as the native tree reads them."""
        described: list[Description] = []
        for index, source in enumerate(self.sources):
            parent = self.index[source.base] if isinstance(source, sources.Link) else -1
            guards = [
                describe_guard(guard, self.other_node(index, owner, guard))
                for owner, guard in self.guards[index]
            ]
            access = describe_access(source, self.index.__getitem__)
            if source in slots and isinstance(source, sources.InstanceDict):
                access = ("own_instance_dict",)  # the exit will write to it
            described.append((parent, access, guards, slots.get(source, -1)))
        return described


@dataclass(frozen=True, slots=True)
class BuiltGuards:
    """The native tree and what is needed to speak of its failures."""

    tree: _native.GuardTree
    guards: GuardSet
    nodes: Nodes

    def describe(self, failure: tuple[int, int, object]) -> GuardFailure:
        """The user's words for what ``tree.explain`` gave."""
        node, guard_index, found = failure
        if node < 0:
            return self._describe_whole(found)
        if guard_index < 0:
            return self._describe_fetch(self.nodes.sources[node], found)
        source, guard = self.nodes.guards[node][guard_index]
        expected, met = spell_demand(guard), spell_found(guard, found)
        return GuardFailure(source, guard, expected, met, f"{source}: expected {expected}, found {met}")

    def _describe_fetch(self, source: Source, parent: object) -> GuardFailure:
        expected = "to be there"
        met = "missing" if parent is None else f"not in {spell_value(parent)}"
        return GuardFailure(source, None, expected, met, f"{source}: missing")

    def _describe_whole(self, found: dict[str, object]) -> GuardFailure:
        match found["which"]:
            case "state":
                name, expected, met = torch_state.spell_differences(found.get("differences", []))
                text = f"torch's {name}: expected {expected}, found {met}"
                return GuardFailure(None, None, expected, met, text)
            case "distinct":
                first, second = found["nodes"]
                pair = f"{self.nodes.sources[first]} and {self.nodes.sources[second]}"
                return GuardFailure(
                    None,
                    None,
                    "different objects",
                    "the same object",
                    f"{pair}: expected to be different objects",
                )
            case "apart":
                pair = " and ".join(str(self.nodes.sources[node]) for node in found["nodes"] or ())
                expected = "memory of its own" if found["expected"] else "memory shared as at capture"
                met = "shared memory" if pair else "memory of its own"
                text = f"{pair or 'tensors that are written to'}: expected {expected}, found {met}"
                return GuardFailure(None, None, expected, met, text)
            case "condition":
                condition = tuple(self.guards.conditions)[found["index"]]
                expected = spell_condition(condition, self.guards.bindings)
                pairs = zip(self.guards.bindings.values(), found["symbols"], strict=True)
                used = {str(self.guards.bindings[symbol]) for symbol in condition.free_symbols}
                met = ", ".join(f"{bound} = {value}" for bound, value in pairs if str(bound) in used)
                return GuardFailure(None, None, expected, met, f"{expected} does not hold: {met}")
        return GuardFailure(None, None, "a live entry", "a released one", "the entry was released")


def build(guards: GuardSet, argument_count: int) -> BuiltGuards:
    """The native tree for calls with ``argument_count`` bound arguments."""
    torch_state.calibrate()
    guards.settle()
    nodes = Nodes()
    for source, guard in guards.guards:
        nodes.guard(source, guard)
    for source in guards.collected:
        nodes.node(source)
    distinct = [[nodes.node(source) for source in group] for group in guards.distinct_groups]
    memory = [
        (
            list(zip(map(nodes.node, group.sources), group.written, group.item_sizes, strict=True)),
            group.overlap,
        )
        for group in guards.memory_groups
    ]
    numbers = {symbol: number for number, symbol in enumerate(guards.bindings)}
    symbols = [(nodes.node(bound.source), bound.what, bound.dimension) for bound in guards.bindings.values()]
    conditions: list[Program] = [postfix(condition, numbers) for condition in guards.conditions]
    tree = _native.GuardTree(
        nodes.describe(guards.collected), conditions, symbols, distinct, guards.state, argument_count, memory
    )
    return BuiltGuards(tree, guards, nodes)
