"""Lists, tuples, dicts, sets, deque, defaultdict, OrderedDict, Counter, and their methods."""

import collections

import torch

from tests.harness import check, each, floats, fresh, made


def test_list_methods_on_a_new_list():
    def f(x):
        items = [3, 1]
        items.append(2)
        items.extend((5, 4))
        items.insert(0, 9)
        items.remove(1)
        popped = items.pop(), items.pop(0)
        items.sort()
        copied = items.copy()
        items.reverse()
        copied[1:2] = [7, 7]
        del copied[0]
        return x + len(items), items, copied, popped, items.index(2), items.count(5), items * 2, [0] + items

    check(f, floats(2))


def test_list_argument_is_changed():
    def f(x, items):
        items.append(x * 2)
        items[0] = x
        items += ["end"]
        del items[1]
        items.insert(0, "start")
        return x + 1

    check(f, floats(2), ["a", "b"])


def test_list_argument_cleared_and_sorted():
    def f(x, items, other):
        other.sort(key=lambda pair: pair[1], reverse=True)
        items.clear()
        return x * len(other)

    check(f, floats(2), [1, 2], [("a", 1), ("b", 3), ("c", 2)])


def test_list_slices():
    def f(x, items):
        items[1:3] = [x, x, x]
        return items[::-1], items[-2:], items[::2], x + 1

    check(f, floats(2), [1, 2, 3, 4])


def test_list_of_tensors():
    def f(tensors):
        tensors[0] = tensors[0] + tensors[1]
        return torch.cat(tensors), tensors

    check(f, [floats(2), floats(2)])


def test_tuples():
    def f(x, pair):
        a, (b, c) = pair
        t = (x, *pair, 4)
        return t[1:], a + b * c + x, t + (5,), (1,) * 3, len(t), pair.index(a), a in pair, (1, 2) < (1, 3)

    check(f, floats(2), (1, (2, 3)))


def test_dict_methods_on_a_new_dict():
    def f(x):
        d = {"b": 1, "a": 2}
        d["c"] = x
        d.update(a=3, d=4)
        d.setdefault("e", []).append(1)
        d.setdefault("a", 0)
        popped = d.pop("b"), d.pop("zz", None), d.popitem()
        merged = d | {"z": 1}
        d |= {"y": 2}
        return (
            x + len(d),
            d,
            popped,
            merged,
            list(d),
            list(d.items()),
            dict(zip("ab", (1, 2))),
            dict.fromkeys("ab"),
        )

    check(f, floats(2))


def test_dict_argument_is_changed():
    def f(x, table):
        table["new"] = x + 1
        table["a"] += 1
        del table["b"]
        table["b"] = "last"
        return x * table["a"], "zz" in table, table.get("zz", 3)

    check(f, floats(2), {"a": 1, "b": 2})


def test_dict_order_is_kept_and_used():
    def f(x, table):
        for name, factor in table.items():
            x = x * factor + len(name)
        return x, list(reversed(table))

    check(f, floats(2), {"b": 2.0, "aa": 3.0})


def test_dict_of_tensors():
    def f(table):
        return sum(table.values()), {name: value * 2 for name, value in table.items()}

    check(f, {"a": floats(2), "b": floats(2)})


def test_dict_with_keys_of_other_types():
    def f(x, table):
        return x * table[1] + table[(1, "a")] + table[None], table[2.5], table[True], 1.0 in table

    check(f, floats(2), {1: 2, (1, "a"): 3, None: 4, 2.5: "half"})


def test_dict_views():
    def f(x, one, other):
        return (
            x + len(one.keys() & other.keys()),
            sorted(one.keys() | other),
            one.keys() == other.keys(),
            list(one.values()),
        )

    check(f, floats(2), {"a": 1, "b": 2}, {"b": 3, "c": 4})


def test_tensor_as_a_key():
    def f(x, y):
        memo = {x: 1, y: 2}
        z = x
        return memo[z] + x + memo[y], z is x, x is y, y in memo

    check(f, floats(2), floats(2))


