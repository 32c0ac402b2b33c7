"""Each wheel of ``dist/`` as somebody without the sources has it: ``make try-wheels``.

A fresh environment gets the wheel and torch, nothing else. There, in an empty folder and without Rust on the
path, the first example of the README runs. An environment has five gigabytes and is removed afterwards.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import matrix

WHEELS = matrix.ROOT / "dist"
RELEASE = re.compile(r"-cp3(\d+)-cp3\1-")


def first_example() -> str:
    """The first program of the README."""
    text = (matrix.ROOT / "README.md").read_text()
    return text.partition("```python\n")[2].partition("```")[0]


def without_rust() -> dict[str, str]:
    """The environment of somebody who has neither the clone nor Rust; nor a cache of compiled graphs."""
    parts = [
        part for part in os.environ["PATH"].split(os.pathsep) if "cargo" not in part and "pyenv" not in part
    ]
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "PIP_INDEX_URL") if name in os.environ}
    return {**kept, "PATH": os.pathsep.join(parts)}


def tried(wheel: pathlib.Path, python: matrix.Interpreter, torch: str) -> bool:
    """Whether the example runs with the wheel."""
    with tempfile.TemporaryDirectory(dir=matrix.CACHE, prefix="wheel-") as place:
        alone = pathlib.Path(place, "bin", "python")
        program = pathlib.Path(place, "example.py")
        program.write_text(first_example())
        everything = without_rust()
        for command in (
            [python.path, "-m", "venv", place],
            [str(alone), "-m", "pip", "install", "--quiet", f"torch=={torch}", str(wheel)],
            [str(alone), str(program)],
        ):
            if subprocess.run(command, cwd=place, env=everything, check=False).returncode:
                return False
    return True


def main() -> int:
    """Try all of them, or those whose interpreters are named: ``12 13``."""
    minors = [int(word) for word in sys.argv[1:]] or list(matrix.MINORS)
    interpreters = matrix.interpreters()
    failed = []
    for wheel in sorted(WHEELS.glob("*.whl")):
        minor = int(RELEASE.search(wheel.name)[1])
        if minor in minors:
            python, torch = interpreters[minor][0], matrix.IN_EVERY_RUN[minor]
            print(f"==> {wheel.name} with CPython {python.version} and torch {torch}", flush=True)
            if not tried(wheel, python, torch):
                failed.append(wheel.name)
    for name in failed:
        print(f"==> failed: {name}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
