"""``mark_dynamic`` and its kin: which sizes are open from the first call on, and what if they can't be."""

import pytest
import torch

import framelift
from tests.harness import check, made


def marked(mark, *sizes, **limits):
    """A recipe: tensors of these many rows, marked in their first dimension."""

    def make(k):
        x = torch.arange(3.0 * sizes[k % len(sizes)]).reshape(-1, 3)
        mark(x, 0, **limits)
        return x

    return made(make)


def double(x):
    return x * 2 + x.shape[0]


def needs_four(x):
    if x.shape[0] == 4:
        return x + 1
    return x - 1


def compiled_for(program, **options):
    return framelift.compile(program, backend="eager", **options)


def test_a_marked_size_is_open_from_the_first_call_on():
    check(double, marked(framelift.mark_dynamic, 4, 6, 9), calls=4)


def test_marks_of_torch_count_too():
    check(double, marked(torch._dynamo.mark_dynamic, 4, 6, 9), calls=4)
    check(double, marked(torch._dynamo.maybe_mark_dynamic, 4, 6, 9), calls=4)


def test_marks_of_framelift_count_in_torch():
    x = torch.ones(4, 3)
    framelift.mark_dynamic(x, [0], min=2, max=8)
    assert x._dynamo_dynamic_indices == {0}
    (limits,) = x._dynamo_dynamic_range
    assert (limits.dim, limits.min, limits.max) == (0, 2, 8)
    framelift.mark_dynamic(x, 0)
    framelift.maybe_mark_dynamic(x, 1)
    framelift.mark_static(x, 1)
    assert (x._dynamo_dynamic_range, x._dynamo_weak_dynamic_indices) == (set(), {1})
    assert x._dynamo_static_indices == {1}


def test_a_marked_size_that_must_be_fixed_is_an_error_with_its_line():
    x = torch.ones(4, 3)
    framelift.mark_dynamic(x, 0)
    with pytest.raises(framelift.exc.ConstraintViolationError, match=r"x\.size\(0\)") as caught:
        compiled_for(needs_four)(x)
    assert caught.value.code == "FL306"
    assert "if x.shape[0] == 4:" in str(caught.value)
    assert caught.value.user_stack[-1].function == "needs_four"


def test_an_operator_can_need_it_as_well():
    def f(x, y):
        return x + y

    x, y = torch.ones(4, 3), torch.ones(4, 3)
    framelift.mark_dynamic(x, 0)
    with pytest.raises(framelift.exc.ConstraintViolated, match=r"return x \+ y"):
        compiled_for(f)(x, y)
    framelift.mark_dynamic(y, 0)
    torch.testing.assert_close(compiled_for(f)(x, y), x + y)


def test_a_weak_mark_gives_way():
    check(needs_four, marked(framelift.maybe_mark_dynamic, 4, 6, 9, 4), calls=4, graphs=2, recompiles=1)


def test_the_range_is_part_of_the_guards():
    framelift.counters.clear()
    program = compiled_for(double)
    x, y = torch.ones(4, 3), torch.ones(12, 3)
    framelift.mark_dynamic(x, 0, min=2, max=10)
    program(x)
    program(torch.ones(10, 3))
    assert not framelift.counters["recompiles"]
    assert torch.equal(program(y), double(y))
    assert len(framelift.counters["recompiles"]) == 1


def test_a_condition_that_the_range_implies_is_no_violation():
    def f(x):
        return x + 1 if x.shape[0] <= 10 else x - 1

    x = torch.ones(4, 3)
    framelift.mark_dynamic(x, 0, min=2, max=10)
    assert torch.equal(compiled_for(f)(x), x + 1)
    framelift.mark_dynamic(x, 0, min=2, max=20)
    with pytest.raises(framelift.exc.ConstraintViolated, match=r"range \[2, 20\]"):
        compiled_for(f)(x)


def test_a_call_outside_its_own_range_is_an_error():
    x = torch.ones(4, 3)
    framelift.mark_dynamic(x, 0, min=5)
    with pytest.raises(framelift.exc.ConstraintViolated, match="is 4 in this call"):
        compiled_for(double)(x)


def test_sizes_of_zero_and_one_are_fixed_all_the_same():
    check(double, marked(framelift.mark_dynamic, 1, 5, 7, 0), calls=5, graphs=3, recompiles=2)


def test_a_static_size_stays_fixed():
    check(double, marked(framelift.mark_static, 4, 6, 9), calls=6, graphs=3, recompiles=2, dynamic=True)


def test_all_sizes_of_a_tensor_can_be_static():
    x = torch.ones(4, 3)
    framelift.mark_static(x)
    assert x._dynamo_static_indices == {0, 1}


def test_a_size_can_be_fixed_inside():
    def f(x):
        framelift.mark_static(x, 0)
        return x + x.shape[0]

    framelift.counters.clear()
    program = compiled_for(f, dynamic=True, fullgraph=True)
    for rows in (4, 5, 6, 4):
        assert torch.equal(program(torch.ones(rows, 3)), torch.ones(rows, 3) + rows)
    assert sum(framelift.counters["recompiles"].values()) == 2


def test_numbers_of_a_static_class_are_facts():
    class Counter(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.step = 0

        def forward(self, x):
            self.step += 1
            return x * self.step

    x = torch.ones(3)
    opened, fixed = Counter(), framelift.mark_static(type("Fixed", (Counter,), {}))()
    for module, entries in ((opened, 2), (fixed, 5)):
        framelift.counters.clear()
        program = framelift.compile(module, backend="eager")
        for step in range(1, 6):
            assert torch.equal(program(x), x * step)
        assert sum(framelift.counters["graphs"].values()) == entries


def test_an_unbacked_size_is_decided_by_nothing():
    check(double, marked(framelift.mark_unbacked, 4, 1, 0, 6), calls=4)
    x = torch.ones(4, 3)
    framelift.mark_unbacked(x, 0)
    with pytest.raises(framelift.exc.Unsupported, match="Branch on data"):
        compiled_for(needs_four, fullgraph=True)(x)


def test_what_is_assumed_of_an_unbacked_size_is_checked():
    def f(x, y):
        return x + y

    program = compiled_for(f, fullgraph=True)
    x, y = torch.ones(4, 3), torch.ones(4, 3)
    framelift.mark_unbacked(x, 0)
    for rows in (4, 1):
        x = torch.ones(rows, 3)
        framelift.mark_unbacked(x, 0)
        assert torch.equal(program(x, y), x + y)
    with pytest.raises(RuntimeError, match="must match"):
        program(torch.ones(2, 3), y)


def test_bounds_of_an_unbacked_size_decide():
    def f(x):
        return x + 1 if x.shape[0] >= 2 else x - 1

    x = torch.ones(4, 3)
    framelift.mark_unbacked(x, 0, min=2)
    assert torch.equal(compiled_for(f, fullgraph=True)(x), x + 1)


def test_marking_inside_is_refused():
    def f(x):
        framelift.mark_dynamic(x, 0)
        return x + 1

    with pytest.raises(framelift.exc.Unsupported, match="before the compiled function"):
        compiled_for(f, fullgraph=True)(torch.ones(3))


@pytest.mark.parametrize("wrong", [(3, 0), (torch.ones(2), "0"), (torch.ones(2), 0.5)])
def test_marks_of_no_meaning_are_refused(wrong):
    with pytest.raises(framelift.exc.Misuse):
        framelift.mark_dynamic(*wrong)
