"""``framelift.config``: typed, process-wide, and impossible to misspell."""

import inspect
import os
import subprocess
import sys
import threading

import pytest

import framelift
from framelift import exc
from framelift.config import SETTINGS, Config


@pytest.fixture
def config():
    """A fresh one with the defaults, whatever the environment says."""
    return Config({})


def test_defaults_are_those_of_torch_where_the_meaning_is_the_same(config):
    assert config.cache_size_limit == config.recompile_limit == 8
    assert config.accumulated_cache_size_limit == 256
    assert config.assume_static_by_default is True
    assert config.automatic_dynamic_shapes is True
    assert config.specialize_int is False
    assert config.fallback_random is False
    assert config.suppress_errors is False


def test_every_setting_has_a_type_and_a_sentence():
    annotations = Config.__annotations__
    assert set(annotations) == set(SETTINGS)
    source = inspect.getsource(Config)
    for name, setting in SETTINGS.items():
        assert annotations[name] == setting.kind.__name__
        assert f'    {name}: {setting.kind.__name__}\n    """' in source


def test_an_alias_is_the_same_setting(config):
    config.recompile_limit = 3
    assert config.cache_size_limit == 3
    config.cache_size_limit = 4
    assert config.recompile_limit == 4


def test_unknown_names_raise_with_a_suggestion(config):
    with pytest.raises(AttributeError, match="Did you mean 'cache_size_limit'"):
        config.cache_size_limt = 3
    with pytest.raises(AttributeError, match="Did you mean 'verbose'"):
        config.verbos  # noqa: B018
    with pytest.raises(exc.UnknownSetting, match="Allowed: .*suppress_errors"):
        config.patch(quite_unlike_anything=1)
    assert not hasattr(config, "cache_size_limt")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verbose", 1),
        ("verbose", None),
        ("verbose", "yes"),
        ("cache_size_limit", True),
        ("cache_size_limit", 2.0),
        ("cache_size_limit", 0),
        ("cache_size_limit", -1),
    ],
)
def test_wrong_types_raise_and_change_nothing(config, name, value):
    before = getattr(config, name)
    with pytest.raises(exc.Misuse, match=f"config.{name} = "):
        setattr(config, name, value)
    with pytest.raises(exc.Misuse):
        config.patch({name: value})
    assert getattr(config, name) is before


def test_settings_cannot_be_deleted(config):
    with pytest.raises(AttributeError, match="can't be deleted"):
        del config.verbose


def test_patch_as_context_manager(config):
    with config.patch(verbose=True, recompile_limit=2) as same:
        assert same is config
        assert config.verbose is True
        assert config.cache_size_limit == 2
        with config.patch("cache_size_limit", 5):
            assert config.cache_size_limit == 5
        assert config.cache_size_limit == 2
    assert config.verbose is False
    assert config.cache_size_limit == 8


def test_patch_is_undone_by_an_exception(config):
    with pytest.raises(KeyError), config.patch(verbose=True):
        raise KeyError
    assert config.verbose is False


def test_patch_as_decorator_also_of_a_recursive_function(config):
    @config.patch({"cache_size_limit": 3})
    def limits(depth):
        """Doc."""
        return [config.cache_size_limit] + (limits(depth - 1) if depth else [])

    assert limits(2) == [3, 3, 3]
    assert config.cache_size_limit == 8
    assert limits.__name__ == "limits"
    assert limits.__doc__ == "Doc."


def test_one_patch_entered_twice(config):
    patch = config.patch(cache_size_limit=3)
    with patch:
        config.cache_size_limit = 4
        with patch:
            assert config.cache_size_limit == 3
        assert config.cache_size_limit == 4
    assert config.cache_size_limit == 8


def test_patch_refuses_what_is_not_a_name(config):
    with pytest.raises(exc.Misuse, match="names with values"):
        config.patch(3)


def test_what_one_thread_sets_all_threads_see():
    seen = []
    with framelift.config.patch(cache_size_limit=17):
        thread = threading.Thread(target=lambda: seen.append(framelift.config.cache_size_limit))
        thread.start()
        thread.join()
    assert seen == [17]


def test_print(config):
    config.verbose = True
    assert "  verbose = True  (changed)" in repr(config)
    assert "  suppress_errors = False\n" in repr(config)


def test_to_dict_and_reset(config):
    config.cache_size_limit = 3
    assert config.to_dict()["cache_size_limit"] == 3
    assert "recompile_limit" not in config.to_dict()
    config.reset()
    assert config.cache_size_limit == 8


def test_environment():
    config = Config(
        {"FRAMELIFT_RECOMPILE_LIMIT": "3", "FRAMELIFT_VERBOSE": "on", "FRAMELIFT_CHECK_GUARDS": "0"}
    )
    assert config.cache_size_limit == 3
    assert config.verbose is True
    assert config.check_guards is False


@pytest.mark.parametrize("variable", ["FRAMELIFT_VERBOSE", "FRAMELIFT_CACHE_SIZE_LIMIT"])
def test_a_wrong_environment_says_so_at_import(variable):
    with pytest.raises(exc.Misuse, match=f"{variable}=sometimes"):
        Config({variable: "sometimes"})
    done = subprocess.run(
        [sys.executable, "-c", "import framelift"],
        env={**os.environ, variable: "sometimes"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"{variable}=sometimes" in done.stderr
