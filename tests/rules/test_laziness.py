"""Rows are registered when an object of their module is met, and nothing is imported for them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types

from framelift import rules
from framelift.rules import RuleKind
from framelift.rules.registry import Registry
from framelift.rules.rows import Rows, named_objects, rule_of


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_importing_the_rules_imports_nothing_else():
    imported = python(
        """
        import sys, torch
        before = set(sys.modules)
        import framelift.torch_internals
        import framelift.rules.lookup
        print(*sorted(set(sys.modules) - before))
        """
    )
    ours = [name for name in imported.split() if not name.startswith("framelift")]
    # CPython does not list the module that tells subinterpreters apart among its own.
    known = {*sys.stdlib_module_names, "_xxsubinterpreters"}
    assert not [name for name in ours if name.partition(".")[0] not in known]


def test_lookups_import_nothing():
    assert (
        python(
            """
            import sys, math, torch
            from framelift import rules
            before = set(sys.modules)
            for value in (*vars(torch).values(), *vars(torch.nn.functional).values(), *vars(math).values()):
                rules.lookup(value)
                rules.is_pure(value)
            print(*sorted(name for name in set(sys.modules) - before if not name.startswith("framelift")))
            """
        )
        == ""
    )


def test_a_module_registers_at_its_first_object():
    assigned = []
    registry = Registry(lambda value, rule: assigned.append(value), lambda value: None)
    assert assigned == []
    registry.settle(["torch.serialization"])
    import torch

    assert torch.save in assigned
    assert torch.manual_seed not in assigned
    assigned.clear()
    assert registry.settle(["torch.serialization"]) == (False, True)
    assert assigned == []


def test_a_module_that_is_not_loaded_is_asked_again():
    registry = Registry(lambda value, rule: None, lambda value: None)
    assert "torch.onnx.not_there" not in sys.modules
    registry._rows["torch.onnx.not_there"].append(("function", None))
    assert registry.settle(["torch.onnx.not_there"]) == (False, False)


def test_a_module_that_is_still_loading_is_asked_again():
    module = types.ModuleType("loading_now")
    module.__spec__ = types.SimpleNamespace(_initializing=True)
    sys.modules["loading_now"] = module
    try:
        assigned = []
        registry = Registry(lambda value, rule: assigned.append(value), lambda value: None)
        registry._rows["loading_now"].append(("late", None))
        assert registry.settle(["loading_now"]) == (True, False)
        module.late = len
        module.__spec__._initializing = False
        assert registry.settle(["loading_now"]) == (True, True)
        assert assigned == [len]
    finally:
        del sys.modules["loading_now"]


def test_rows_do_not_call_a_modules_getattr():
    module = types.ModuleType("lazy_names")

    def __getattr__(name):
        raise AssertionError(name)

    module.__getattr__ = __getattr__
    assert list(named_objects(module, "function")) == []


def test_a_name_written_out_comes_before_a_star():
    import torch

    assert rules.lookup(torch.set_autocast_enabled).state_setter
    assert rules.lookup(torch._C._cuda_isInBadFork).kind is RuleKind.BUILTIN
    assert rule_of(Rows("m", "f", RuleKind.SKIP, "no"), "area").origin == "rules/area.py"
