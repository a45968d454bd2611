"""Seeds: one global stream, made reproducible by ``set_random_seed``."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

_STREAM = [random.Random()]


def set_random_seed(seed: int) -> None:
    """Seeds Python's ``random``, numpy's global state and the initializers.

    Raises:
        ValueError: ``seed`` is not an int between 0 and 2**32 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ValueError(
            f"set_random_seed: expected an int between 0 and 2**32 - 1; received {seed!r}"
        )
    random.seed(int(seed))
    np.random.seed(int(seed))
    _STREAM[0] = random.Random(int(seed))


def next_seed() -> int:
    """A seed from the global stream."""
    return _STREAM[0].randrange(2**31)


def get_state() -> tuple[Any, ...]:
    """The state of the global stream, for ``set_state``."""
    return _STREAM[0].getstate()


def set_state(state: tuple[Any, ...]) -> None:
    """Makes the global stream go on as it did after ``get_state``."""
    _STREAM[0].setstate(state)


class SeedGenerator:
    """A stream of seeds of its own: ``next()`` gives another int each time."""

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        self.seed = next_seed() if seed is None else int(seed)
        self.name = name
        self._stream = random.Random(self.seed)

    def next(self) -> int:
        return self._stream.randrange(2**31)


def generator(seed: int | SeedGenerator | None) -> np.random.Generator:
    """A numpy generator for a seed, a stream of seeds, or None (the global stream)."""
    if isinstance(seed, SeedGenerator):
        return np.random.default_rng(seed.next())
    return np.random.default_rng(next_seed() if seed is None else seed)


def normal(
    shape: tuple[int, ...],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: str = "float32",
    seed: int | SeedGenerator | None = None,
) -> np.ndarray:
    """Normally distributed numbers."""
    drawn = generator(seed).standard_normal(shape, dtype="float32")
    return _scaled(drawn, stddev, mean, dtype)


def uniform(
    shape: tuple[int, ...],
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: str = "float32",
    seed: int | SeedGenerator | None = None,
) -> np.ndarray:
    """Numbers drawn evenly from ``[minval, maxval)``."""
    drawn = generator(seed).random(shape, dtype="float32")
    return _scaled(drawn, maxval - minval, minval, dtype)


def truncated_normal(
    shape: tuple[int, ...],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: str = "float32",
    seed: int | SeedGenerator | None = None,
) -> np.ndarray:
    """Normally distributed numbers; those beyond two standard deviations are drawn again."""
    stream = generator(seed)
    drawn = stream.standard_normal(shape, dtype="float32")
    far = np.abs(drawn) > 2
    while far.any():
        drawn[far] = stream.standard_normal(int(far.sum()), dtype="float32")
        far = np.abs(drawn) > 2
    return _scaled(drawn, stddev, mean, dtype)


def _scaled(drawn: np.ndarray, scale: float, offset: float, dtype: str) -> np.ndarray:
    """In place: large weights are drawn once and not copied."""
    drawn *= scale
    drawn += offset
    return drawn.astype(dtype, copy=False)


def randint(
    shape: tuple[int, ...],
    minval: int,
    maxval: int,
    dtype: str = "int32",
    seed: int | SeedGenerator | None = None,
) -> np.ndarray:
    """Integers drawn evenly from ``[minval, maxval)``."""
    return generator(seed).integers(minval, maxval, shape).astype(dtype)


def shuffle(x: np.ndarray, axis: int = 0, seed: int | SeedGenerator | None = None) -> np.ndarray:
    """``x`` with its slices along ``axis`` in random order."""
    return generator(seed).permutation(np.asarray(x), axis=axis)
