"""How long compiling takes with a backend that does nothing, ours against ``torch.compile``'s: ``python
bench/capture_time.py [names ...] [--repeats 3] [--below 0.5]``.

With ``--check`` nothing is timed: each program is compiled by default, and its results, or those and the
parameters after its steps, must be eager's.

The time is that of a first call less that of a second, in seconds of the processor. Each compiler starts cold
every time, with a program that is built anew, and they take turns in one process. The least of the repeats
counts. With ``--below`` the exit status says whether the geometric mean of the ratios is.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Callable

import diffusers
import timm
import torch
import torchvision
import transformers
from measure import Model, largest_difference
from torch import nn

import framelift

LENGTH = 16
VOCABULARY = 100
TOLERANCE = 1e-3
NARROW = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def _text(model: str, batch: int = 2, **config: object) -> Callable[[], Model]:
    """A transformers model of a few layers over token ids."""

    def build() -> Model:
        known = transformers.AutoConfig.for_model(model, vocab_size=VOCABULARY, **config)
        module = transformers.AutoModel.from_config(known).eval()
        ids = torch.randint(0, VOCABULARY, (batch, LENGTH))
        extra = {"decoder_input_ids": ids} if known.is_encoder_decoder else {}
        return Model(model, module, (), {"input_ids": ids, **extra})

    return build


def _image(name: str, make: Callable[[], nn.Module], side: int = 64) -> Callable[[], Model]:
    return lambda: Model(name, make().eval(), (torch.randn(2, 3, side, side),))


def _program(name: str, make: Callable[[], Callable], *shape: int) -> Callable[[], Model]:
    return lambda: Model(name, make(), (torch.randn(*shape),))


def _timm(name: str, side: int) -> Callable[[], Model]:
    return _image(name, lambda: timm.create_model(name, pretrained=False), side)


@dataclasses.dataclass
class Track:
    """What ``dataclass_state`` hands on."""

    position: torch.Tensor
    step: int = 0
    seen: list = dataclasses.field(default_factory=list)

    def moved(self, change: torch.Tensor) -> Track:
        self.seen.append(self.step)
        return dataclasses.replace(self, position=self.position + change, step=self.step + 1)


def dataclass_state() -> Callable:
    def program(x):
        state = Track(x)
        for i in range(6):
            state = state.moved(x.sin() * i)
        return state.position, state.step, state.seen

    return program


def runge_kutta() -> Callable:
    slope = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 8)).eval()

    def program(x, steps=5):
        size = 1.0 / steps
        for _ in range(steps):
            first = slope(x)
            second = slope(x + size / 2 * first)
            third = slope(x + size / 2 * second)
            fourth = slope(x + size * third)
            x = x + size / 6 * (first + 2 * second + 2 * third + fourth)
        return x

    return program


def best_paths() -> Callable:
    transitions = torch.randn(4, 4)

    def program(scores):
        total, back = scores[:, 0], []
        for step in range(1, scores.size(1)):
            found, origin = (total[:, :, None] + transitions).max(1)
            total = found + scores[:, step]
            back.append(origin)
        path = [total.argmax(-1)]
        for origin in reversed(back):
            path.append(origin.gather(1, path[-1][:, None])[:, 0])
        return torch.stack(path[::-1], 1)

    return program


def many_small_steps() -> Callable:
    def program(x):
        for i in range(100):
            x = torch.relu(x * 1.01 + i)
        return x

    return program


class Mixer(nn.Module):
    """Tokens and channels mixed in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.ModuleList(nn.Linear(LENGTH, LENGTH) for _ in range(6))
        self.channels = nn.ModuleList(nn.Linear(32, 32) for _ in range(6))
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for tokens, channels, norm in zip(self.tokens, self.channels, self.norms, strict=True):
            x = x + tokens(norm(x).mT).mT
            x = x + nn.functional.gelu(channels(x))
        return x


def _step(
    make: Callable[[], nn.Module], optimizer: Callable[..., torch.optim.Optimizer], *shape: int
) -> Callable:
    """A whole training step: forward, backward, clipped gradients, optimizer."""

    def build() -> Model:
        module = make().train()
        steps = optimizer(module.parameters(), lr=1e-2)

        def program(x):
            with torch.enable_grad():
                steps.zero_grad()
                loss = module(x).square().mean()
                loss.backward()
                nn.utils.clip_grad_norm_(module.parameters(), 1.0)
                steps.step()
                return loss.detach(), [parameter.detach() for parameter in module.parameters()]

        return Model("step", program, (torch.randn(*shape),))

    return build


def _perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 4))


def _convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 49, 5)
    )


def _attention() -> nn.Module:
    return nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)


