"""Other ways to a reason than its program in ``programs.py``: what users write most has its own row."""

from __future__ import annotations

import asyncio
import collections
import datetime
import importlib
import itertools
import logging
import random
import threading
import time
import traceback
import warnings
import weakref

import numpy
import pytest
import torch

import framelift
from framelift.observe import reasons

LOGGER = logging.getLogger(__name__)
EVENT = threading.Event()


def print_a_tensor(x):
    print("x is", x)


def log(x):
    LOGGER.warning("rows: %s", x)


def open_a_file(x):
    open("/dev/null")


def read_the_clock(x):
    return time.time()


def what_day_is_it(x):
    return datetime.datetime.now()


def draw_an_integer(x):
    return random.randint(1, 6)


def seed(x):
    torch.seed()


def array_over_a_buffer(x):
    return numpy.frombuffer(b"12345678")


def uninitialized_array(x):
    return numpy.empty(3)


def from_an_array(x):
    return torch.from_numpy(ARRAY)


ARRAY = numpy.zeros(3)


def gradients(x):
    return torch.autograd.functional.jacobian(torch.sin, x)


def gradient_function(x):
    return torch.func.linearize(torch.sum, x)[0]


def conditional(x):
    return torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,))


def hook(x):
    x.register_hook(print)


def warn(x):
    warnings.warn("careful", stacklevel=2)


def format_a_traceback(x):
    return traceback.format_stack()


def all_locals(x):
    return list(locals())


def all_variables(x):
    return list(vars())


def endless(x):
    while True:
        x = x + 1


def endless_generator(x):
    def numbers():
        while True:
            yield 1

    return sum(numbers())


def count_weak_references(x):
    return weakref.getweakrefcount(LOGGER)


def run_an_event_loop(x):
    return asyncio.run(None)


def import_by_name(x):
    return importlib.import_module("json")


def storage(x):
    return x.untyped_storage()


def default_device(x):
    torch.set_default_device("cpu")


def deterministic(x):
    torch.use_deterministic_algorithms(False)


def except_star(x):
    try:
        return x + 1 / 0
    except* ZeroDivisionError:
        pass


def wait(x):
    EVENT.wait(1)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (print_a_tensor, reasons.INPUT_OUTPUT),
        (log, reasons.INPUT_OUTPUT),
        (open_a_file, reasons.INPUT_OUTPUT),
        (read_the_clock, reasons.CLOCK),
        (what_day_is_it, reasons.CLOCK),
        (draw_an_integer, reasons.RANDOM_STATE),
        (seed, reasons.RANDOM_STATE),
        (array_over_a_buffer, reasons.NUMPY),
        (uninitialized_array, reasons.NUMPY),
        (from_an_array, reasons.NUMPY),
        (gradients, reasons.BACKWARD),
        (gradient_function, reasons.FUNCTION_TRANSFORM),
        (conditional, reasons.FUNCTION_TRANSFORM),
        (hook, reasons.TENSOR_STATE),
        (warn, reasons.LIVE_FRAME),
        (format_a_traceback, reasons.LIVE_FRAME),
        (all_locals, reasons.DYNAMIC_CODE),
        (all_variables, reasons.DYNAMIC_CODE),
        (endless, reasons.LOOP_TOO_LONG),
        (endless_generator, reasons.LOOP_TOO_LONG),
        (count_weak_references, reasons.WEAK_REFERENCE),
        (run_an_event_loop, reasons.ASYNC_FUNCTION),
        (import_by_name, reasons.IMPORT_RUNS_CODE),
        (storage, reasons.TENSOR_ADDRESS),
        (default_device, reasons.GLOBAL_STATE),
        (deterministic, reasons.GLOBAL_STATE),
        (except_star, reasons.EXCEPTION_GROUP),
        (wait, reasons.LOCK),
    ],
)
def test_it_is_named(program, reason):
    compiled = framelift.compile(program, backend="eager", fullgraph=True)
    with framelift.config.patch(loop_limit=100), pytest.raises(framelift.exc.Unsupported) as caught:
        compiled(torch.ones(3, requires_grad=program in (gradients, hook)))
    assert caught.value.reason is reason, str(caught.value)
    assert 'File "' in str(caught.value)


def one():
    yield 1


@pytest.mark.parametrize(
    "make", [one, lambda: zip(one()), lambda: iter(collections.deque([1])), lambda: itertools.chain([1])]
)
def test_iterators_from_outside_stay_as_they_are(make):
    @framelift.compile(backend="eager", fullgraph=True)
    def f(x, items):
        return [x + item for item in items]

    items = make()
    with pytest.raises(framelift.exc.Unsupported) as caught:
        f(torch.ones(1), items)
    assert caught.value.reason is reasons.MUTATED_ITERATOR_INPUT
    assert len(list(items)) == 1


def test_the_depth_of_calls_is_a_setting():
    def down(x, n):
        return x if n == 0 else down(x, n - 1)

    with framelift.config.patch(inline_depth_limit=5), pytest.raises(framelift.exc.Unsupported) as caught:
        framelift.compile(down, backend="eager", fullgraph=True)(torch.ones(1), 5)
    assert caught.value.reason is reasons.TOO_DEEP
    with framelift.config.patch(inline_depth_limit=6):
        framelift.compile(down, backend="eager", fullgraph=True)(torch.ones(1), 5)
