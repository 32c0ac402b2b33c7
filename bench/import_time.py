"""What ``import framelift`` adds to ``import torch``: ``python bench/import_time.py``.

Each round is a fresh process that imports torch first. The minimum says what the import costs, the median
what a machine with other work makes of it. The bytecode of both is cached before the first round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

ONE_IMPORT = """
import time
start = time.perf_counter()
import torch
middle, work = time.perf_counter(), time.process_time()
import framelift
print(middle - start, time.perf_counter() - middle, time.process_time() - work)
"""


def one_round() -> tuple[float, float, float]:
    """Seconds: torch, framelift after it, and of the latter those in which the process was running."""
    caching = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", ONE_IMPORT], capture_output=True, text=True, check=True, env=caching
    )
    torch, framelift, running = map(float, done.stdout.split())
    return torch, framelift, running


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--below", type=float, metavar="SECONDS", help="fail unless framelift's minimum is below"
    )
    options = parser.parse_args()
    one_round()
    rounds = [one_round() for _ in range(options.rounds)]
    for name, times in zip(
        ("torch", "framelift", "framelift, running"), zip(*rounds, strict=True), strict=True
    ):
        print(f"{name:20} minimum {min(times):.3f} s, median {statistics.median(times):.3f} s")
    return int(options.below is not None and min(round_[1] for round_ in rounds) >= options.below)


if __name__ == "__main__":
    raise SystemExit(main())
