"""``nn.Module`` programs: containers, hooks of all kinds, buffers, train and eval, counters on attributes."""

import functools

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tests.harness import Program, check, floats, fresh, warm


class Block(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        self.scale = 0.5
        self.options = {"p": 0.0, "activation": "gelu"}

    def forward(self, x):
        h = self.up(self.norm(x))
        h = getattr(F, self.options["activation"])(h)
        return x + self.down(h) * self.scale + self.options["p"]


def test_module_with_children():
    check(fresh(Block), floats(2, 4))


def test_function_that_calls_a_module():
    def build():
        block = Block()

        def f(x):
            return block(x) * 2

        return Program(f, block)

    check(fresh(build), floats(2, 4))


def test_training_gradients():
    check(fresh(Block), floats(2, 4), backward=True)


def test_sequential():
    def build():
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 4), nn.Tanh()))

    check(fresh(build), floats(2, 4))


def test_sequential_is_indexed_and_iterated():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

        def forward(self, x):
            for layer in self.layers[:2]:
                x = layer(x)
            return self.layers[-1](x), len(self.layers)

    check(fresh(Net), floats(2, 4))


def test_module_list():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

        def forward(self, x):
            for index, layer in enumerate(self.layers):
                x = layer(x) + index
            return x + self.layers[0].bias, list(reversed(range(len(self.layers))))

    check(fresh(Net), floats(2, 4))


def test_module_dict():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.paths = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.ReLU()})

        def forward(self, x, path):
            if path in self.paths:
                x = self.paths[path](x)
            return {name: module(x) for name, module in self.paths.items()}

    check(fresh(Net), floats(2, 4), "a")


def test_parameter_list_and_dict():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.ws = nn.ParameterList([nn.Parameter(torch.ones(4) * i) for i in range(3)])
            self.table = nn.ParameterDict({"bias": nn.Parameter(torch.ones(4))})

        def forward(self, x):
            for w in self.ws:
                x = x * w
            return x + self.table["bias"] + self.ws[1]

    check(fresh(Net), floats(2, 4), backward=True)


def test_buffers_are_read_and_updated():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(4))
            self.register_buffer("unused", None)
            self.register_buffer("count", torch.tensor(0), persistent=False)

        def forward(self, x):
            self.mean.mul_(0.9).add_(x.mean(0), alpha=0.1)
            self.count += 1
            return x - self.mean

    check(fresh(Mean), floats(3, 4))


def test_buffer_is_replaced():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(4))

        def forward(self, x):
            self.mean = self.mean * 0.9 + x.mean(0)
            return x - self.mean

    check(fresh(Mean), floats(3, 4))


def test_batch_norm_in_training():
    check(fresh(lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU())), floats(2, 2, 5, 5))


def test_batch_norm_in_evaluation():
    check(fresh(lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).eval()), floats(2, 2, 5, 5))


def test_dropout_draws_the_same_numbers():
    check(fresh(lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))), floats(3, 4))


def test_train_and_eval_are_entries_of_their_own():
    def build():
        return nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))

    session = warm(fresh(build), floats(3, 4))
    session.must_miss(lambda module: module.eval())
    session.must_hit(lambda module: module.train())


def test_forward_with_many_kinds_of_arguments():
    class Net(nn.Module):
        def forward(self, x, *more, scale=1.0, **options):
            for one in more:
                x = x + one
            return {"out": x * scale, "options": sorted(options)}

    check(fresh(Net), floats(2), floats(2), keywords={"scale": 2.0, "flag": True})


def test_forward_hooks():
    def build():
        log = []
        net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        net[0].register_forward_pre_hook(lambda module, args: (args[0] + 1,))
        net[0].register_forward_hook(lambda module, args, out: out * 2)
        net.register_forward_hook(lambda module, args, out: log.append(out.shape[0]))
        return Program(net, (net, log))

    check(fresh(build), floats(2, 4))


def test_hooks_with_keywords_and_always():
    def build():
        log = []

        class Net(nn.Module):
            def forward(self, x, *, scale):
                return x * scale

        net = Net()
        net.register_forward_pre_hook(
            lambda module, args, kwargs: (args, {"scale": kwargs["scale"] + 1}), with_kwargs=True
        )
        net.register_forward_hook(lambda module, args, kwargs, out: out + kwargs["scale"], with_kwargs=True)
        net.register_forward_hook(lambda module, args, out: log.append("always"), always_call=True)
        return Program(net, log)

    check(fresh(build), floats(2), keywords={"scale": 2.0})


def test_hook_as_a_method_and_as_a_partial():
    class Recorder:
        def __init__(self):
            self.seen = {}

        def note(self, name, module, args, out):
            self.seen[name] = out

    def build():
        recorder = Recorder()
        net = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        for name, child in net.named_children():
            child.register_forward_hook(functools.partial(recorder.note, name))
        return Program(net, recorder)

    check(fresh(build), floats(2, 4))


def test_hooks_added_after_compiling_are_called():
    def build():
        return nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    session = warm(fresh(build), floats(2, 4))
    session.must_miss(lambda net: net[0].register_forward_hook(lambda module, args, out: out * 2))
    session.must_miss(lambda net: net.register_forward_pre_hook(lambda module, args: (args[0] - 1,)))
    session.must_hit()


def test_hooks_removed_after_compiling_are_not_called():
    def build():
        net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        handle = net[0].register_forward_hook(lambda module, args, out: out * 2)
        return Program(net, (net, handle))

    session = warm(fresh(build), floats(2, 4))
    session.must_miss(lambda state: state[1].remove())


