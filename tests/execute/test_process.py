"""Processes: a compiled callable at the end of the interpreter, and after a fork."""

from __future__ import annotations

import os
import subprocess
import sys

from framelift import _native
from tests.execute.entries import compiled, entry, tree

AT_THE_END = """
import builtins
from framelift._native import CompiledCallable

class Last:
    def __init__(self, program):
        self.program = program
    def __del__(self, print=print):
        print(self.program(4), self.program.entries, self.program.misses)

program = CompiledCallable(lambda x: 2 * x, None, lambda callable_, arguments, failures, offset: None)
builtins.last = Last(program)
"""


def test_called_while_the_interpreter_ends():
    finished = subprocess.run(
        [sys.executable, "-c", AT_THE_END], capture_output=True, text=True, check=True, timeout=120
    )
    assert (finished.stdout, finished.stderr) == ("8 () 1\n", "")


def test_after_a_fork_in_the_middle_of_a_compilation():
    program = compiled(lambda x: 2 * x, entry(tree(int)))
    previous = _native.compiling(True)
    try:
        child = os.fork()
        if child == 0:
            inside = program(4)
            _native.compiling(False)
            os._exit(0 if (inside, program(4)) == (8, 4) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        _native.compiling(previous)
    assert program(4) == 4
