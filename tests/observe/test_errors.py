"""Messages: what happened, why, what to do, and where in the user's program."""

import pickle
import textwrap

import pytest

from framelift import exc
from framelift.observe import reasons
from framelift.observe.errors import (
    BackendFailed,
    Break,
    InternalError,
    LimitReached,
    Misuse,
    Recompiled,
    UnknownBackend,
    UserFrame,
    format_stack,
)


def a_program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(
        "def outer(x):\n    return inner(x) + 1\n\ndef inner(x):\n    if x.sum():\n        return x\n"
    )
    return str(path)


def a_break(path):
    cause = Break(reasons.DATA_DEPENDENT_BRANCH, "bool of f32[]", because="It is a sum.", operator="sum")
    cause.add_frame(path, 5, "inner", (5, 5, 7, 14))
    cause.add_frame(path, 2, "outer", (2, 2, 11, 19))
    return cause


def test_break_is_shown_with_the_stack_through_inlined_frames(tmp_path):
    path = a_program(tmp_path)
    cause = a_break(path)
    expected = f"""\
    Branch on data of a tensor
      Explanation: {cause.reason.explanation} It is a sum.
      Hint: Compute both sides and choose with `torch.where`.
      Hint: Use `torch.cond` to keep the branch in the graph.
      Hint: Move the condition out of the compiled function.

      Developer debug context: bool of f32[]
        operator: sum

      Reason FL107, data-dependent-branch: see docs/reasons.md#fl107-data-dependent-branch

    from user code:
      File "{path}", line 2, in outer
        return inner(x) + 1
               ^^^^^^^^
      File "{path}", line 5, in inner
        if x.sum():
           ^^^^^^^"""
    assert str(cause) == textwrap.dedent(expected)


def test_break_without_detail_and_stack_has_no_empty_headings():
    text = str(Break(reasons.LOCK))
    assert "Developer debug context" not in text
    assert "from user code" not in text


def test_unsupported_tells_how_to_see_more(tmp_path):
    error = exc.Unsupported(a_break(a_program(tmp_path)))
    assert error.reason is reasons.DATA_DEPENDENT_BRANCH
    assert error.code == "FL107"
    assert [frame.function for frame in error.user_stack] == ["outer", "inner"]
    assert "Set FRAMELIFT_VERBOSE=1" in str(error)
    assert 'FRAMELIFT_LOGS="+framelift"' in str(error)
    assert "from framelift:" not in str(error)


def test_verbose_shows_where_it_was_decided():
    def decides():
        raise Break(reasons.LOCK)

    with pytest.raises(Break) as caught:
        decides()
    text = str(exc.Unsupported(caught.value, verbose=True))
    assert "from framelift:" in text
    assert "in decides" in text


def test_stack_of_lines_without_source_is_still_a_stack():
    text = format_stack([("<string>", 3, "f", None), UserFrame("<string>", 4, "g")])
    assert text == '  File "<string>", line 3, in f\n  File "<string>", line 4, in g\n'


def test_frames_of_framelift_itself_are_not_the_users(tmp_path):
    cause = a_break(a_program(tmp_path))
    cause.add_frame(exc.__file__, 1, "polyfill")
    assert "polyfill" not in str(cause)
    assert [frame.function for frame in exc.Unsupported(cause).user_stack] == ["outer", "inner"]
    alone = Break(reasons.LOCK)
    alone.add_frame(exc.__file__, 1, "polyfill")
    assert "from user code" not in str(alone)


def test_no_markers_under_an_expression_of_several_lines(tmp_path):
    path = tmp_path / "lines.py"
    path.write_text("x = f(\n    1,\n)\n")
    assert "^" not in format_stack([(str(path), 1, "f", (1, 3, 4, 1))])


def test_misuse_says_what_is_allowed():
    error = Misuse(reasons.UNKNOWN_MODE, "mode='fast'", allowed="'a', 'b'", suggestion="a")
    text = str(error)
    assert text.startswith("mode='fast'\n")
    assert "Did you mean 'a'?" in text
    assert "Allowed: 'a', 'b'" in text
    assert "FL003" in text
    assert isinstance(error, RuntimeError)
    assert isinstance(error, TypeError)
    assert isinstance(error, ValueError)


def test_unknown_backend_lists_the_known_ones():
    text = str(UnknownBackend("inducter", ["eager", "inductor"], "inductor"))
    assert "backend='inducter'" in text
    assert "Did you mean 'inductor'?" in text
    assert "'eager', 'inductor', or a callable" in text


def test_backend_failed_has_the_original_as_its_cause():
    original = KeyError("no kernel")
    error = BackendFailed("mine", original)
    assert error.__cause__ is error.inner_exception is original
    assert "KeyError: 'no kernel'" in str(error)


def test_limits_and_recompiles_list_what_failed():
    for error in (Recompiled("f", ["x: size 3 is not 4"]), LimitReached("f", 8, ["x: size 3 is not 4"])):
        assert "x: size 3 is not 4" in str(error)
        assert error.failures == ("x: size 3 is not 4",)


def test_internal_error_says_how_to_reproduce_it(tmp_path):
    cause = IndexError("pop from empty list")
    error = InternalError(
        "capture", "capturing f (model.py:3)", cause, [(a_program(tmp_path), 2, "outer", None)]
    )
    text = str(error)
    assert "framelift failed in capture, capturing f (model.py:3): IndexError: pop from empty list" in text
    assert "return inner(x) + 1" in text
    assert "FRAMELIFT_RAISE_INTERNAL_ERRORS=1" in text
    assert error.__cause__ is cause


def test_names_of_torch():
    assert issubclass(exc.Unsupported, exc.TorchDynamoException)
    assert exc.InternalTorchDynamoError is exc.InternalError
    assert exc.InvalidBackend is exc.UnknownBackend
    assert exc.BackendCompilerFailed is exc.BackendFailed
    for name in exc.__all__:
        assert issubclass(getattr(exc, name), RuntimeError)


def test_an_error_crosses_a_process_boundary(tmp_path):
    """Workers of data loaders and test runners send exceptions by pickle."""
    for error in (
        exc.Unsupported(a_break(a_program(tmp_path))),
        Misuse(reasons.UNKNOWN_MODE, "mode='fast'", allowed="'a'"),
        UnknownBackend("x", ["eager"]),
        BackendFailed("mine", KeyError("no kernel")),
        InternalError("capture", "capturing f", IndexError("x")),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert copy.reason is error.reason
