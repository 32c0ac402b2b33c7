"""Strings: f-strings, formatting, methods; bytes."""

import torch

from tests.harness import check, floats


def test_f_strings():
    def f(x, name, value):
        text = f"{name}: {value:.3f} {value!r:>10} {x.shape[0]:03d} {x.dtype} {'nested ' + name}"
        return x + len(text), text

    check(f, floats(2, 3), "loss", 1.25)


def test_f_string_of_sizes_and_containers():
    def f(x):
        return x + 1, f"{tuple(x.shape)} {list(x.size())} {x.shape} {x.device} {x.dim()=}"

    check(f, floats(2, 3))


def test_percent_and_format():
    def f(x):
        return x + 1, "%s-%03d-%.2f" % ("a", 7, 1.5), "{0}/{k}/{0!r}".format("b", k=2), format(3.14159, ".2f")

    check(f, floats(2))


def test_methods():
    def f(x, text):
        parts = text.strip().split(",")
        joined = "-".join(part.upper() for part in parts)
        flags = text.startswith("a"), text.endswith(("x", " ")), "b" in text, text.find("c"), text.count("b")
        return (
            x + len(parts),
            joined,
            joined.replace("-", "").lower(),
            flags,
            text.partition(","),
            text.title(),
        )

    check(f, floats(2), " a,b,c ")


def test_predicates_and_alignment():
    def f(x):
        return (
            x + 1,
            "12".isdigit(),
            "ab".isalpha(),
            "a b".split(maxsplit=1),
            "7".zfill(3),
            "a".ljust(3, "."),
            "a".center(5),
            "abc".removeprefix("a"),
            "one\ntwo".splitlines(),
            "x=1".rsplit("=", 1),
        )

    check(f, floats(2))


def test_indexing_and_iteration():
    def f(x, text):
        return x * len(text), text[0], text[-1], text[::-1], [ord(char) for char in text], chr(97), text * 2

    check(f, floats(2), "hello")


def test_comparison_and_dispatch_on_names():
    def f(x, activation):
        if activation == "relu":
            return torch.relu(x)
        if activation in {"gelu", "gelu_new"}:
            return torch.nn.functional.gelu(x)
        return getattr(torch, activation)(x)

    check(f, floats(3), "relu")
    check(f, floats(3), "gelu_new")
    check(f, floats(3), "tanh")


def test_str_and_repr_of_plain_objects():
    def f(x):
        return (
            x + 1,
            str(1.5),
            repr("a'b"),
            str([1, "a", None]),
            repr({"a": (1,)}),
            str(True),
            str(torch.float32),
        )

    check(f, floats(2))


def test_bytes():
    def f(x, data):
        return x + data[0], data + b"!", data.decode(), "é".encode(), bytes([1, 2]), data[1:3]

    check(f, floats(2), b"abc")


def test_string_conversion_of_numbers():
    def f(x, text):
        return x * int(text) + float("1.5"), int("ff", 16), hex(255), bin(5)

    check(f, floats(2), "3")


def test_str_subclass_and_user_str():
    class Name:
        def __init__(self, name):
            self.name = name

        def __str__(self):
            return f"<{self.name}>"

        def __format__(self, spec):
            return f"{spec}:{self.name}"

    def f(x):
        name = Name("n")
        return x + 1, f"{name!s} {name:abc}", str(name)

    check(f, floats(2))


def test_printing_is_kept_in_order():
    def f(x):
        print("before", x.shape[0])
        y = x * 2
        print(f"after {y.dim()}", end="!\n")
        return y

    check(f, floats(2))
