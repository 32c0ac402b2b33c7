"""``leaks``: a compiled program called again and again must leave everything level.

Counted between rounds of calls, after a collection: objects the collector tracks, blocks the allocator has
given out, reference counts of arguments that are used throughout, and on a debug build of CPython the
total of
all references. A leak grows in every round; a cache that fills once does not.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

from tests.harness.compiler import Compiler
from tests.harness.pairing import Mismatch
from tests.harness.setup import Setup, set_up
from tests.harness.world import World, countable

WARM_UP = 20
ROUNDS = 6
CALLS_IN_ROUND = 10


def leaks(
    program: object,
    *parts: object,
    keywords: dict[str, object] | None = None,
    inputs: Callable[[int], object] | None = None,
    reuse_arguments: bool = True,
    compiler: Compiler | None = None,
    **options: object,
) -> None:
    """Raise Mismatch if any count grows in every round. Arguments are made once, or anew for each call."""
    options.setdefault("fullgraph", False)
    setup = set_up(program, parts, keywords=keywords, inputs=inputs, compiler=compiler, **options)
    stay_level(setup, reuse_arguments)


def stay_level(setup: Setup, reuse_arguments: bool) -> None:
    """Raise Mismatch if any count grows in every round of the compiled world, and does not in eager."""
    leaking = _growing(setup.compiled, reuse_arguments)
    if leaking:
        meant = _growing(setup.eager, reuse_arguments)
        leaking = {name: numbers for name, numbers in leaking.items() if name not in meant}
    if leaking:
        raise Mismatch(f"growth in each of {ROUNDS} rounds of {CALLS_IN_ROUND} calls: {leaking}")


def _growing(world: World, reuse_arguments: bool) -> dict[str, list[int]]:
    """The counts that grow in every round, with their growth.

    Blocks must grow by one a call: the interpreter and the allocator themselves keep a few now and then.
    """
    kept = world.inputs(0)
    objects = countable((kept.positional, kept.keywords)) if reuse_arguments else []

    def call(times: int) -> None:
        for number in range(times):
            _call_once(world, kept if reuse_arguments else world.inputs(number))

    call(WARM_UP)
    growth: dict[str, list[int]] = {}
    last = _census(objects)
    for _ in range(ROUNDS):
        call(CALLS_IN_ROUND)
        now = _census(objects)
        for name, number in now.items():
            growth.setdefault(name, []).append(number - last[name])
        last = now
    least = {"allocated blocks": CALLS_IN_ROUND}
    return {name: numbers for name, numbers in growth.items() if min(numbers) >= least.get(name, 1)}


def _call_once(world: World, given: object) -> None:
    with world.globals, world.context():
        try:
            world.call(*given.positional, **given.keywords)
        except Exception as error:
            error.__traceback__ = None


def _census(objects: list[object]) -> dict[str, int]:
    gc.collect()
    counts = {
        f"references to {type(one).__qualname__} #{index}": sys.getrefcount(one)
        for index, one in enumerate(objects)
    }
    counts["tracked objects"] = len(gc.get_objects())
    counts["allocated blocks"] = sys.getallocatedblocks()
    if hasattr(sys, "gettotalrefcount"):
        counts["all references"] = sys.gettotalrefcount()
    return counts
