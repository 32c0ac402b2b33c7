# ruff: noqa: B905 (the shorter one ends the loop)
"""C functions of ``functools``, ``itertools``, ``collections``, ``heapq`` and ``bisect`` in plain Python.

https://docs.python.org/3/library/itertools.html
https://docs.python.org/3/library/functools.html
"""

from __future__ import annotations

import bisect
import collections
import functools
import heapq
import itertools
import operator

from framelift.capture.polyfills.registry import polyfill

MISSING = object()


@polyfill(functools.reduce)
def reduced(function, iterable, initial=MISSING, /):
    try:
        iterator = iter(iterable)
    except TypeError:
        raise TypeError("reduce() arg 2 must support iteration") from None
    value = next(iterator, MISSING) if initial is MISSING else initial
    if value is MISSING:
        raise TypeError("reduce() of empty iterable with no initial value")
    for item in iterator:
        value = function(value, item)
    return value


def searched(iterable):
    """An iterator, or the error of a search."""
    try:
        return iter(iterable)
    except TypeError:
        raise TypeError(f"argument of type '{type(iterable).__name__}' is not iterable") from None


@polyfill(operator.countOf)
def count_of(iterable, value, /):
    count = 0
    for item in searched(iterable):
        if item is value or item == value:  # identity first: a nan counts itself
            count += 1
    return count


@polyfill(operator.indexOf)
def index_of(iterable, value, /):
    for position, item in enumerate(searched(iterable)):
        if item is value or item == value:
            return position
    raise ValueError("sequence.index(x): x not in sequence")


@polyfill(functools.cached_property.__get__)
def cached_property_get(self, instance, owner=None):
    if instance is None:
        return self
    cache = instance.__dict__
    value = cache.get(self.attrname, MISSING)
    if value is MISSING:
        value = self.func(instance)
        cache[self.attrname] = value
    return value


@polyfill(collections.deque.rotate)
def deque_rotate(self, n=1, /):
    if self:
        for _ in range(n % len(self)):
            self.appendleft(self.pop())


@polyfill(itertools.chain)
def chained(*iterables):
    return chained_items(iter(iterables))


@polyfill(itertools.chain.__dict__["from_iterable"])
def chained_from(cls, iterables):
    return chained_items(iter(iterables))


def chained_items(iterables):
    for iterable in iterables:
        yield from iterable


@polyfill(itertools.accumulate)
def accumulated(iterable, func=None, *, initial=None):
    return accumulated_from(iter(iterable), func, initial)


def accumulated_from(iterator, func, value):
    if value is None:
        value = next(iterator, MISSING)
        if value is MISSING:
            return
    yield value
    for item in iterator:
        value = value + item if func is None else func(value, item)
        yield value


@polyfill(itertools.islice)
def sliced(iterable, *bounds):
    window = slice(*bounds)
    wrong = "Indices" if len(bounds) > 1 else "Stop argument"
    for bound in (window.start, window.stop):
        if bound is not None and (not hasattr(bound, "__index__") or bound < 0):
            raise ValueError(wrong + " for islice() must be None or an integer: 0 <= x <= sys.maxsize.")
    step = window.step
    if step is not None and (not hasattr(step, "__index__") or step < 1):
        raise ValueError("Step for islice() must be a positive integer or None.")
    return sliced_from(iter(iterable), window.start or 0, window.stop, step or 1)


def sliced_from(iterator, start, stop, step):
    wanted, index = start, 0
    while stop is None or index < stop:
        item = next(iterator, MISSING)
        if item is MISSING:
            return
        if index == wanted:
            yield item
            wanted += step
            if stop is not None and wanted >= stop:
                while index + 1 < stop:  # the C iterator consumes up to stop
                    if next(iterator, MISSING) is MISSING:
                        return
                    index += 1
                return
        index += 1


@polyfill(itertools.product)
def product(*iterables, repeat=1):
    pools = [tuple(pool) for pool in iterables] * repeat
    rows = [()]
    for pool in pools:
        rows = [(*row, item) for row in rows for item in pool]
    return iter(rows)


@polyfill(itertools.combinations)
def combinations(iterable, r):
    pool = tuple(iterable)
    check_length(r)
    return iter([tuple([pool[i] for i in indices]) for indices in chosen(len(pool), r)])


