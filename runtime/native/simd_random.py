"""Values made of an index alone, in kernels: counting, and the random numbers of ``threefry``.

With 16 lanes, a core takes 0.8 ns a random number.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from ..threefry import FRACTION_BITS, INJECTED_EVERY, PARITY, ROTATIONS, ROUNDS
from .simd_types import (
    F32V,
    FLOAT,
    FLOATS,
    I32,
    INTS,
    LANES,
    broadcast,
    call_named,
    lane_constant,
    named,
    suffix,
)


def _like(value: Any, number: float) -> Any:
    """A constant of the type of ``value``, in every lane of a vector."""
    vector = isinstance(value.type, ir.VectorType)
    return ir.Constant(value.type, [number] * LANES if vector else number)


def emit_threefry(builder: Any, key: tuple[Any, Any], counter: tuple[Any, Any]) -> Any:
    """The first word of the cipher of two words (i32, or vectors of it), under a key of two i32."""
    words = [*key, builder.xor(builder.xor(*key), I32(PARITY))]
    if counter[0].type == INTS:
        words = [broadcast(builder, word) for word in words]
    x, y = (builder.add(count, word) for count, word in zip(counter, words[:2], strict=True))
    for turn in range(ROUNDS):
        x = builder.add(x, y)
        y = builder.xor(_rotated(builder, y, ROTATIONS[turn % len(ROTATIONS)]), x)
        if turn % INJECTED_EVERY == INJECTED_EVERY - 1:
            number = turn // INJECTED_EVERY + 1
            # The sum of the key's word and the number is the same for all elements.
            late = builder.add(words[(number + 1) % 3], _like(y, number))
            x, y = builder.add(x, words[number % 3]), builder.add(y, late)
    return x


def _rotated(builder: Any, word: Any, bits: int) -> Any:
    name = f"llvm.fshl.{suffix(word.type)}"
    return call_named(builder, name, word.type, [word, word, _like(word, bits)])


def _emit_uniform(builder: Any, key: tuple[Any, Any], index: Any) -> Any:
    """The float in [0, 1) that belongs to an index (i64, or a vector of it)."""
    vector = isinstance(index.type, ir.VectorType)
    words, floats = (INTS, FLOATS) if vector else (I32, FLOAT)
    high = builder.lshr(index, _like(index, 32))
    word = emit_threefry(builder, key, (builder.trunc(index, words), builder.trunc(high, words)))
    kept = builder.lshr(word, _like(word, 32 - FRACTION_BITS))
    number = builder.sitofp(kept, floats)
    return builder.fmul(number, _like(number, 2.0**-FRACTION_BITS))


def _lane_indices(builder: Any, first: Any, step: Any) -> Any:
    """``first + step * lane``, as i64."""
    lanes = lane_constant(list(range(LANES)), bits=64)
    return builder.add(broadcast(builder, first), builder.mul(broadcast(builder, step), lanes))


def _uniform(context: Any, key: Any, more: Any, index: Any) -> Any:
    """The random float32 in [0, 1) of an element, under a key of two int32."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _emit_uniform(builder, (args[0], args[1]), args[2])

    return types.float32(types.int32, types.int32, types.int64), lower


def _uniform_lanes(context: Any, key: Any, more: Any, index: Any, step: Any) -> Any:
    """As ``uniform``: lane k is for element ``index + k * step``."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        indices = _lane_indices(builder, args[2], args[3])
        return _emit_uniform(builder, (args[0], args[1]), indices)

    return F32V(types.int32, types.int32, types.int64, types.int64), lower


def _count_lanes(context: Any, start: Any, index: Any, step: Any) -> Any:
    """Lane k is ``start`` plus ``index + k * step``."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        counted = builder.sitofp(_lane_indices(builder, args[1], args[2]), FLOATS)
        return builder.fadd(broadcast(builder, args[0]), counted)

    return F32V(types.float32, types.int64, types.int64), lower


uniform = named(_uniform)
uniform_lanes = named(_uniform_lanes)
count_lanes = named(_count_lanes)
