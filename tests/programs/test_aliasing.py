"""Identity: arguments that are the same object, views of one another, and what is returned of them."""

import torch

from tests.harness import Arguments, check, each, floats, made


def test_argument_returned_as_itself():
    def f(x, y):
        return x, y + 1, [x], {"x": x}

    check(f, floats(2), floats(2))


def test_contiguous_of_a_contiguous_argument_is_itself():
    def f(x):
        return x.contiguous(), x.to(torch.float32), x.float(), x.cpu(), x.expand_as(x), x + 1

    check(f, floats(2, 3))


def test_one_tensor_as_two_arguments():
    shared = floats(2)

    def f(x, y):
        return x + 1 if x is y else x - 1

    check(f, shared, shared)


def test_the_same_tensor_twice_is_another_entry():
    def f(x, y):
        x.add_(1)
        return y * 2

    def arguments(k):
        x = torch.ones(2) * k
        return (x, x) if k % 2 else (x, torch.ones(2) * 5)

    check(f, inputs=arguments, calls=4, graphs=2, recompiles=1)


def test_views_among_arguments():
    def f(x, row):
        x.mul_(2)
        return row + 1

    def arguments(k):
        x = torch.ones(3, 4) * (k + 1)
        return x, x[1]

    check(f, inputs=arguments)


def test_argument_inside_another_argument():
    def f(x, items):
        return items[0] is x, x + items[0]

    def arguments(k):
        x = torch.ones(2) * k
        return x, [x, 3]

    check(f, inputs=arguments)


def test_one_list_as_two_arguments():
    def f(one, other, x):
        one.append(x)
        return len(other), other is one, x + len(other)

    def arguments(k):
        items = [1]
        return items, items, torch.ones(2) * k

    check(f, inputs=arguments)


def test_list_that_holds_itself():
    def f(items, x):
        items[0].append(x)
        return x + len(items)

    def arguments(k):
        items = []
        items.append(items)
        return items, torch.ones(2) * k

    check(f, inputs=arguments)


def test_results_share_what_they_share():
    def f(x):
        y = x * 2
        both = [y, y]
        return both, both, y, (both[0], y.view(-1))

    check(f, floats(2, 3))


def test_result_is_a_view_of_an_argument():
    def f(x):
        return x[0], x.view(-1), x.t(), x[1:].detach()

    check(f, floats(3, 4))


def test_results_are_views_of_one_another():
    def f(x):
        y = x * 2
        y[0] = 1
        return y, y[0], y.view(-1)[2:]

    check(f, floats(3, 4))


def test_cyclic_result():
    def f(x):
        items = [x + 1]
        items.append({"self": items})
        return items

    check(f, floats(2))


def test_object_graph_with_sharing_and_cycles():
    class Node:
        def __init__(self, value):
            self.value = value
            self.next = None

    def f(x):
        a, b = Node(x), Node(x * 2)
        a.next, b.next = b, a
        return a, [b, a]

    check(f, floats(2))


def test_nested_structure_returned():
    def f(x, config):
        return {"a": [x, (x + 1, {"b": config})], "c": (), "d": None, 3: {1, 2}, (1, "t"): [[]]}

    check(f, floats(2), {"k": [1]})


def test_inner_lists_of_arguments_are_returned_as_themselves():
    def f(x, config):
        inner = config["items"]
        inner.append(x + 1)
        config["items"] = list(inner)
        return inner, config["items"]

    check(f, floats(2), {"items": [1]})


def test_in_place_result_is_the_argument():
    def f(x):
        y = x.add_(1)
        z = y.mul_(2)
        return z, z is x, y is z

    check(f, floats(3))


def test_parameter_and_its_data():
    def f(p, x):
        return p.detach() + x, p.T, p.view(-1)

    check(f, made(lambda k: torch.nn.Parameter(torch.ones(2, 2) * k)), floats(2, 2))


def test_keyword_and_positional_share():
    def f(x, *, y):
        return x is y, x + y

    def arguments(k):
        x = torch.ones(2) * k
        return Arguments((x,), {"y": x})

    check(f, inputs=arguments)


def test_dictionary_shared_between_objects():
    class Holder:
        def __init__(self, table):
            self.table = table

    def f(one, other, x):
        one.table["k"] = x
        return other.table["k"] + 1, one.table is other.table

    def arguments(k):
        table = {}
        return Holder(table), Holder(table), torch.ones(2) * k

    check(f, inputs=arguments)


def test_none_and_tensor_arguments():
    def f(x, mask=None):
        return x + 1 if mask is None else x * mask

    check(f, floats(2), each(None, torch.ones(2), None), graphs=2, recompiles=1)


def test_ranges_and_slices_that_are_used_stay_themselves():
    def f(x, part, numbers):
        for i in numbers:
            x = x[part] + i
        return x, part, [numbers]

    check(f, floats(4), slice(0, 4), range(2))
