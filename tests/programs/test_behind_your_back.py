"""Things that change under a compiled function: it recompiles or falls back, and never answers stale."""

import sys
import types

import torch
from torch import nn

from tests.harness import Program, each, floats, fresh, made, warm

SCALE = 2.0
TABLE = {"scale": 2.0, "unused": 1}
LAYERS = [1.0, 2.0]


def helper(x):
    return x * 3


def scaled(x):
    return x * SCALE


def tabled(x):
    return x * TABLE["scale"]


def layered(x):
    for factor in LAYERS:
        x = x * factor
    return x


def through_helper(x):
    return helper(x) + 1


def setting_global(name, value):
    def change(state):
        globals()[name] = value

    return change


def test_global_is_rebound():
    session = warm(scaled, floats(3), globals=("SCALE",))
    session.must_miss(setting_global("SCALE", 3.0))
    session.must_hit(setting_global("SCALE", 2.0))


def test_global_changes_its_type():
    warm(scaled, floats(3), globals=("SCALE",)).must_miss(setting_global("SCALE", torch.ones(3)))


def test_global_is_deleted():
    session = warm(scaled, floats(3), globals=("SCALE",))
    session.must_miss(lambda state: globals().pop("SCALE"))


def test_builtin_is_shadowed_by_a_global():
    def f(x):
        return x * len([1, 2])

    session = warm(f, floats(3))
    try:
        session.must_miss(setting_global("len", lambda items: 5))
    finally:
        globals().pop("len", None)


def test_item_of_a_global_dict():
    session = warm(tabled, floats(3), globals=("TABLE",))
    session.must_miss(lambda state: globals()["TABLE"].update(scale=5.0))
    session.must_hit(lambda state: globals()["TABLE"].update(unused=7))
    session.must_miss(lambda state: globals()["TABLE"].pop("scale"))


def test_global_list_grows():
    session = warm(layered, floats(3), globals=("LAYERS",))
    session.must_miss(lambda state: globals()["LAYERS"].append(4.0))
    session.must_miss(lambda state: globals()["LAYERS"].__setitem__(0, 9.0))


def test_global_function_is_replaced():
    session = warm(through_helper, floats(3), globals=())
    original = helper
    try:
        session.must_miss(setting_global("helper", lambda x: x * 7))
    finally:
        globals()["helper"] = original


def give_other_code(function):
    function.__code__ = (lambda x: x - 1).__code__


def test_code_of_an_inlined_function_is_replaced():
    def build():
        def inner(x):
            return x + 1

        def f(x):
            return inner(x) * 2

        return Program(f, inner)

    warm(fresh(build), floats(3)).must_miss(give_other_code)


def test_code_of_the_compiled_function_is_replaced():
    def build():
        def f(x):
            return x + 1

        return f

    warm(fresh(build), floats(3)).must_miss(give_other_code)


def test_defaults_of_the_compiled_function_change():
    def build():
        def f(x, factor=2.0, *, bias=1.0):
            return x * factor + bias

        return f

    session = warm(fresh(build), floats(3))
    session.must_miss(lambda f: setattr(f, "__defaults__", (3.0,)))
    session.must_miss(lambda f: setattr(f, "__kwdefaults__", {"bias": 5.0}))
    session.must_follow(lambda f: f.__kwdefaults__.update(bias=6.0))


def test_defaults_of_an_inlined_function_change():
    def build():
        def inner(x, factor=2.0):
            return x * factor

        def f(x):
            return inner(x)

        return Program(f, inner)

    session = warm(fresh(build), floats(3))
    session.must_miss(lambda inner: setattr(inner, "__defaults__", (3.0,)))
    session.must_miss(lambda inner: setattr(inner, "__defaults__", None))


def test_closure_cell_changes():
    def build():
        scale = 2.0

        def f(x):
            return x * scale

        def set_scale(value):
            nonlocal scale
            scale = value

        return Program(f, types.SimpleNamespace(set_scale=set_scale))

    session = warm(fresh(build), floats(3))
    session.must_miss(lambda state: state.set_scale(3.0))
    session.must_miss(lambda state: state.set_scale(None))


