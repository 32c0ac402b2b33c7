"""Put measured overheads side by side: ``python bench/compare.py overhead.json [--below]``.

Reads what ``pytest bench/overhead.py --benchmark-json=overhead.json`` has written. Microseconds a call: the
minimum where caches are hot, the median where they are cold. With ``--below`` the exit status is 1 unless
framelift is below ``torch.compile`` in every row. Two files of two runs are compared row by row instead.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

COMPILERS = ("eager", "torch.compile", "framelift")
Times = dict[tuple[str, str], dict[str, float]]


def load(path: Path) -> Times:
    """Microseconds by (row, caches) and compiler."""
    times: Times = {}
    for one in json.loads(path.read_text())["benchmarks"]:
        info = one["extra_info"]
        statistic = "min" if info["caches"] == "hot" else "median"
        times.setdefault((info["row"], info["caches"]), {})[info["compiler"]] = one["stats"][statistic] * 1e6
    return times


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _ratio(numerator: float | None, denominator: float | None) -> str:
    return "" if numerator is None or denominator is None else f"{numerator / denominator:.2f}"


def side_by_side(times: Times) -> tuple[Table, list[str]]:
    """The table of one run, and the rows in which framelift is not below ``torch.compile``."""
    table = Table(title="Microseconds a call", caption="hot: minimum; cold: median")
    for head in ("row", "caches", *COMPILERS, "framelift / torch.compile"):
        table.add_column(head, justify="left" if head in ("row", "caches") else "right")
    above = []
    for (row, caches), found in times.items():
        ours, theirs = found.get("framelift"), found.get("torch.compile")
        if ours is None or theirs is None or ours >= theirs:
            above.append(f"{row} ({caches})")
        cells = [_cell(found.get(compiler)) for compiler in COMPILERS]
        table.add_row(row, caches, *cells, _ratio(ours, theirs))
    return table, above


def before_and_after(before: Times, after: Times) -> Table:
    """framelift in two runs."""
    table = Table(title="framelift, microseconds a call")
    for head in ("row", "caches", "before", "after", "after / before"):
        table.add_column(head, justify="left" if head in ("row", "caches") else "right")
    for row, caches in before.keys() & after.keys():
        old, new = before[row, caches].get("framelift"), after[row, caches].get("framelift")
        table.add_row(row, caches, _cell(old), _cell(new), _ratio(new, old))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="JSON")
    parser.add_argument("--below", action="store_true", help="fail unless framelift is below torch.compile")
    options = parser.parse_args()
    runs = [load(path) for path in options.files]
    console = Console()
    if len(runs) == 2:
        console.print(before_and_after(*runs))
        return 0
    table, above = side_by_side(runs[0])
    console.print(table)
    if options.below and above:
        console.print("not below torch.compile:", ", ".join(above))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
