"""Random slices, picks and rearrangements against numpy: values, gradients, sizes known and open.

The elements of the first operand are their own places, so what numpy gives for it says where each
element of a result came from, and where its gradient goes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tiers import seeds

import keraunos
from keraunos import KerasTensor, ops

Function = Callable[..., Any]

FAST, SLOW = 15, 2000
INTEGERS = ("int8", "int32", "int64")


@dataclass(frozen=True)
class Case:
    """A function of tensors, the same one in numpy, and the arrays that both take."""

    ours: Function
    numpys: Function
    arrays: tuple[np.ndarray, ...]
    open_shape: tuple[int | None, ...]

    def specs(self, is_open: bool) -> list[KerasTensor]:
        shapes = [array.shape for array in self.arrays]
        shapes[0] = self.open_shape if is_open else shapes[0]
        return [KerasTensor(*pair) for pair in zip(shapes, self.dtypes, strict=True)]

    @property
    def dtypes(self) -> list[str]:
        return [array.dtype.name for array in self.arrays]


def bound(rng: random.Random, size: int) -> int | None:
    near = rng.randint(-size - 3, size + 3)
    return rng.choice([None, 0, 1, -1, near, near])


def some_integers(rng: random.Random, size: int, shape: tuple[int, ...]) -> np.ndarray:
    draw = np.random.default_rng(rng.randrange(10**6))
    return draw.integers(-size, size, shape).astype(rng.choice(INTEGERS))


def some_key(rng: random.Random, shape: tuple[int, ...]) -> tuple[Any, ...]:
    arrays = set(rng.sample(range(len(shape)), min(rng.choice([0, 0, 1, 2]), len(shape))))
    together = rng.choice([(2,), (3, 1), (2, 3)])
    key: list[Any] = []
    for axis, size in enumerate(shape):
        if rng.random() < 0.15:
            key.append(None)
        if axis in arrays:
            picked = tuple(rng.choice([1, n]) for n in together)
            key.append(some_integers(rng, size, picked))
        elif rng.random() < 0.2:
            key.append(rng.randrange(-size, size))
        else:
            step = rng.choice([None, 1, 2, 3, -1, -2, -3])
            key.append(slice(bound(rng, size), bound(rng, size), step))
    return tuple(key)


def item(rng: random.Random, shape: tuple[int, ...], axis: int) -> Any:
    key = some_key(rng, shape)
    return (lambda x: ops.get_item(x, key)), (lambda x: x[key]), ()


def take(rng: random.Random, shape: tuple[int, ...], axis: int) -> Any:
    at = some_integers(rng, shape[axis], rng.choice([(3,), (2, 2)]))
    return (lambda x, k: ops.take(x, k, axis)), (lambda x, k: np.take(x, k, axis)), (at,)


def take_along(rng: random.Random, shape: tuple[int, ...], axis: int) -> Any:
    wanted = list(shape)
    wanted[axis] = rng.randint(1, 4)
    at = some_integers(rng, shape[axis], tuple(wanted))
    numpys = lambda x, k: np.take_along_axis(x, k.astype("int64"), axis)  # noqa: E731
    return (lambda x, k: ops.take_along_axis(x, k, axis)), numpys, (at,)


def roll(rng: random.Random, shape: tuple[int, ...], axis: int) -> Any:
    by = rng.randint(-20, 20)
    return (lambda x: ops.roll(x, by, axis)), (lambda x: np.roll(x, by, axis)), ()


def part(rng: random.Random, shape: tuple[int, ...], axis: int) -> Any:
    cuts = [rng.randint(-shape[axis] - 2, shape[axis] + 2) for _ in range(rng.randint(1, 3))]
    at = rng.randrange(len(cuts) + 1)
    return (lambda x: ops.split(x, cuts, axis)[at]), (lambda x: np.split(x, cuts, axis)[at]), ()


def repeat(rng: random.Random, shape: tuple[int, ...], axis: int) -> Any:
    count = rng.randint(0, 3)
    return (lambda x: ops.repeat(x, count, axis)), (lambda x: np.repeat(x, count, axis)), ()


def tile(rng: random.Random, shape: tuple[int, ...], axis: int) -> Any:
    counts = [rng.randint(0, 3) for _ in range(rng.randint(1, len(shape) + 1))]
    return (lambda x: ops.tile(x, counts)), (lambda x: np.tile(x, counts)), ()


def diagonal(rng: random.Random, shape: tuple[int, ...], axis: int) -> Any:
    if len(shape) < 2:
        return roll(rng, shape, axis)
    args = (rng.randint(-4, 4), *rng.sample(range(len(shape)), 2))
    return (lambda x: ops.diagonal(x, *args)), (lambda x: np.diagonal(x, *args)), ()


KINDS = [item, item, item, take, take_along, roll, part, repeat, tile, diagonal]


def some_case(seed: int, dtype: str) -> Case:
    rng = random.Random(seed)
    shape = tuple(rng.randint(1, 6) for _ in range(rng.randint(1, 4)))
    kind = rng.choice(KINDS)
    ours, numpys, more = kind(rng, shape, rng.randrange(-len(shape), len(shape)))
    x = np.arange(np.prod(shape)).reshape(shape) % (2 if dtype == "bool" else 100)
    open_shape = tuple(rng.choice([None, size]) for size in shape)
    # Indices of the same rank have the sizes of what they pick from.
    kept = shape if kind is take_along else open_shape
    return Case(ours, numpys, (x.astype(dtype), *more), kept)


@pytest.mark.parametrize("seed", seeds(FAST, SLOW))
def test_values(seed: int) -> None:
    case = some_case(seed, ["float32", "int32", "int64", "int8", "uint8", "bool"][seed % 6])
    want = case.numpys(*case.arrays)
    found = [case.ours(*case.arrays)]
    for is_open in (False, True):
        passes = ("default", "none")[(seed + is_open) % 2]
        run = keraunos.compile(case.ours, *case.specs(is_open), passes=passes)
        found.append(run(*case.arrays))
    for each in found:
        assert np.asarray(each).dtype == want.dtype
        np.testing.assert_array_equal(each, want)


@pytest.mark.parametrize("seed", seeds(FAST, SLOW))
def test_gradients(seed: int) -> None:
    case = some_case(seed, "float32")
    x = np.arange(case.arrays[0].size, dtype="float32").reshape(case.arrays[0].shape)
    arrays = (x, *case.arrays[1:])
    came_from = case.numpys(*arrays).astype(int).reshape(-1)
    want = np.bincount(came_from, 2.0 * came_from, x.size).reshape(x.shape)

    def slope(*args: Any) -> Any:
        return keraunos.grad(lambda *inner: ops.sum(ops.square(case.ours(*inner))))(*args)

    for is_open in (False, True):
        passes = ("default", "none")[(seed + is_open) % 2]
        run = keraunos.compile(slope, *case.specs(is_open), passes=passes)
        np.testing.assert_allclose(run(*arrays), want, rtol=1e-5)
