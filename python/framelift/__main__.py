"""``python -m framelift``: settings, reasons, and running a script under framelift, on the command line."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

import framelift
from framelift.observe import reasons
from framelift.observe.reference import page


def main(words: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m framelift", description=__doc__)
    parser.add_argument("--version", action="version", version=f"framelift {framelift.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("config", help="print the settings with their values")
    one = commands.add_parser("reasons", help="print the page of all reasons, or one of them")
    one.add_argument("code", nargs="?", help="such as FL107")
    script = commands.add_parser("run", help="run a script with framelift in the place of torch.compile")
    script.add_argument("path", help="the script; what follows are its own arguments")
    script.add_argument("arguments", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(words)
    if chosen.command == "config":
        print(framelift.config)
    elif chosen.command == "run":
        framelift.install()
        sys.argv[:] = [chosen.path, *chosen.arguments]
        sys.path[0] = str(Path(chosen.path).resolve().parent)
        runpy.run_path(chosen.path, run_name="__main__")
    elif chosen.code is None:
        print(page(), end="")
    else:
        row = reasons.find(chosen.code)
        if row is None:
            print(
                f"there is no reason {chosen.code}; `python -m framelift reasons` lists all", file=sys.stderr
            )
            return 1
        print("\n".join([str(row), f"  {row.explanation}", *(f"  Hint: {hint}" for hint in row.hints)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
