from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from keraunos.runtime.config import Config, ConfigError


def test_defaults_come_from_the_machine() -> None:
    config = Config({})
    assert config.threads == len(os.sched_getaffinity(0))
    assert config.cache_dir.name == "keraunos"
    assert (config.cache_max_bytes, config.debug, config.verify) == (512 * 2**20, 0, True)


def test_environment_names() -> None:
    config = Config(
        {
            "KERAUNOS_THREADS": "3",
            "KERAUNOS_CACHE_DIR": "~/kernels",
            "KERAUNOS_CACHE_MAX_BYTES": "1000",
            "KERAUNOS_DEBUG": "2",
            "KERAUNOS_VERIFY": "off",
            "KERAUNOS_TARGET": "cuda-emulated",
        }
    )
    assert (config.threads, config.cache_max_bytes) == (3, 1000)
    assert config.cache_dir == Path.home() / "kernels"
    assert (config.debug, config.verify, config.target) == (2, False, "cuda-emulated")


def test_who_has_no_home_gets_a_cache_folder_of_his_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one named ``~`` in whatever folder is the working one."""
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: f"~/.cache/{name}")
    name = f"keraunos-{os.geteuid()}"
    assert Config({}).cache_dir == Path("/tmp", name)
    assert Config({"TMPDIR": "/scratch"}).cache_dir == Path("/scratch", name)


def test_numba_num_threads_caps_the_default_only() -> None:
    assert Config({"NUMBA_NUM_THREADS": "1"}).threads == 1
    assert Config({"NUMBA_NUM_THREADS": "1", "KERAUNOS_THREADS": "5"}).threads == 5


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("KERAUNOS_THREADS", "0", "1 or more"),
        ("KERAUNOS_THREADS", "many", "whole number"),
        ("KERAUNOS_CACHE_MAX_BYTES", "1.5", "whole number"),
        ("KERAUNOS_DEBUG", "-1", "0 (quiet) or more"),
        ("KERAUNOS_VERIFY", "perhaps", "yes or no"),
        ("KERAUNOS_TARGET", " ", "name of a target"),
        ("KERAUNOS_CACHE_DIR", "", "path"),
        ("KERAUNOS_CACHE_DIR", "~nobody-of-this-name/kernels", "path"),
        ("KERAUNOS_CACHE_DIR", "a\0b", "path"),
        ("KERAUNOS_CACHE_DIR", "\ud800", "path"),
    ],
)
def test_bad_environment(name: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        Config({name: value})
    assert str(error.value).startswith(name)
    assert expected in str(error.value)
    assert repr(value) in str(error.value)


def test_assignment_is_checked() -> None:
    config = Config({})
    config.threads = 2
    with pytest.raises(ConfigError, match=r"config\.threads: expected .* got -1"):
        config.threads = -1
    with pytest.raises(ConfigError, match=r"config\.threads"):
        config.threads = True
    with pytest.raises(AttributeError, match="no setting 'thread'"):
        config.thread = 2  # type: ignore[attr-defined]
    assert config.threads == 2


def test_update_restores_after_errors_too() -> None:
    config = Config({"KERAUNOS_THREADS": "4"})
    with pytest.raises(KeyError), config.update(threads=1, debug=3):
        assert (config.threads, config.debug) == (1, 3)
        raise KeyError
    assert (config.threads, config.debug) == (4, 0)
    with pytest.raises(ConfigError), config.update(threads=2, debug="loud"):
        pass
    assert config.threads == 4


def test_config_needs_no_numba() -> None:
    """A tool that only reads settings must not wait for a compiler: the file stands alone."""
    path = Path(__file__).parents[2] / "runtime" / "config.py"
    code = (
        "import runpy, sys; "
        f"runpy.run_path({str(path)!r}); "
        "sys.exit(any(name in sys.modules for name in ('numba', 'numpy', 'llvmlite')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
