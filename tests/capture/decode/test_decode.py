"""Decoding as a whole: what is shared, what is kept, what is refused, and which slots there are."""

from __future__ import annotations

import dis
import gc
import subprocess
import sys
import weakref
from types import CodeType

import pytest

from framelift.capture.decode import UndecodableCode, decode
from framelift.capture.decode import instruction as vocabulary
from tests.conftest import PYTHON_SOURCES


def compiled(source: str) -> CodeType:
    """The code of the function ``f`` that the source defines."""
    namespace: dict[str, object] = {}
    exec(source, namespace)
    return namespace["f"].__code__


def test_a_code_object_is_decoded_once() -> None:
    code = compiled("def f(): return 1")
    assert decode(code) is decode(code)


def test_equal_code_objects_are_decoded_each() -> None:
    source = "def f(): return 1"
    first, second = compiled(source), compiled(source)
    assert first == second
    assert decode(first) is not decode(second)
    assert decode(first).code is first
    assert decode(second).code is second


def test_decoding_keeps_nothing_alive() -> None:
    code = compiled("def f(): return 1")
    decoded = weakref.ref(decode(code))
    alive = weakref.ref(code)
    del code
    gc.collect()
    assert alive() is None
    assert decoded() is None


def test_a_dead_code_object_is_said_to_be_dead() -> None:
    decoded = decode(compiled("def f(): return 1"))
    gc.collect()
    with pytest.raises(ReferenceError):
        _ = decoded.code


def test_imports_without_torch() -> None:
    program = f"""
import sys, types
for package in ("framelift", "framelift.capture"):
    sys.modules[package] = types.ModuleType(package)
    sys.modules[package].__path__ = [{str(PYTHON_SOURCES)!r} + "/" + package.replace(".", "/")]
sys.modules["torch"] = None
from framelift.capture.decode import decode
print(len(decode(decode.__code__).instructions) > 0)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("True\n", "")


def test_slots_are_locals_then_cells_then_free_variables() -> None:
    source = """
def outer(free):
    def f(argument, shared):
        local = argument
        cell = local
        return lambda: (shared, cell, free)
    return f
f = outer(1)
"""
    code = compiled(source)
    assert decode(code).slots == ("argument", "shared", "local", "cell", "free")
    by_name = {inst.name: inst.slot for inst in decode(code).instructions if hasattr(inst, "slot")}
    assert by_name == {"argument": 0, "shared": 1, "local": 2, "cell": 3, "free": 4}


def test_a_long_function_jumps_to_prefixes() -> None:
    body = "".join(f"        total += {value}.5\n" for value in range(400))
    code = compiled(f"def f(items, total):\n    for item in items:\n{body}    return total")
    decoded = decode(code)
    assert "EXTENDED_ARG" in {item.opname for item in dis.get_instructions(code)}
    constants = {inst.value for inst in decoded.instructions if isinstance(inst, vocabulary.LoadConst)}
    assert {value + 0.5 for value in range(400)} <= constants
    [loop] = [inst for inst in decoded.instructions if isinstance(inst, vocabulary.ForIter)]
    assert code.co_code[loop.offset] == dis.EXTENDED_ARG
    [back] = [inst for inst in decoded.instructions if isinstance(inst, vocabulary.Jump)]
    assert decoded.instructions[back.target] is loop


def test_keyword_names_belong_to_the_call() -> None:
    decoded = decode(compiled("def f(g, a, b): return g(a, first=b, second=a)"))
    [(index, call)] = [
        (index, inst) for index, inst in enumerate(decoded.instructions) if isinstance(inst, vocabulary.Call)
    ]
    assert (call.count, call.keywords, call.resumable) == (3, ("first", "second"), True)
    assert decoded.index_at[call.offset] == index
    assert decoded.positions[index].column == len("def f(g, a, b): return ")
    assert not any(isinstance(inst, vocabulary.LoadConst) for inst in decoded.instructions)


def test_a_call_with_a_condition_in_its_last_argument() -> None:
    decoded = decode(compiled("def f(g, a):\n    a = g(a, key=1 if a else 2)\n    return [a, a, a, a, a, a]"))
    [call] = [inst for inst in decoded.instructions if isinstance(inst, vocabulary.Call)]
    [jump] = [inst for inst in decoded.instructions if isinstance(inst, vocabulary.Jump)]
    assert decoded.instructions[jump.target] is call


def replaced(code: CodeType, *units: tuple[str, int]) -> CodeType:
    """``code`` with other instructions."""
    octets = [octet for opcode, argument in units for octet in (dis.opmap[opcode], argument)]
    return code.replace(co_code=bytes(octets), co_exceptiontable=b"", co_linetable=b"")


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ([("RESUME", 0), ("LOAD_FAST", 0), ("JUMP_FORWARD", 9), ("RETURN_VALUE", 0)], "jump into the middle"),
        ([("RESUME", 0), ("POP_TOP", 0), ("LOAD_FAST", 0), ("RETURN_VALUE", 0)], "nothing to pop"),
        ([("RESUME", 0), ("LOAD_FAST", 0)], "runs off the end"),
        ([("RESUME", 0), ("LOAD_FAST", 0), ("JUMP_BACKWARD_NO_INTERRUPT", 2)], "stack depth"),
    ],
)
def test_refused(units: list[tuple[str, int]], message: str) -> None:
    with pytest.raises(UndecodableCode, match=message):
        decode(replaced(compiled("def f(x): return x"), *units))


def test_a_line_table_may_end_early() -> None:
    decoded = decode(
        replaced(compiled("def f(x): return x"), ("RESUME", 0), ("LOAD_FAST", 0), ("RETURN_VALUE", 0))
    )
    assert [inst.line for inst in decoded.instructions] == [None, None, None]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="3.13 has no KW_NAMES")
def test_keyword_names_without_a_call_are_refused() -> None:
    with pytest.raises(UndecodableCode, match="not followed by CALL"):
        decode(replaced(compiled("def f(x): return x"), ("RESUME", 0), ("KW_NAMES", 0), ("RETURN_VALUE", 0)))


@pytest.mark.skipif(sys.version_info < (3, 13), reason="CALL_KW is new in 3.13")
def test_a_keyword_call_without_constant_names_is_refused() -> None:
    units = [("RESUME", 0), ("LOAD_FAST", 0), ("CALL_KW", 0), ("RETURN_VALUE", 0)]
    with pytest.raises(UndecodableCode, match="constant with its names"):
        decode(replaced(compiled("def f(x): return x"), *units))


def test_instrumented_code_decodes_as_it_was() -> None:
    if sys.version_info < (3, 12):
        pytest.skip("sys.monitoring is new in 3.12")
    source = "def f(items):\n    for item in items:\n        print(item, sep='')\n"
    plain, traced = compiled(source), compiled(source)
    expected = str(decode(plain))
    monitoring = sys.monitoring
    monitoring.use_tool_id(3, "decode")
    events = monitoring.events
    try:
        monitoring.set_local_events(
            3, traced, events.LINE | events.CALL | events.PY_START | events.INSTRUCTION
        )
        assert str(decode(traced)) == expected
    finally:
        monitoring.set_local_events(3, traced, 0)
        monitoring.free_tool_id(3)
