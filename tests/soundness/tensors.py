"""Facts of tensors that are not arguments: what they are, whom they share with, what hangs on them."""

from __future__ import annotations

import types

import torch

from tests.harness import Program
from tests.soundness.facts import fact, setting


def holding(tensor, f):
    """A program over ``one``, which holds ``tensor`` as ``value``."""
    one = types.SimpleNamespace(value=tensor)
    return Program(lambda x: f(x, one), one)


def twice(x, one):
    return one.value * 2


def described(x, one):
    tensor = one.value
    layout = tuple(tensor.shape), tensor.stride(), str(tensor.dtype)
    return x.sum(), layout, tensor.requires_grad, tensor.is_leaf


def numbers(*shape, **options):
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape).to(**options)


@fact(*setting("value", numbers(3, dtype=torch.float64), numbers(3, dtype=torch.int32), numbers(3) > 1))
def element_type():
    return holding(numbers(3), twice)


@fact(*setting("value", numbers(4), numbers(1), numbers(0), numbers(2)))
def length():
    return holding(numbers(3), described)


@fact(*setting("value", numbers(3, 1), numbers(1, 3), numbers(1, 1, 3)))
def dimensions():
    return holding(numbers(3), described)


@fact(*setting("value", numbers(3, 2).t(), numbers(2, 1).expand(2, 3), numbers(2, 6)[:, ::2]))
def strides():
    return holding(numbers(2, 3), described)


@fact(*setting("value", numbers(5)[2:], numbers(5)[1:4]))
def offset_into_the_storage():
    return holding(numbers(3), lambda x, one: x + one.value.storage_offset())


@fact(lambda one: one.value.requires_grad_(), lambda one: setattr(one, "value", one.value.detach()))
def gradients_are_asked_for():
    return holding(numbers(3), described)


@fact(lambda one: setattr(one, "value", numbers(3).requires_grad_() * 2))
def a_leaf_becomes_a_result():
    return holding(numbers(3).requires_grad_(), described)


@fact(*setting("value", torch.nn.Parameter(numbers(3))))
def a_parameter_for_a_tensor():
    return holding(numbers(3), lambda x, one: (x + 1, isinstance(one.value, torch.nn.Parameter)))


class Scaled(torch.Tensor): ...


@fact(*setting("value", numbers(3).as_subclass(Scaled)))
def a_subclass_for_a_tensor():
    return holding(numbers(3), lambda x, one: (x + 1, type(one.value).__name__))


@fact(*setting("value", None, 3.5, [1.0, 2.0, 3.0]))
def something_else_for_a_tensor():
    def f(x, one):
        return x if one.value is None else x * torch.as_tensor(one.value)

    return holding(numbers(3), f)


@fact(lambda one: setattr(one.value, "grad", torch.ones(3)), lambda one: setattr(one.value, "grad", None))
def gradient_appears():
    def f(x, one):
        return x + 5 if one.value.grad is None else x + one.value.grad

    return holding(numbers(3).requires_grad_(), f)


@fact(lambda one: one.value.grad.add_(1), lambda one: setattr(one.value, "grad", torch.full((3,), 9.0)))
def gradient_changes():
    tensor = numbers(3).requires_grad_()
    tensor.grad = torch.ones(3)
    return holding(tensor, lambda x, one: x + one.value.grad)


@fact(lambda one: setattr(one.value, "tag", 9), lambda one: delattr(one.value, "tag"))
def python_attribute():
    tensor = numbers(3)
    tensor.tag = 2
    return holding(tensor, lambda x, one: x * getattr(one.value, "tag", 5))


@fact(lambda one: setattr(one, "value", torch.conj(torch.tensor([1 + 2j]))))
def conjugate():
    return holding(torch.tensor([1 + 2j]), lambda x, one: (one.value * 2, one.value.is_conj()))


@fact(*setting("value", numbers(3).to_sparse()))
def layout():
    return holding(numbers(3), lambda x, one: (x + 1, str(one.value.layout)))


@fact(*setting("value", torch.ones(3, device="meta")))
def device():
    return holding(numbers(3), lambda x, one: (x + 1, one.value.device.type))


def shared(one):
    one.second = one.value


@fact(shared)
def two_tensors_become_one():
    one = types.SimpleNamespace(value=numbers(3), second=numbers(3))

    def f(x):
        one.value.zero_()
        one.value.add_(x)
        return one.second * 2

    return Program(f, one)


@fact(lambda one: setattr(one, "second", one.value[:]), lambda one: setattr(one, "second", one.value.flip(0)))
def two_tensors_overlap():
    one = types.SimpleNamespace(value=numbers(3), second=numbers(3))

    def f(x):
        one.value.copy_(x)
        return one.second * 2

    return Program(f, one)


@fact(lambda one: setattr(one, "second", one.value))
def identity_of_two_tensors():
    one = types.SimpleNamespace(value=numbers(3), second=numbers(3))

    def f(x):
        return x * (2 if one.value is one.second else 3)

    return Program(f, one)


@fact(lambda one: one.value.data.fill_(9), lambda one: one.value.set_(torch.full((3,), 5.0)))
def contents():
    return holding(numbers(3), twice)


@fact(
    lambda one: one.value.resize_(5).fill_(1), lambda one: one.value.unsqueeze_(0), lambda one: one.value.t_()
)
def shape_in_place():
    return holding(numbers(3), described)


@fact(lambda one: setattr(one.value, "data", numbers(4).double()))
def data_of_another_shape_and_type():
    return holding(numbers(3), described)


@fact(lambda cls: setattr(cls, "framelift_tests_extra", 9))
def attribute_of_the_tensor_class():
    vars(torch.Tensor).get("framelift_tests_extra") and delattr(torch.Tensor, "framelift_tests_extra")

    def f(x):
        return x * getattr(x, "framelift_tests_extra", 2)

    return Program(f, torch.Tensor)


@fact(lambda items: items.append(numbers(3)), lambda items: items.__setitem__(0, numbers(3) + 5))
def list_of_tensors():
    items = [numbers(3)]

    def f(x):
        for item in items:
            x = x * 2 + item
        return x

    return Program(f, items)
