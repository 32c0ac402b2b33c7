"""Facts of where names are found: globals, builtins, modules, the environment.

The changes take the program's function: it alone knows the module that belongs to its world.
"""

from __future__ import annotations

import builtins
import math
import operator
import os
import sys
import types

import torch

from tests.harness import Program
from tests.soundness.facts import fact


def a_module(**namespace):
    module = types.ModuleType("a_module_of_a_test")
    module.__dict__.update(namespace)
    return module


def module_of(f):
    """The one that ``f`` closes over, or else the one whose globals it has."""
    return f.__closure__[0].cell_contents if f.__closure__ else f.__globals__["itself"]


def setting(name, *values):
    return tuple(lambda f, value=value: setattr(module_of(f), name, value) for value in values)


def inside(module, source):
    """What ``source`` defines as ``f``, with the module's globals."""
    module.itself = module
    exec(source, module.__dict__)
    return module.f


@fact(*setting("factor", 3, 4.5, True, -0.0))
def number_of_a_module():
    module = a_module(factor=2)

    def f(x):
        return x * module.factor

    return f


@fact(lambda f: delattr(module_of(f), "factor"))
def name_of_a_module_is_deleted():
    module = a_module(factor=2)

    def f(x):
        return x * getattr(module, "factor", 9)

    return f


@fact(*setting("__getattr__", lambda name: 9))
def getattr_of_a_module_appears():
    module = a_module()

    def f(x):
        return x * getattr(module, "factor", 2)

    return f


class Special(types.ModuleType):
    @property
    def factor(self):
        return 9


@fact(*setting("__class__", Special))
def class_of_a_module():
    module = a_module(factor=2)

    def f(x):
        return x * module.factor

    return f


@fact(*setting("factor", 3, 4))
def global_of_another_module_s_function():
    return inside(a_module(factor=2), "def f(x): return x * factor")


@fact(*setting("len", lambda value: 9))
def builtin_hidden_by_another_module_s_global():
    return inside(a_module(), "def f(x): return x * len((1, 2))")


@fact(lambda f: module_of(f).__builtins__.update(len=lambda value: 9))
def builtins_of_a_module():
    module = a_module(__builtins__=dict(vars(builtins)))
    return inside(module, "def f(x): return x * len((1, 2))")


@fact(lambda f: module_of(f).__builtins__.update(extra=9))
def builtin_appears():
    module = a_module(__builtins__=dict(vars(builtins)))
    return inside(module, "def f(x):\n try: return x * extra\n except NameError: return x * 2")


@fact(*setting("helper", lambda x: x - 7))
def helper_of_a_module():
    return inside(a_module(helper=lambda x: x + 1), "def f(x): return helper(x)")


@fact(*setting("inner", a_module(factor=9)))
def module_in_a_module():
    module = a_module(inner=a_module(factor=2))

    def f(x):
        return x * module.inner.factor

    return f


def replace_in_sys_modules(f):
    sys.modules["framelift_tests_imported_inside"] = a_module(factor=9)


@fact(replace_in_sys_modules)
def module_that_is_imported_inside():
    name = "framelift_tests_imported_inside"
    sys.modules[name] = a_module(factor=2)
    return inside(a_module(), f"def f(x):\n import {name} as module\n return x * module.factor")


def environment(value):
    def change(name):
        os.environ[name] = value

    return change


@fact(environment("3"), environment("4"), lambda name: os.environ.pop(name, None))
def environment_variable():
    name = "FRAMELIFT_TESTS_FACTOR"
    os.environ[name] = "2"

    def f(x):
        return x * int(os.environ.get(name, "7"))

    return Program(f, name)


@fact(environment("3"))
def environment_variable_read_by_getenv():
    name = "FRAMELIFT_TESTS_OTHER_FACTOR"
    os.environ.pop(name, None)

    def f(x):
        return x * int(os.getenv(name, "2"))

    return Program(f, name)


@fact(lambda table: table.update(pi=3.0))
def constant_in_the_dictionary_of_a_module():
    table = vars(a_module(pi=math.pi))

    def f(x):
        return x * table["pi"]

    return Program(f, table)


@fact(*setting("add", operator.mul))
def builtin_function_is_exchanged():
    module = a_module(add=operator.add)

    def f(x):
        return module.add(x, 3)

    return f


@fact(*setting("act", torch.cos, torch.tanh))
def torch_function_is_exchanged():
    module = a_module(act=torch.sin)

    def f(x):
        return module.act(x)

    return f


@fact(*setting("kind", torch.float16, torch.int64))
def element_type_of_a_module():
    module = a_module(kind=torch.float64)

    def f(x):
        return x.to(module.kind)

    return f


@fact(lambda f: sys.setrecursionlimit(3000))
def recursion_limit():
    return lambda x: x * sys.getrecursionlimit()
