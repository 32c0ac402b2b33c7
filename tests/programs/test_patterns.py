"""``match`` statements: every kind of pattern, on subjects of every kind."""

from __future__ import annotations

import collections
import dataclasses

import pytest
import torch

from tests.harness import check, floats


@dataclasses.dataclass
class Point:
    x: object
    y: object


class Named:
    __match_args__ = ("name",)
    name = "n"


class Unnamed:
    __match_args__ = ("name",)


class Listed:
    __match_args__ = ["name"]


Pair = collections.namedtuple("Pair", "first second")


def matched(t, subject):
    match subject:
        case int(1):
            return t + 1
        case str("s") | bytes(b"s"):
            return t + 2
        case None:
            return t + 3
        case Point(x=int(0)):
            return t + 4
        case Point(torch.Tensor() as a, int(b)):
            return t + a * b
        case {"k": k, "l": [1, *rest], **others}:
            return t * len(rest) + k + len(others)
        case {}:
            return t - 1, subject
        case [a, [b, c]]:
            return t + a + b + c
        case (a, b, *_) if a != b:
            return t - b
        case float(number) | complex(real=number):
            return t + number
        case torch.Tensor(shape=(rows, 2)):
            return t + rows
        case range(start=start):
            return t + start
        case set() as members:
            return t + len(members)
        case list([only]):
            return t + only
        case []:
            return t * 100
    return t - 7


@pytest.mark.parametrize(
    "subject",
    [
        1, "s", b"s", None, Point(0, 1), Point(torch.ones(3), 2), Point(1, 2), {"k": 2, "l": [1, 2], "m": 3},
        {"k": 2, "l": [2]}, {}, [1, [2, 3]], (1, 2, 3), (1, 1, 2), Pair(1, 2), 2.5, 1j, torch.ones(4, 2),
        torch.ones(2), torch.Size([2, 5]), range(3, 5), {1, 2}, [7], [], "other",
        collections.deque([1, [2, 3]]), collections.OrderedDict(k=1, l=(1, 5)),
    ],
    ids=lambda subject: type(subject).__name__,
)  # fmt: skip
def test_match(subject):
    check(matched, floats(3), subject)


@pytest.mark.parametrize("cls", [Listed, Unnamed, int, Named])
@pytest.mark.parametrize("count", [1, 2])
def test_positional_patterns_that_a_class_has_not(cls, count):
    subject = cls()

    def f(x):
        try:
            match subject:
                case cls(a) if count == 1:
                    return x + 1, str(a)
                case cls(a, b) if count == 2:
                    return x + 2, str(a), str(b)
        except TypeError as error:
            return x + 3, str(error)
        return x + 4

    check(f, floats(2))


def test_an_attribute_is_asked_for_once():
    class Twice:
        __match_args__ = ("a",)
        a = 1

    def f(x):
        try:
            match Twice():
                case Twice(q, a=r):
                    return x + q + r
        except TypeError as error:
            return x, str(error)

    check(f, floats(2), graphs=0)