def test_clear_and_rebuild_of_a_dict_argument():
    def f(x, table):
        keys = list(table)
        table.clear()
        for key in reversed(keys):
            table[key] = x
        return x + 1

    check(f, floats(2), {"a": 1, "b": 2})


def test_sets():
    def f(x, names):
        found = {"a", "b"} | names
        found.add("z")
        found.discard("q")
        names_left = found - {"a"}
        return (
            x + len(found & names),
            "z" in found,
            names_left,
            found ^ names,
            {"a"} <= found,
            frozenset([1, 2]),
        )

    check(f, floats(2), {"b", "c"})


def test_set_argument_is_changed():
    def f(x, seen):
        seen.add(3)
        seen.remove(1)
        seen.update([7, 8])
        return x * len(seen)

    check(f, floats(2), {1, 2})


def test_deque():
    def f(x):
        queue = collections.deque([1, 2], maxlen=3)
        queue.append(3)
        queue.append(4)
        queue.appendleft(9)
        queue.rotate(1)
        return x + queue.popleft() + queue.pop(), queue, len(queue), list(queue)

    check(f, floats(2))


def test_deque_argument():
    def f(x, queue):
        queue.append(x)
        first = queue.popleft()
        return x * first

    check(f, floats(2), made(lambda k: collections.deque([2, 3])))


def test_defaultdict():
    def f(x, words):
        groups = collections.defaultdict(list)
        for word in words:
            groups[len(word)].append(word)
        counts = collections.defaultdict(int)
        counts["a"] += 2
        return x * counts["a"] + counts["b"], groups, dict(counts), 9 in groups

    check(f, floats(2), ["a", "bb", "c"])


def test_defaultdict_argument():
    def f(x, table):
        table["new"].append(x)
        return x + len(table["old"])

    check(f, floats(2), made(lambda k: collections.defaultdict(list, old=[1])))


def test_ordered_dict():
    def f(x):
        table = collections.OrderedDict(a=1, b=2, c=3)
        table.move_to_end("a")
        last = table.popitem()
        table.move_to_end("c", last=False)
        return x + last[1], table, list(table), table == {"b": 2, "c": 3}

    check(f, floats(2))


def test_ordered_dict_argument():
    def f(x, table):
        table["z"] = x
        table.move_to_end("a")
        return x * len(table)

    check(f, floats(2), made(lambda k: collections.OrderedDict(a=1, b=2)))


def test_counter():
    def f(x, words):
        counts = collections.Counter(words)
        counts.update(["a"])
        return x * counts["a"] + counts["zz"], counts.most_common(1), sum(counts.values()), counts

    check(f, floats(2), ["a", "b", "a"])


def test_chain_map():
    def f(x, base):
        scope = collections.ChainMap({"a": 1}, base)
        scope["c"] = 3
        return x * scope["a"] + scope["b"], sorted(scope), "zz" in scope

    check(f, floats(2), {"a": 9, "b": 2})


def test_membership_and_comparison():
    def f(x, items):
        return (
            x + 1,
            2 in items,
            items == [1, 2],
            items < [1, 3],
            [1, [2]] == [1, [2]],
            items != (1, 2),
            not items,
        )

    check(f, floats(2), [1, 2])


def test_copy_and_deepcopy():
    import copy

    def f(x, config):
        shallow, deep = copy.copy(config), copy.deepcopy(config)
        deep["w"].append(3)
        shallow["k"] = x * len(config["w"])
        return shallow, deep, config

    check(f, floats(2), {"w": [1, 2]})


def test_range_and_slice_objects():
    def f(x, limits):
        numbers = range(*limits)
        cut = slice(1, None)
        return x[cut] + numbers[1], list(numbers), len(numbers), 3 in numbers, cut.indices(5), numbers.stop

    check(f, floats(4), (1, 9, 2))


def test_bytearray_and_memory_of_numbers():
    def f(x):
        data = bytearray(b"abc")
        data.append(100)
        return x + len(data), bytes(data)

    check(f, floats(2), breaks=4)  # buffers have no values: making, appending, len and bytes are CPython's


