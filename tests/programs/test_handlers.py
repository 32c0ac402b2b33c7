"""Breaks inside handlers, and breaks that raise: the work in the handler and behind it is compiled.

PYTEST_DONT_REWRITE: the assertions here belong to the programs.
"""

from __future__ import annotations

import contextlib
import sys
import traceback

import torch

import framelift
from framelift.observe import reasons
from tests.harness import check, each, floats, made

BREAK = reasons.USER_GRAPH_BREAK.title
ANY = {"graphs": None, "breaks": None, "recompiles": None}


@framelift.disable
def risky(kind):
    """A break that raises: what is disabled is called by CPython."""
    if kind is not None:
        raise kind("risky")
    return 1


def compiled(program, *parts, graphs, operators, **options):
    """``check``, with the operators that must be in graphs; CPython finishes nothing."""
    report = check(program, *parts, **ANY, **options)
    assert graphs is None or report.counts.graphs == graphs
    assert set(operators.split()) <= set(report.calls), report.operators
    assert not report.counts.fallbacks
    return report


@framelift.disable
def lines_of(error):
    """Lines of this file in a traceback, from the first line of the outermost function."""
    places = [place for place in traceback.extract_tb(error.__traceback__) if place.filename == __file__]
    return [(place.name, place.lineno, place.line) for place in places]


class TestTheBreakRaises:
    def test_into_a_handler(self):
        def f(x, kind):
            try:
                y = x.sin()
                risky(kind)
                y = y.tan()
            except ValueError:
                y = x.cos()
            return y.exp()

        compiled(f, floats(3), each(ValueError, None), calls=4, graphs=3, operators="sin tan cos exp")

    def test_the_handler_sees_the_exception(self):
        def f(x):
            y = x.sin()
            try:
                risky(KeyError)
            except (IndexError, KeyError) as error:
                y = y.cos()
                risky(None)
                return y.exp(), repr(error), lines_of(error), sys.exc_info()[1] is error

        compiled(f, floats(3), graphs=3, operators="sin cos exp")

    def test_through_finally(self):
        def f(x, notes):
            y = x.sin()
            try:
                try:
                    risky(ValueError)
                finally:
                    y = y.cos()
                    notes.append(sys.exc_info()[0])
            except Exception as error:
                notes.append(lines_of(error))
                return y.exp()

        compiled(f, floats(3), [], graphs=3, operators="sin cos exp")

    def test_out_of_the_function(self):
        def f(x, notes):
            y = x.sin()
            try:
                risky(ValueError)
            finally:
                notes.append(y.cos())

        check(f, floats(3), [], graphs=2, breaks=1)

    def test_past_handlers_for_others(self):
        def f(x, notes):
            try:
                risky(ValueError)
            except KeyError:
                notes.append("no")
            except IndexError:
                notes.append("no")

        check(f, floats(3), [], graphs=0, breaks=1)

    def test_through_with(self):
        class Noted:
            def __init__(self, notes, swallows):
                self.notes = notes
                self.swallows = swallows

            def __enter__(self):
                return self

            def __exit__(self, kind, error, trace):
                self.notes.append((kind and kind.__name__, str(error), trace and trace.tb_lineno))
                return self.swallows

        def f(x, notes):
            with Noted(notes, True):
                with Noted(notes, False):
                    y = x.sin()
                    risky(ValueError)
                    y = y.tan()
                y = y.tan()
            return y.cos()

        compiled(f, floats(3), [], graphs=2, operators="sin cos")

    def test_through_managers_of_contextlib(self):
        def f(x, notes):
            with contextlib.suppress(KeyError, ValueError), torch.no_grad():
                y = x.sin()
                risky(ValueError)
            notes.append(torch.is_grad_enabled())
            return y.cos() * x

        compiled(f, floats(3, requires_grad=True), [], graphs=None, operators="sin cos mul")

    def test_through_a_generator_as_manager(self):
        @contextlib.contextmanager
        def manager(notes):
            notes.append("in")
            try:
                yield
            except ValueError as error:
                notes.append(str(error))
            finally:
                notes.append("out")

        def f(x, notes):
            with manager(notes):
                y = x.sin()
                risky(ValueError)
            return y.cos()

        check(f, floats(3), [], **ANY)

    def test_in_a_loop(self):
        def f(x, kinds):
            total = x.exp()
            for kind in kinds:
                try:
                    risky(kind)
                except ValueError:
                    total = total.sin()
                    continue
                except KeyError:
                    total = total.tan()
                    break
                else:
                    total = total.cos()
                finally:
                    total = total * 2
                total = total + 1
            return total.abs()

        compiled(
            f,
            floats(3),
            [None, ValueError, None, KeyError, None],
            graphs=None,
            operators="sin tan cos mul add abs",
        )

    def test_with_changing_values(self):
        def f(x, n):
            for i in range(n):
                try:
                    risky(ValueError)
                except ValueError:
                    x = x + i
            return x

        report = compiled(f, floats(3), each(3, 30), graphs=None, operators="add")
        assert report.counts.graphs < 12


