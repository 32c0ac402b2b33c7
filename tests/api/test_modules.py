"""``compile(module)``: a twin that is the module in everything but its call."""

import abc
import copy
import gc
import io
import pickle
import weakref

import pytest
import torch
from torch import nn

import framelift
from framelift._native import CompiledCallable
from framelift.module import CompiledModule

X = torch.linspace(-1, 1, 6).reshape(2, 3)


class Model(nn.Module):
    """A small model."""

    scale = 2

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.register_buffer("shift", torch.ones(3))
        self.calls = 0

    def forward(self, x, *, extra=0):
        return torch.relu(self.linear(x)) * self.scale + self.shift + extra


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model()


@pytest.fixture
def twin(model):
    return framelift.compile(model, backend="eager")


def test_calls(model, twin):
    assert torch.equal(twin(X), model(X))
    assert torch.equal(twin(X, extra=2), model(X, extra=2))
    with pytest.raises(TypeError, match="extras"):
        twin(X, extras=2)


def test_the_module_stays_eager(model, twin):
    assert twin is not model
    assert type(model) is Model
    assert Model.__call__ is nn.Module.__call__
    assert isinstance(twin._framelift_call, CompiledCallable)
    assert not hasattr(model, "_framelift_call")
    assert model._compiled_call_impl is None


def test_it_is_the_module_in_all_else(model, twin):
    assert isinstance(twin, Model)
    assert isinstance(twin, nn.Module)
    assert twin.__class__.__name__ == "Model"
    assert repr(twin) == repr(model)
    assert twin.__doc__ == model.__doc__
    assert list(twin.state_dict()) == list(model.state_dict()) == ["shift", "linear.weight", "linear.bias"]
    assert [name for name, _ in twin.named_modules()] == ["", "linear"]
    assert all(a is b for a, b in zip(twin.parameters(), model.parameters(), strict=True))
    assert twin.__dict__ is model.__dict__
    assert twin._orig_mod is model
    assert set(model.__dict__) == set(Model().__dict__)


def test_attributes_are_shared_in_both_directions(model, twin):
    twin.calls = 3
    model.other = 4
    assert model.calls == 3
    assert twin.other == 4
    del twin.other
    assert not hasattr(model, "other")
    twin.weight = nn.Parameter(torch.ones(2))
    assert "weight" in dict(model.named_parameters())
    twin.linear = nn.Identity()
    assert isinstance(model.linear, nn.Identity)
    assert torch.equal(twin(X), model(X))
    with pytest.raises(AttributeError, match="'Model' object has no attribute 'missing'"):
        twin.missing  # noqa: B018


def test_methods_of_modules_reach_both(model, twin):
    twin.eval()
    assert model.training is False
    assert model.linear.training is False
    twin.double()
    assert model.linear.weight.dtype is torch.float64
    assert torch.equal(twin(X.double()), model(X.double()))
    twin.load_state_dict({name: torch.zeros_like(value) for name, value in model.state_dict().items()})
    assert model.linear.weight.abs().sum() == 0


def test_hooks_before_and_after_compiling(model):
    seen = []
    model.register_forward_pre_hook(lambda module, args: seen.append(("before", type(module))))
    twin = framelift.compile(model, backend="eager")
    twin(X)
    handle = twin.register_forward_hook(lambda module, args, result: seen.append(("after", type(module))))
    twin(X)
    model.linear.register_forward_hook(lambda module, args, result: result * 0)
    result = twin(X)
    assert torch.equal(result, model(X))
    assert seen == [("before", Model)] + [("before", Model), ("after", Model)] * 3
    handle.remove()
    seen.clear()
    twin(X)
    assert seen == [("before", Model)]


def test_user_code_sees_its_own_class_and_object():
    class Curious(nn.Module):
        def forward(self, x):
            self.seen = (type(self), self)
            return x

    model = Curious()
    twin = framelift.compile(model, backend="eager")
    twin(X)
    assert model.seen == (Curious, model)


def test_gradients(model, twin):
    twin(X).sum().backward()
    found = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    model(X).sum().backward()
    assert all(torch.equal(a, p.grad) for a, p in zip(found, model.parameters(), strict=True))


