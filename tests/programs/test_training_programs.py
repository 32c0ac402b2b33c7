"""Training as programs write it: scalers, schedulers, parametrizations, parameters that change, modes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import framelift
from tests.harness import check, floats, fresh, integers
from tests.harness.program import Program
from tests.programs.test_training_steps import everything, net, plain_step
from tests.programs.test_training_steps import training as whole_step

DATA = (floats(5, 4), integers(5, high=3))


def right(program, *inputs, graphs=None, breaks=None, recompiles=None, **options):
    """Equal to eager, whatever is captured unless the counts say so."""
    counts = {"graphs": graphs, "breaks": breaks, "recompiles": recompiles, "runs": None}
    check(program, *inputs, references=False, **counts, **{"calls": 4, **options})


def training(step, make_optimizer=lambda p: torch.optim.SGD(p, lr=0.1), make_module=net):
    """``step(module, optimizer, number of the call, *inputs)``."""

    def build():
        module = make_module()
        optimizer = make_optimizer(module.parameters())
        calls = []

        def run(*inputs):
            calls.append(len(calls))
            return step(module, optimizer, calls[-1], *inputs)

        return Program(run, watch=everything(module, optimizer))

    return fresh(build)


# -- precision ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enabled", [True, False])
def test_a_gradient_scaler(enabled):
    def build():
        module = net()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2, enabled=enabled)

        def step(x, target):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(module(x), target)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            return loss

        return Program(step, watch=lambda: (everything(module, optimizer)(), scaler.state_dict()))

    right(fresh(build), *DATA)


def test_a_gradient_scaler_meets_infinity():
    def build():
        module = net()
        optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=2)

        def step(x, target):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(x), target)
            scaler.scale(loss).backward()
            if scaler.get_scale() > 64:
                next(module.parameters()).grad[0, 0] = float("inf")
            scaler.step(optimizer)
            scaler.update()
            return loss

        return Program(step, watch=lambda: (everything(module, optimizer)(), scaler.state_dict()))

    right(fresh(build), *DATA, calls=6)


def test_autocast_inside_and_off_again():
    def f(x, w):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            a = x @ w
            with torch.autocast("cpu", enabled=False):
                b = a.float() @ w
            c = b @ w
        return a, b, c, (a @ w.bfloat16())

    inputs = (floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True))
    check(f, *inputs, backward=True)


def test_autocast_that_changes_between_the_calls():
    def build():
        module = net()
        calls = []

        def step(x, target):
            calls.append(1)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=len(calls) % 2 == 0):
                return nn.functional.cross_entropy(module(x), target)

        return Program(step, watch=everything(module))

    right(fresh(build), *DATA, backward=True)


# -- parametrizations ---------------------------------------------------------------------------------------


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(-1, -2)


def parametrized():
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    nn.utils.parametrize.register_parametrization(module[0], "weight", Symmetric())
    return module


def weight_norm():
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 3))


def old_weight_norm():
    return nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 3))


def spectral_norm():
    return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 3))


def old_spectral_norm():
    return nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 3))


MODULES = [parametrized, weight_norm, old_weight_norm, spectral_norm, old_spectral_norm]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", MODULES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("trains", [False, True], ids=["inference", "training"])
def test_parametrizations(make, trains):
    def step(module, optimizer, number, x, target):
        module.train(trains and number != 2)
        return plain_step(module, optimizer, x, target)

    right(training(step, make_module=make), *DATA)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", MODULES, ids=lambda make: make.__name__)
def test_parametrized_modules_with_inductor(make):
    right(fresh(make), floats(5, 4), backward=True, backend="inductor", tolerance=1e-4)


def test_a_parametrization_that_comes_and_goes():
    def step(module, optimizer, number, x, target):
        if number == 1:
            nn.utils.parametrize.register_parametrization(module[0], "weight", nn.Softplus())
        if number == 3:
            nn.utils.parametrize.remove_parametrizations(module[0], "weight")
        return nn.functional.cross_entropy(module(x), target)

    right(training(step), *DATA, backward=True, calls=5)


def test_weights_are_cached():
    def step(module, optimizer, number, x, target):
        with nn.utils.parametrize.cached():
            return nn.functional.cross_entropy(module(x) + module(x * 2), target)

    right(training(step, make_module=parametrized), *DATA, backward=True)


# -- what happens to parameters and gradients between the calls and inside ----------------------------------


def between(change, module=net):
    """A loss whose module is changed, in CPython, between the calls."""

    def build():
        made = module()
        calls = []

        @framelift.disable
        def change_it():
            calls.append(len(calls))
            change(made, calls[-1])

        def step(x, target):
            change_it()
            loss = nn.functional.cross_entropy(made(x), target)
            loss.backward()
            return loss, [parameter.grad for parameter in made.parameters()]

        return Program(step, watch=everything(made))

    return fresh(build)


def data_is_replaced(module, number):
    module[0].weight.data = module[0].weight.data * 0.5 + number


def data_is_filled(module, number):
    module[0].weight.data.fill_(0.1 * number)


def data_is_transposed(module, number):
    weight = module[0].weight
    weight.data = weight.data.t().contiguous().t() if number % 2 else weight.data.contiguous()


def gradients_are_dropped(module, number):
    for parameter in module.parameters():
        if number % 2:
            parameter.grad = None


def gradients_are_replaced(module, number):
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, number)


def gradients_are_zeroed(module, number):
    for parameter in module.parameters():
        if parameter.grad is not None:
            parameter.grad.zero_()


def gradients_are_shared(module, number):
    if number:
        module[3].bias.grad = module[3].bias.grad.clone()
        module[0].bias.grad = module[2].weight.grad


def parameters_are_replaced(module, number):
    module[0].weight = nn.Parameter(torch.full_like(module[0].weight, 0.1 * number))


def parameters_are_swapped(module, number):
    module[2].weight, module[2].bias = module[2].bias, module[2].weight


def parameters_become_shared(module, number):
    if number == 2:
        module[2].weight = module[2].bias


def layers_are_frozen(module, number):
    module[0].requires_grad_(number % 2 == 0)


def modules_are_replaced(module, number):
    if number == 2:
        module[1] = nn.Tanh()


CHANGES = [
    data_is_replaced,
    data_is_filled,
    data_is_transposed,
    gradients_are_dropped,
    gradients_are_replaced,
    gradients_are_zeroed,
    gradients_are_shared,
    parameters_are_replaced,
    parameters_are_swapped,
    parameters_become_shared,
    layers_are_frozen,
    modules_are_replaced,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_changes_between_the_calls(change, backend):
    options = {"backend": "inductor", "tolerance": 1e-5} if backend == "inductor" else {}
    right(between(change), *DATA, calls=5, frames=("change_it", change.__name__), **options)


def test_data_is_replaced_inside():
    def step(module, optimizer, number, x, target):
        loss = plain_step(module, optimizer, x, target)
        module[0].weight.data = module[0].weight.data * 0.9
        module[3].bias.data.clamp_(-0.1, 0.1)
        with torch.no_grad():
            module[2].weight.copy_(module[2].weight * 0.5)
        return loss, module[0].weight.data.sum()

    right(training(step), *DATA)


def test_gradients_are_handled_inside():
    def step(module, optimizer, x, target):
        loss = nn.functional.cross_entropy(module(x), target)
        for parameter in module.parameters():
            parameter.grad = None
        loss.backward()
        first = [parameter.grad for parameter in module.parameters()]
        module[0].weight.grad = module[0].weight.grad * 2
        module[0].bias.grad.zero_()
        module[2].weight.grad = None
        optimizer.step()
        return first, module[2].weight.grad

    check(whole_step(lambda p: torch.optim.SGD(p, lr=0.1), step), *DATA, calls=4)


def test_two_modules_that_share_a_layer():
    def build():
        shared = nn.Linear(4, 4)
        one, other = nn.Sequential(shared, nn.ReLU()), nn.Sequential(nn.Linear(4, 4), shared)
        optimizer = torch.optim.SGD([*one.parameters(), *other[0].parameters()], lr=0.1, momentum=0.9)

        def step(x):
            optimizer.zero_grad()
            loss = other(one(x)).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        return Program(step, watch=lambda: [everything(module)() for module in (one, other)])

    right(fresh(build), floats(5, 4), graphs=2, breaks=0, recompiles=1)


# -- modes --------------------------------------------------------------------------------------------------


class Statistics(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.first = nn.BatchNorm1d(4, **options)
        self.second = nn.Linear(4, 4)
        self.third = nn.InstanceNorm1d(4, track_running_stats=True, affine=True)

    def forward(self, x):
        return self.third(self.second(self.first(x)).unsqueeze(-1) * x.unsqueeze(1)).exp()


@pytest.mark.parametrize(
    "options", [{}, {"momentum": None}, {"track_running_stats": False}, {"affine": False}]
)
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_running_statistics_when_training_and_not(options, backend):
    def build():
        module = Statistics(**options)
        calls = []

        def step(x):
            module.train(len(calls) % 3 != 2)
            calls.append(1)
            return module(x)

        return Program(step, watch=everything(module))

    settings = {"backend": "inductor", "tolerance": 1e-4} if backend == "inductor" else {}
    right(fresh(build), floats(5, 4), backward=True, calls=6, **settings)


MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "enable_grad": torch.enable_grad,
    "off": lambda: torch.set_grad_enabled(False),
}


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_modes_inside(name, backend):
    def f(x, w):
        before = x @ w
        with MODES[name]():
            inside = (x @ w).sin()
            both = inside.requires_grad, torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        return before, inside.clone(), both, (x @ w).cos() + before

    inputs = (floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True))
    settings = {"backend": "inductor", "tolerance": 1e-5} if backend == "inductor" else {}
    right(f, *inputs, backward=True, **settings)


@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_modes_in_a_loop(backend):
    def f(x, w):
        results = []
        for i in range(4):
            with torch.set_grad_enabled(i % 2 == 0):
                x = (x @ w).tanh()
                results.append((x, x.requires_grad))
        return results

    inputs = (floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True))
    settings = {"backend": "inductor", "tolerance": 1e-5} if backend == "inductor" else {}
    right(f, *inputs, backward=True, **settings)


@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_modes_that_change_between_the_calls(backend):
    module = net()
    compiled = framelift.compile(module, backend=backend)
    x = torch.ones(5, 4)
    for _ in range(2):
        for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode, torch.enable_grad):
            with mode():
                found, expected = compiled(x), module(x)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
            assert (found.requires_grad, found.is_inference()) == (
                expected.requires_grad,
                expected.is_inference(),
            )


def test_an_evaluation_between_the_steps():
    def step(module, optimizer, number, x, target):
        module.train()
        loss = plain_step(module, optimizer, x, target)
        module.eval()
        with torch.no_grad():
            accuracy = (module(x).argmax(1) == target).float().mean()
        with torch.inference_mode():
            other = module(x).sum()
        return loss, accuracy, other + 0

    def make():
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))

    right(training(step, make_module=make), *DATA)


# -- optimizers ---------------------------------------------------------------------------------------------

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    "options", [{"foreach": True}, {"foreach": False}, {"foreach": None}, {"fused": True}], ids=str
)
@pytest.mark.parametrize("backend", ["eager", None])
def test_only_the_step_is_compiled(name, options, backend):
    """By default a graph on which Inductor fails, as on fused steps, runs node by node."""

    def build():
        module = net()
        optimizer = OPTIMIZERS[name](module.parameters(), lr=0.1, weight_decay=0.01, **options)

        def step(x, target):
            optimizer.step()
            return x + 1

        def prepare():
            for number, parameter in enumerate(module.parameters()):
                parameter.grad = torch.full_like(parameter, 0.1 * number)
            return step

        return Program(prepare(), watch=everything(module, optimizer))

    settings = {"backend": None, "tolerance": 1e-4} if backend is None else {}
    right(fresh(build), *DATA, **settings)


SCHEDULERS = {
    "step": lambda o: torch.optim.lr_scheduler.StepLR(o, 1, gamma=0.5),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 5),
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=10),
    "lambda": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda epoch: 1 / (epoch + 1)),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_schedulers_between_the_steps(name, scheduler):
    """The rate is a number that changes: it is a symbol from the second value on."""
    torch.manual_seed(0)
    batches = [(torch.randn(5, 4), torch.randint(3, (5,))) for _ in range(8)]

    before = framelift.counters["frames"]["ok"]

    def results(compiles):
        torch.manual_seed(0)
        module = net()
        optimizer = OPTIMIZERS[name](module.parameters(), lr=0.1)
        schedule = SCHEDULERS[scheduler](optimizer)
        step = framelift.compile(plain_step, backend="eager", fullgraph=True) if compiles else plain_step
        for batch in batches:
            step(module, optimizer, *batch)
            schedule.step()
        return list(module.parameters())

    for found, expected in zip(results(True), results(False), strict=True):
        assert torch.equal(found, expected)
    assert framelift.counters["frames"]["ok"] - before <= 3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_rate_is_a_tensor(name):
    def step(module, optimizer, number, x, target):
        optimizer.param_groups[0]["lr"].fill_(0.1 / (number + 1))
        return plain_step(module, optimizer, x, target)

    def make(parameters):
        return OPTIMIZERS[name](parameters, lr=torch.tensor(0.1), foreach=False)

    right(training(step, make), *DATA)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_of_an_optimizer_is_loaded(name):
    def build():
        module = net()
        make = OPTIMIZERS[name]
        optimizer = make(module.parameters(), lr=0.1)
        calls, saved = [], []

        @framelift.disable
        def load():
            if len(calls) == 1:
                saved.append(copy.deepcopy(optimizer.state_dict()))
            if len(calls) == 3:
                optimizer.load_state_dict(saved[0])
            if len(calls) == 4:
                optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))], "lr": 0.5})
            calls.append(1)

        def step(x, target):
            load()
            return plain_step(module, optimizer, x, target)

        return Program(step, watch=everything(module, optimizer))

    right(fresh(build), *DATA, calls=6, frames=("load",))


def test_hooks_of_optimizers():
    def build():
        module = net()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        seen = []
        optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
        optimizer.register_step_post_hook(lambda *_: seen.append("behind"))
        return Program(
            lambda x, target: plain_step(module, optimizer, x, target),
            watch=lambda: (everything(module, optimizer)(), seen),
        )

    right(fresh(build), *DATA)


# -- higher derivatives -------------------------------------------------------------------------------------


def test_double_backward():
    def f(x, w):
        y = (x @ w).sin().sum()
        (first,) = torch.autograd.grad(y, x, create_graph=True)
        first.square().sum().backward()
        return first, x.grad, w.grad

    inputs = (floats(3, 3, requires_grad=True), floats(3, 3, requires_grad=True))
    right(f, *inputs, graphs=1, breaks=0, recompiles=0)


def test_double_backward_behind_the_call():
    def gradients(function):
        x = torch.arange(4.0, requires_grad=True)
        (first,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.exp().sum(), x, create_graph=True)
        return first, second, torch.autograd.grad(second.sum(), x)

    def f(x):
        return (x.sin() * x).exp()

    found = gradients(framelift.compile(f, backend="eager", fullgraph=True))
    torch.testing.assert_close(found, gradients(f), rtol=0, atol=0)


def test_a_hessian_by_hand():
    def f(x):
        (gradient,) = torch.autograd.grad((x.pow(3) * x.sum()).sum(), x, create_graph=True)
        rows = [torch.autograd.grad(item, x, retain_graph=True)[0] for item in gradient]
        return torch.stack(rows)

    right(f, floats(3, requires_grad=True), graphs=1, breaks=0, recompiles=0)
