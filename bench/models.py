"""Real models with random weights, compiled and timed: ``python bench/models.py [--backend eager] [names
...]``.

With the backend ``eager`` the graph is run as it is, so the times show what capture, guards and dispatch cost
around real work; ``inductor`` shows what compiling gains.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import timm
import torch
import torchvision
import transformers
from measure import Figures, Model, measure
from rich.console import Console
from rich.table import Table

WIDTHS = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4}
LENGTH = 32


def _text(name: str, module: torch.nn.Module, vocabulary: int, **keywords: object) -> Model:
    tokens = torch.randint(0, vocabulary, (1, LENGTH))
    return Model(name, module.eval(), (), {"input_ids": tokens, **keywords})


def _image(name: str, module: torch.nn.Module, side: int = 64) -> Model:
    return Model(name, module.eval(), (torch.randn(1, 3, side, side),))


def bert() -> Model:
    config = transformers.BertConfig(vocab_size=1000, **WIDTHS)
    return _text("bert", transformers.BertModel(config), 1000)


def gpt2() -> Model:
    config = transformers.GPT2Config(vocab_size=1000, n_embd=256, n_layer=4, n_head=4)
    return _text("gpt2", transformers.GPT2LMHeadModel(config), 1000, use_cache=False)


def llama() -> Model:
    config = transformers.LlamaConfig(vocab_size=1000, num_key_value_heads=2, **WIDTHS)
    return _text("llama", transformers.LlamaForCausalLM(config), 1000, use_cache=False)


def resnet18() -> Model:
    return _image("resnet18", torchvision.models.resnet18())


def resnet50() -> Model:
    return _image("resnet50", torchvision.models.resnet50())


def convnext() -> Model:
    return _image("convnext", timm.create_model("convnext_atto", pretrained=False))


MODELS: dict[str, Callable[[], Model]] = {
    build.__name__: build for build in (bert, gpt2, llama, resnet18, resnet50, convnext)
}


def _row(name: str, figures: Figures) -> list[str]:
    eager, peer, ours = (
        figures.calls[compiler] * 1e3 for compiler in ("eager", "torch.compile", "framelift")
    )
    return [
        name,
        f"{figures.graphs}/{figures.breaks}",
        str(figures.guards),
        f"{figures.capture:.2f}",
        f"{figures.compile:.2f}",
        f"{figures.peer_first_call:.2f}",
        f"{figures.difference:.0e}",
        f"{eager:.3f}",
        f"{peer:.3f}",
        f"{ours:.3f}",
        f"{ours / peer:.2f}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"some of: {', '.join(MODELS)}")
    parser.add_argument("--backend", default="eager", choices=("eager", "inductor"))
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="time spent on timing the calls of a model"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(MODELS)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    torch.manual_seed(0)
    console = Console()
    heads = ("model", "graphs/breaks", "guards", "capture s", "compile s", "peer s", "difference")
    calls = ("eager ms", "torch.compile ms", "framelift ms", "framelift / torch.compile")
    table = Table(title=f"backend: {options.backend}")
    for head in (*heads, *calls):
        table.add_column(head, justify="left" if head == "model" else "right")
    for name in options.names or MODELS:
        figures = measure(
            MODELS[name](), options.backend, options.seconds, lambda step, name=name: console.log(name, step)
        )
        table.add_row(*_row(name, figures))
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
