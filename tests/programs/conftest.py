"""Each test must leave torch as it found it, so that one wrong program does not fail the next.

``make stress`` runs all of them, with breaks forced everywhere (``tests/harness/forced.py``).
"""

from collections.abc import Iterator

import pytest
import torch

from tests.harness.outcome import torch_state


@pytest.fixture(autouse=True)
def torch_is_left_as_it_was() -> Iterator[None]:
    before = {name: value for name, value in torch_state().items() if "random" not in name}
    yield
    after = torch_state()
    changed = {name: (value, after[name]) for name, value in before.items() if after[name] != value}
    torch.set_grad_enabled(True)
    assert not changed


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker("stress")