class TestABreakInAHandler:
    def test_behind_a_real_exception(self):
        def f(x, table):
            try:
                y = x * table["missing"]
            except KeyError as error:
                y = x.sin()
                framelift.graph_break()
                y = y.cos() + len(error.args)
            return y.exp()

        compiled(f, floats(3), {}, graphs=2, operators="sin cos exp")

    def test_exc_info_and_format_exc(self):
        def f(x, table):
            try:
                table["missing"]
            except KeyError:
                framelift.graph_break()
                kind, error, trace = sys.exc_info()
                text = traceback.format_exc()
                return x.sin(), kind, str(error), trace.tb_lineno, text.count("table["), text.count("File")

        check(f, floats(3), {}, **ANY)

    def test_raised_again(self):
        def f(x, notes):
            try:
                try:
                    risky(ValueError)
                except ValueError:
                    notes.append(x.sin())
                    framelift.graph_break()
                    notes.append(x.cos())
                    raise
            except ValueError as error:
                notes.append(lines_of(error))
                return x.exp()

        compiled(f, floats(3), [], graphs=3, operators="sin cos exp")

    def test_raise_from(self):
        def f(x, how):
            y = x.sin()
            try:
                try:
                    risky(ValueError)
                except ValueError as error:
                    framelift.graph_break()
                    y = y.cos()
                    if how == "from":
                        raise KeyError("second") from error
                    if how == "none":
                        raise KeyError("second") from None
                    raise KeyError("second")
            except KeyError as error:
                found = error.__context__, error.__cause__
                shown = [(repr(one), lines_of(one)) for one in found if one is not None]
                return y.exp(), shown, error.__suppress_context__, lines_of(error)

        for how in ("from", "none", "plain"):
            compiled(f, floats(3), how, graphs=None, operators="sin cos exp")

    def test_contexts_of_contexts(self):
        def f(x):
            try:
                risky(ValueError)
            except ValueError:
                try:
                    framelift.graph_break()
                    risky(KeyError)
                except KeyError:
                    try:
                        framelift.graph_break()
                        [][x.dim()]
                    except IndexError as error:
                        chain = []
                        while error is not None:
                            chain.append(repr(error))
                            error = error.__context__
                        framelift.graph_break()
                        inner = sys.exc_info()[1]
                    middle = sys.exc_info()[1]
                outer = sys.exc_info()[1]
            return x.sin(), chain, repr(inner), repr(middle), repr(outer), sys.exc_info()

        compiled(f, floats(3), graphs=1, operators="sin")

    def test_return_from_finally(self):
        def f(x, notes):
            for i in range(4):
                try:
                    notes.append(i)
                    if i == 1:
                        continue
                    risky(ValueError if i == 3 else None)
                finally:
                    framelift.graph_break()
                    notes.append(sys.exc_info()[0])
                    if i == 3:
                        return x.cos()  # noqa: B012
            return x.sin()

        compiled(f, floats(3), [], graphs=1, operators="cos")

    def test_with_around_and_inside(self):
        def f(x):
            try:
                risky(ValueError)
            except ValueError:
                with torch.no_grad():
                    y = x.sin()
                    framelift.graph_break()
                    y = y.cos()
            with contextlib.suppress(KeyError):
                y = y.exp()
                framelift.graph_break()
                raise KeyError
            return y.tan()

        compiled(f, floats(3, requires_grad=True), graphs=None, operators="sin cos exp tan")

    def test_in_a_handler_of_the_caller(self):
        def f(x):
            y = x.sin()
            framelift.graph_break()
            try:
                {}["a"]
            except KeyError as error:
                context = error.__context__
            return y.cos(), repr(sys.exc_info()[1]), repr(context)

        @contextlib.contextmanager
        def handling():
            try:
                raise OverflowError("the caller's")
            except OverflowError:
                yield

        check(f, floats(3), context=handling, **ANY)
        check(f, floats(3), **ANY)

    def test_the_handled_exception_is_the_callers_again(self):
        def f(x):
            try:
                risky(ValueError)
            except ValueError:
                framelift.graph_break()
                return x.sin()

        call = framelift.compile(f, backend="eager")
        x = torch.ones(3)
        for _ in range(3):
            try:
                raise OverflowError("the caller's")
            except OverflowError as error:
                call(x)
                after = sys.exc_info()[1] is error
            assert after
            call(x)
            assert sys.exc_info() == (None, None, None)
        assert not framelift.counters["fallbacks"]

    def test_in_a_generator_that_is_used_in_a_handler(self):
        def f(x):
            try:
                risky(ValueError)
            except ValueError:
                y = x.sin()
            framelift.graph_break()
            return y.cos(), repr(sys.exc_info()[1])

        call = framelift.compile(f, backend="eager")
        x = torch.ones(3)

        def ask():
            while True:
                yield call(x)[1]
                yield f(x)[1]

        asked = ask()
        for _ in range(3):
            try:
                raise OverflowError("the caller's")
            except OverflowError:
                assert next(asked) == next(asked) == 'OverflowError("the caller\'s")'
            assert next(asked) == next(asked) == "None"


