"""Text cases: a source that defines ``f``, and how ``f`` decodes on each CPython.

A file holds cases. A case starts with ``[case name]``, or ``[case name from 3.12]`` where its syntax is that
new; its source follows, then a section ``[3.11]``, ``[3.12]``, ``[3.13]`` for each version.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from framelift.capture.decode import decode

FOLDER = Path(__file__).parent / "cases"
RUNNING = "{}.{}".format(*sys.version_info)

_HEADER = re.compile(r"\[case (?P<name>\w+)(?: from (?P<since>3\.\d+))?\]|\[(?P<version>3\.\d+)\]")


@dataclass
class Case:
    file: Path
    name: str
    since: str | None
    source: str = ""
    expected: dict[str, str] = field(default_factory=dict)

    @property
    def runs_here(self) -> bool:
        return self.since is None or sys.version_info >= tuple(map(int, self.since.split(".")))

    def printed(self) -> str:
        namespace: dict[str, object] = {}
        exec(compile(self.source, self.name, "exec"), namespace)
        return str(decode(namespace["f"].__code__))


def read(file: Path) -> list[Case]:
    """The cases in a file."""
    cases: list[Case] = []
    version: str | None = None
    lines: list[str] = []

    def close() -> None:
        text = "\n".join(lines).strip("\n")
        if version is not None:
            cases[-1].expected[version] = text
        elif cases:
            cases[-1].source = text + "\n"
        lines.clear()

    for line in file.read_text().splitlines():
        header = _HEADER.fullmatch(line)
        if header is None:
            lines.append(line)
            continue
        close()
        version = header["version"]
        if version is None:
            cases.append(Case(file, header["name"], header["since"]))
    close()
    return cases


def write(file: Path, cases: list[Case]) -> None:
    """Write a file of cases."""
    parts: list[str] = []
    for case in cases:
        since = f" from {case.since}" if case.since else ""
        parts.append(f"[case {case.name}{since}]\n{case.source}")
        parts.extend(f"[{version}]\n{text}\n" for version, text in sorted(case.expected.items()))
    file.write_text("\n".join(parts))


def all_cases() -> list[Case]:
    return [case for file in sorted(FOLDER.glob("*.txt")) for case in read(file)]


def update() -> None:
    """Rewrite the expectations of the running version."""
    for file in FOLDER.glob("*.txt"):
        cases = read(file)
        for case in cases:
            if case.runs_here:
                case.expected[RUNNING] = case.printed()
        write(file, cases)
