"""Other interpreters and other torches, for ``make test`` and ``make test-matrix``.

    python .ci/matrix.py others     # each other CPython of this machine with one torch
    python .ci/matrix.py rest       # every other combination of the two, one after the other
    python .ci/matrix.py interpreters   # the first of each version: what wheels are made for

Each combination is a ``make test`` of its own, in an environment of its own outside the clone. Such an
environment has five gigabytes; ``rest`` removes those that it made, unless it is given ``--keep``. What can't
be had on a machine is said, and of the interpreter alone frames and decoding are tested, which need no torch.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import runpy
import shutil
import subprocess
import sys
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "framelift"

SUPPORTED = runpy.run_path(str(ROOT / "python" / "framelift" / "supported.py"))["PYTHONS"]
MINORS = tuple(minor for _, minor in SUPPORTED)
TORCHES = ("2.11.0", "2.12.1", "2.13.0", "2.14.1", "2.15.0")
IN_EVERY_RUN = {11: "2.15.0", 12: "2.11.0", 13: "2.15.0"}
"""With which torch ``make test`` runs each CPython: the oldest and the newest of both."""

TESTS = ("tests/frames", "tests/capture", "tests/guards", "tests/models", "tests/api/test_supported.py")
MORE_TESTS = (*TESTS, "tests/soundness")
"""Where nobody waits."""
WITHOUT_TORCH = ("tests/frames", "tests/capture/decode")
ROOM = 9 * 2**30
"""What an environment needs on the disk while it is made."""

USABLE = f"""
import ensurepip, os, platform, sys, sysconfig, venv
print(sys.executable, platform.python_version() + sys.abiflags)
sys.exit(
    sys.version_info[:2] not in {SUPPORTED}
    or bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    or not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
)
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython that can be built for: it has headers and venv."""

    path: str
    version: str

    @property
    def parts(self) -> tuple[int, ...]:
        return tuple(int("".join(filter(str.isdigit, part))) for part in self.version.split("."))

    @property
    def minor(self) -> int:
        return self.parts[1]

    def environment(self, torch: str) -> pathlib.Path:
        """Where ``make`` keeps its environment with a version of torch."""
        return CACHE / f"venv-{self.version}-{torch}"


def interpreters() -> dict[int, list[Interpreter]]:
    """Those of this machine: on the path, of pyenv, and in our cache, in this order."""
    names = [f"python3.{minor}" for minor in MINORS]
    homes = sorted(pathlib.Path.home().glob(".pyenv/versions/3.*/bin/python"))
    own = sorted(CACHE.glob("cpython-3.*/bin/python3"))
    found: dict[int, list[Interpreter]] = {minor: [] for minor in MINORS}
    for candidate in map(str, [*names, *homes, *own]):
        try:
            asked = subprocess.run([candidate, "-c", USABLE], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if asked.returncode == 0:
            path, _, version = asked.stdout.strip().rpartition(" ")
            one = Interpreter(path, version)
            found[one.minor].append(one)
    return found


def made(target: str, python: Interpreter, torch: str, **settings: str) -> bool:
    """Whether ``make target`` succeeds."""
    words = [f"{name}={value}" for name, value in settings.items()]
    command = [os.environ.get("MAKE", "make"), target, f"PYTHON={python.path}", f"TORCH={torch}", *words]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def available(python: Interpreter, torch: str) -> bool:
    """Whether their environment is there, or could be made."""
    if not python.environment(torch).exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(CACHE).free < ROOM:
            print(f"==> no room for an environment with torch {torch}: {ROOM >> 30} GB", flush=True)
            return False
    return made("environment", python, torch)


def others(main: int) -> list[str]:
    """Test each version of CPython but ``main`` with its torch; the combinations that failed."""
    failed = []
    for minor, candidates in interpreters().items():
        if minor == main:
            continue
        if not candidates:
            print(f"==> CPython 3.{minor}: not tested, no such interpreter with headers and venv", flush=True)
            continue
        python, torch, tests = candidates[0], IN_EVERY_RUN[minor], TESTS
        if not available(python, torch):
            print(f"==> CPython 3.{minor} with torch {torch} can't be had: frames and decoding", flush=True)
            torch, tests = "none", WITHOUT_TORCH
        if not made("test", python, torch, TESTS=" ".join(tests)):
            failed.append(f"CPython {python.version} with torch {torch}")
    return failed


def rest(torches: list[str], minors: list[int], keep: bool) -> list[str]:
    """Test every combination that ``make test`` leaves out; those that failed, or can't be had."""
    failed = []
    for torch in torches:
        for minor, candidates in interpreters().items():
            if minor not in minors or not candidates:
                continue
            usual, newest = candidates[0], max(candidates, key=lambda one: one.parts)
            if torch != IN_EVERY_RUN[minor]:
                chosen = [usual]
            else:
                chosen = [newest] if newest.version != usual.version else []
            for python in chosen:
                place = python.environment(torch)
                was_there = place.exists()
                if not (available(python, torch) and made("test", python, torch, TESTS=" ".join(MORE_TESTS))):
                    failed.append(f"CPython {python.version} with torch {torch}")
                if not (was_there or keep):
                    shutil.rmtree(place, ignore_errors=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("others", "rest", "interpreters"))
    parser.add_argument("--torch", nargs="+", default=list(TORCHES), help="rest: these only")
    parser.add_argument("--minor", nargs="+", type=int, default=list(MINORS), help="rest: these only")
    parser.add_argument("--keep", action="store_true", help="rest: keep the environments")
    options = parser.parse_args()
    if options.what == "interpreters":
        print(*(candidates[0].path for candidates in interpreters().values() if candidates))
        return 0
    if options.what == "others":
        failed = others(sys.version_info[1])
    else:
        failed = rest(options.torch, options.minor, options.keep)
    for one in failed:
        print(f"==> failed: {one}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
