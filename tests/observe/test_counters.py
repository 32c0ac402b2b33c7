"""Counters count from any thread and are emptied by ``reset``."""

import threading

import pytest

import framelift
from framelift.observe.counters import GROUPS, Counters, count


@pytest.fixture(autouse=True)
def empty():
    framelift.counters.clear()
    yield
    framelift.counters.clear()


def test_every_group_is_there_from_the_beginning():
    assert set(framelift.counters) == set(GROUPS)
    assert all(not group for group in framelift.counters.values())


def test_count():
    count("graph_break", "Branch on data of a tensor")
    count("graph_break", "Branch on data of a tensor", 2)
    assert dict(framelift.counters["graph_break"]) == {"Branch on data of a tensor": 3}


def test_a_group_nobody_knows_is_refused():
    with pytest.raises(KeyError, match="graph_break"):
        count("graph_breaks", "x")
    assert "graph_breaks" not in framelift.counters


def test_reading_a_group_of_torch_that_we_lack_gives_nothing():
    assert framelift.counters["stats"]["unique_graphs"] == 0


def test_no_count_is_lost_between_threads():
    def work():
        for _ in range(2000):
            count("frames", "total")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert framelift.counters["frames"]["total"] == 16000


def test_reset_empties_them():
    count("frames", "total")
    framelift.reset()
    assert framelift.counters["frames"] == {}


def test_print():
    counters = Counters()
    counters["graphs"]["eager"] += 1
    assert "graphs: {'eager': 1}" in repr(counters)
