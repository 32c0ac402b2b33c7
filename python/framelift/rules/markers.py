"""Markers that decorators leave on functions: ours, and those of ``torch.compiler``.

A marker in a function's own ``__dict__`` comes before every other rule. Decorators that copy a function's
dict (``functools.wraps``) copy markers too; where following one would drop the outer wrapper, the marker
counts only if it says that it was made for this very function.
"""

from __future__ import annotations

import sys
from types import FunctionType

from framelift.observe import reasons
from framelift.rules.rule import Rule, RuleKind

DISABLED = "_framelift_disable"
"""Set by ``framelift.disable`` to the user's reason, or to an empty string."""
DISABLED_RECURSIVELY = "_framelift_disable_recursive"

_TORCH_DISABLED = "_torchdynamo_disable"
_TORCH_FORBIDDEN = "_dynamo_forbidden"
_TORCH_INLINE = "_torchdynamo_inline"
_TORCH_CONSTANT = "_dynamo_marked_constant"
_TORCH_LEAF = "_torchdynamo_leaf_real_fn"

MARKERS = (DISABLED, _TORCH_DISABLED, _TORCH_FORBIDDEN, _TORCH_INLINE, _TORCH_CONSTANT, _TORCH_LEAF)
"""In order of precedence: a function that is disabled is not looked into for anything else."""


def kept_from_torchdynamo(function: FunctionType) -> object | None:
    """The function or method of ``torch.optim`` that TorchDynamo, once it is in use, disables: that says what
    it can't do, not what the program wants."""
    original = function.__dict__.get("_torchdynamo_orig_callable")
    if original is None or not (function.__module__ or "").startswith("torch.optim."):
        return None
    classes = (cls for cls in vars(sys.modules["torch.optim"]).values() if isinstance(cls, type))
    homes = (sys.modules[function.__module__], *classes)
    is_in_place = any(vars(home).get(function.__name__) is function for home in homes)
    return original if is_in_place else None


def rule_of_marker(function: FunctionType, marker: str) -> Rule | None:
    """The rule of a marker that is present in the function's dict; None if it does not apply after all."""
    names = function.__dict__
    value = names[marker]
    if marker == DISABLED:
        reason = value if isinstance(value, str) and value else "it is marked with framelift.disable"
        recursive = names.get(DISABLED_RECURSIVELY, True)
        return Rule(
            RuleKind.SKIP,
            reason,
            "framelift.disable",
            recursive=recursive,
            breaks_with=reasons.DISABLED_CALL,
        )
    if not value:
        return None
    if marker == _TORCH_DISABLED:
        if (original := kept_from_torchdynamo(function)) is not None:
            return Rule(RuleKind.INLINE, "only TorchDynamo can't trace it", "torch.optim", target=original)
        reason = names.get("_torchdynamo_disable_msg") or "it is marked with torch.compiler.disable"
        recursive = names.get("_torchdynamo_disable_recursive", False)
        return Rule(
            RuleKind.SKIP,
            str(reason),
            "torch.compiler.disable",
            recursive=bool(recursive),
            breaks_with=reasons.DISABLED_CALL,
        )
    if marker == _TORCH_FORBIDDEN:
        return Rule(RuleKind.DISALLOWED, "it must not be called in a compiled function", "torch._dynamo")
    if marker == _TORCH_CONSTANT:
        reason = "its result is assumed to be constant"
        return Rule(RuleKind.BUILTIN, reason, "torch.compiler.assume_constant_result", constant_result=True)
    if marker == _TORCH_LEAF:
        return Rule(RuleKind.DISALLOWED, "leaf functions are not captured yet", "torch._dynamo.leaf_function")
    if names.get("_torchdynamo_wrapper_id", id(function)) != id(function) or value is function:
        return None
    return Rule(
        RuleKind.INLINE, "a compiled callable is captured as the callable it wraps", marker, target=value
    )
