"""Small facts about nodes: their keys, what their arguments hold, which of them must stay, how they print."""

from __future__ import annotations

import enum
import keyword
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import fx

from framelift import torch_internals
from framelift.graph.autograd import run_engine, store_gradient

if TYPE_CHECKING:
    from framelift.graph.shapes import Binding

Found = TypeVar("Found")

EXAMPLE = "example_value"
"""The key of ``fx.Node.meta`` under which a node's fake result stands: the name that backends look for."""

EFFECT = "framelift_effect"
"""The key of ``fx.Node.meta`` that marks a node which stays although nobody uses it: "data" if it writes to
a tensor or draws random numbers, "state" if it changes something else, "check" if it raises where the graph
does not apply."""

UNTRACED = "framelift_untraced"
"""The key of ``fx.Node.meta`` of the reason why a compiler must not trace a node that has a body."""
PLACE = "framelift_place"
"""The key of ``fx.Node.meta`` under which stands where in the program a call comes from
(``graph/failing.py``)."""

enter_inference_mode = torch_internals.enter_inference_mode
exit_inference_mode = torch_internals.exit_inference_mode

PLAIN_RESULTS = (
    bool,
    int,
    float,
    complex,
    str,
    torch.SymInt,
    torch.SymFloat,
    torch.SymBool,
    torch.dtype,
    torch.device,
    torch.layout,
    torch.memory_format,
)
"""What a call may return besides tensors and containers. None is allowed too, and means an effect."""

PLAIN_ARGUMENTS = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    enum.Enum,
    torch.dtype,
    torch.device,
    torch.layout,
    torch.memory_format,
    type(Ellipsis),
    fx.Node,
)
"""Arguments that a graph holds as they are; None and functions too."""

_STATE_CHANGE = re.compile(r"(^|_)(set|enter|exit|push|pop|increment|decrement|clear)(_|$)")
"""Names of functions that change the state of the thread or the process although they return something."""


_WHOLE_UPDATE = re.compile(r"_fused_\w+_$")
"""Operators that are the whole step of an optimizer."""


def target_name(target: Any) -> str:
    """The name of what a node calls, for messages."""
    return target if isinstance(target, str) else getattr(target, "__name__", None) or repr(target)


def has_effect(target: Any, result: Any) -> bool:
    """Whether a call may change something besides its arguments' data, judged by its name and its result.

    A call that returns nothing is taken to do something. Names that end in an underscore change the tensor's
    metadata or its place in autograd even where no operator says so (``requires_grad_``), unless the
    underscore is there because the name would be a keyword (``operator.and_``).
    """
    name = target_name(target)
    in_place = name.endswith("_") and not name.endswith("__") and not keyword.iskeyword(name[:-1])
    return result is None or in_place or _STATE_CHANGE.search(name) is not None


def is_item(node: fx.Node) -> bool:
    """Whether a node takes a part out of a result of several: an object that has been there since then. (An
    item of a tensor is a tensor of its own, or a view of what is written by now.)"""
    return node.target is operator.getitem and not isinstance(node.args[0].meta[EXAMPLE], torch.Tensor)


def runs_autograd(node: fx.Node) -> bool:
    """Whether a node runs the autograd engine."""
    return node.target in (run_engine, torch.autograd.grad, torch.autograd.backward)


def why_not_traced(node: fx.Node) -> str:
    """Why a compiler that traces through a graph would not compute this node rightly, "" if it would."""
    if runs_autograd(node) or node.target is store_gradient:
        return "the graph runs autograd's engine itself, and leaves gradients on the leaves"
    if isinstance(node.meta.get(EXAMPLE), torch.SymFloat) and node.target == "item":
        return "the graph gives a number from a tensor's data to Python"
    if _WHOLE_UPDATE.match(target_name(node.target)):
        return "the graph updates parameters by one kernel, which AOTAutograd refuses in places"
    return node.meta.get(UNTRACED, "")


def makes_leaf(node: fx.Node) -> bool:
    """Whether a node makes a tensor that needs a gradient of its own, such as a parameter."""
    if node.op not in ("call_function", "call_method"):
        return False
    made = node.meta.get(EXAMPLE)
    known = (argument.meta.get(EXAMPLE) for argument in node.all_input_nodes)
    return needs_own_gradient(made) and not any(map(needs_own_gradient, known))


def needs_own_gradient(value: object) -> bool:
    """Whether this is a leaf that needs a gradient."""
    return isinstance(value, torch.Tensor) and value.requires_grad and value.is_leaf


def changes_tensor_state(node: fx.Node) -> bool:
    """Whether a node changes something of a tensor besides its data, such as whether it needs a gradient."""
    return node.meta.get(EFFECT) == "state" and any(
        isinstance(argument.meta[EXAMPLE], torch.Tensor) for argument in node.all_input_nodes
    )


