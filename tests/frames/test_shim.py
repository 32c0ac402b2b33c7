"""The shim: set for the moment in which a call waits for its frame, and nobody else's business."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.frames.drivers import Stepping
from tests.frames.test_driver import compiled, program, stop_at_spy
from tests.threads import run_in_threads

NONE, FOREIGN, SHIM = range(3)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """Another eval-frame function, from ``foreign_hook.c``."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("foreign") / "foreign_hook.so"
    include = sysconfig.get_path("include")
    source = Path(__file__).with_name("foreign_hook.c")
    subprocess.run(
        [compiler, "-std=c11", "-shared", "-fPIC", "-isystem", include, "-o", library, source], check=True
    )
    return ctypes.PyDLL(os.fspath(library))


@pytest.fixture(autouse=True)
def left_alone(foreign):
    foreign.remove_all()
    yield
    assert foreign.whose() == NONE
    foreign.remove_all()


class Key:
    """A key of ``__kwdefaults__`` whose comparison is user code.

    It runs while a call binds its arguments: between the setting of the shim and the frame that is expected.
    """

    def __init__(self, name, do):
        self.name = name
        self.do = do

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        self.do()
        return self.name == other


def binding_runs(do):
    """A function of one argument for which ``do`` is called when it is called."""

    def collects(*rest, k):
        a = [rest, k]
        b = [a]
        return b

    collects.__kwdefaults__ = {Key("k", do): 5}
    return collects


def test_set_only_while_a_call_waits(foreign):
    def asks():
        return foreign.whose()

    stepping = Stepping(asks, 10**9)
    assert stepping.compiled() == NONE
    assert len(stepping.offsets) > 2


def test_a_foreign_function_stays_and_works(foreign):
    foreign.install()
    before = foreign.count()
    call = compiled(program, stop_at_spy())
    assert call(3, 4) == 108
    assert foreign.whose() == FOREIGN
    assert foreign.count() > before
    foreign.remove_all()


def test_a_foreign_function_set_in_a_break(foreign):
    def installs():
        foreign.install()
        return foreign.whose()

    stepping = Stepping(installs, 10**9)
    assert stepping.compiled() == FOREIGN
    assert compiled(program, stop_at_spy())(3, 4) == 108
    assert foreign.whose() == FOREIGN
    foreign.remove_all()
    assert compiled(program, stop_at_spy())(3, 4) == 108


def test_a_foreign_function_removed_in_a_break(foreign):
    def removes():
        foreign.remove_all()
        return foreign.whose()

    foreign.install()
    assert Stepping(removes, 10**9).compiled() == NONE


def test_two_that_pass_on_to_each_other(foreign):
    """The foreign function is set over the shim, and later the shim over the foreign function."""
    when = []

    def install():
        when.append(foreign.whose())
        foreign.install()

    stepping = Stepping(binding_runs(install), 10**9)
    assert stepping.compiled(1) == [[(1,), 5]]
    # Once by our own binding, and then, with the shim set, by CPython's.
    assert when == [NONE, SHIM]
    assert foreign.whose() == FOREIGN
    foreign.remove_all()
    when.clear()
    stepping = Stepping(binding_runs(lambda: when.append(foreign.whose())), 10**9)
    stepping.compiled(1)
    assert when == [NONE, SHIM]
    over_shim = Stepping(binding_runs(lambda: foreign.whose() == SHIM and foreign.install()), 10**9)
    assert over_shim.compiled(1) == [[(1,), 5]]
    assert foreign.whose() == FOREIGN
    for _ in range(5):
        assert stepping.compiled(2) == [[(2,), 5]]
        assert program(3, 4) == 108
        assert foreign.whose() == FOREIGN
    assert len(stepping.offsets) > 50
    foreign.remove_all()
    assert stepping.compiled(3) == [[(3,), 5]]


def test_calls_while_another_waits():
    """Code that runs between the call and its frame calls compiled functions itself."""
    inner = compiled(program, stop_at_spy())
    found = []

    def again():
        found.append(inner(3, 4))
        if len(found) == 2:
            found.append(stepping.compiled(7))
            found.append(stepping.function(8))

    stepping = Stepping(binding_runs(again), 10**9)
    assert stepping.compiled(1) == [[(1,), 5]]
    assert [[(7,), 5]] in found
    assert [[(8,), 5]] in found
    assert set(map(str, found)) == {"108", "[[(7,), 5]]", "[[(8,), 5]]"}


def test_in_many_threads_at_once():
    call = compiled(program, stop_at_spy())
    other = Stepping(binding_runs(int), 10**9, keeps=True).compiled
    wrong = []

    def run():
        for number in range(500):
            if call(3, 4) != 108 or other(number, k=1) != [[(number,), 1]]:
                wrong.append(number)

    run_in_threads(run, [()] * 4)
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork():
    call = compiled(program, stop_at_spy())
    child = os.fork()
    if child == 0:
        os._exit(0 if call(3, 4) == 108 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert call(3, 4) == 108
