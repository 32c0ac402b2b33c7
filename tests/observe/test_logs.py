"""``FRAMELIFT_LOGS``: names and levels, refused names, and what is said once."""

import logging
import os
import subprocess
import sys

import pytest

from framelift import exc
from framelift.observe import logs


@pytest.fixture(autouse=True)
def quiet():
    logs.forget()
    yield
    logs.configure("")
    logs.forget()


def test_levels(capsys):
    logs.configure("graph_breaks, +guards,-capture")
    assert logs.logger("graph_breaks").level == logging.INFO
    assert logs.logger("guards").level == logging.DEBUG
    assert logs.logger("capture").level == logging.ERROR
    logs.logger("guards").debug("a guard failed")
    logs.logger("graph_breaks").info("a break")
    logs.logger("recompiles").info("not asked for")
    assert capsys.readouterr().err == "[framelift.guards] a guard failed\n[framelift.graph_breaks] a break\n"


def test_everything(capsys):
    logs.configure("+framelift")
    logs.logger("rules").debug("skipped")
    assert capsys.readouterr().err == "[framelift.rules] skipped\n"


def test_off_again(capsys):
    logs.configure("+framelift")
    logs.configure("")
    logs.logger("rules").debug("skipped")
    assert capsys.readouterr().err == ""
    assert not logs.logger("framelift").handlers


def test_unknown_names_are_refused_and_nothing_is_set():
    with pytest.raises(exc.Misuse, match="Did you mean 'graph_breaks'"):
        logs.configure("+guards,graph_brakes")
    assert logs.logger("guards").level == logging.NOTSET


def test_said_once(caplog):
    logs.say_once("execute", ("f", 1), "the limit is reached")
    logs.say_once("execute", ("f", 1), "the limit is reached")
    logs.say_once("execute", ("f", 2), "the limit is reached")
    assert len(caplog.records) == 2
    logs.forget()
    logs.say_once("execute", ("f", 1), "the limit is reached")
    assert len(caplog.records) == 3


def test_the_environment_is_read_at_import():
    program = "import framelift.observe.logs as logs; logs.logger('graph').debug('seen')"
    done = subprocess.run(
        [sys.executable, "-c", program], env=_with(FRAMELIFT_LOGS="+graph"), capture_output=True, text=True
    )
    assert done.stderr == "[framelift.graph] seen\n"
    bad = subprocess.run(
        [sys.executable, "-c", program], env=_with(FRAMELIFT_LOGS="grph"), capture_output=True, text=True
    )
    assert bad.returncode == 1
    assert "Did you mean 'graph'" in bad.stderr


def _with(**variables):
    return {**os.environ, **variables}
