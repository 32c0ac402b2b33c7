"""Frames that are suspended and go on: each talk, with the first N instructions performed at breaks."""

from __future__ import annotations

import pytest

from tests.frames.drivers import Stepping
from tests.frames.talks import NEXT, TALKS


@pytest.mark.parametrize("talk", TALKS, ids=str)
def test_every_number_of_steps(talk):
    expected = talk.had_with(talk.function)
    limit = 0
    while True:
        stepping = Stepping(talk.function, limit)
        assert talk.had_with(stepping.compiled) == expected, f"after {limit} breaks"
        if stepping.left:
            break
        limit += 1
    assert limit > 2 or talk.words[0] is not NEXT
