"""The demo: two models nobody wrote for framelift, compiled as they are. ``make demo`` runs it.

BERT (from ``transformers``) and ResNet-50 (from ``torchvision``), with random weights, are compiled by
framelift and by ``torch.compile`` with the same backend, and timed beside eager: with CUDA where there is a
GPU, else on the CPU. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Callable

import torch
import torchvision
import transformers
from measure import Figures, Model, measure
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table


def bert(small: bool) -> Model:
    """BERT base, one sentence of 64 tokens."""
    size = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2}
    config = transformers.BertConfig(**size if small else {})
    module = transformers.BertModel(config).eval()
    tokens = torch.randint(0, config.vocab_size, (1, 64))
    mask = torch.ones_like(tokens)
    mask[:, 56:] = 0
    return Model("BERT (transformers)", module, (), {"input_ids": tokens, "attention_mask": mask})


def resnet50(small: bool) -> Model:
    """ResNet-50, one image."""
    side = 64 if small else 224
    return Model(
        "ResNet-50 (torchvision)", torchvision.models.resnet50().eval(), (torch.randn(1, 3, side, side),)
    )


MODELS: tuple[Callable[[bool], Model], ...] = (bert, resnet50)


def report(found: dict[str, Figures], backend: str) -> Table:
    """One column for each model."""
    table = Table(
        title=f"backend: {backend}",
        caption="times of a call are medians; both compilers start with empty caches",
    )
    table.add_column("")
    for name in found:
        table.add_column(name, justify="right")

    def line(label: str, text: Callable[[Figures], str]) -> None:
        table.add_row(label, *[text(figures) for figures in found.values()])

    line("graphs", lambda figures: str(figures.graphs))
    line("breaks", lambda figures: str(figures.breaks))
    line("guards", lambda figures: str(figures.guards))
    line("capture", lambda figures: f"{figures.capture:.2f} s")
    line("compile", lambda figures: f"{figures.compile:.2f} s")
    line("both, torch.compile", lambda figures: f"{figures.peer_first_call:.2f} s")
    line("largest difference from eager", lambda figures: f"{figures.difference:.1e}")
    table.add_section()
    line("a call, eager", lambda figures: f"{figures.calls['eager'] * 1e3:.2f} ms")
    line("a call, torch.compile", lambda figures: f"{figures.calls['torch.compile'] * 1e3:.2f} ms")
    line("a call, framelift", lambda figures: f"{figures.calls['framelift'] * 1e3:.2f} ms")
    line("eager / framelift", lambda figures: f"{figures.calls['eager'] / figures.calls['framelift']:.2f}")
    return table


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--backend", default="inductor", choices=("inductor", "eager"), help="for both compilers"
    )
    parser.add_argument("--small", action="store_true", help="small models: half a minute instead of minutes")
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="time spent on timing the calls of a model"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.manual_seed(0)
    console = Console()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    place = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    console.print(f"torch {torch.__version__}, {place}, backend {options.backend}")
    found: dict[str, Figures] = {}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for build in MODELS:
            model = build(options.small).on(device)
            task = progress.add_task(model.name, total=1)

            def say(step: str, task: int = task, name: str = model.name) -> None:
                progress.update(task, description=f"{name}: {step}")

            found[model.name] = measure(model, options.backend, options.seconds, say)
            progress.update(task, description=f"{model.name}: done", completed=1)
    console.print(report(found, options.backend))
    wrong = [
        name
        for name, figures in found.items()
        if figures.graphs != 1 or figures.breaks or figures.difference > 1e-2
    ]
    if wrong:
        console.print(f"not one whole graph equal to eager: {', '.join(wrong)}", style="bold red")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
