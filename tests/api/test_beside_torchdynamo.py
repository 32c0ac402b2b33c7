"""Programs that use TorchDynamo too: each tracer leaves the other's callables and code alone.

Run in processes of their own, because importing TorchDynamo changes functions of torch.
"""

from __future__ import annotations

import os
import subprocess
import sys

START = '''
import torch, framelift

def inner(x):
    return x.sin() + 1

ours = framelift.compile(inner, backend="eager")
theirs = torch.compile(inner, backend="eager")
x = torch.ones(2)

def trace_through(*programs):
    """TorchDynamo makes one graph of each. Prints how many framelift has made when they were called."""
    for program in programs:
        outer = torch.compile(program, backend="eager", fullgraph=True)
        assert torch.equal(outer(x), program(x))
    print(framelift.counters["graphs"].total())
'''


def run(program: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", START + program]
    environment = {"FRAMELIFT_RAISE_INTERNAL_ERRORS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ours_is_traced_through_by_theirs() -> None:
    program = """
import functools

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))

    def scaled(self, x, by=1):
        return x * self.weight * by

@functools.wraps(ours)
def more(x):
    return ours(x) + 100

model = Model()
bound = framelift.compile(model.scaled, backend="eager")
trace_through(lambda x: ours(x) * 2, lambda x: bound(x, by=3) + x, lambda x: more(x))
"""
    assert run(program) == "2\n"


def test_theirs_called_inside_ours_is_captured_as_what_it_wraps() -> None:
    program = """
outer = framelift.compile(lambda x: theirs(x) * 2, backend="eager", fullgraph=True)
assert torch.equal(outer(x), inner(x) * 2)
print(framelift.counters["graphs"].total())
"""
    assert run(program) == "1\n"


def test_both_at_a_break() -> None:
    program = """
def outer(x):
    y = x + 1
    framelift.graph_break()
    return theirs(y) + ours(y)

compiled = framelift.compile(outer, backend="eager")
for k in range(3):
    assert torch.equal(compiled(x + k), outer(x + k))
print(framelift.counters["graph_break"].total())
"""
    assert run(program) == "1\n"


def test_our_hook_is_gone_after_a_call() -> None:
    program = """
import torch._dynamo

def broken(x):
    y = x + 1
    framelift.graph_break()
    return y * 2

compiled = framelift.compile(broken, backend="eager")
compiled(x)
seen = []

def watching(gm, inputs):
    seen.append(gm)
    return gm.forward

assert torch.equal(torch.compile(inner, backend=watching)(x), inner(x))
assert torch.equal(compiled(x), broken(x))
print(len(seen))
"""
    assert run(program) == "1\n"


def test_a_compiled_module_is_traced_through_by_theirs() -> None:
    program = """
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)

    def forward(self, x, *, by=1):
        return self.linear(x) * by

model = Model()
twin = framelift.compile(model, backend="eager")
net = torch.nn.Sequential(twin, torch.nn.ReLU())
trace_through(lambda x: twin(x, by=3) * 2, lambda x: net(x))
"""
    assert run(program) == "2\n"


def test_methods_of_optimizers_that_torchdynamo_disables_are_captured() -> None:
    program = """
theirs(x)
module = torch.nn.Linear(2, 2)
for cls, options in ((torch.optim.SGD, {}), (torch.optim.Adam, {}), (torch.optim.AdamW, {"fused": True})):
    optimizer = cls(module.parameters(), 0.1, **options)

    @framelift.compile(backend="eager")
    def step(x):
        optimizer.zero_grad()
        module(x).sum().backward()
        optimizer.step()

    before = module.weight.detach().clone()
    step(x)
    assert not torch.equal(module.weight, before)
    print(dict(framelift.counters["graph_break"]))
"""
    assert run(program) == "{}\n" * 3
