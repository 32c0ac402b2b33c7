"""The rule of a callable that has no row: decided by what kind of object it is and where it comes from.

For torch: operators (the functions of ``torch`` written in C, those of ``torch._C._nn`` and its like, methods
of tensors, operators and their overloads) go into the graph. Everything written in Python is inlined, unless
its module is listed. What is written in C and described nowhere is unknown.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import final

from framelift import torch_internals
from framelift._native import CompiledCallable
from framelift.module import CompiledModule
from framelift.observe import reasons
from framelift.rules.homes import (
    C_FUNCTION_TYPES,
    DESCRIPTOR_TYPES,
    LRU_CACHE,
    class_attribute,
    homes,
    is_class,
    is_static,
    is_written_in_python,
    module_of_class,
    mro_of,
    own_names,
)
from framelift.rules.rule import Rule, RuleKind
from framelift.rules.standard_library import BUILTIN_MODULES, DISALLOWED_MODULES

_ORIGIN = "rules/predicates.py"

OPERATOR = Rule(RuleKind.IN_GRAPH, "it is an operator of torch", _ORIGIN)
OPERATOR_OVERLOAD = Rule(RuleKind.IN_GRAPH, "it is an operator from torch.ops", _ORIGIN)
TENSOR_METHOD = Rule(RuleKind.IN_GRAPH, "it is a method of tensors", _ORIGIN)
HIGHER_ORDER = Rule(
    RuleKind.DISALLOWED,
    "operators that take functions are not captured yet",
    _ORIGIN,
    breaks_with=reasons.FUNCTION_TRANSFORM,
)
TORCH_INTERNAL = Rule(RuleKind.UNKNOWN, "it is internal to torch's C code and has no rule", _ORIGIN)
BUILTIN = Rule(RuleKind.BUILTIN, "it belongs to Python itself", _ORIGIN)
CONSTANT_METHOD = Rule(RuleKind.BUILTIN, "it is a method of a constant of torch", _ORIGIN)
RETURN_TYPE = Rule(RuleKind.BUILTIN, "it is a named tuple of results", _ORIGIN)
NUMPY = Rule(RuleKind.NUMPY, "NumPy is captured on known numbers only", _ORIGIN, breaks_with=reasons.NUMPY)
CLASS = Rule(RuleKind.INLINE, "making an instance is inlined", _ORIGIN)
UNKNOWN = Rule(RuleKind.UNKNOWN, "it is written in C and has no rule", _ORIGIN)
NOT_CALLABLE = Rule(RuleKind.UNKNOWN, "it can't be called", _ORIGIN)

OPERATOR_MODULES = frozenset(
    f"torch._C._{name}" for name in ("nn", "linalg", "fft", "special", "sparse", "nested")
)

_DISALLOWED = {
    name: Rule(RuleKind.DISALLOWED, reason, "rules/standard_library.py", breaks_with=row)
    for name, (reason, row) in DISALLOWED_MODULES.items()
}


def _in_package(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def rule_of_module_in_c(module: str) -> Rule | None:
    """What is said of everything written in C that comes from a module."""
    if module in BUILTIN_MODULES:
        return BUILTIN
    if _in_package(module, "numpy"):
        return NUMPY
    return _DISALLOWED.get(module)


def rule_of_c_function(function: types.BuiltinFunctionType) -> Rule:
    """The rule of a function written in C."""
    module = next(iter(homes(function)), "")
    if not _in_package(module, "torch"):
        return rule_of_module_in_c(module) or UNKNOWN
    if module in OPERATOR_MODULES or torch_internals.is_operator_function(function):
        return OPERATOR
    return TORCH_INTERNAL


def rule_of_descriptor(owner: type) -> Rule:
    """The rule of a method written in C, from the class that defines it."""
    if torch_internals.is_tensor_class(owner):
        return TENSOR_METHOD
    module = module_of_class(owner)
    if _in_package(module, "torch"):
        return CONSTANT_METHOD if owner in torch_internals.constant_classes() else TORCH_INTERNAL
    return rule_of_module_in_c(module) or UNKNOWN


@final
class Predicates:
    """What remains when no table knows an object.

    ``ask`` is the whole lookup, for the callable inside a wrapper; ``module_rule`` answers for Python
    modules.
    """

    def __init__(self, ask: Callable[[object], Rule], module_rule: Callable[[str], Rule]) -> None:
        self._ask = ask
        self._module_rule = module_rule

    def classify(self, value: object) -> tuple[Rule, bool]:
        """The rule, and whether it may be remembered for this object."""
        kind = type(value)
        if is_class(value):
            return self._rule_of_class(value), True
        if kind in C_FUNCTION_TYPES:
            return rule_of_c_function(value), True
        if kind in DESCRIPTOR_TYPES:
            # A descriptor can't be held weakly: one of a class that may die would keep the class alive.
            return rule_of_descriptor(value.__objclass__), is_static(value.__objclass__)
        if issubclass(kind, types.ModuleType):
            return self._module_rule(next(iter(homes(value)), "")), False
        if torch_internals.is_operator(value):
            return OPERATOR_OVERLOAD, True
        if torch_internals.is_higher_order_operator(value):
            return HIGHER_ORDER, True
        if kind is functools.partial:
            return self._ask(value.func), False
        if kind is LRU_CACHE:
            return self._rule_of_cached(value.__wrapped__), False
        return self._rule_of_instance(value), False

    def _rule_of_class(self, cls: type) -> Rule:
        module = module_of_class(cls)
        if torch_internals.is_bound_class(cls):
            return TORCH_INTERNAL
        if is_written_in_python(cls):
            rule = self._module_rule(module)
            return CLASS if rule.kind is RuleKind.INLINE else rule
        known = rule_of_module_in_c(module)
        if known is not None:
            return known
        if _in_package(module, "torch"):
            if module == "torch.return_types":
                return RETURN_TYPE
            return TORCH_INTERNAL if is_static(cls) else CLASS
        return UNKNOWN if is_static(cls) else CLASS

    def _rule_of_cached(self, function: object) -> Rule:
        """``functools.lru_cache``: the function gives the same result without its cache."""
        rule = self._ask(function)
        if rule.kind is RuleKind.INLINE and rule.target is None:
            return Rule(
                RuleKind.INLINE, "a cached function is inlined without its cache", _ORIGIN, target=function
            )
        return rule

    def _rule_of_slot(self, slot: types.MemberDescriptorType, value: object) -> Rule:
        try:
            return self._ask(slot.__get__(value))
        except AttributeError:
            return NOT_CALLABLE

    def _rule_of_instance(self, value: object) -> Rule:
        if issubclass(type(value), CompiledCallable):
            wrapped = value.__wrapped__
        else:
            wrapped = torch_internals.wrapped_by(value)
        if issubclass(type(value), CompiledModule):
            return self._ask(value._framelift_call)
        if wrapped is not None:
            return Rule(
                RuleKind.INLINE, "a wrapper is captured as the callable it wraps", _ORIGIN, target=wrapped
            )
        call = class_attribute(type(value), "__call__")
        if call is None:
            return NOT_CALLABLE
        if isinstance(call, types.FunctionType):
            return self._ask(call)
        if isinstance(call, types.MemberDescriptorType):
            # A slot: each instance has a callable of its own.
            return self._rule_of_slot(call, value)
        module = module_of_class(next(base for base in mro_of(type(value)) if "__call__" in own_names(base)))
        return rule_of_module_in_c(module) or (TORCH_INTERNAL if _in_package(module, "torch") else UNKNOWN)
