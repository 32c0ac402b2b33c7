"""Two steps, one in each world, held against each other."""

from __future__ import annotations

import gc

from tests.harness.pairing import Mismatch, Pairing
from tests.harness.world import References, Step, World


def prepared(
    eager: World, compiled: World, index: int, tolerance: float | None
) -> tuple[object, object, Pairing]:
    """Arguments for call ``index`` in both worlds, and the pairing that the comparison after it starts from.

    Arguments and state must be equal before the call, or the test itself is wrong (or an earlier call was).
    """
    expected, actual = eager.prepare(index), compiled.prepare(index)
    pairing = Pairing(tolerance)
    pairing.inputs(eager.state(), compiled.state(), "before: ")
    pairing.inputs(expected.positional, actual.positional, "before: arguments")
    pairing.inputs(expected.keywords, actual.keywords, "before: keywords")
    if pairing.differences:
        raise Mismatch(_report(index, ["the worlds differ before the call", *pairing.differences]))
    return expected, actual, pairing


def untouched(
    eager: World, compiled: World, index: int, tolerance: float | None
) -> tuple[object, object, Pairing]:
    """Arguments nobody has looked at: looking into an object can change it (it may get a ``__dict__``)."""
    return eager.inputs(index), compiled.inputs(index), Pairing(tolerance)


def compare_steps(index: int, expected: Step, actual: Step, before: Pairing, *, references: bool) -> None:
    """Raise Mismatch with everything that differs after call ``index``."""
    pairing = before.again()
    one, other = expected.outcome, actual.outcome
    differences = pairing.differences
    if references and expected.references and actual.references:
        changed = _unlike(expected.references, actual.references)
        if changed:
            gc.collect()  # most of a second: only where something may be found
            changed = _unlike(expected.references, actual.references)
        if changed:
            differences.append("references to arguments (eager against compiled): " + ", ".join(changed))
    if (one.raised is None) != (other.raised is None):
        differences.append(f"exception: eager {_what(one.raised)}, compiled {_what(other.raised)}")
    elif one.raised is not None:
        pairing.compare(one.raised.error, other.raised.error, "exception")
        for name in ("lines", "chain"):
            left, right = getattr(one.raised, name), getattr(other.raised, name)
            if left != right:
                differences.append(f"exception {name}: eager {left}, compiled {right}")
    pairing.compare(expected.arguments.positional, actual.arguments.positional, "arguments")
    pairing.compare(expected.arguments.keywords, actual.arguments.keywords, "keywords")
    pairing.compare(expected.state, actual.state, "")
    if one.raised is None and other.raised is None:
        pairing.compare(one.result, other.result, "result")
        pairing.compare(expected.gradients, actual.gradients, "gradients")
    for name in ("printed", "warned", "state"):
        left, right = getattr(one, name), getattr(other, name)
        if left != right:
            differences.append(f"{name}: eager {left!r}, compiled {right!r}")
    if differences:
        raise Mismatch(_report(index, differences))


def _unlike(expected: References, actual: References) -> list[str]:
    pairs = zip(expected.changes(), actual.changes(), strict=True)
    return [f"{left[0]}: {left[1]:+} against {right[1]:+}" for left, right in pairs if left != right]


def _what(raised: object) -> str:
    if raised is None:
        return "raises nothing"
    return f"raises {type(raised.error).__qualname__}: {raised.error} at {raised.lines[-1:]}"


def _report(index: int, differences: list[str]) -> str:
    shown = differences[:12]
    more = [f"... and {len(differences) - 12} more"] if len(differences) > 12 else []
    return "\n  ".join([f"call {index}:", *shown, *more])