def test_cell_of_an_inlined_function_changes():
    def build():
        offset = [1.0]

        def inner(x):
            return x + offset[0]

        def f(x):
            return inner(x)

        return Program(f, inner)

    def change(inner):
        inner.__closure__[0].cell_contents = [5.0]

    session = warm(fresh(build), floats(3))
    session.must_miss(change)
    session.must_follow(lambda inner: inner.__closure__[0].cell_contents.__setitem__(0, 7.0))


class Base:
    factor = 2.0

    def apply(self, x):
        return x * self.factor


def classes():
    class Derived(Base): ...

    one = Derived()

    def f(x):
        return one.apply(x)

    return Program(f, one)


def test_class_attribute_is_patched():
    session = warm(fresh(classes), floats(3))
    session.must_miss(lambda one: setattr(type(one), "factor", 3.0))
    session.must_miss(lambda one: setattr(one, "factor", 4.0))
    session.must_hit(lambda one: setattr(one, "unrelated", 4.0))


def test_method_is_patched_on_the_class():
    warm(fresh(classes), floats(3)).must_miss(lambda one: setattr(type(one), "apply", lambda self, x: x - 1))


def test_method_is_patched_on_the_instance():
    warm(fresh(classes), floats(3)).must_miss(lambda one: setattr(one, "apply", lambda x: x - 1))


def test_a_property_takes_the_place_of_an_attribute():
    session = warm(fresh(classes), floats(3))
    session.must_miss(lambda one: setattr(type(one), "factor", property(lambda self: 9.0)))


def test_the_class_of_an_object_changes():
    class Other(Base):
        factor = 11.0

    warm(fresh(classes), floats(3)).must_miss(lambda one: setattr(one, "__class__", Other))


def test_the_bases_of_a_class_change():
    class Other:
        factor = 11.0

        def apply(self, x):
            return x + self.factor

    warm(fresh(classes), floats(3)).must_miss(lambda one: setattr(type(one), "__bases__", (Other,)))


def test_getattr_appears_on_the_class():
    def build():
        class Open: ...

        one = Open()

        def f(x):
            return x + getattr(one, "extra", 0)

        return Program(f, one)

    session = warm(fresh(build), floats(3))
    session.must_miss(lambda one: setattr(type(one), "__getattr__", lambda self, name: 5))


def test_attribute_of_an_object_appears_and_goes():
    def build():
        one = types.SimpleNamespace(a=1.0)

        def f(x):
            return x + one.a if hasattr(one, "b") else x - one.a

        return Program(f, one)

    session = warm(fresh(build), floats(3))
    session.must_miss(lambda one: setattr(one, "b", 1))
    session.must_hit(lambda one: delattr(one, "b"))
    session.must_miss(lambda one: delattr(one, "a"))


def test_dict_order_and_keys():
    def build():
        table = {"a": 2.0, "b": 3.0}

        def f(x):
            for name, value in table.items():
                x = x * value + len(name)
            return x, list(table)

        return Program(f, table)

    def reorder(table):
        table["a"] = table.pop("a")

    session = warm(fresh(build), floats(3))
    session.must_miss(reorder)
    session.must_miss(lambda table: table.update(c=1.0))


def test_set_and_deque_contents():
    def build():
        import collections

        names, queue = {"a"}, collections.deque([1.0, 2.0])

        def f(x):
            return x * queue[0] if "a" in names else x + queue[-1]

        return Program(f, (names, queue))

    session = warm(fresh(build), floats(3))
    session.must_miss(lambda state: state[1].rotate(1))
    session.must_miss(lambda state: state[0].discard("a"))


def linear():
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU())


def test_parameter_values_change_in_place():
    def change(net):
        with torch.no_grad():
            net[0].weight.mul_(2)

    session = warm(fresh(linear), floats(2, 3))
    session.must_hit(change)
    session.must_follow(change)


def test_parameter_data_is_swapped():
    def change(net):
        net[0].weight.data = torch.eye(3) * 3

    session = warm(fresh(linear), floats(2, 3))
    session.must_follow(change)


def test_parameter_data_of_another_type():
    def change(net):
        net[0].weight.data = net[0].weight.data.double()
        net[0].bias.data = net[0].bias.data.double()

    def build():
        net = linear()

        def f(x):
            return net(x.to(net[0].weight.dtype))

        return Program(f, net)

    warm(fresh(build), floats(2, 3)).must_miss(change)


