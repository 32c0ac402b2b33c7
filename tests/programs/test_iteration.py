"""Iteration builtins, itertools, functools, operator and math."""

import functools
import itertools
import math
import operator

import torch

from tests.harness import check, floats


def test_zip_enumerate_reversed():
    def f(xs, names):
        found = {}
        for index, (name, value) in enumerate(zip(names, xs), start=1):
            found[name] = value * index
        return found, list(reversed(names)), list(zip([1, 2], [3, 4, 5])), list(zip())

    check(f, [floats(2), floats(2)], ["a", "b"])


def test_zip_strict():
    def f(x, items):
        try:
            return [x * a + b for a, b in zip(items, [1, 2], strict=True)]
        except ValueError as error:
            return x, str(error)

    check(f, floats(2), [1, 2])


def test_map_and_filter():
    def f(xs):
        kept = filter(lambda pair: pair[0] != 1, enumerate(xs))
        return (
            list(map(lambda pair: pair[1] * pair[0], kept)),
            sum(map(torch.sum, xs)),
            list(map(max, [1, 5], [3, 2])),
        )

    check(f, [floats(2), floats(2), floats(2)])


def test_min_max_sorted_sum():
    def f(x, items):
        return (
            x * max(items) + min(items),
            sorted(items, key=lambda item: -item),
            max("a", "bbb", key=len),
            min([], default=3),
            sum([[1], [2]], []),
            sum([0.1] * 3),
            sorted("bca", reverse=True),
        )

    check(f, floats(2), [3, 1, 2])


def test_iter_and_next():
    def f(x, items):
        iterator = iter(items)
        first = next(iterator)
        rest = list(iterator)
        return x * first, rest, next(iterator, "empty"), list(iter(lambda c=iter([1, 2, 0]): next(c), 0))

    check(f, floats(2), [2, 3, 4])


def test_all_any_len_abs_round_divmod():
    def f(x):
        return (
            x + len([1, 2]),
            all([1, 0]),
            any([]),
            abs(-2),
            round(2.567, 2),
            round(2.5),
            divmod(7, -2),
            pow(2, 10, 7),
            bool([]),
        )

    check(f, floats(2))


def test_itertools_infinite_and_slices():
    def f(x):
        numbers = itertools.islice(itertools.count(1, 2), 3)
        ring = itertools.cycle("ab")
        return x + sum(numbers), [next(ring) for _ in range(3)], list(itertools.repeat(x, 2))

    check(f, floats(2))


def test_itertools_combinations():
    def f(xs):
        pairs = [a * b for a, b in itertools.combinations(xs, 2)]
        return (
            torch.stack(pairs),
            list(itertools.product("ab", [1, 2])),
            list(itertools.permutations([1, 2])),
            list(itertools.pairwise([1, 2, 3])),
        )

    check(f, [floats(2), floats(2), floats(2)])


def test_itertools_chain_accumulate_groupby():
    def f(x, xs):
        return (
            list(itertools.chain(xs, [x])),
            list(itertools.chain.from_iterable([[1], [2]])),
            list(itertools.accumulate([1, 2, 3])),
            list(itertools.accumulate(xs, operator.mul)),
            {key: list(group) for key, group in itertools.groupby("aab")},
            list(itertools.takewhile(lambda n: n < 3, [1, 2, 3, 1])),
            list(itertools.dropwhile(lambda n: n < 3, [1, 2, 3, 1])),
            list(itertools.zip_longest([1, 2], [3], fillvalue=0)),
            list(itertools.starmap(pow, [(2, 3), (3, 2)])),
            list(itertools.compress("abc", [1, 0, 1])),
        )

    check(f, floats(2), [floats(2), floats(2)])


def test_itertools_tee():
    def f(x):
        first, second = itertools.tee(iter([1, 2, 3]))
        return x + sum(first), list(second)

    check(f, floats(2))


def test_functools_reduce():
    def f(xs):
        return functools.reduce(lambda a, b: a * 2 + b, xs), functools.reduce(operator.add, [1, 2], 10)

    check(f, [floats(2), floats(2), floats(2)])


def test_functools_lru_cache():
    @functools.lru_cache(maxsize=None)
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    def f(x):
        return x * fib(10)

    check(f, floats(2))