def check_length(r):
    if r < 0:
        raise ValueError("r must be non-negative")


def chosen(count, r):
    if r == 0:
        return [()]
    return [
        (first, *[first + 1 + other for other in rest])
        for first in range(count)
        for rest in chosen(count - first - 1, r - 1)
    ]


@polyfill(itertools.permutations)
def permutations(iterable, r=None):
    pool = tuple(iterable)
    length = len(pool) if r is None else r
    check_length(length)
    return iter([tuple([pool[i] for i in indices]) for indices in arranged(list(range(len(pool))), length)])


def arranged(indices, r):
    if r == 0:
        return [()]
    return [
        (index, *rest)
        for position, index in enumerate(indices)
        for rest in arranged(indices[:position] + indices[position + 1 :], r - 1)
    ]


@polyfill(itertools.repeat)
def repeated(item, times=MISSING):
    if times is MISSING:
        while True:
            yield item
    for _ in range(times):
        yield item


@polyfill(itertools.count)
def counted(start=0, step=1):
    while True:
        yield start
        start += step


@polyfill(itertools.cycle)
def cycled(iterable):
    return cycled_from(iter(iterable))


def cycled_from(iterator):
    kept = []
    for item in iterator:
        yield item
        kept.append(item)
    while kept:
        yield from kept


@polyfill(itertools.takewhile)
def taken_while(predicate, iterable):
    return taken_while_from(predicate, iter(iterable))


def taken_while_from(predicate, iterator):
    for item in iterator:
        if not predicate(item):
            return
        yield item


@polyfill(itertools.dropwhile)
def dropped_while(predicate, iterable):
    return dropped_while_from(predicate, iter(iterable))


def dropped_while_from(predicate, iterator):
    dropping = True
    for item in iterator:
        if dropping and predicate(item):
            continue
        dropping = False
        yield item


@polyfill(itertools.starmap)
def star_mapped(function, iterable):
    return star_mapped_from(function, iter(iterable))


def star_mapped_from(function, iterator):
    for arguments in iterator:
        yield function(*arguments)


@polyfill(itertools.filterfalse)
def filtered_false(predicate, iterable):
    return filtered_false_from(predicate, iter(iterable))


def filtered_false_from(predicate, iterator):
    for item in iterator:
        if not (item if predicate is None else predicate(item)):
            yield item


@polyfill(itertools.pairwise)
def paired(iterable):
    return paired_from(iter(iterable))


def paired_from(iterator):
    previous = next(iterator, MISSING)
    if previous is MISSING:
        return
    for item in iterator:
        yield previous, item
        previous = item


@polyfill(itertools.compress)
def compressed(data, selectors):
    return compressed_from(zip(iter(data), iter(selectors)))


def compressed_from(pairs):
    for item, selected in pairs:
        if selected:
            yield item


@polyfill(itertools.zip_longest)
def zipped_longest(*iterables, fillvalue=None):
    return zipped_longest_from([iter(iterable) for iterable in iterables], fillvalue)


def zipped_longest_from(iterators, fillvalue):
    active = len(iterators)
    finished = [False] * active
    while active:
        row = []
        for number, iterator in enumerate(iterators):
            item = fillvalue if finished[number] else next(iterator, MISSING)
            if item is MISSING:
                finished[number] = True
                active -= 1
                if not active:
                    return
                item = fillvalue
            row.append(item)
        yield tuple(row)


@polyfill(itertools.groupby)
def grouped(iterable, key=None):
    groups = []
    for item in iterable:
        item_key = item if key is None else key(item)
        if groups and groups[-1][0] == item_key:
            groups[-1][1].append(item)
        else:
            groups.append((item_key, [item]))
    return iter([(group_key, iter(members)) for group_key, members in groups])


@polyfill(heapq.heappush)
def heap_push(heap, item, /):
    heap.append(item)
    heap_sift_down(heap, 0, len(heap) - 1, item)


@polyfill(heapq.heappop)
def heap_pop(heap, /):
    if not heap:
        raise IndexError("index out of range")
    last = heap.pop()
    if not heap:
        return last
    smallest = heap[0]
    heap[0] = last
    heap_sift_up(heap, 0)
    return smallest


