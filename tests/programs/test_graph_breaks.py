"""Graph breaks cost one instruction: the tensor work around them is captured, whatever statement they are in,
and whoever is called at one sees the frames that CPython would show."""

from __future__ import annotations

import contextlib
import gc
import inspect
import sys
import traceback
import warnings
import weakref
from types import FrameType

import pytest
import torch

import framelift
from framelift.observe import reasons
from tests.harness import check, each, floats, leaks

BREAK = reasons.USER_GRAPH_BREAK.title
BRANCH = reasons.DATA_DEPENDENT_BRANCH.title


def before_and_after(x):
    y = x.sin()
    framelift.graph_break()
    return y.cos()


def test_the_work_on_both_sides_is_captured():
    report = check(before_and_after, floats(3), graphs=2, breaks=1, reason=BREAK)
    assert report.calls == {"sin": 1, "cos": 1}


def in_a_loop(x, n):
    total = x.exp()
    for i in range(n):
        total = total + x * i
        framelift.graph_break()
        total = total.sin()
    return total.cos()


def test_in_a_loop():
    report = check(in_a_loop, floats(3), 3, graphs=None, breaks=None, recompiles=None, reason=BREAK)
    captured = report.calls
    assert {"exp", "add", "mul", "sin", "cos"} <= set(captured)
    assert captured["exp"] == captured["cos"] == 1


def test_rounds_of_a_loop_share_segments():
    def rounds(x, n):
        total = x
        i = 0
        while i < n:
            framelift.graph_break()
            total = total + 1
            i = i + 1
        return total

    check(rounds, floats(3), each(3, 50), graphs=None, breaks=None, recompiles=None, reason=BREAK)
    assert sum(framelift.counters["graphs"].values()) < 12


def in_a_context_manager(x):
    y = x * 2
    with torch.no_grad():
        z = y.sin()
        framelift.graph_break()
        w = z.cos() * x
    return y.exp() + w, w.requires_grad, y.requires_grad


def test_in_a_context_manager():
    report = check(
        in_a_context_manager, floats(3, requires_grad=True), graphs=2, breaks=1, reason=BREAK, backward=True
    )
    assert {"mul", "sin", "cos", "exp"} <= set(report.calls)


def in_two_managers(x):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        y = x @ x
        framelift.graph_break()
        z = x @ x
    return y.dtype, z.dtype, y + z, (x @ x).dtype


def test_in_two_managers():
    check(in_two_managers, floats(3, 3, requires_grad=True), graphs=2, breaks=1, reason=BREAK)


def in_a_try_block(x, wrong):
    y = x.exp()
    try:
        y = y.sin()
        framelift.graph_break()
        y = y.cos()
        if wrong:
            raise ValueError("wrong")
    except ValueError:
        y = y * 2
    else:
        y = y * 3
    finally:
        y = y + 1
    return y


def test_in_a_try_block():
    report = check(in_a_try_block, floats(3), False, graphs=2, breaks=1, reason=BREAK)
    assert {"exp", "sin", "cos"} <= set(report.calls)
    check(in_a_try_block, floats(3), each(True, False, True), graphs=None, breaks=None, recompiles=None)


@framelift.disable
def fails(x):
    raise ValueError("from the function")


def raised_at_the_break(x):
    y = x.exp()
    try:
        y = y.sin()
        fails(y)
    except ValueError as error:
        return y.cos(), str(error)
    finally:
        x.add_(1)


def test_an_exception_of_the_break_is_handled_in_the_frame():
    check(raised_at_the_break, floats(3), graphs=None, breaks=None, reason=reasons.DISABLED_CALL.title)


def raised_through_the_break(x, notes):
    notes.append("before")
    with contextlib.ExitStack() as stack:
        stack.callback(notes.append, "closed")
        fails(x + 1)
    return x


def test_an_exception_of_the_break_leaves_the_frame():
    check(raised_through_the_break, floats(3), [], graphs=None, breaks=None)


def innermost(x):
    y = x.sin()
    framelift.graph_break()
    return y.cos()


def middle(x, notes):
    notes.append("middle")
    y = innermost(x.exp())
    return y.tanh()


class Outer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)

    def forward(self, x, notes):
        y = middle(self.linear(x), notes)
        notes.append("outer")
        return y.sigmoid()


