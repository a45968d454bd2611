"""The few settings, each with an environment name. Imports neither numba nor numpy.

from keraunos import config
config.threads = 4
with config.update(debug=1, verify=False):
    ...
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", ""})


class ConfigError(ValueError):
    """A setting or its environment variable has a value that cannot be used."""


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError
    return int(value)


def _positive(value: Any) -> int:
    number = _integer(value)
    if number < 1:
        raise ValueError
    return number


def _not_negative(value: Any) -> int:
    number = _integer(value)
    if number < 0:
        raise ValueError
    return number


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError
    return word in TRUE_WORDS


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _path(value: Any) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise ValueError
    if b"\0" in os.fsencode(value):  # which raises for what no system can name
        raise ValueError
    try:
        return Path(value).expanduser()
    except RuntimeError:  # the home of somebody who is not known
        raise ValueError from None


def _default_cache_dir(environ: Mapping[str, str]) -> Path:
    """The user's cache folder; where he has no home, one of his own among temporary files."""
    folder = Path(platformdirs.user_cache_dir("keraunos"))
    if folder.is_absolute():
        return folder
    return Path(environ.get("TMPDIR") or "/tmp", f"keraunos-{os.geteuid()}")


def available_threads(environ: Mapping[str, str]) -> int:
    """Cores this process may run on, capped by NUMBA_NUM_THREADS where that is set."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    cap = environ.get("NUMBA_NUM_THREADS")
    if cap is None:
        return cores
    limit: int = SETTINGS["threads"].parse(cap, "NUMBA_NUM_THREADS")
    return min(cores, limit)


@dataclass(frozen=True)
class Setting:
    """One setting: how to read it, what to tell a user who got it wrong, its default."""

    environment: str
    expected: str
    convert: Callable[[Any], Any]
    default: Callable[[Mapping[str, str]], Any]

    def parse(self, value: Any, source: str) -> Any:
        """The value in its own type.

        Raises:
            ConfigError: naming `source`, what was expected and what came.
        """
        try:
            return self.convert(value)
        except ValueError:
            raise ConfigError(f"{source}: expected {self.expected}, got {value!r}") from None

    def initial(self, environ: Mapping[str, str]) -> Any:
        if self.environment in environ:
            return self.parse(environ[self.environment], self.environment)
        return self.default(environ)


YES_OR_NO = "a yes or no: 1/0, true/false, yes/no, on/off"

SETTINGS: dict[str, Setting] = {
    "threads": Setting(
        "KERAUNOS_THREADS", "a whole number of threads, 1 or more", _positive, available_threads
    ),
    "cache_dir": Setting(
        "KERAUNOS_CACHE_DIR",
        "the path of a folder",
        _path,
        _default_cache_dir,
    ),
    "cache_max_bytes": Setting(
        "KERAUNOS_CACHE_MAX_BYTES",
        "a whole number of bytes, 0 or more",
        _not_negative,
        lambda _: 512 * 1024 * 1024,
    ),
    "debug": Setting(
        "KERAUNOS_DEBUG", "a whole number, 0 (quiet) or more", _not_negative, lambda _: 0
    ),
    "verify": Setting("KERAUNOS_VERIFY", YES_OR_NO, _flag, lambda _: True),
    "check_finite": Setting("KERAUNOS_CHECK_FINITE", YES_OR_NO, _flag, lambda _: False),
    "target": Setting("KERAUNOS_TARGET", "the name of a target", _word, lambda _: "cpu"),
}


class Config:
    """Settings as attributes; every assignment is checked.

    Attributes:
        threads: threads of a program's parallel region.
        cache_dir: where compiled kernels are kept.
        cache_max_bytes: the kernel cache is trimmed, least recently used first, to this size.
        debug: 0 is quiet; higher prints more.
        verify: check the graph after every pass.
        check_finite: stop at a call whose results hold a NaN or an infinity, and say which op made
            the first of them. Slow: for finding out.
        target: what programs are compiled for from now on: ``"cpu"``, ``"cuda-emulated"``, ...
    """

    threads: int
    cache_dir: Path
    cache_max_bytes: int
    debug: int
    verify: bool
    check_finite: bool
    target: str

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        source = os.environ if environ is None else environ
        for name, setting in SETTINGS.items():
            object.__setattr__(self, name, setting.initial(source))

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in SETTINGS:
            raise AttributeError(f"config has no setting {name!r}; it has {', '.join(SETTINGS)}")
        object.__setattr__(self, name, SETTINGS[name].parse(value, f"config.{name}"))

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{k}={v!r}' for k, v in self.to_dict().items())})"

    def to_dict(self) -> dict[str, Any]:
        """Setting name to value."""
        return {name: getattr(self, name) for name in SETTINGS}

    @contextmanager
    def update(self, **values: Any) -> Iterator[Config]:
        """Set some settings for the length of a `with` block; all or none of them.

        Raises:
            ConfigError: a value is of the wrong kind.
            AttributeError: there is no such setting.
        """
        before = self.to_dict()
        try:
            for name, value in values.items():
                setattr(self, name, value)
            yield self
        finally:
            for name in values.keys() & before.keys():
                object.__setattr__(self, name, before[name])


config = Config()