def test_parameter_is_replaced():
    session = warm(fresh(linear), floats(2, 3))
    session.must_follow(lambda net: setattr(net[0], "weight", nn.Parameter(torch.eye(3) * 3)))


def test_parameter_is_removed():
    warm(fresh(linear), floats(2, 3)).must_miss(lambda net: setattr(net[0], "bias", None))


def test_parameter_of_another_shape():
    def change(net):
        net[0] = nn.Linear(3, 5, dtype=torch.float32)

    warm(fresh(linear), floats(2, 3)).must_miss(change)


def test_requires_grad_is_switched_off():
    warm(fresh(linear), floats(2, 3)).must_miss(lambda net: net.requires_grad_(False), visible=False)


def test_module_is_replaced_and_inserted():
    session = warm(fresh(linear), floats(2, 3))
    session.must_miss(lambda net: net.__setitem__(1, nn.Tanh()))
    session.must_miss(lambda net: net.append(nn.Sigmoid()))


def test_module_attribute_is_deleted():
    def build():
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.extra = nn.Linear(3, 3)

            def forward(self, x):
                return self.extra(x) if hasattr(self, "extra") else x

        return Net()

    warm(fresh(build), floats(2, 3)).must_miss(lambda net: delattr(net, "extra"))


def test_buffer_is_swapped_and_deleted():
    def build():
        net = nn.Module()
        net.register_buffer("scale", torch.ones(3))

        def f(x):
            return x * net.scale if "scale" in net._buffers else x

        return Program(f, net)

    session = warm(fresh(build), floats(2, 3))
    session.must_follow(lambda net: setattr(net, "scale", torch.full((3,), 4.0)))
    session.must_miss(lambda net: delattr(net, "scale"))


def test_training_flag():
    warm(fresh(lambda: nn.Dropout(0.5)), floats(4)).must_miss(lambda net: net.eval())


def test_hooks_are_added():
    session = warm(fresh(linear), floats(2, 3))
    session.must_miss(lambda net: net[1].register_forward_hook(lambda module, args, out: out + 1))
    session.must_miss(lambda net: net.register_forward_pre_hook(lambda module, args: args[0] * 2))


def test_forward_is_replaced():
    session = warm(fresh(linear), floats(2, 3))
    session.must_miss(lambda net: setattr(net[1], "forward", lambda x: x * 100))


def test_attribute_of_an_imported_module():
    module = types.ModuleType("framelift_patched")
    module.factor = 2.0
    sys.modules[module.__name__] = module

    def f(x):
        return x * module.factor

    try:
        session = warm(f, floats(3))
        session.must_miss(lambda state: setattr(module, "factor", 3.0))
        session.must_hit(lambda state: setattr(module, "other", 3.0))
    finally:
        del sys.modules[module.__name__]


def test_torch_function_is_patched(monkeypatch):
    def f(x):
        return torch.nn.functional.relu(x)

    session = warm(f, floats(3))
    with monkeypatch.context() as patch:
        session.must_miss(lambda state: patch.setattr(torch.nn.functional, "relu", lambda x: x * 9))
    session.must_hit()


def test_type_of_an_argument():
    def f(x, value):
        return x * value

    session = warm(f, floats(3), each(2, 2, 2, 2.0, True))
    session.must_hit()
    assert session.call().recompiles
    assert session.call().recompiles


def test_the_compiled_module_s_class_is_patched():
    def build():
        class Net(nn.Module):
            def forward(self, x):
                return x + 1

        return Net()

    def change(net):
        cls = type(net)
        cls.forward = lambda self, x: x - 1

    warm(fresh(build), floats(3)).must_miss(change)


def test_attribute_of_a_tensor_argument():
    def f(x):
        return x * getattr(x, "factor", 1.0)

    def make(k):
        x = torch.ones(2)
        if k >= 2:
            x.factor = 3.0
        return x

    session = warm(f, made(make))
    assert session.call().recompiles


def test_partial_and_method_objects_change():
    import functools

    def build():
        def scale(factor, x):
            return x * factor

        holder = types.SimpleNamespace(function=functools.partial(scale, 2.0))

        def f(x):
            return holder.function(x)

        return Program(f, holder)

    def change(holder):
        function = holder.function
        holder.function = functools.partial(function.func, 5.0)

    warm(fresh(build), floats(3)).must_miss(change)
