"""Seeds: the global stream, made reproducible by ``set_random_seed``, and streams of layers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from .accepted import is_int
from .arguments import Checked, checked
from .errors import UsageError
from .naming import auto_name
from .ops.core import as_node, constant
from .ops.elementwise import add
from .scope import EagerScope, current_scope, entered
from .tensor import KerasTensor
from .variable import Variable

_STREAM = [random.Random()]
_WORD = 2**32
_MOST = 2**128  # bits that numpy's generator makes use of


@checked
def set_random_seed(seed: int) -> None:
    """Seeds Python's ``random``, numpy's global state, the initializers and layers to come.

    Raises:
        ValueError: ``seed`` is not an int between 0 and 2**32 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise UsageError(
            f"set_random_seed: expected an int between 0 and 2**32 - 1; received {seed!r}"
        )
    random.seed(int(seed))
    np.random.seed(int(seed))
    _STREAM[0] = random.Random(int(seed))
    _Shared.restart(int(seed))


def next_seed() -> int:
    """A seed from the global stream."""
    return _STREAM[0].randrange(2**31)


def get_state() -> tuple[Any, ...]:
    """The state of the global stream, for ``set_state``."""
    return _STREAM[0].getstate(), tuple(_Shared.generator().state.value.tolist())


def set_state(state: tuple[Any, ...]) -> None:
    """Makes the global stream go on as it did after ``get_state``.

    Raises:
        ValueError: ``state`` is something else.
    """
    if not isinstance(state, tuple) or len(state) != 2:
        raise UsageError(f"set_state: expected what get_state gave; received {state!r}")
    stream, key = state
    _STREAM[0].setstate(stream)
    _Shared.generator().state.assign(np.array(key, np.int32))


@dataclass(frozen=True)
class RandomState:
    """Python's, numpy's and this package's own stream of random numbers, as plain data."""

    python: Any
    numpy: Any
    own: Any

    @staticmethod
    def now() -> RandomState:
        mersenne = np.random.get_state(legacy=False)
        return RandomState(random.getstate(), _plain(mersenne), get_state())

    def restore(self) -> None:
        random.setstate(_tuples(self.python))
        np.random.set_state(self.numpy)
        set_state(_tuples(self.own))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


class SeedGenerator(Checked):
    """A stream of keys, each for one use: ``next()`` gives the next.

    A key is two int32: the seed, and how many keys were taken.

    Attributes:
        state: the next key, a variable: programs that draw numbers update it.
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        self.given_seed = seed
        self.seed = next_seed() if seed is None else int(seed)
        self.name = name or auto_name(type(self).__name__)
        self.state = Variable(
            key_of(self.seed),
            dtype="int32",
            trainable=False,
            name="seed_generator_state",
            path=f"{self.name}/seed_generator_state",
        )

    def next(self) -> Any:
        """The next key: an array, or a tensor while a call is traced."""
        scope = current_scope()
        if scope is None:
            key = self.state.numpy()
            self.state.assign(key + _STEP)
            return key
        if isinstance(scope, EagerScope):
            with entered(None):
                key = self.next()
            return KerasTensor.of(scope.array(key))
        symbolic = KerasTensor.of(scope.parameter(self.state))
        self.state.assign(add(symbolic, _STEP))
        return symbolic

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"seed": self.given_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        return cls(**config)


_STEP = np.array([0, 1], np.int32)


def key_of(seed: int) -> np.ndarray:
    """The key that a seed alone stands for; of large ones the low 32 bits count."""
    return np.array([seed % _WORD, 0], np.uint32).view(np.int32)


class _Shared:
    """The generator for calls without a seed; there is one, as compiled programs hold on to it."""

    _made: SeedGenerator | None = None
    _seed: int | None = None

    @classmethod
    def generator(cls) -> SeedGenerator:
        if cls._made is None:
            # Its seed takes nothing from the stream: that would depend on who asks first.
            seed = random.SystemRandom().randrange(_WORD) if cls._seed is None else cls._seed
            cls._made = SeedGenerator(seed, name="shared_seed_generator")
        return cls._made

    @classmethod
    def restart(cls, seed: int) -> None:
        cls._seed = seed
        if cls._made is not None:
            cls._made.state.assign(key_of(seed))


def draw_key(seed: Any) -> Any:
    """The node of the key for a draw while a call is traced.

    ``seed``: an int gives the same numbers at every call, a ``SeedGenerator`` others each time,
    None those of the generator that all share; a key is taken as it is.

    Raises:
        ValueError: ``seed`` is none of these.
    """
    if seed is None or isinstance(seed, SeedGenerator):
        return as_node((seed or _Shared.generator()).next())
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        return constant(key_of(int(seed)))
    if isinstance(seed, (KerasTensor, np.ndarray)) and seed.shape == (2,):
        return as_node(seed, "int32")
    raise UsageError(f"expected seed as an int, a SeedGenerator or None; received {seed!r}")


def generator(seed: int | SeedGenerator | None) -> np.random.Generator:
    """A numpy generator for a seed, a stream of seeds, or None (the global stream)."""
    if isinstance(seed, SeedGenerator):
        return np.random.default_rng(seed.next().view(np.uint32))
    if seed is None:
        return np.random.default_rng(next_seed())
    if not is_int(seed):
        raise UsageError(f"expected seed as an int, a SeedGenerator or None; received {seed!r}")
    return np.random.default_rng(int(seed) % _MOST)  # numpy takes no negative ones
