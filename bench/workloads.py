"""The programs of the benchmarks: what is called, with what, and what is special about measuring it."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the overhead benchmark.

    ``empty_backend``: compile with a backend that does nothing, so that entry and guards alone are measured.
    ``keep_results``: the caller holds its last results, so that each is a fresh tensor.
    """

    name: str
    call: Callable[..., object]
    arguments: tuple
    empty_backend: bool = False
    keep_results: bool = False


class Settings:
    """An object whose attributes a program reads."""

    def __init__(self) -> None:
        self.scale = 1
        self.shift = 2.0
        self.table = {"k": [1, 2, 3]}
        self.name = "x"


class Norms(nn.Module):
    """Many modules that are walked and asked for a flag, nearly nothing computed."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.LayerNorm(8) for _ in range(depth)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            if layer.training:
                x = layer(x)
        return x + 1


class Block(nn.Module):
    """A residual block with the Python around it that real blocks have."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)
        self.scale, self.name, self.use_activation = 0.5, f"block {index}", True
        self.options = {"p": 0.0, "layers": [1, 2]}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.up(self.norm(x))
        if self.use_activation:
            h = F.gelu(h)
        return x + self.down(h) * self.scale + self.options["p"]


class Stack(nn.Module):
    """Blocks one after another."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(index) for index in range(depth)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def add_one(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def add_ten(a, b, c, d, e, f, g, h, i, j):
    return a + b + c + d + e + f + g + h + i + j


def scaled(x: torch.Tensor, *, scale: float = 2.0, flag: bool = True, mode: str = "a") -> torch.Tensor:
    return x * scale if flag and mode == "a" else x


def with_constants(x: torch.Tensor) -> torch.Tensor:
    return scaled(x, scale=3.0)


def sum_of_values(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return sum(tensors.values())


def rows() -> Iterator[Row]:
    """All lines, made anew: modules have random weights of a fixed seed."""
    torch.manual_seed(0)
    x, settings = torch.randn(8), Settings()

    def with_settings(x: torch.Tensor) -> torch.Tensor:
        return x * settings.scale + settings.shift + settings.table["k"][2]

    yield Row("add", add_one, (x,))
    yield Row("add, results kept", add_one, (x,), keep_results=True)
    yield Row("add, guards only", add_one, (x,), empty_backend=True)
    yield Row("10 arguments", add_ten, tuple(torch.randn(8) for _ in range(10)))
    yield Row("constant arguments", with_constants, (x,))
    yield Row("attributes of an object", with_settings, (x,))
    yield Row("dict of 16", sum_of_values, ({f"k{index}": torch.randn(4) for index in range(16)},))
    for depth in (1, 10, 100):
        net = nn.Sequential(*[nn.Linear(8, 8) for _ in range(depth)]).eval()
        yield Row(f"{depth} linear", net, (torch.randn(1, 8),))
    yield Row("200 modules walked", Norms(200).eval(), (torch.randn(1, 8),))
    for depth in (12, 82):
        stack = Stack(depth).eval()
        yield Row(f"{depth} blocks, guards only", stack, (torch.randn(1, 8),), empty_backend=True)


def changes(stack: Stack) -> Iterator[tuple[str, Callable[[], object]]]:
    """One fact of each kind that the guards of ``stack`` rest on, and what makes it another one."""
    block, last = stack.blocks[0], stack.blocks[-1]
    norm, linear = last.norm, block.up
    yield "a number among the attributes", lambda: setattr(block, "scale", 0.25)
    yield "a flag", lambda: setattr(last, "use_activation", False)
    yield "an item of a dict", lambda: block.options.update(p=1.0)
    yield (
        "the strides of a parameter",
        lambda: setattr(linear.weight, "data", linear.weight.data.t().contiguous().t()),
    )
    yield "a parameter that is gone", lambda: linear.register_parameter("bias", None)
    yield "a gradient that is not needed", lambda: last.up.weight.requires_grad_(False)
    yield "a hook", lambda: linear.register_forward_hook(lambda *_: None)
    yield "a module of another class", lambda: setattr(last, "down", nn.Linear(16, 8, bias=False))
    yield "the class of a module", lambda: setattr(norm, "__class__", type("Norm", (nn.LayerNorm,), {}))
    yield "an attribute of a class", lambda: setattr(type(norm), "forward", copy_of(nn.LayerNorm.forward))
    yield "another length of a list", lambda: stack.blocks.append(Block(len(stack.blocks)))


def copy_of(function: types.FunctionType) -> types.FunctionType:
    """Another function that does the same."""
    code = function.__code__.replace(co_name="copy")
    return types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__)


def nothing(graph: torch.fx.GraphModule, example_inputs: list[torch.Tensor]) -> Callable[..., object]:
    """A backend whose graph gives the same tensors each time."""
    with torch.no_grad():
        outputs = graph(*example_inputs)
    return lambda *_: outputs
