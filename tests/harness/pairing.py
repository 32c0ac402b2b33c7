"""Two worlds in step: which object here stands for which object there.

Objects are paired when they are first met at the same place. From then on identity is part of the comparison:
if eager returns its second argument's third item, compiled must return *its* second argument's third item.
Storages of tensors are paired in the same way, so a copy where eager gives a view is seen.

Paired objects are kept alive for as long as the pairing is, so that an address is never met twice.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from tests.harness.shape import atom_value, is_atom, is_immutable_container, same_type, shape_of


class Mismatch(AssertionError):
    """The compiled program did something a user could tell from CPython."""


class Pairing:
    """Collects ``differences`` between an expected and an actual world."""

    def __init__(self, tolerance: float | None = None) -> None:
        """With a ``tolerance`` (relative to the largest magnitude) tensors need not be equal bit by bit, and
        facts that only eager's own kernels fix are not compared."""
        self.differences: list[str] = []
        self._tolerance = tolerance
        self._actual_of: dict[int, object] = {}
        self._expected_of: dict[int, object] = {}
        self._storage_of: dict[int, int] = {}
        self._storage_from: dict[int, int] = {}
        self._alive: list[object] = []
        self._inputs = False

    def inputs(self, expected: object, actual: object, path: str) -> None:
        """Compare what a call is given: tuples met here have an identity worth keeping."""
        self._inputs = True
        self.compare(expected, actual, path)
        self._inputs = False

    def again(self) -> Pairing:
        """The same pairs, with everything to be looked at once more: what comes after a call."""
        after = Pairing(self._tolerance)
        after._actual_of, after._expected_of = dict(self._actual_of), dict(self._expected_of)
        after._storage_of, after._storage_from = self._storage_of, self._storage_from
        after._alive = self._alive
        return after

    def compare(self, expected: object, actual: object, path: str) -> None:
        """Record every difference below ``path``."""
        pending = [(expected, actual, path)]
        visited: set[int] = set()
        while pending:
            self._step(*pending.pop(), pending, visited)

    def _differ(self, path: str, expected: object, actual: object) -> None:
        self.differences.append(f"{path}: eager {_short(expected)}, compiled {_short(actual)}")

    def _step(self, expected: object, actual: object, path: str, pending: list, visited: set[int]) -> None:
        if not same_type(type(expected), type(actual)):
            self._differ(f"{path} (type)", _kind(expected), _kind(actual))
            return
        if is_atom(expected):
            if atom_value(expected) != atom_value(actual):
                self._differ(path, expected, actual)
            return
        if isinstance(expected, type):
            if not same_type(expected, actual):
                self._differ(path, expected, actual)
            return
        if not self._paired(expected, actual, path) or id(expected) in visited:
            return
        visited.add(id(expected))
        if expected is actual:
            return
        left, right = shape_of(expected), shape_of(actual)
        facts = dict(right.facts)
        for name, fact in left.facts:
            if name == "version" and self._tolerance is not None:
                continue
            if name == "grad_fn" and self._tolerance is not None:
                fact, facts[name] = (step != "NoneType" for step in (fact, facts.get(name)))
            if facts.get(name) != fact:
                self._differ(f"{path}.{name}", fact, facts.get(name))
        if isinstance(expected, torch.Tensor):
            self._values(expected, actual, path)
        if self._tolerance is not None:  # AOTAutograd's notes on sizes, which no program looks at
            kept = (child for child in right.children if not child[0].startswith("._dynamo_"))
            right = replace(right, children=tuple(kept))
        if [label for label, _ in left.children] != [label for label, _ in right.children]:
            self._differ(f"{path} (parts)", _labels(left), _labels(right))
            return
        children = zip(left.children, right.children, strict=True)
        pending += reversed([(one, other, path + label) for (label, one), (_, other) in children])

    def _paired(self, expected: object, actual: object, path: str) -> bool:
        """Whether the two may stand for each other; pairs them if both are new."""
        known, back = self._actual_of.get(id(expected)), self._expected_of.get(id(actual))
        loose = is_immutable_container(expected) and not self._inputs
        if known is None and back is None:
            if not loose:
                self._actual_of[id(expected)], self._expected_of[id(actual)] = actual, expected
            self._alive += (expected, actual)
            return True
        if known is actual and back is expected:
            return True
        if loose and isinstance(expected, (tuple, frozenset)) and len(expected) == 0:
            return True
        here = "a new object" if known is None else "one met before"
        there = "a new object" if back is None else "one met before"
        other = ", but another one" if known is not None and back is not None else ""
        self.differences.append(
            f"{path} (identity): eager has {here}, compiled has {there}{other}: "
            f"eager {_short(expected)}, compiled {_short(actual)}"
        )
        return False

    def _values(self, expected: torch.Tensor, actual: torch.Tensor, path: str) -> None:
        if (
            expected.shape != actual.shape
            or expected.dtype != actual.dtype
            or expected.layout != actual.layout
        ):
            return
        if expected.layout is torch.strided and self._tolerance is None:
            self._storages(expected, actual, path)
        with torch.no_grad():
            left, right = _plain(expected), _plain(actual)
            if self._tolerance is not None:
                error = largest_difference(left, right)
                if not error <= self._tolerance:
                    self._differ(f"{path} (values, relative difference {error:.2e})", expected, actual)
            elif not torch.equal(_bits(left), _bits(right)):
                self._differ(f"{path} (values)", expected, actual)

    def _storages(self, expected: torch.Tensor, actual: torch.Tensor, path: str) -> None:
        left, right = expected.untyped_storage(), actual.untyped_storage()
        here, there = left.data_ptr(), right.data_ptr()
        if here == 0 or there == 0:
            return
        self._alive += (left, right)
        known, back = self._storage_of.setdefault(here, there), self._storage_from.setdefault(there, here)
        if known != there or back != here:
            self.differences.append(f"{path} (memory): eager and compiled share it with different tensors")


def largest_difference(expected: torch.Tensor, actual: torch.Tensor) -> float:
    """Largest absolute difference over largest magnitude; infinite where nan, inf or exact values differ."""
    if expected.numel() == 0:
        return 0.0
    if not (expected.is_floating_point() or expected.is_complex()):
        return 0.0 if torch.equal(expected, actual) else float("inf")
    wide = torch.complex128 if expected.is_complex() else torch.float64
    left, right = expected.to(wide), actual.to(wide)
    finite = torch.isfinite(left)
    if not torch.equal(finite, torch.isfinite(right)):
        return float("inf")
    if not torch.equal(torch.nan_to_num(left[~finite]), torch.nan_to_num(right[~finite])):
        return float("inf")
    if not finite.any():
        return 0.0
    difference = (left - right)[finite].abs().max().item()
    return difference / max(left[finite].abs().max().item(), 1e-5)


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Data of a tensor of any subclass and layout, detached, with lazy conjugation and negation done."""
    plain = tensor.detach()
    if plain.layout is not torch.strided:
        plain = plain.to_dense()
    return plain.as_subclass(torch.Tensor).resolve_conj().resolve_neg()


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__} ({_short(value)})"


def _labels(shape: object) -> list[str]:
    return [label for label, _ in shape.children]


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__qualname__} whose repr raises {type(error).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:157] + "..."
