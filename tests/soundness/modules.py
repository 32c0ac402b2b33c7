"""Facts of ``nn.Module``: its tables, hooks of every sort, and what its class says."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as global_hooks
from torch.nn.utils import parametrize

from tests.harness import Program
from tests.soundness.facts import fact, setting


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Sequential(nn.Tanh(), nn.Linear(3, 3))
        self.register_buffer("shift", torch.ones(3))
        self.factor = 2
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.second(self.first(x)) * self.factor + self.shift


def of_its_class(name, *values):
    """Changes of an attribute of the class, which no other program's module has."""
    return tuple(lambda net, value=value: setattr(type(net), name, value) for value in values)


def net():
    torch.manual_seed(0)
    return Net().eval()


def scaled(value):
    """A hook that takes the place of the result."""
    return lambda module, inputs, output: output * value


@fact(*setting("factor", 3, 4.5, True, torch.full((3,), 7.0)))
def attribute():
    return net()


def becomes_the_identity(net):
    net.first.weight = nn.Parameter(torch.eye(3))


@fact(lambda net: net.first.weight.data.mul_(2), becomes_the_identity)
def parameter():
    return net()


@fact(lambda net: setattr(net.first, "bias", None))
def parameter_becomes_none():
    return net()


@fact(lambda net: setattr(net.second[1], "weight", net.first.weight))
def parameters_are_tied():
    return net()


@fact(lambda net: net.first._parameters.update(bias=nn.Parameter(torch.zeros(3))))
def table_of_parameters():
    return net()


@fact(lambda net: net.first.__dict__.update(bias=torch.zeros(3)))
def attribute_hides_a_parameter():
    return net()


@fact(lambda net: net.__dict__.update(first=nn.Identity()))
def attribute_hides_a_module():
    return net()


@fact(*setting("shift", torch.zeros(3), torch.zeros(3, dtype=torch.float64), torch.ones(1)))
def buffer():
    return net()


@fact(
    lambda net: net._buffers.update(shift=torch.zeros(3)),
    lambda net: net._buffers.update(shift=torch.ones(2, 3)),
)
def table_of_buffers():
    return net()


@fact(lambda net: net.double())
def all_of_another_type():
    return Program(lambda x, net=(made := net()): net(x.to(net.first.weight.dtype)), made)


@fact(lambda net: setattr(net, "second", nn.Sequential(nn.Linear(3, 3))))
def module_is_replaced():
    return net()


@fact(lambda net: net._modules.update(second=nn.Identity()))
def table_of_modules():
    return net()


@fact(
    lambda net: net.second.append(nn.Sigmoid()),
    lambda net: net.second.__delitem__(0),
    lambda net: net.second.insert(0, nn.Sigmoid()),
)
def length_of_a_sequence():
    return net()


def swapped(net):
    net.second._modules["0"], net.second._modules["1"] = net.second[1], net.second[0]


@fact(swapped, lambda net: net.second._modules.pop("0"))
def order_of_a_sequence():
    return net()


def moved(net):
    table = net.second._modules
    table["0"] = table.pop("0")


@fact(moved)
def order_of_the_table_of_modules():
    return net()


@fact(lambda net: net.train(), lambda net: net.eval())
def training_of_dropout():
    def build():
        return nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).eval()

    torch.manual_seed(0)
    return build()


@fact(lambda net: setattr(net[1], "p", 0.1), lambda net: setattr(net[1], "p", 1.0))
def probability_of_dropout():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))


@fact(*setting("eps", 0.5, 2.0))
def number_of_a_library_module():
    torch.manual_seed(0)
    return nn.LayerNorm(3)


@fact(*setting("momentum", 0.9, None))
def momentum_of_batch_norm():
    norm = nn.BatchNorm1d(3)
    return Program(lambda x: (norm(x.expand(4, 3) * torch.ones(4, 1)), norm.running_mean.clone() + 1), norm)


class Shorter(Net):
    def forward(self, x):
        return self.first(x)


@fact(*setting("__class__", Shorter))
def class_of_a_module():
    return net()


@fact(lambda net: setattr(net.second, "forward", lambda x: x * 9), lambda net: delattr(net.second, "forward"))
def forward_of_an_instance():
    return net()


@fact(*of_its_class("forward", lambda self, x: x * 9, lambda self, x: x - 4))
def forward_of_a_class_twice():
    class Own(Net): ...

    torch.manual_seed(0)
    return Own().eval()


