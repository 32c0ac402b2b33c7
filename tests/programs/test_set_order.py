"""The order of sets that the program makes: that of a real set with the same history."""

import torch

from framelift.observe import reasons
from tests.harness import check, floats

WORDS = ["sliding", "full", "global", "local", "full", "none", "dense", "sparse"]


def test_loop_over_a_set_of_strings():
    def f(x, words):
        seen = []
        for word in set(words):
            seen.append(word)
            x = x * 2 + len(word)
        return x, seen

    check(f, floats(2), WORDS)


def test_displays_and_comprehensions():
    def f(x, words):
        literal = {"b", "a", words[0], 17, 1, 9}
        made = {len(word) * 8 for word in words}
        return x + 1, list(literal), list(made), [*{3, 19, 35}], dict.fromkeys(frozenset(words))

    check(f, floats(2), WORDS)


def test_after_updates_and_removals():
    def f(x, words):
        known = {word for word in words}
        known |= {f"decoder_{word}" for word in known}
        known.update({"one": 1, "two": 2}, ["three"], frozenset(words))
        known.discard("full")
        known.remove("none")
        known.add("again")
        return x + 1, list(known), list(known - {"again"}), list(known & set(words)), list(known ^ {"new"})

    check(f, floats(2), WORDS, forced=False)


def test_copies_and_unions_of_numbers():
    def f(x):
        first = set(range(0, 40, 8))
        second = first.copy()
        second.clear()
        second.add(64)
        return (
            x + 1,
            list(first | {1, 33, 65}),
            list(first.union([5, 13], {21: 0})),
            list(second),
            list(set(first)),
        )

    check(f, floats(2))


def test_pop():
    def f(x):
        left = {8, 0, 16, 3}
        return x + left.pop(), left.pop(), len(left)

    check(f, floats(2))


def test_types_and_tuples_as_members():
    def f(x):
        kinds = {torch.float32, torch.int64, int, ("a", 1), ("b", 2)}
        return x + 1, list(kinds)

    check(f, floats(2))


def test_members_whose_hash_differs_from_call_to_call():
    class Thing:
        pass

    def f(x):
        things = {Thing(), Thing(), Thing()}
        return x + len([1 for _ in things])

    check(f, floats(2), graphs=None, breaks=None, recompiles=None, reason=reasons.SET_ORDER.title)


def test_set_from_outside_that_is_changed():
    def f(x, words):
        words.add("new")
        return x + len(list(words))

    check(f, floats(2), set(WORDS), graphs=1, breaks=1)
