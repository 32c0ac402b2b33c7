"""The inventory: every row names something here, ``lookup`` agrees with it, and every reason can be read
aloud."""

from __future__ import annotations

import importlib
import types

import pytest
import torch

from framelift import rules
from framelift.rules.homes import homes
from framelift.rules.modules import BUILT_IN
from framelift.rules.pure import PURE
from framelift.rules.registry import TABLES
from framelift.rules.rows import loaded_module, named_objects, rule_of

# What only a torch built for CUDA has.
WITH_CUDA = ("torch._C:_cuda_", "torch._C:_CudaStreamBase", "torch._C:_CudaEventBase", "torch._C:_nccl_")


def all_rows():
    return [
        pytest.param(table, rows, name, id=f"{rows.module}:{name}")
        for table, members in TABLES.items()
        for rows in members
        for name in rows.names.split()
    ]


def module_of(name: str):
    module = loaded_module(name)
    return importlib.import_module(name) if module is None else module


@pytest.mark.parametrize(("table", "rows", "name"), all_rows())
def test_row(table, rows, name):
    if f"{rows.module}:{name}".startswith(WITH_CUDA) and torch.version.cuda is None:
        pytest.skip("this torch is built without CUDA")
    found = list(named_objects(module_of(rows.module), name))
    assert found, "the row names nothing"
    if "*" in name:
        return
    if type(found[0]) is types.FunctionType:
        packages = {home.partition(".")[0] for home in homes(found[0])}
        if rows.module.partition(".")[0] not in packages:
            pytest.skip(f"{homes(found[0])[0]} has put a function of its own in its place")
    # A later row for the same name is the last word.
    last = [
        rule_of(other, file)
        for file, members in TABLES.items()
        for other in members
        if other.module == rows.module and name in other.names.split()
    ][-1]
    assert rules.lookup(found[0]) == last


@pytest.mark.parametrize("names", PURE, ids=lambda names: names.module)
def test_pure_names(names):
    for name in names.names.split():
        found = list(named_objects(module_of(names.module), name))
        assert found, f"{name} names nothing"
        if "*" not in name:
            assert rules.is_pure(found[0])


def test_reasons_are_sentences_without_a_stop():
    reasons = [rows.reason for members in TABLES.values() for rows in members] + [
        each.reason for each in BUILT_IN
    ]
    for reason in reasons:
        assert reason.strip() == reason
        assert not reason.endswith(".")
        assert " " in reason


def test_patterns_are_named_once():
    patterns = [pattern for modules in BUILT_IN for pattern in modules.patterns.split()]
    assert sorted(patterns) == sorted(set(patterns))


def test_setters_are_marked():
    for setter in (torch._C._set_grad_enabled, torch.set_autocast_enabled, torch._C._set_default_dtype):
        rule = rules.lookup(setter)
        assert (rule.kind, rule.state_setter) == (rules.RuleKind.IN_GRAPH, True)