def test_nested_containers_are_changed_in_place():
    def f(x, config):
        config["layers"][1]["size"] = 7
        config["layers"].append({"size": 9})
        config["extra"] = {"of": [x]}
        return x * sum(layer["size"] for layer in config["layers"])

    check(f, floats(2), {"layers": [{"size": 1}, {"size": 2}]})


def test_errors_of_containers():
    def f(x):
        found = []
        attempts = [
            lambda: [1].remove(2),
            lambda: (1,).index(3),
            lambda: {}.popitem(),
            lambda: {1}.remove(5),
            lambda: [].pop(),
            lambda: {"a": 1}["b"],
            lambda: {[]: 1},
            lambda: [1, 2][5],  # noqa: PLE0643
        ]
        for attempt in attempts:
            try:
                attempt()
            except Exception as error:
                found.append((type(error).__name__, str(error)))
        return x + len(found), found

    check(f, floats(2))


def test_capture_does_not_call_missing():
    class Counting(dict):
        def __missing__(self, key):
            self["asked"] = self.get("asked", 0) + 1
            return 5

    def f(x, table):
        return x + table["no"], "no" in table, table.get("no")

    check(f, floats(2), made(lambda k: Counting()))


def test_order_of_an_ordered_dict_is_its_own():
    def moved(k):
        table = collections.OrderedDict(a=1, b=2, c=3)
        table.move_to_end("a")
        return table

    def f(x, table):
        return x + 1, list(table), list(table.items()), next(reversed(table))

    check(f, floats(2), made(moved))


def test_appending_does_not_look_at_the_list():
    def f(x, log):
        log.append(x.shape[0])
        log += [1]
        return x + 1

    check(f, floats(2), made(lambda k: list(range(k))))


class Named:
    """Hashes by identity."""


FIRST, SECOND = Named(), Named()


def test_objects_as_keys_of_an_outside_dict():
    def f(x, table, key):
        return x * table[key], table.get(key), key in table

    keys = [FIRST, SECOND, FIRST]
    check(
        f,
        inputs=lambda k: (torch.ones(2) + k, {FIRST: 2.0, SECOND: 3.0}, keys[k]),
        graphs=2,
        recompiles=1,
        references=False,
    )


def test_objects_as_members_of_an_outside_set():
    def f(x, members, key):
        return x + (1 if key in members else 2), {key} & members

    keys = [FIRST, SECOND, FIRST]
    check(
        f,
        inputs=lambda k: (torch.ones(2) + k, {FIRST}, keys[k]),
        graphs=2,
        recompiles=1,
        references=False,
    )


def test_tensors_as_keys_of_an_outside_dict():
    def build():
        tensors = [torch.ones(2), torch.ones(2)]
        table = {tensors[0]: 2.0, tensors[1]: 3.0}
        return lambda x, first: x * table[tensors[0] if first else tensors[1]]

    check(fresh(build), floats(2), each(True, False, True), graphs=2, recompiles=1)


def test_what_is_extended_from_a_generator_sees_the_items_so_far():
    def f(x):
        items, ends, table = [], collections.deque(), {}

        def growing(sizes):
            for _ in range(3):
                yield len(sizes)
            sizes.append("end")

        items.extend(growing(items))
        items += growing(items)
        ends.extendleft(growing(ends))
        table.update((key, len(table)) for key in "aab")
        return x + len(items), items, ends, table

    check(f, floats(2))


def test_what_was_added_before_an_error_stays():
    def f(x, pairs):
        def failing():
            yield 1
            yield 2
            raise ValueError("no more")

        items, table, log = [], {}, []
        for change in (
            lambda: items.extend(failing()),
            lambda: table.update(pairs),
            lambda: table.update([("c", 3), 4]),
        ):
            try:
                change()
            except (ValueError, TypeError) as error:
                log.append(str(error))
        return x * len(items), items, table, log

    check(f, floats(2), [("a", 1), ("b",)])