@fact(lambda net: net.first.register_forward_hook(scaled(9)), lambda net: net.first._forward_hooks.clear())
def forward_hook():
    return net()


@fact(lambda net: net.register_forward_hook(scaled(9)), lambda net: net._forward_hooks.clear())
def forward_hook_of_the_whole():
    return net()


@fact(lambda net: net.first.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 9,)))
def forward_hook_before():
    return net()


def nine_times(module, inputs, named):
    return (inputs[0] * 9,), named


@fact(lambda net: net.first.register_forward_pre_hook(nine_times, with_kwargs=True))
def forward_hook_before_with_keywords():
    return net()


def exchanged(net):
    (key,) = net.first._forward_hooks
    net.first._forward_hooks[key] = scaled(7)


@fact(exchanged)
def a_hook_is_exchanged_under_its_key():
    made = net()
    made.first.register_forward_hook(scaled(3))
    return made


@fact(lambda net: setattr(next(iter(net.first._forward_hooks.values())), "__defaults__", (7,)))
def default_of_a_hook():
    def hook(module, inputs, output, factor=3):
        return output * factor

    made = net()
    made.first.register_forward_hook(hook)
    return made


@fact(lambda net: net.first._forward_hooks.move_to_end(next(iter(net.first._forward_hooks))))
def order_of_hooks():
    made = net()
    made.first.register_forward_hook(lambda module, inputs, output: output * 3)
    made.first.register_forward_hook(lambda module, inputs, output: output + 1)
    return made


HANDLES = []
"""Of all global hooks that were registered here."""


def globally(register, hook):
    """The hook acts on modules of the marked class alone, so the worlds do not disturb each other."""

    def change(net):
        handle = register(lambda module, *rest: hook(module, *rest) if module is net.first else None)
        net.handles.append(handle)
        HANDLES.append(handle)

    return change


def ended(net):
    for handle in net.handles:
        handle.remove()


def with_handles():
    made = net()
    made.__dict__["handles"] = []
    return made


@fact(globally(global_hooks.register_module_forward_hook, scaled(9)), ended)
def global_forward_hook():
    return with_handles()


@fact(globally(global_hooks.register_module_forward_pre_hook, lambda module, inputs: (inputs[0] * 9,)), ended)
def global_forward_hook_before():
    return with_handles()


class Doubled(nn.Module):
    def forward(self, x):
        return x * 2


@fact(lambda net: parametrize.register_parametrization(net.first, "weight", Doubled()))
def parametrization():
    made = net()
    made.first = nn.Linear(3, 3)
    return made


def normed(net):
    nn.utils.parametrizations.weight_norm(net.first)
    net.first.parametrizations.weight.original0 = nn.Parameter(torch.full((3, 1), 9.0))


@fact(normed)
def weight_norm():
    return net()


@fact(*of_its_class("factor", property(lambda self: 9), property(lambda self: 7)))
def property_of_a_module_s_class():
    class Own(Net): ...

    torch.manual_seed(0)
    return Own().eval()


def with_a_bonus(self, name):
    return 9 if name == "bonus" else nn.Module.__getattr__(self, name)


@fact(*of_its_class("__getattr__", with_a_bonus))
def getattr_of_a_module_s_class():
    class Own(Net):
        def forward(self, x):
            return self.first(x) * getattr(self, "bonus", 2)

    torch.manual_seed(0)
    return Own().eval()


@fact(lambda net: net.table.update({"a": nn.Tanh()}), lambda net: net.table.pop("b"))
def dictionary_of_modules():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Sigmoid()})

        def forward(self, x):
            for act in self.table.values():
                x = act(x) + 1
            return x

    return Own()


@fact(lambda net: net.weights.append(nn.Parameter(torch.full((3,), 5.0))))
def list_of_parameters():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = nn.ParameterList([torch.ones(3)])

        def forward(self, x):
            for weight in self.weights:
                x = x + weight
            return x

    return Own()


@fact(lambda net: setattr(net, "act", F.silu), lambda net: setattr(net, "act", torch.tanh))
def function_of_a_module():
    class Own(nn.Module):
        act = None

        def forward(self, x):
            return self.act(x)

    own = Own()
    own.act = F.relu
    return own


@fact(lambda net: net.requires_grad_(False), lambda net: net.first.requires_grad_())
def gradients_of_parameters():
    made = net()
    return Program(lambda x: (made(x), made(x).requires_grad), made)