def test_nested_through_callees_several_levels_deep():
    def outermost(x, notes):
        y = middle(x.neg(), notes) + middle(x.abs(), notes)
        return y.sqrt(), len(notes)

    report = check(outermost, floats(3), [], graphs=None, breaks=None, reason=BREAK)
    assert {"neg", "exp", "sin", "cos", "tanh", "abs", "add", "sqrt"} <= set(report.calls)
    report = check(Outer(), floats(3), [], graphs=None, breaks=None, reason=BREAK)
    assert {"linear", "exp", "sin", "cos", "tanh", "sigmoid"} <= set(report.calls)


def test_nothing_is_kept_of_nested_breaks():
    leaks(middle, floats(3), [])


def data_dependent(x, sign):
    y = x.abs() * sign
    if y.sum() > 0:
        return y.sin()
    return y.cos() + 1


def test_a_data_dependent_branch_has_two_continuations():
    report = check(
        data_dependent, floats(3), each(1.0, 1.0, 1.0), graphs=2, breaks=1, reason=BRANCH, recompiles=0
    )
    assert "cos" not in report.calls
    signs = torch.tensor(1.0), torch.tensor(-1.0), torch.tensor(1.0)
    report = check(data_dependent, floats(3), each(*signs), graphs=3, breaks=1, reason=BRANCH, calls=6)
    assert {"sin": 1, "cos": 1}.items() <= report.calls.items()


def data_dependent_loop(x, limit):
    rounds = 0
    while x.sum() < limit:
        x = x + 1
        rounds += 1
    return x * 2, rounds


def test_a_data_dependent_loop():
    check(
        data_dependent_loop,
        floats(3, positive=True),
        each(torch.tensor(10.0), torch.tensor(30.0)),
        graphs=None,
        breaks=None,
        recompiles=None,
        reason=BRANCH,
    )


def prints(x):
    y = x.sin()
    print("shape", tuple(y.shape), end=".\n")
    z = y.cos()
    print(f"sum is {z.sum().item() > 100}")
    return z.exp()


def test_printing():
    report = check(prints, floats(3), graphs=None, breaks=None, recompiles=None)
    assert {"sin", "cos", "exp"} <= set(report.calls)


@framelift.disable
def disabled(x, notes):
    notes.append("disabled")
    return x.tanh()


@framelift.disable(recursive=False)
def only_itself(x, notes):
    notes.append("only itself")
    return middle(x, notes)


def calls_disabled(x, notes):
    y = disabled(x.sin(), notes)
    return y.cos()


def calls_only_itself(x, notes):
    y = only_itself(x.neg(), notes)
    return y.abs()


def test_disabled_functions():
    report = check(calls_disabled, floats(3), [], graphs=2, breaks=1, reason=reasons.DISABLED_CALL.title)
    assert report.calls == {"sin": 1, "cos": 1}
    report = check(calls_only_itself, floats(3), [], graphs=None, breaks=None)
    assert {"neg", "abs"} <= set(report.calls)


# -- what a function called at a break sees ----------------------------------------------------------------


def up_to_here(frame: FrameType | None) -> list[tuple]:
    """The frames of this file's programs, innermost first: name, line, columns, names and plain locals."""
    found = []
    while frame is not None and frame.f_code.co_name not in ("check", "observe", "seen_by"):
        if frame.f_code.co_filename == __file__:
            info = inspect.getframeinfo(frame)
            plain = {k: v for k, v in frame.f_locals.items() if isinstance(v, (int, str, list))}
            found.append((frame.f_code.co_name, info.lineno, info.positions, sorted(frame.f_locals), plain))
        frame = frame.f_back
    return found


@framelift.disable
def with_getframe(x):
    return up_to_here(sys._getframe(1))


@framelift.disable
def with_stack(x):
    return [
        (info.function, info.lineno, info.code_context, info.index, info.positions)
        for info in inspect.stack()
        if info.filename == __file__ and info.function != "seen_by"
    ][:2]


@framelift.disable
def with_traceback(x):
    return [line for line in traceback.format_stack(limit=4) if "seen_by" not in line and __file__ in line][
        -2:
    ]


@framelift.disable
def with_error(x):
    try:
        raise ValueError("seen")
    except ValueError:
        return traceback.format_exc()