@polyfill(heapq.heapify)
def heapify(heap, /):
    for position in reversed(range(len(heap) // 2)):
        heap_sift_up(heap, position)


def heap_sift_up(heap, position):
    """Bubble the smaller child up to a leaf, then the item back towards the start, as the C code does."""
    end, start = len(heap), position
    item = heap[position]
    child = 2 * position + 1
    while child < end:
        right = child + 1
        if right < end and not heap[child] < heap[right]:
            child = right
        heap[position] = heap[child]
        position = child
        child = 2 * position + 1
    heap_sift_down(heap, start, position, item)


def heap_sift_down(heap, start, position, item):
    """Put the item in at the position or, where that is smaller, nearer to the start."""
    while position > start:
        parent = (position - 1) >> 1
        if not item < heap[parent]:
            break
        heap[position] = heap[parent]
        position = parent
    heap[position] = item


@polyfill(bisect.bisect_right, bisect.bisect)
def bisect_right(a, x, lo=0, hi=None, *, key=None):
    if lo < 0:
        raise ValueError("lo must be non-negative")
    hi = len(a) if hi is None else hi
    while lo < hi:
        middle = (lo + hi) // 2
        if x < (a[middle] if key is None else key(a[middle])):
            hi = middle
        else:
            lo = middle + 1
    return lo


@polyfill(bisect.bisect_left)
def bisect_left(a, x, lo=0, hi=None, *, key=None):
    if lo < 0:
        raise ValueError("lo must be non-negative")
    hi = len(a) if hi is None else hi
    while lo < hi:
        middle = (lo + hi) // 2
        if (a[middle] if key is None else key(a[middle])) < x:
            lo = middle + 1
        else:
            hi = middle
    return lo


@polyfill(itertools.tee)
def teed(iterable, n=2, /):
    if n < 0:
        raise ValueError("n must be >= 0")
    iterator, kept = iter(iterable), []
    return tuple([teed_from(iterator, kept) for _ in range(n)])


def teed_from(iterator, kept):
    """``kept`` holds what any of the iterators has taken so far."""
    index = 0
    while True:
        if index == len(kept):
            item = next(iterator, MISSING)
            if item is MISSING:
                return
            kept.append(item)
        yield kept[index]
        index += 1


@polyfill(itertools.combinations_with_replacement)
def combinations_with_replacement(iterable, r):
    pool = tuple(iterable)
    check_length(r)
    return iter([tuple([pool[i] for i in indices]) for indices in chosen_again(0, len(pool), r)])


def chosen_again(first, count, r):
    if r == 0:
        return [()]
    return [(index, *rest) for index in range(first, count) for rest in chosen_again(index, count, r - 1)]


class KeyWrapper:
    """What ``functools.cmp_to_key`` sorts by."""

    __hash__ = None

    def __init__(self, compare, obj):
        self.compare = compare
        self.obj = obj

    def __lt__(self, other):
        return self.compare(self.obj, other.obj) < 0

    def __gt__(self, other):
        return self.compare(self.obj, other.obj) > 0

    def __eq__(self, other):
        return self.compare(self.obj, other.obj) == 0

    def __le__(self, other):
        return self.compare(self.obj, other.obj) <= 0

    def __ge__(self, other):
        return self.compare(self.obj, other.obj) >= 0


@polyfill(functools.cmp_to_key)
def key_from_comparison(mycmp):
    def key(obj):
        return KeyWrapper(mycmp, obj)

    return key


@polyfill(heapq.heappushpop)
def heap_push_pop(heap, item, /):
    if heap and heap[0] < item:
        item, heap[0] = heap[0], item
        heap_sift_up(heap, 0)
    return item


@polyfill(heapq.heapreplace)
def heap_replace(heap, item, /):
    if not heap:
        raise IndexError("index out of range")
    smallest = heap[0]
    heap[0] = item
    heap_sift_up(heap, 0)
    return smallest


@polyfill(bisect.insort_right, bisect.insort)
def insort_right(a, x, lo=0, hi=None, *, key=None):
    a.insert(bisect_right(a, x if key is None else key(x), lo, hi, key=key), x)


@polyfill(bisect.insort_left)
def insort_left(a, x, lo=0, hi=None, *, key=None):
    a.insert(bisect_left(a, x if key is None else key(x), lo, hi, key=key), x)