def test_a_twin_as_a_part_of_another_module(model, twin):
    whole = nn.Sequential(twin, nn.ReLU())
    assert list(whole.state_dict()) == ["0.shift", "0.linear.weight", "0.linear.bias"]
    assert torch.equal(whole(X), torch.relu(model(X)))
    assert torch.equal(framelift.compile(whole, backend="eager")(X), torch.relu(model(X)))


def test_compiling_a_twin(model, twin):
    assert framelift.compile(twin) is twin
    assert framelift.compile(twin, backend="eager") is twin
    strict = framelift.compile(twin, backend="eager", fullgraph=True)
    assert strict is not twin
    assert strict._orig_mod is model
    assert type(strict) is type(twin)


def test_class_hooks_of_the_user_do_not_notice():
    made = []

    class Registered(nn.Module, abc.ABC):
        def __init_subclass__(cls, *, label, **more):
            super().__init_subclass__(**more)
            made.append(label)

        @abc.abstractmethod
        def forward(self, x): ...

    class Concrete(Registered, label="concrete"):
        def forward(self, x):
            return x + 1

    twin = framelift.compile(Concrete(), backend="eager")
    assert made == ["concrete"]
    assert isinstance(twin, Registered)
    assert torch.equal(twin(X), X + 1)


def test_slots_of_the_user_are_those_of_the_module():
    class Slotted(nn.Module):
        __slots__ = ("bias",)

        def forward(self, x):
            return x + self.bias

    model = Slotted()
    model.bias = 2
    twin = framelift.compile(model, backend="eager")
    assert twin.bias == 2
    twin.bias = 3
    assert model.bias == 3
    assert torch.equal(twin(X), X + 3)
    del twin.bias
    assert not hasattr(model, "bias")
    assert not hasattr(twin, "bias")


def test_a_finaliser_of_the_user_runs_once():
    finished = []

    class Finished(nn.Module):
        def __del__(self):
            finished.append(type(self))

        def forward(self, x):
            return x

    twin = framelift.compile(Finished(), backend="eager")
    twin(X)
    gone = weakref.ref(twin._orig_mod)
    del twin
    gc.collect()
    assert gone() is None
    assert finished == [Finished]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda twin: pickle.loads(pickle.dumps(twin))])
def test_copies_are_twins_of_copies(copied):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    twin = framelift.compile(model, backend="eager")
    twin(X)
    other = copied(twin)
    assert isinstance(other, CompiledModule)
    assert type(other) is type(twin)
    assert other._orig_mod is not model
    assert type(other._orig_mod) is nn.Sequential
    assert isinstance(other._framelift_call, CompiledCallable)
    assert other._framelift_call is not twin._framelift_call
    assert torch.equal(other(X), model(X))
    assert framelift.compile(other, backend="eager") is other


def test_a_deep_copy_has_its_own_weights(model, twin):
    other = copy.deepcopy(twin)
    with torch.no_grad():
        other.linear.weight.zero_()
    assert model.linear.weight.abs().sum() > 0


def test_save_and_load():
    twin = framelift.compile(nn.Linear(3, 3), backend="eager")
    file = io.BytesIO()
    torch.save(twin, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(X), twin(X))


def test_a_backend_that_cannot_be_pickled_says_so():
    twin = framelift.compile(nn.Linear(3, 3), backend=lambda graph, inputs: graph.forward)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(twin)


def test_twins_of_one_class_share_a_class_that_goes_away():
    class Local(nn.Module):
        def forward(self, x):
            return x

    first, second = (framelift.compile(Local(), backend="eager") for _ in range(2))
    assert type(first) is type(second)
    gone = weakref.ref(type(first)), weakref.ref(Local)
    del first, second, Local
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_class_decorator():
    @framelift.compile(backend="eager")
    class Decorated(nn.Module):
        def forward(self, x):
            return x + 1

    model = Decorated()
    assert type(model) is Decorated
    assert isinstance(Decorated.__dict__["__call__"], CompiledCallable)
    assert not isinstance(nn.Module.__call__, CompiledCallable)
    assert torch.equal(model(X), X + 1)


def test_a_compiled_forward_in_a_module():
    class Forward(nn.Module):
        @framelift.compile(backend="eager")
        def forward(self, x):
            return x + 1

    assert torch.equal(Forward()(X), X + 1)
    model = Model()
    expected = model(X)
    model.forward = framelift.compile(model.forward, backend="eager")
    assert torch.equal(model(X), expected)