@framelift.disable
def with_locals_of_caller(x):
    caller = sys._getframe(1)
    return {name: type(value).__name__ for name, value in caller.f_locals.items()}, caller.f_lasti > 0


@framelift.disable
def with_warning(x):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=2)
        warnings.warn("careful", stacklevel=3)
    return [(str(one.message), one.filename, one.lineno) for one in caught if one.filename == __file__]


def asks_itself(x):
    return up_to_here(sys._getframe())


def asks_for_the_stack(x):
    return [(info.function, info.lineno) for info in inspect.stack() if info.filename == __file__][:2]


VIEWS = [
    with_getframe,
    with_stack,
    with_traceback,
    with_error,
    with_locals_of_caller,
    with_warning,
    asks_itself,
    asks_for_the_stack,
]


def seen_by(program, *arguments):
    return program(*arguments)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_frames_are_those_of_cpython(view):
    def from_a_segment(x, number):
        y = x + number
        names = ["a", "b"]
        seen = view(y)
        z = y * 2
        later = [view(z) for _ in names]
        return z, seen, later

    def in_a_handler(x, number):
        y = x + number
        try:
            with torch.no_grad():
                seen = view(y)
                raise KeyError("x")
        except KeyError as error:
            return y * 2, seen, view(y), str(error)

    for program in (from_a_segment, in_a_handler):
        framelift.reset()
        x = torch.ones(2)
        compiled = framelift.compile(program, backend="eager")
        expected = seen_by(program, x, 3)
        assert expected[1]
        for _ in range(3):
            found = seen_by(compiled, x, 3)
            assert torch.equal(found[0], expected[0])
            assert found[1:] == expected[1:]
        assert framelift.counters["graphs"].total() >= (1 if program is in_a_handler else 2)


def own_locals(x, number):
    y = x + number
    seen = sorted(locals())
    z = y * 2
    del y
    return z, seen, sorted(locals()), sorted(vars())


def test_locals_of_the_frame_itself():
    report = check(own_locals, floats(2), 3, graphs=2, breaks=3, reason=reasons.DYNAMIC_CODE.title)
    assert {"add": 1, "mul": 1}.items() <= report.calls.items()


def test_closures_made_in_each_call_are_let_go():
    def makes_one(x):
        def inner(y):
            z = y * 2
            framelift.graph_break()
            return z + x

        return inner(x) + 1

    framelift.reset()
    compiled = framelift.compile(makes_one, backend="eager")
    given = []
    for k in range(3):
        x = torch.ones(2) + k
        given.append(weakref.ref(x))
        assert torch.equal(compiled(x), makes_one(x))
        del x
    gc.collect()
    assert not any(one() is not None for one in given)
    assert framelift.counters["graph_break"] == {BREAK: 1}


def test_comprehensions_made_in_each_call_share_their_entries():
    def several(items):
        return [innermost(item) for item in items]

    report = check(several, [floats(2), floats(2)], graphs=None, breaks=None, recompiles=None, calls=12)
    assert report.calls == {"sin": 1, "cos": 1}


def test_iterators_of_what_changes_at_the_break_go_on():
    def over_a_list(x, items):
        items.append(x)
        items.append(x + 1)
        iterator = iter(items)
        next(iterator)
        framelift.graph_break()
        return list(iterator)

    def over_a_dict(x, table):
        del table["a"]
        table["c"] = x
        seen = []
        for name in table:
            seen.append(name)
            framelift.graph_break()
        return seen

    def at_the_end(x):
        items = [x]
        iterator = iter(items)
        for _ in iterator:
            pass
        framelift.graph_break()
        items.append(x + 1)
        return list(iterator)

    def in_a_cycle(x):
        items = [x, x + 1]
        items.append(items)
        iterator = iter(items)
        next(iterator)
        framelift.graph_break()
        return len(list(iterator))

    anything = {"graphs": None, "breaks": None, "recompiles": None, "reason": BREAK}
    check(over_a_list, floats(2), [], **anything)
    check(over_a_list, floats(2), [1, 2], **anything)
    check(over_a_dict, floats(2), {"a": 1, "b": 2}, **anything)
    check(at_the_end, floats(2), **anything)
    check(in_a_cycle, floats(2), **anything)
