"""What is alike is one case: modules of one structure share what was compiled, whatever they are called."""

import torch
from torch import nn

import framelift
from tests.harness import Program, check, each, floats, fresh, made


class Tagged(nn.Module):
    """The tag is passed on, and nothing depends on it."""

    def __init__(self, tag):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.tag = tag
        self.last = None

    def forward(self, x):
        tag = self.tag
        if tag is not None and isinstance(tag, str):
            self.last = tag
        return self.linear(x)


def build_instance(k):
    torch.manual_seed(k)
    return Tagged(f"tag {k}")


def test_an_instance_met_as_an_argument():
    def f(module, x):
        return module(x), module.last

    check(f, made(build_instance), floats(2, 4), calls=6)


def test_a_string_that_is_read_is_a_fact():
    def f(x, mode):
        kind = type(mode)
        return x + 1 if mode == "up" and kind is str else x - 1

    check(f, floats(3), each("up", "down", "sideways"), graphs=3, recompiles=2)


def test_a_string_or_none():
    def f(x, mode):
        return x + 1 if mode is None else x - 1

    check(f, floats(3), each("up", None, "down", "sideways"), calls=4, graphs=2, recompiles=1)


def test_a_string_becomes_a_number():
    def f(x, mode):
        return (x + 1, mode) if isinstance(mode, str) else (x - 1, mode)

    check(f, floats(3), each("up", 2, "down", 3.0), calls=4, graphs=3, recompiles=2)


def build_adapters(different=None):
    torch.manual_seed(0)
    adapters = nn.ModuleDict({f"a{k}": nn.Linear(4, 4) for k in range(6)})
    if different is not None:
        adapters[different] = nn.Linear(4, 4, bias=False)

    def f(x, name):
        return adapters[name](x)

    return Program(f, adapters)


def test_adapters_by_name():
    check(fresh(build_adapters), floats(2, 4), each(*[f"a{k}" for k in range(6)]), calls=6)


def test_one_adapter_is_not_like_the_others():
    names = each(*[f"a{k}" for k in range(4)])
    check(fresh(lambda: build_adapters("a2")), floats(2, 4), names, calls=4, graphs=2, recompiles=1)


def test_a_name_that_is_not_there():
    def build():
        adapters = nn.ModuleDict({"a": nn.Linear(4, 4)})

        def f(x, name):
            try:
                return adapters[name](x)
            except KeyError as error:
                return x, error.args

        return Program(f, adapters)

    check(fresh(build), floats(2, 4), each("a", "b", "a", "c"), calls=4, graphs=None, recompiles=2)


def test_two_names_for_two_modules_and_for_one():
    """What is written through one name is read through the other, when both lead to one module."""

    def build():
        torch.manual_seed(0)
        adapters = nn.ModuleDict({name: nn.Linear(4, 4) for name in "abc"})

        def f(x, name):
            adapters[name].scale = x.shape[0]
            return adapters[name](x) * getattr(adapters["a"], "scale", 0)

        return Program(f, adapters)

    check(fresh(build), floats(2, 4), each("b", "c", "a", "b", "a"), calls=5, graphs=3, recompiles=2)


def test_layers_with_breaks_share_what_was_compiled():
    class Layer(nn.Module):
        def __init__(self, k):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.name = f"layer {k}"

        def forward(self, x):
            x = torch.relu(self.linear(x))
            framelift.graph_break()
            return x + 1

    torch.manual_seed(0)
    layers = nn.ModuleList(Layer(k) for k in range(24))

    def f(x):
        for layer in layers:
            x = layer(x)
        return x

    compiled = framelift.compile(f, backend="eager")
    x = torch.randn(2, 4)
    with torch.no_grad():
        expected = f(x)
        framelift.counters.clear()
        assert torch.equal(compiled(x), expected)
        compiled_once = framelift.counters["frames"]["total"]
        assert torch.equal(compiled(x), expected)
    assert framelift.counters["frames"]["total"] == compiled_once < 24
    assert not framelift.counters["recompiles"]


class Adapted(nn.Module):
    """A base with one of twelve adapters."""

    def __init__(self):
        super().__init__()
        self.base = nn.Linear(4, 4)
        self.adapters = nn.ModuleDict({f"a{k}": nn.Linear(4, 4) for k in range(12)})
        self.active = "a0"
        self.adapter = self.adapters["a0"]
        self.steps = 0


def differs_in(change, forward, rounds, graphs):
    """``forward``, called after each ``change`` in every round, equals eager with so many graphs."""
    torch.manual_seed(0)
    module, x = Adapted(), torch.randn(2, 4)
    compiled = framelift.compile(forward, backend="eager")
    framelift.counters.clear()
    for k in rounds:
        change(module, k)
        steps = module.steps
        expected = forward(module, x)
        module.steps = steps
        assert torch.equal(compiled(module, x), expected)
    assert sum(framelift.counters["graphs"].values()) == graphs
    assert not framelift.counters["fallbacks"]
    assert not framelift.counters["limits"]


def test_adapters_named_by_an_attribute():
    def choose(module, k):
        module.active = f"a{k}"

    differs_in(choose, lambda m, x: m.base(x) + m.adapters[m.active](x), [*range(12), *range(12)], graphs=1)


def test_adapters_exchanged_by_assignment():
    def exchange(module, k):
        module.adapter = module.adapters[f"a{k}"]

    differs_in(exchange, lambda m, x: m.base(x) + m.adapter(x), [*range(12), *range(12)], graphs=1)


def test_a_counter_of_steps():
    def step(module, x):
        module.steps += 1
        return module.base(x) * module.steps

    differs_in(lambda module, k: setattr(module, "steps", k), step, range(100), graphs=2)