def test_global_module_hooks():
    session = warm(fresh(lambda: nn.Linear(4, 4)), floats(2, 4))
    handle = nn.modules.module.register_module_forward_hook(lambda module, args, out: out * 2)
    try:
        assert session.call().recompiles
    finally:
        handle.remove()
    session.must_hit()


def test_counter_attribute_in_forward():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.step = 0
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            self.step += 1
            return self.linear(x)

    check(fresh(Net), floats(2, 4), calls=6, graphs=2, recompiles=1)


def test_cached_tensor_attribute():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cache = None

        def forward(self, x):
            if self.cache is None:
                self.cache = torch.arange(x.shape[-1]).float()
            return x + self.cache

    check(fresh(Net), floats(2, 4), graphs=2, recompiles=1)


def test_named_parameters_and_modules():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)

        def forward(self, x):
            total = sum(p.sum() for _, p in self.named_parameters())
            names = [name for name, _ in self.named_modules()]
            count = len(list(self.parameters())) + len(list(self.children())) + len(list(self.buffers()))
            return x + total, names, count, [type(m).__name__ for m in self.modules()]

    check(fresh(Net), floats(2, 4))


def test_shared_parameters():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(6, 4)
            self.head = nn.Linear(4, 6, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, x):
            return self.head(self.embed(x)), self.head.weight is self.embed.weight

    check(fresh(Net), inputs=lambda k: (torch.tensor([0, 1 + k]),), backward=True)


def test_one_module_called_twice():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.same = self.linear

        def forward(self, x):
            return self.same(self.linear(x)) + self.linear(x)

    check(fresh(Net), floats(2, 4))


def test_module_as_an_argument():
    def build():
        linear = nn.Linear(4, 4)

        def f(x, module=linear):
            return module(x) if isinstance(module, nn.Linear) else x

        return Program(f, linear)

    check(fresh(build), floats(2, 4))


def test_missing_attribute_of_a_module():
    class Net(nn.Module):
        def forward(self, x):
            try:
                return x + self.missing
            except AttributeError as error:
                return x + 1, str(error), hasattr(self, "training"), getattr(self, "other", 3)

    check(fresh(Net), floats(2))


def test_module_with_getattr_and_property():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        @property
        def width(self):
            return self.linear.in_features

        def __getattr__(self, name):
            if name == "twice":
                return 2.0
            return super().__getattr__(name)

        def forward(self, x):
            return self.linear(x) * self.width * self.twice

    check(fresh(Net), floats(2, 4))


def test_forward_bound_to_the_instance():
    def build():
        linear = nn.Linear(4, 4)
        original = linear.forward
        linear.forward = lambda x: original(x) * 2
        return linear

    check(fresh(build), floats(2, 4))


def test_inherited_forward_and_super():
    class Base(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            return self.linear(x)

    class Derived(Base):
        def forward(self, x):
            return super().forward(x) * 2

    check(fresh(Derived), floats(2, 4))


def test_common_layers():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(10, 8)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.norm = nn.LayerNorm(8)
            self.conv = nn.Conv1d(8, 8, 3, padding=1)
            self.pool = nn.AdaptiveAvgPool1d(2)
            self.gelu = nn.GELU()

        def forward(self, tokens):
            h = self.embed(tokens)
            h = self.norm(h + self.attention(h, h, h, need_weights=False)[0])
            return self.pool(self.gelu(self.conv(h.transpose(1, 2))))

    check(fresh(lambda: Net().eval()), inputs=lambda k: (torch.arange(6).view(2, 3) + k,))


def test_transformer_encoder_layer():
    check(fresh(lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)), floats(2, 3, 8))


def test_lazy_attributes_of_the_compiled_module():
    def build():
        return nn.Linear(4, 4)

    report = check(fresh(build), floats(2, 4))
    compiled = report.compiled
    assert isinstance(compiled, nn.Linear)
    assert list(compiled.state_dict()) == ["weight", "bias"]
    assert [name for name, _ in compiled.named_parameters()] == ["weight", "bias"]


def test_compiled_module_shares_its_attributes():
    import framelift

    linear = nn.Linear(4, 4)
    compiled = framelift.compile(linear, backend="eager")
    assert compiled is not linear
    assert compiled.weight is linear.weight
    compiled.bias = nn.Parameter(torch.zeros(4))
    assert linear.bias is compiled.bias
    linear.extra = 3
    assert compiled.extra == 3
    compiled.eval()
    assert not linear.training


def test_loss_functions():
    def f(x, y):
        return F.mse_loss(x, y), nn.CrossEntropyLoss()(x, y.softmax(-1)), F.cross_entropy(x, y.argmax(-1))

    check(f, floats(3, 4), floats(3, 4))


def test_weight_tying_by_functional_call():
    def build():
        linear = nn.Linear(4, 4)

        def f(x, weight):
            return torch.func.functional_call(linear, {"weight": weight}, (x,))

        return Program(f, linear)

    check(fresh(build), floats(2, 4), floats(4, 4))


def test_parametrized_module():
    def build():
        class Symmetric(nn.Module):
            def forward(self, w):
                return w.triu() + w.triu(1).transpose(-1, -2)

        linear = nn.Linear(4, 4)
        nn.utils.parametrize.register_parametrization(linear, "weight", Symmetric())
        return linear

    check(fresh(build), floats(2, 4))


def test_recurrent_layer():
    check(fresh(lambda: nn.LSTM(4, 3).eval()), floats(5, 2, 4))