def test_functools_singledispatch_and_total_ordering():
    @functools.total_ordering
    class Size:
        def __init__(self, n):
            self.n = n

        def __eq__(self, other):
            return self.n == other.n

        def __lt__(self, other):
            return self.n < other.n

    def f(x):
        return x + 1, Size(1) <= Size(2), Size(3) > Size(2), Size(1) >= Size(1)

    check(f, floats(2))


def test_functools_cmp_to_key():
    def f(x, items):
        ordered = sorted(items, key=functools.cmp_to_key(lambda a, b: b - a))
        return x * ordered[0], ordered

    check(f, floats(2), [2, 3, 1])


def test_operator_module():
    def f(x, table):
        get, attribute, method = (
            operator.itemgetter("a", "b"),
            operator.attrgetter("real"),
            operator.methodcaller("upper"),
        )
        return (
            operator.add(x, 1) + operator.mul(x, 2),
            get(table),
            attribute(3),
            method("x"),
            operator.contains([1], 1),
            operator.index(3),
            operator.floordiv(7, 2),
            operator.not_(0),
            operator.is_(None, None),
            operator.getitem([1, 2], 1),
        )

    check(f, floats(2), {"a": 1, "b": 2})


def test_operator_in_place():
    def f(x, items):
        y = operator.iadd(x.clone(), 1)
        operator.setitem(items, 0, y)
        return operator.iconcat(items, [1]) is items, y

    check(f, floats(2), [0])


def test_math_module():
    def f(x, n):
        return (
            x * math.sqrt(16) + math.pi,
            math.ceil(2.1),
            math.floor(-2.1),
            math.prod([1, 2, 3]),
            math.log2(8),
            math.isclose(0.1 + 0.2, 0.3),
            math.gcd(12, 18),
            math.inf > n,
            math.isnan(math.nan),
            math.exp(1),
            math.trunc(2.7),
            math.log(n),
            math.factorial(5),
            math.hypot(3, 4),
            math.copysign(1, -0.0),
        )

    check(f, floats(2), 3)


def test_math_on_sizes():
    def f(x):
        scale = 1 / math.sqrt(x.size(-1))
        return x * scale, math.prod(x.shape), math.ceil(x.numel() / 4), math.floor(x.shape[0] / 2)

    check(f, floats(3, 4))


def test_errors_of_math():
    def f(x):
        found = []
        for attempt in (
            lambda: math.sqrt(-1),
            lambda: math.log(0),
            lambda: math.factorial(-1),
            lambda: math.exp(1e5),
        ):
            try:
                attempt()
            except (ValueError, OverflowError) as error:
                found.append((type(error).__name__, str(error)))
        return x + len(found), found

    check(f, floats(2))


def test_heapq_and_bisect():
    import bisect
    import heapq

    def f(x):
        heap = []
        for weight, index in ((5, 0), (1, 1), (4, 2)):
            heapq.heappush(heap, (weight, index))
        total = x
        while heap:
            weight, index = heapq.heappop(heap)
            total = total + weight * x[index]
        return total, bisect.bisect([1, 3, 5], 3), heapq.nlargest(2, [1, 5, 3])

    check(f, floats(3))


def test_random_and_time_free_helpers():
    import string

    def f(x):
        return x + len(string.ascii_lowercase), string.digits

    check(f, floats(2))


def test_stop_iteration_in_a_mapped_function_ends_the_map():
    def f(x, items):
        iterators = [iter(items), iter([])]
        return x + 1, list(map(next, iterators)), list(filter(lambda item: next(iter([])), [1]))

    check(f, floats(2), [1, 2])


def test_a_generator_left_inside_try_is_closed():
    """CPython closes a generator with its last reference: what its ``finally`` does can be seen."""

    def f(x):
        log = []

        def counting():
            try:
                yield from range(5)
            finally:
                log.append("closed")

        for number in counting():
            if number == 2:
                break
            x = x + number
        half = counting()
        log.append(next(half))
        return torch.relu(x), log

    check(f, floats(2), graphs=None, breaks=None, recompiles=None, forced=False)


def test_a_generator_left_outside_of_try_needs_no_closing():
    def f(x):
        def counting():
            yield from range(5)

        for number in counting():
            if number == 2:
                break
            x = x + number
        return x + next(counting())

    check(f, floats(2))
