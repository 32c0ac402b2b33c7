"""Names for the parameters of a test that are the same in every process.

Processes that share the suite's work compare the names of the tests they have collected.
"""

from __future__ import annotations

import re


def without_addresses(value: object) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
