"""The one table of this process, and what a user may say to it."""

from __future__ import annotations

from types import ModuleType
from typing import Any, TypeVar

from framelift import torch_internals
from framelift._native import RuleTable
from framelift.rules.homes import homes
from framelift.rules.markers import MARKERS, rule_of_marker
from framelift.rules.module_lists import ModuleLists
from framelift.rules.modules import BUILT_IN
from framelift.rules.predicates import Predicates
from framelift.rules.registry import Registry
from framelift.rules.rule import Rule, RuleKind

_Callable = TypeVar("_Callable")

_TORCH_ALLOWED = Rule(RuleKind.IN_GRAPH, "it is allowed in the graph", "torch.compiler.allow_in_graph")
_TORCH_DISALLOWED = Rule(
    RuleKind.DISALLOWED, "it is disallowed in the graph", "torch._dynamo.disallow_in_graph"
)
_TORCH_NONSTRICT = Rule(
    RuleKind.NONSTRICT, "it is marked for non-strict tracing", "torch.compiler.nonstrict_trace"
)

_ALLOWED = Rule(RuleKind.IN_GRAPH, "it is allowed in the graph", "framelift.allow_in_graph")
_DISALLOWED = Rule(RuleKind.DISALLOWED, "it is disallowed in the graph", "framelift.disallow_in_graph")
_INLINED = Rule(RuleKind.INLINE, "it is inlined, as the program asks", "framelift.rules.inline")


def _classify(value: object) -> tuple[Rule, bool]:
    """A module's rows first, which may name the object; then the predicates."""
    modules = homes(value)
    news, settled = _registry.settle(modules)
    if news:
        rule = _table.known(value)
        if rule is not None:
            return rule, False
    for module in modules:
        rule = _lists.user_rule(module)
        if rule is not None and rule.kind is RuleKind.SKIP:
            return rule, settled
    rule, remember = _predicates.classify(value)
    return rule, remember and settled


def _module_rule(name: str) -> tuple[Rule, bool]:
    _, settled = _registry.settle((name,))
    return _lists.rule(name), settled


def _settle(value: object) -> bool:
    return _registry.settle(homes(value))[0]


def _recorded_sets() -> tuple[tuple[set[int], Rule], ...] | None:
    """The identities torch's decorators record, if its compiler is loaded."""
    recorded = torch_internals.recorded_callables()
    if recorded is None:
        return None
    return (
        (recorded.nonstrict, _TORCH_NONSTRICT),
        (recorded.disallowed, _TORCH_DISALLOWED),
        (recorded.allowed, _TORCH_ALLOWED),
    )


_lists = ModuleLists(BUILT_IN)
_table: RuleTable = RuleTable(_classify, _module_rule, rule_of_marker, MARKERS, _recorded_sets, _settle)
_registry = Registry(lambda value, rule: _table.assign(value, rule, "row"), _table.assign_pure)
_predicates = Predicates(_table.lookup, _lists.rule)


lookup: Any = _table.lookup
"""``lookup(obj) -> Rule``: how calls of an object are treated during capture.

Any object has a rule. Nothing is imported and no code of the program runs. Bound methods answer as what they
were bound from, ``functools.partial`` objects as their function, instances as their class's ``__call__``,
modules as the Python functions in them.
"""

is_pure: Any = _table.is_pure
"""``is_pure(obj) -> bool``: whether capture may call it when all arguments are constants. See ``pure.py``."""


def allow_in_graph(value: _Callable) -> _Callable:
    """A call becomes one node of the graph, without a look inside. Returns its argument, so it is also a
    decorator.

    The last of this and ``disallow_in_graph`` counts. A list or tuple stands for its members.
    """
    return _say(value, _ALLOWED)


def disallow_in_graph(value: _Callable) -> _Callable:
    """A call is left to CPython, between two graphs. Returns its argument.

    The last of this and ``allow_in_graph`` counts. An overload of an operator is refused: capture sees calls
    as the program wrote them, and overloads are what those become later.
    """
    for each in value if isinstance(value, list | tuple) else (value,):
        if torch_internals.is_operator(each):
            raise TypeError(
                f"disallow_in_graph({each}): operators of torch.ops are what calls of torch "
                f"become after capture; "
                "disallow the function or method that the program calls"
            )
    return _say(value, _DISALLOWED)


def inline(pattern_or_object: str | object) -> None:
    """Python functions are inlined: one function or class, a module, or all modules a pattern names
    (``"pkg.*"``).
    """
    if isinstance(pattern_or_object, str):
        _lists.inline(_checked(pattern_or_object))
    elif isinstance(pattern_or_object, ModuleType):
        _lists.inline(pattern_or_object.__name__)
    else:
        _say(pattern_or_object, _INLINED)
    _table.forget_answers()


def skip(pattern_or_object: str | object, reason: str) -> None:
    """Python functions are left to CPython: one function or class, a module, or all modules a pattern names.

    What they call is compiled all the same. A module that is also named by ``inline`` is inlined; for the
    same pattern or object the last of the two counts. ``reason`` is shown where this breaks a graph.
    """
    if isinstance(pattern_or_object, str):
        _lists.skip(_checked(pattern_or_object), reason)
    elif isinstance(pattern_or_object, ModuleType):
        _lists.skip(pattern_or_object.__name__, reason)
    else:
        _say(pattern_or_object, Rule(RuleKind.SKIP, reason, "framelift.rules.skip"))
    _table.forget_answers()


def reset() -> None:
    """Forgets everything the program said here; the tables remain."""
    _lists.clear()
    _registry.clear()
    _table.clear()


def _say(value: Any, rule: Rule) -> Any:
    for each in value if isinstance(value, list | tuple) else (value,):
        if not callable(each):
            raise TypeError(f"a rule is about a callable, not {each!r}")
        _table.assign(each, rule, "user")
    return value


def _checked(pattern: str) -> str:
    parts = pattern.split(".")
    if not all(part.replace("*", "a").isidentifier() for part in parts):
        raise ValueError(
            f"{pattern!r} names no module: write 'package.module', or 'package.*' for all of a package"
        )
    return pattern
