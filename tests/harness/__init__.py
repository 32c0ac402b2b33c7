"""The differential harness: a program runs in CPython and compiled, and everything a user could see is
compared.

    check(program, *parts, graphs=1, breaks=0)      the same program in both worlds, over several calls
    warm(program, *parts) -> Session                then must_miss / must_hit: guards under mutation
    leaks(program, *parts)                          objects, references and memory stay level over many calls

The worlds are kept apart: each has its own arguments, made by the same recipe, and, for a program given as
``fresh(build)``, its own program. Running in CPython is never a pass: the graphs and breaks that framelift
counts must be those the test states, and on the last call no frame of the program may have been entered.

| file | idea |
|---|---|
| inputs.py | recipes for arguments: other values at each call, the same shapes |
| shape.py | what an object is made of, as facts and children |
| pairing.py | two worlds compared in step: structure, values, aliasing, storage |
| outcome.py | one call and everything it did: result, exception, text, warnings, torch state |
| program.py | a program, its state, its named globals, once for each world |
| world.py | one side of a comparison |
| forced.py | each checked program once more, with graph breaks forced before its instructions |
| setup.py, comparison.py | both sides made; one call of each held against the other |
| compiler.py | what the harness needs to know of a compiler: compile, reset, counts |
| subject.py | framelift as such a compiler |
| check.py, session.py, leaks.py | the three entry points |
| test_harness.py | proof that each kind of fault is caught, by compilers that are wrong on purpose |
"""

from tests.harness.check import check
from tests.harness.inputs import Arguments, booleans, each, floats, integers, made
from tests.harness.leaks import leaks
from tests.harness.pairing import Mismatch
from tests.harness.program import Program, fresh
from tests.harness.report import Report
from tests.harness.session import Session, warm

__all__ = [
    "Arguments",
    "Mismatch",
    "Program",
    "Report",
    "Session",
    "booleans",
    "check",
    "each",
    "floats",
    "fresh",
    "integers",
    "leaks",
    "made",
    "warm",
]
