"""Closures, cells, defaults, nonlocal and global names."""

import torch

from tests.harness import Program, check, floats, fresh

COUNT = 0
HISTORY: list[int] = []
SCALE = 2.0


def test_closure_over_a_tensor():
    def build():
        weight = torch.ones(3) * 2

        def f(x):
            return x * weight

        return f

    check(fresh(build), floats(3))


def test_nonlocal_is_written_back():
    def build():
        total = 0

        def f(x):
            nonlocal total
            total += 1
            return x + 1

        return Program(f, watch=lambda: total)

    check(fresh(build), floats(3), graphs=1, recompiles=0, calls=1)


def test_nonlocal_tensor_is_written_back():
    def build():
        state = torch.zeros(3)

        def f(x):
            nonlocal state
            state = state + x
            return state * 2

        return Program(f, watch=lambda: state)

    check(fresh(build), floats(3))


def test_inner_function_with_nonlocal():
    def f(x):
        count = 0

        def step(y):
            nonlocal count
            count += 1
            return y * count

        return step(x) + step(x) + step(x), count

    check(f, floats(2))


def test_returned_closure_keeps_its_cells():
    def f(x):
        y = x + 1

        def later(z):
            return y + z

        return later, y

    check(f, floats(2))


def test_two_closures_share_a_cell():
    def f(x):
        value = x

        def get():
            return value

        def put(new):
            nonlocal value
            value = new

        put(x * 2)
        return get() + 1, get, put

    check(f, floats(2))


def test_late_binding_in_a_loop():
    def f(x):
        functions = [lambda y: y * i for i in range(3)]
        return [function(x) for function in functions]

    check(f, floats(2))


def test_default_arguments_are_bound_early():
    def f(x):
        functions = [lambda y, i=i: y * i for i in range(3)]
        return [function(x) for function in functions]

    check(f, floats(2))


def test_mutable_default_is_shared():
    def build():
        def f(x, seen=[]):  # noqa: B006
            seen.append(len(seen))
            return x + 1

        return Program(f, watch=lambda: f.__defaults__)

    check(fresh(build), floats(2), calls=1)


def test_unbound_local_raises():
    def f(x, flag):
        if flag:
            y = x
        try:
            return y + 1
        except UnboundLocalError as error:
            return x, str(error)

    check(f, floats(2), True)
    check(f, floats(2), False, graphs=0)


def test_empty_cell_raises():
    def f(x):
        def g():
            return later

        try:
            g()
        except NameError as error:
            text = str(error)
        later = x + 1
        return g(), text

    check(f, floats(2))


def test_delete_of_a_local_and_a_cell():
    def f(x):
        y = x + 1
        z = y * 2
        del y

        def g():
            return z  # noqa: F821

        result = g()
        del z
        try:
            g()
        except NameError as error:
            return result, type(error).__name__
        return None

    check(f, floats(2))


def test_global_is_read():
    def f(x):
        return x * SCALE

    check(f, floats(2))


def test_missing_global_raises_name_error():
    def f(x):
        try:
            return x + no_such_name  # noqa: F821
        except NameError as error:
            return x + 1, str(error)

    check(f, floats(2))


def add_to_history(x):
    global COUNT
    COUNT += 1
    HISTORY.append(COUNT)
    return x + 1


def test_globals_are_written_back():
    check(add_to_history, floats(2), globals=("COUNT", "HISTORY"), calls=1)


def rebind_history(x):
    global HISTORY
    HISTORY = [*HISTORY, x]
    return x * 2


def test_a_rebound_global_is_a_new_object():
    check(rebind_history, floats(2), globals=("HISTORY",), calls=1)


def delete_global(x):
    global SCALE
    y = x * SCALE
    del SCALE
    return y


def test_a_deleted_global_is_gone():
    check(delete_global, floats(2), globals=("SCALE",), calls=1)


def test_function_attributes():
    def build():
        def f(x):
            f.seen = x
            f.shape = tuple(x.shape)
            return x + f.bias

        f.bias = 1.5
        return Program(f, watch=lambda: f.__dict__)

    check(fresh(build), floats(2))


def test_nested_functions_three_deep():
    def f(x):
        a = x + 1

        def g(y):
            b = y * 2

            def h(z):
                return a + b + z

            return h

        return g(x)(a)

    check(f, floats(2))


def test_closure_over_a_loop_variable_of_a_comprehension():
    def f(x):
        return [(lambda: i)() + x for i in range(3)]

    check(f, floats(2))


def test_closure_given_by_a_factory_called_inside():
    def make(scale):
        def apply(y):
            return y * scale

        return apply

    def f(x):
        return sum(make(k)(x) for k in (1.0, 2.0, 3.0))

    check(f, floats(2))