class TestExceptionsAsValues:
    def test_from_arguments(self):
        def f(x, error):
            try:
                raise error
            except ValueError as caught:
                framelift.graph_break()
                return x.sin(), caught is error, caught.args

        check(f, floats(3), made(lambda k: ValueError("given", k)), **ANY)

    def test_kept_behind_the_handler(self):
        def f(x):
            kept = None
            try:
                risky(ValueError)
            except ValueError as error:
                kept = error
            framelift.graph_break()
            return x.sin(), repr(kept), lines_of(kept), repr(kept.__context__)

        compiled(f, floats(3), graphs=1, operators="sin")

    def test_the_text_of_the_exception(self):
        def f(x, notes):
            try:
                risky(ValueError)
            except ValueError as error:
                notes.append(f"failed: {error}")
                return x.sin()

        compiled(f, floats(3), [], graphs=1, operators="sin")


def test_groups_are_cpythons():
    def f(x):
        y = x.sin()
        try:
            raise ExceptionGroup("group", [ValueError(1), KeyError(2)])
        except* ValueError as group:
            y = y.cos()
            found = len(group.exceptions)
        except* KeyError:
            y = y.tan()
        return y, found

    check(f, floats(3), **ANY)


def test_nothing_is_kept_alive():
    class Thing:
        pass

    def f(x, thing):
        try:
            risky(ValueError)
        except ValueError as error:
            framelift.graph_break()
            y = x.sin() + len(error.args)
        return y

    check(f, floats(3), made(lambda k: Thing()), **ANY)


class TestOperatorsThatFailInTheGraph:
    def test_with_random_numbers(self):
        def f(x, index):
            y = torch.dropout(x, 0.5, True)
            try:
                y = y[index]
            except IndexError as error:
                return y.cos(), lines_of(error), torch.rand(2)
            return y, torch.rand(2)

        call = framelift.compile(f, backend="eager")
        for last in (1, 7, 1, 7):
            x, index = torch.ones(5), torch.tensor([0, last])
            torch.manual_seed(3)
            expected = f(x, index)
            torch.manual_seed(3)
            found = call(x, index)
            assert [type(one) for one in found] == [type(one) for one in expected]
            for left, right in zip(expected, found, strict=True):
                assert torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right
        assert call.graph_errors == 2
