"""Random numbers, by the names of ``keras.random``.

On arrays at top level they are numpy's. While a call is traced they are part of the program, which
draws others each time it runs: they depend on the seed and on their index alone, not on threads,
passes or how a batch is cut.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .accepted import Count, Scalar, Shape, Share
from .allocation import require_memory
from .arguments import checked
from .dtypes import FLOAT32, INT64, as_array, standard_dtype
from .errors import UsageError
from .ops import core
from .ops.core import as_node, ir, operation, tensor
from .ops.elementwise import cast, floor, log
from .ops.picking import take
from .ops.reductions import argmax
from .ops.shaping import sizes_of
from .scope import current_scope
from .seeds import (
    SeedGenerator,
    draw_key,
    generator,
    get_state,
    next_seed,
    set_random_seed,
    set_state,
)
from .tensor import KerasTensor

Seed = Any  # int | SeedGenerator | None

# Traced integers come of floats with so many steps between 0 and 1.
MOST_INTEGERS = 2**24


@checked
def normal(
    shape: Shape, mean: Scalar = 0.0, stddev: Scalar = 1.0, dtype: Any = None, seed: Seed = None
) -> Any:
    """Normally distributed numbers."""
    if current_scope() is None:
        require_memory("random.normal", sizes_of(shape), FLOAT32)
        drawn: Any = generator(seed).standard_normal(shape, dtype="float32")
        return _scaled(drawn, stddev, mean, dtype)
    drawn = tensor(ir.random_normal(draw_key(seed), shape=sizes_of(shape)))
    return cast(drawn * stddev + mean, standard_dtype(dtype).name)


@checked
def uniform(
    shape: Shape, minval: Scalar = 0.0, maxval: Scalar = 1.0, dtype: Any = None, seed: Seed = None
) -> Any:
    """Numbers drawn evenly from ``[minval, maxval)``."""
    if current_scope() is None:
        require_memory("random.uniform", sizes_of(shape), FLOAT32)
        drawn: Any = generator(seed).random(shape, dtype="float32")
        return _scaled(drawn, maxval - minval, minval, dtype)
    drawn = _even(shape, seed)
    return cast(drawn * (maxval - minval) + minval, standard_dtype(dtype).name)


def _even(shape: Any, seed: Seed) -> KerasTensor:
    return tensor(ir.random_uniform(draw_key(seed), shape=sizes_of(shape)))


@checked
def truncated_normal(
    shape: Shape, mean: Scalar = 0.0, stddev: Scalar = 1.0, dtype: Any = None, seed: Seed = None
) -> Any:
    """Normally distributed numbers; those beyond two standard deviations are drawn again."""
    if current_scope() is None:
        require_memory("random.truncated_normal", sizes_of(shape), FLOAT32)
        return _scaled(_truncated(shape, generator(seed)), stddev, mean, dtype)
    # Between the shares of all normal numbers that lie below -2 and below 2.
    edge = math.erf(math.sqrt(2.0))
    level = _even(shape, seed) * (2 * edge) - edge
    drawn = tensor(ir.erf_inverse(level.node)) * math.sqrt(2.0)
    clipped = tensor(ir.clip(drawn.node, low=-2.0, high=2.0))
    return cast(clipped * stddev + mean, standard_dtype(dtype).name)


def _truncated(shape: Any, stream: np.random.Generator) -> np.ndarray:
    drawn = stream.standard_normal(shape, dtype="float32")
    far = np.abs(drawn) > 2
    while far.any():
        drawn[far] = stream.standard_normal(int(far.sum()), dtype="float32")
        far = np.abs(drawn) > 2
    return drawn


def _scaled(drawn: np.ndarray, scale: float, offset: float, dtype: Any) -> np.ndarray:
    """In place: large weights are drawn once and not copied."""
    try:
        drawn *= scale
        drawn += offset
    except ValueError:
        raise UsageError(
            f"expected numbers, or arrays that broadcast to shape {drawn.shape}; received shapes "
            f"{np.shape(scale)} and {np.shape(offset)}"
        ) from None
    return drawn.astype(standard_dtype(dtype).numpy, copy=False)


@checked
def randint(shape: Shape, minval: int, maxval: int, dtype: Any = "int32", seed: Seed = None) -> Any:
    """Integers drawn evenly from ``[minval, maxval)``.

    Raises:
        ValueError: while a call is traced, ``maxval - minval`` is above 2**24.
    """
    name = standard_dtype(dtype).name
    if minval >= maxval:
        raise UsageError(
            f"randint: expected minval below maxval; received minval={minval}, maxval={maxval}"
        )
    if current_scope() is None:
        require_memory("random.randint", sizes_of(shape), INT64)
        return generator(seed).integers(minval, maxval, shape).astype(name)
    if maxval - minval > MOST_INTEGERS:
        raise UsageError(
            f"randint: expected 1 to {MOST_INTEGERS} integers to draw from; received "
            f"minval={minval}, maxval={maxval}"
        )
    return cast(floor(_even(shape, seed) * (maxval - minval)), name) + minval


@operation
def dropout(inputs: Any, rate: Share, noise_shape: Any = None, seed: Seed = None) -> KerasTensor:
    """``inputs`` with a share ``rate`` of the elements 0, and the others divided by ``1 - rate``.

    ``noise_shape`` has 1 for axes along which all is dropped together, None for sizes of the input.
    """
    node = as_node(inputs)
    if rate == 0:
        return tensor(node)
    if rate == 1:
        return tensor(ir.broadcast_to(core.constant(0, node.dtype), shape=node.shape))
    kept = ir.less(_even(resolved_shape(node.shape, noise_shape), seed).node, _number(1 - rate))
    if kept.shape != node.shape:
        kept = ir.broadcast_to(kept, shape=node.shape)
    scaled = ir.multiply(node, core.constant(1 / (1 - rate), node.dtype))
    return tensor(ir.select(kept, scaled, core.constant(0, node.dtype)))


def _number(value: float) -> Any:
    return core.constant(value, "float32")


def resolved_shape(sizes: Any, noise_shape: Any) -> tuple[Any, ...]:
    """``noise_shape`` with the sizes of the input in place of None; without one, these all."""
    if noise_shape is None:
        return tuple(sizes)
    if not isinstance(noise_shape, (list, tuple)) or len(noise_shape) != len(sizes):
        raise UsageError(
            f"expected noise_shape with {len(sizes)} sizes, one an axis; received {noise_shape!r}"
        )
    pairs = zip(sizes, noise_shape, strict=True)
    return tuple(own if size is None else size for own, size in pairs)


@operation
def categorical(
    logits: Any, num_samples: Count, dtype: Any = "int32", seed: Seed = None
) -> KerasTensor:
    """``num_samples`` classes a row, each as likely as the softmax of its logit.

    Shapes ``(rows, classes)`` to ``(rows, num_samples)``.
    """
    node = as_node(logits)
    if node.tensor_type.rank != 2:
        raise UsageError(
            f"categorical: expected logits of shape (rows, classes); received shape {node.shape}"
        )
    rows, classes = node.shape
    # The largest of the logits under noise of the Gumbel distribution.
    noise = -log(-log(_even((rows, int(num_samples), classes), seed)))
    wide = tensor(ir.reshape(node, shape=(rows, 1, classes)))
    return cast(argmax(wide + noise, -1), standard_dtype(dtype).name)


@checked
def shuffle(x: Any, axis: int = 0, seed: Seed = None) -> Any:
    """``x`` with its slices along ``axis`` in random order.

    While a call is traced the order is found by comparing a number of each slice with all others.
    """
    if current_scope() is None and not isinstance(x, KerasTensor):
        array = as_array(x)
        place = core.normal_axis(axis, array.ndim)
        return generator(seed).permutation(array, axis=place)
    return _shuffled(x, axis, seed)


@operation
def _shuffled(x: Any, axis: int, seed: Seed) -> KerasTensor:
    node = as_node(x)
    size = node.shape[core.normal_axis(axis, node.tensor_type.rank)]
    drawn = _even((size,), seed).node
    row, column = (ir.reshape(drawn, shape=shape) for shape in ((1, size), (size, 1)))
    own, other = (ir.iota(shape=(size, size), axis=along, dtype="int32") for along in (0, 1))
    earlier = ir.logical_and(ir.equal(row, column), ir.less(other, own))
    before = ir.logical_or(ir.less(row, column), earlier)
    ranks = ir.sum(ir.cast(before, dtype="int32"), axes=(1,))
    return take(tensor(node), tensor(ranks), axis)


__all__ = [
    "SeedGenerator", "categorical", "dropout", "generator", "get_state", "next_seed", "normal",
    "randint", "set_random_seed", "set_state", "shuffle", "truncated_normal", "uniform",
]  # fmt: skip