def rebuild(argument: Any, change: Callable[[Any], Any]) -> Any:
    """A new container with ``change`` applied to the parts of this one; anything else is returned itself."""
    kind = type(argument)
    if kind is tuple or kind is torch.Size:
        return tuple(map(change, argument))
    if kind is list:
        return [change(item) for item in argument]
    if kind is dict:
        return {key: change(item) for key, item in argument.items()}
    if kind is slice:
        return slice(change(argument.start), change(argument.stop), change(argument.step))
    if isinstance(argument, tuple):
        parts = map(change, argument)
        return kind(*parts) if hasattr(argument, "_fields") else kind(parts)
    return argument


def found_in(value: object, kind: type[Found]) -> Iterator[Found]:
    """What is of a class in a nest of tuples, lists, dictionaries and slices, in order."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from found_in(item, kind)
    elif isinstance(value, dict):
        for item in value.values():
            yield from found_in(item, kind)
    elif isinstance(value, slice):
        yield from found_in((value.start, value.stop, value.step), kind)


def nodes_in(argument: Any) -> Iterator[fx.Node]:
    """The nodes in a nest of arguments, in order."""
    return found_in(argument, fx.Node)


def tensors_in(value: object) -> Iterator[torch.Tensor]:
    """The tensors in a nest, in order."""
    return found_in(value, torch.Tensor)


SIZE_READERS: dict[str, Callable[..., Any]] = {
    "size": torch.ops.aten.sym_size.int,
    "stride": torch.ops.aten.sym_stride.int,
    "storage_offset": torch.ops.aten.sym_storage_offset.default,
}
"""The operators that read a number from the metadata of a tensor."""


def size_reader(bound: Binding, node: fx.Node) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The call that reads a bound symbol from its tensor."""
    reader = SIZE_READERS[bound.what]
    return reader, ((node,) if bound.what == "storage_offset" else (node, bound.dimension))


def refuses_data(node: fx.Node) -> bool:
    """Whether a call may raise for the numbers in its tensors."""
    place = node.meta.get(PLACE)
    return place is not None and place.refuses


def drop_unused(graph: fx.Graph) -> None:
    """Remove calls that nobody uses and that have no effect, users before what they use; one that may refuse
    its data stays."""
    for node in reversed(graph.nodes):
        is_call = node.op in ("call_function", "call_method")
        if is_call and not node.users and EFFECT not in node.meta and not refuses_data(node):
            graph.erase_node(node)


def describe_example(value: Any) -> str:
    """The metadata of a result in one word: ``f32[8, 4]``, ``(i64[2], 3)``."""
    if isinstance(value, torch.Tensor):
        sizes = ", ".join(map(str, value.size()))
        grad = " grad" if value.requires_grad else ""
        return f"{_dtype_name(value.dtype)}[{sizes}]{grad}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(describe_example, value))})"
    return repr(value)


def _dtype_name(dtype: torch.dtype) -> str:
    """``f32`` for ``torch.float32``: the short names used wherever metadata is printed."""
    name = str(dtype).removeprefix("torch.")
    for long, short in (("bfloat", "bf"), ("complex", "c"), ("uint", "u"), ("float", "f"), ("int", "i")):
        if name.startswith(long) and name != long:
            return short + name.removeprefix(long)
    return name


def print_nodes(nodes: Iterable[fx.Node]) -> str:
    """The nodes, one per line: ``%relu = relu(%x)   # f32[8]``."""
    lines = []
    for node in nodes:
        if node.op == "placeholder":
            lines.append(f"input %{node.name}: {describe_example(node.meta[EXAMPLE])}")
        elif node.op == "output":
            lines.append(f"return {_print_argument(node.args[0])}")
        else:
            parts = [_print_argument(argument) for argument in node.args]
            parts += [f"{name}={_print_argument(argument)}" for name, argument in node.kwargs.items()]
            mark = "." if node.op == "call_method" else ""
            call = f"{mark}{target_name(node.target)}({', '.join(parts)})"
            lines.append(f"%{node.name} = {call}   # {describe_example(node.meta[EXAMPLE])}")
    return "\n".join(lines)


def _print_argument(argument: Any) -> str:
    if isinstance(argument, fx.Node):
        return f"%{argument.name}"
    if isinstance(argument, tuple):
        inner = ", ".join(map(_print_argument, argument))
        return f"({inner},)" if len(argument) == 1 else f"({inner})"
    if isinstance(argument, list):
        return f"[{', '.join(map(_print_argument, argument))}]"
    if isinstance(argument, slice):
        return ":".join(
            "" if part is None else _print_argument(part)
            for part in (argument.start, argument.stop, argument.step)
        )
    return repr(argument)
