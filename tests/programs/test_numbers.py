"""Semantics of int, float, bool and complex, and how they meet tensors."""

import math

import pytest
import torch

import framelift
from tests.harness import check, each, floats


def test_integer_arithmetic():
    def f(x, n):
        return (
            x * n,
            n // 2,
            -n // 2,
            n % 3,
            -n % 3,
            n**3,
            n << 2,
            n >> 1,
            n & 6,
            n | 8,
            n ^ 3,
            ~n,
            divmod(-n, 3),
        )

    check(f, floats(2), 7)


def test_big_integers():
    def f(x, n):
        big = n**40
        return x + 1, big, big // 3, -big % 7, big.bit_length(), (2**64 - 1) & n

    check(f, floats(2), 12)


def test_float_arithmetic():
    def f(x, a):
        return (
            x * a,
            a / 3,
            a // 0.3,
            a % 0.3,
            -a % 0.3,
            a**0.5,
            a.is_integer(),
            int(a),
            float(int(a)),
            a == 1.5,
        )

    check(f, floats(2), 1.5)


def test_special_floats():
    def f(x, nan, inf):
        return (
            x + 1,
            nan == nan,
            nan != nan,
            inf > 1e308,
            inf - inf,
            -0.0,
            0.0 == -0.0,
            min(nan, 1.0),
            max(1.0, nan),
        )

    check(f, floats(2), float("nan"), float("inf"))


def test_negative_zero_is_not_zero():
    def f(x, zero):
        return x + zero, zero, 1.0 if str(zero) == "-0.0" else 2.0

    check(f, floats(2), each(0.0, -0.0, 0.0), graphs=2, recompiles=1)


def test_booleans_are_integers():
    def f(x, flag):
        return (
            x * flag + True,
            flag + 1,
            flag & True,
            flag | 2,
            not flag,
            [10, 20][flag],
            sum([True, True]),
            True == 1,
        )

    check(f, floats(2), True)


def test_true_is_not_one_for_an_entry():
    def f(x, flag):
        return x + 1 if flag is True else x - 1

    check(f, floats(2), each(True, 1, True), graphs=2, recompiles=1)


def test_complex_numbers():
    def f(x, z):
        return x * z.real, z * 2j, abs(3 + 4j), z.conjugate(), complex(1, 2)

    check(f, floats(2), 1 + 2j)


def test_conversion():
    def f(x):
        return (
            x + int("3"),
            float("2.5"),
            int(3.9),
            int(-3.9),
            bool(""),
            str(1e20),
            float("inf"),
            int(True),
            round(-0.5),
        )

    check(f, floats(2))


def test_integer_arguments_that_change():
    def f(x, n):
        return x * n + 1

    check(f, floats(2), each(2, 3, 4, 5, 6), calls=5, graphs=2, recompiles=1)


def test_integers_used_as_sizes():
    def f(x, n):
        return x[:n] * 2, x.reshape(n, -1)

    check(f, floats(6), 3)


def test_float_arguments():
    def f(x, rate):
        return x * rate if rate > 0.1 else x

    check(f, floats(2), 0.5)


def test_division_errors():
    def f(x, n):
        try:
            return x * (1 // n)
        except ZeroDivisionError as error:
            return x, str(error)

    check(f, floats(2), 0, graphs=0)
    check(f, floats(2), 1)


def test_comparison_chains_and_identity():
    def f(x, n):
        return x + 1, 0 < n < 10, n is None, n is not None, n == 3.0, (n, 1) == (3, True), n in (1, 2, 3)

    check(f, floats(2), 3)


def test_scalars_from_sizes():
    def f(x):
        rows, columns = x.shape
        half = rows // 2
        return x[:half] * columns / rows, half, rows * columns, -(-rows // 4), rows % 3, float(rows)

    check(f, floats(5, 3))


def test_type_promotion_with_scalars():
    def f(x):
        return x + 1, x * 2.5, x > 1, x / 2, x // 2, x % 3, 2**x, 1 - x, -x, x & 1

    check(f, inputs=lambda k: (torch.arange(4) + k,))


def test_augmented_assignment_of_numbers():
    def f(x):
        n, m = 1, 2.0
        n += 3
        n *= 2
        n -= 1
        n //= 2
        m /= 4
        m **= 2
        n |= 8
        return x * n + m, n, m

    check(f, floats(2))


def test_arithmetic_on_changing_floats_is_pythons():
    def f(x, s):
        sums = s + 0.1 + 0.2, (s + 1e20) - 1e20, s - s
        return x * s, sums, s * 0.0, s / 3 * 3, -s, s // 0.3, s % 0.7, abs(s)

    with framelift.config.patch(specialize_float=False):
        check(f, floats(2), each(1.5, 2.5, 0.7, -0.7, 2.6), calls=5, graphs=None, recompiles=None)


def test_changing_floats_that_no_symbol_can_be():
    def f(x, s):
        return x * s, s == s, s * 0.0, s > 1.0

    with framelift.config.patch(specialize_float=False):
        values = each(1.5, 2.5, float("nan"), float("inf"), -0.0, 0.0, 2.5)
        check(f, floats(2), values, calls=7, graphs=None, recompiles=None)


def test_questions_about_computed_floats_are_answered_for_each():
    def f(x, s, n):
        if s + 0.1 > 0.3:
            x = x + 1
        return x * s, int(s * 3), n / 3 * s, s**0.5, str(s * 2)

    with framelift.config.patch(specialize_float=False):
        values = each(0.2, 0.19999999999999998, 0.3, -1.0)
        check(f, floats(2), values, each(1, 2, 3), calls=4, graphs=None, recompiles=None)


DIVISIONS = {
    "/": lambda x, n: x * (12 / n),
    "//": lambda x, n: x * (12 // n),
    "%": lambda x, n: x * (12 % n),
    "divmod": lambda x, n: x * divmod(12, n)[0],
    "of a size": lambda x, n: x.new_zeros(n).shape[0] // (n - 4) + x,
    "shift": lambda x, n: x * (1 << (n - 1)),
    "float": lambda x, n: x * (1.0 / (n * 0.5)),
}


@pytest.mark.parametrize("backend", ["eager", "inductor"])
@pytest.mark.parametrize("name", DIVISIONS)
def test_a_divisor_that_changes_is_not_zero(name, backend):
    """Kernels divide by zero without an error, or end the process."""

    def f(x, log, n):
        log.append(n)
        try:
            return DIVISIONS[name](x, n)
        except (ZeroDivisionError, ValueError) as error:
            return type(error), str(error)

    numbers = each(3, 5, 6, 0, 4, 7)
    check(
        f,
        floats(3),
        [],
        numbers,
        calls=6,
        graphs=None,
        breaks=None,
        recompiles=None,
        backend=backend,
        tolerance=1e-5,
    )


@pytest.mark.parametrize("name", ["sqrt", "log2", "acos", "asin", "cosh", "sin", "cos", "tan"])
def test_functions_of_a_float_that_changes_have_a_domain(name):
    function = getattr(math, name)

    def f(x, a):
        try:
            return x * function(a)
        except (ValueError, OverflowError) as error:
            return type(error), str(error)

    numbers = each(0.5, 0.25, 0.75, -2.0, 1e5, 0.0, math.inf, 0.6)
    check(f, floats(3), numbers, calls=8, graphs=None, breaks=None, recompiles=None)