def _denoiser() -> Model:
    module = diffusers.UNet2DModel(
        sample_size=16,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        attention_head_dim=8,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    return Model("denoiser", module.eval(), (torch.randn(2, 3, 16, 16), torch.tensor([3, 7])))


DECODER = {**NARROW, "num_key_value_heads": 2, "use_cache": False, "pad_token_id": 0}

PROGRAMS: dict[str, Callable[[], Model]] = {
    "bert": _text("bert", **NARROW),
    "distilbert": _text("distilbert", dim=32, hidden_dim=64, n_layers=2, n_heads=4),
    "albert": _text("albert", embedding_size=16, **NARROW),
    "gpt2": _text("gpt2", n_embd=32, n_layer=2, n_head=4, use_cache=False),
    "gpt_neox": _text("gpt_neox", use_cache=False, **NARROW),
    "llama": _text("llama", **DECODER),
    "qwen2": _text("qwen2", **DECODER),
    "t5": _text("t5", d_model=32, d_ff=64, d_kv=8, num_layers=2, num_heads=4, use_cache=False),
    "resnet18": _image("resnet18", torchvision.models.resnet18),
    "mobilenet_v3": _image("mobilenet_v3", torchvision.models.mobilenet_v3_small),
    "densenet": _image("densenet", lambda: torchvision.models.DenseNet(8, (3, 3, 3), 16, num_classes=10)),
    "efficientnet_lite0": _timm("efficientnet_lite0", 64),
    "convnext_atto": _timm("convnext_atto", 64),
    "deit_tiny": _timm("deit_tiny_patch16_224", 224),
    "mixer": lambda: Model("mixer", Mixer().eval(), (torch.randn(2, LENGTH, 32),)),
    "encoder_layer": lambda: Model(
        "encoder_layer",
        nn.TransformerEncoderLayer(32, 4, 64, batch_first=True),
        (torch.randn(2, LENGTH, 32),),
    ),
    "lstm": lambda: Model("lstm", nn.LSTM(6, 8, 2, batch_first=True).eval(), (torch.randn(2, 7, 6),)),
    "denoiser": _denoiser,
    "dataclass_state": _program("dataclass_state", dataclass_state, 4, 8),
    "runge_kutta": _program("runge_kutta", runge_kutta, 4, 8),
    "best_paths": _program("best_paths", best_paths, 3, 12, 4),
    "many_small_steps": _program("many_small_steps", many_small_steps, 8),
    "train_perceptron": _step(_perceptron, torch.optim.AdamW, 6, 8),
    "train_convolutions": _step(_convolutions, torch.optim.SGD, 4, 3, 16, 16),
    "train_attention": _step(_attention, torch.optim.Adam, 2, LENGTH, 32),
}


def do_nothing(module: torch.fx.GraphModule, example_inputs: list) -> Callable:
    """The backend: the graph as it is."""
    return module.forward


def _seconds(build: Callable[[], Model], compiler: Callable[..., Callable]) -> float:
    """The processor's time of a first call less that of a second."""
    model = build()
    compiled = compiler(model.module, backend=do_nothing)
    times = []
    with torch.no_grad():
        for _ in range(2):
            start = time.process_time()
            model.call(compiled)
            times.append(time.process_time() - start)
    return times[0] - times[1]


def compare(build: Callable[[], Model], repeats: int) -> tuple[float, float]:
    """The least time of each compiler: ours, the peer's. What they import or learn once is not counted."""
    compilers = (framelift.compile, torch.compile)
    found: list[list[float]] = [[], []]
    for _ in range(repeats + 1):
        for compiler, times in zip(compilers, found, strict=True):
            framelift.reset()
            torch.compiler.reset()
            times.append(_seconds(build, compiler))
    ours, theirs = (min(times[1:]) for times in found)
    return ours, theirs


def check(build: Callable[[], Model]) -> float:
    """The largest difference between eager and what is compiled by default, over three calls."""
    torch.manual_seed(1)
    eager = build()
    torch.manual_seed(1)
    ours = build()
    compiled = framelift.compile(ours.module)
    with torch.no_grad():
        pairs = [(eager.call(eager.module), ours.call(compiled)) for _ in range(3)]
    return max(largest_difference(expected, actual) for expected, actual in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of: {', '.join(PROGRAMS)}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="compile by default, and compare with eager")
    parser.add_argument("--below", type=float, help="fail unless the geometric mean is below")
    options = parser.parse_args()
    unknown = set(options.names) - set(PROGRAMS)
    if unknown:
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    torch.manual_seed(0)
    if options.check:
        worst = {name: check(PROGRAMS[name]) for name in options.names or PROGRAMS}
        for name, difference in worst.items():
            print(f"{name:20} {difference:.1e}{'' if difference < TOLERANCE else '   WRONG'}")
        return 0 if max(worst.values()) < TOLERANCE else 1
    ratios = []
    print(f"{'program':20} {'framelift s':>12} {'torch.compile s':>16} {'ratio':>6}")
    for name in options.names or PROGRAMS:
        ours, theirs = compare(PROGRAMS[name], options.repeats)
        ratios.append(ours / theirs)
        print(f"{name:20} {ours:12.3f} {theirs:16.3f} {ratios[-1]:6.2f}", flush=True)
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(f"geometric mean of {len(ratios)} ratios: {mean:.3f}")
    return 0 if options.below is None or mean < options.below else 1


if __name__ == "__main__":
    sys.exit(main())
