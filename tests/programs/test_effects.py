"""Effects in order: writes to attributes, lists, dicts, globals and tensors, read back and replayed."""

import torch

from tests.harness import Program, check, floats, fresh, leaks, made


class Box:
    def __init__(self, **values):
        self.__dict__.update(values)


def test_write_then_read():
    def f(box, x):
        box.value = x + 1
        y = box.value * 2
        box.value = y
        return box.value + 1

    check(f, made(lambda k: Box(value=k)), floats(2))


def test_last_write_wins_and_order_of_new_keys():
    def f(table, x):
        table["b"] = 1
        table["a"] = 2
        table["b"] = 3
        table.pop("c")
        table["c"] = x
        return x + 1

    check(f, {"c": 0}, floats(2))


def test_write_and_delete_leaves_nothing():
    def f(box, table, x):
        box.temporary = x
        del box.temporary
        table["t"] = 1
        del table["t"]
        return x + 1

    check(f, made(lambda k: Box(kept=1)), {"kept": 1}, floats(2))


def test_effects_before_and_after_a_caught_exception():
    def f(items, x):
        items.append("before")
        try:
            items.append("inside")
            raise ValueError
        except ValueError:
            items.append("handler")
        return x + len(items)

    check(f, [], floats(2))


def test_tensor_changed_through_an_attribute():
    def f(box, x):
        box.buffer.add_(x)
        box.buffer = box.buffer * 2
        box.buffer.add_(1)
        return box.buffer + 1

    check(f, made(lambda k: Box(buffer=torch.ones(2))), floats(2))


def test_list_of_tensors_grows_from_call_to_call():
    def build():
        history = []

        def f(x):
            history.append(x * 2)
            return history[-1] + 1

        return Program(f, history)

    check(fresh(build), floats(2), calls=2, graphs=2, recompiles=1)


def test_objects_swap_their_attributes():
    def f(a, b, x):
        a.value, b.value = b.value, a.value
        return a.value + b.value + x

    check(
        f, made(lambda k: Box(value=torch.ones(2) * k)), made(lambda k: Box(value=torch.zeros(2))), floats(2)
    )


def test_new_objects_stored_outside():
    def f(registry, x):
        one = Box(value=x * 2, children=[])
        one.children.append(Box(parent=one))
        registry["one"] = one
        registry["again"] = one
        return one.value + 1

    check(f, {}, floats(2))


def test_closure_stored_outside():
    def f(registry, x):
        scale = x + 1

        def apply(y):
            return y * scale

        registry.append(apply)
        return apply(x)

    check(f, [], floats(2))


def test_effects_inside_inlined_methods():
    class Tracker:
        def __init__(self):
            self.total = 0
            self.names = []

        def note(self, name, amount=1):
            self.total += amount
            self.names.append(name)
            return self

    def f(tracker, x):
        tracker.note("a").note("b", 2)
        return x * tracker.total

    check(f, made(lambda k: Tracker()), floats(2))


def test_augmented_assignment_through_setitem():
    class Table:
        def __init__(self):
            self.data = {}
            self.log = []

        def __getitem__(self, key):
            self.log.append(("get", key))
            return self.data.get(key, 0)

        def __setitem__(self, key, value):
            self.log.append(("set", key))
            self.data[key] = value

        def __delitem__(self, key):
            del self.data[key]

    def f(table, x):
        table["a"] += 1
        table["b"] = x
        del table["b"]
        return x + table["a"]

    check(f, made(lambda k: Table()), floats(2))


def test_attributes_of_a_class_are_set():
    def build():
        class Registry:
            count = 0

        def f(x):
            Registry.last = tuple(x.shape)
            return x + 1

        return Program(
            f,
            watch=lambda: {
                name: value for name, value in vars(Registry).items() if not name.startswith("__")
            },
        )

    check(fresh(build), floats(2))


def test_nothing_leaks_over_many_calls():
    def f(box, items, x):
        box.value = x
        items.append(x + 1)
        items.pop()
        made = [Box(value=x * 2)]
        made[0].children = made
        return made, x + 1

    leaks(f, made(lambda k: Box(value=None)), [], floats(2))


def test_nothing_leaks_where_calls_raise():
    def f(x, y):
        return x @ y

    leaks(f, floats(2, 3), floats(2, 3))


def test_nothing_leaks_in_modules_with_hooks():
    def build():
        net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
        net[0].register_forward_hook(lambda module, args, out: out * 2)
        return net

    leaks(fresh(build), floats(2, 4))


def test_keys_stored_again_keep_their_place():
    def f(x, table):
        table["new"] = x
        table["other"] = 1
        table["new"] = x * 2
        del table["old"]
        table["old"] = 2
        table["new"] = x * 3
        return x + 1

    check(f, floats(2), {"old": 0})
