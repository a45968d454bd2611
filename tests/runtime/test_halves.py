"""Floats of two bytes in kernels: every one of them, and every kind of number that becomes one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numba import njit, types
from numba.extending import intrinsic

from keraunos.compiler.ir.types import BFLOAT16, FLOAT16, DType, dtype_of
from keraunos.compiler.loops.writer import pointer_name
from keraunos.runtime.native import simd_halves

Run = Callable[..., None]
HALVES = pytest.mark.parametrize("half", [FLOAT16, BFLOAT16], ids=str)
ALL = np.arange(1 << 16, dtype=np.uint16)

READ = """
x = pointer_{half}(args[0])
y = pointer_f32(args[1])
z = pointer_f32(args[2])
n = args[3]
for i in range(0, n, LANES):
    store(y, i, load(x, i))
for i in range(n):
    put(z, i, get(x, i))
"""
WRITE = """
x = pointer_f32(args[0])
y = pointer_{half}(args[1])
z = pointer_{half}(args[2])
n = args[3]
for i in range(0, n, LANES):
    store(y, i, load(x, i))
for i in range(n):
    put(z, i, get(x, i))
"""
ROUND = """
x = pointer_f32(args[0])
y = pointer_f32(args[1])
z = pointer_f32(args[2])
n = args[3]
for i in range(0, n, LANES):
    store(y, i, to_{half}(load(x, i)))
for i in range(n):
    put(z, i, to_{half}(get(x, i)))
"""


def floats() -> np.ndarray:
    """Every half, what lies halfway between two of each type, and its neighbours."""
    found = [ALL.view(half.numpy).astype(np.float32) for half in (FLOAT16, BFLOAT16)]
    bits = np.concatenate(found).view(np.uint32)
    steps = [0, 1, -1, 1 << 12, (1 << 12) - 1, (1 << 12) + 1, 1 << 15, (1 << 15) - 1, (1 << 15) + 1]
    near = np.concatenate([bits + np.uint32(step % 2**32) for step in steps]).view(np.float32)
    rng = np.random.default_rng(0)
    wild = rng.integers(0, 2**32, 1 << 16, np.uint32).view(np.float32)
    return np.concatenate([near, wild])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):  # NaN that signal, and numbers out of range
        yield


def expect_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Bit for bit but for NaN, whose payload is nobody's."""
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(found), nan)
    raw = f"u{found.itemsize}"
    np.testing.assert_array_equal(found[~nan].view(raw), expected[~nan].view(raw))


@HALVES
def test_every_half_is_read_as_its_value(half: DType, run_kernel: Run) -> None:
    x = ALL.view(half.numpy)
    y, z = np.empty(x.size, np.float32), np.empty(x.size, np.float32)
    run_kernel(READ.format(half=half), x, y, z, x.size)
    for found in (y, z):
        expect_same(found, x.astype(np.float32))


@HALVES
def test_floats_are_written_to_the_nearest_half(half: DType, run_kernel: Run) -> None:
    x = floats()
    y, z = np.empty(x.size, half.numpy), np.empty(x.size, half.numpy)
    run_kernel(WRITE.format(half=half), x, y, z, x.size)
    expected = x.astype(half.numpy)
    for found in (y, z):
        expect_same(found, expected)


@HALVES
def test_registers_round_as_memory_does(half: DType, run_kernel: Run) -> None:
    x = floats()
    y, z = np.empty_like(x), np.empty_like(x)
    run_kernel(ROUND.format(half=half.name), x, y, z, x.size)
    expected = x.astype(half.numpy).astype(np.float32)
    for found in (y, z):
        expect_same(found, expected)


@HALVES
def test_masked_lanes_are_neither_read_nor_written(half: DType, run_kernel: Run) -> None:
    body = """
    x = pointer_{half}(args[0])
    y = pointer_{half}(args[1])
    for n in range(LANES + 1):
        store_masked(y, n * LANES, load_masked(x, 0, first(n)), first(n))
        store_masked(y, (LANES + 1) * LANES + n * LANES, load_splat(x, n), first(n))
    store_strided(y, 2 * (LANES + 1) * LANES, 2, load_strided(x, 0, 2))
    """
    lines = "\n".join(line[4:] for line in body.format(half=half).splitlines())
    x = np.arange(1, 65).astype(half.numpy)
    y = np.full(2 * 17 * 16 + 64, -1, half.numpy)
    run_kernel(lines, x, y)
    lanes = 16 if y[17 * 16 - 1] == 16 else 8 if y[9 * 8 - 1] == 8 else 4
    size = (lanes + 1) * lanes
    rows = np.arange(lanes + 1)[:, None], np.arange(lanes)
    copies = np.where(rows[1] < rows[0], rows[1] + 1, -1)
    splats = np.where(rows[1] < rows[0], rows[0] + 1, -1)
    np.testing.assert_array_equal(y[:size].reshape(-1, lanes).astype(int), copies)
    np.testing.assert_array_equal(y[size : 2 * size].reshape(-1, lanes).astype(int), splats)
    np.testing.assert_array_equal(y[2 * size :][: 2 * lanes : 2], x[: 2 * lanes : 2])
    np.testing.assert_array_equal(y[2 * size :][1 : 2 * lanes : 2].astype(int), -1)


def applied(emit: Any, given: Any, taken: Any, x: np.ndarray, result: np.dtype) -> np.ndarray:
    """What the LLVM code of ``emit`` makes of each element of ``x``."""

    @intrinsic
    def one(context: Any, a: Any) -> Any:
        return given(taken), lambda context, builder, signature, args: emit(builder, args[0])

    @njit
    def every(x: Any, y: Any) -> None:
        for i in range(x.size):
            y[i] = one(x[i])

    y = np.empty(x.size, result)
    every(x, y)
    return y


def test_machines_without_the_instruction_read_the_same() -> None:
    emit = simd_halves.emit_of_half
    found = applied(emit, types.float32, types.uint16, ALL, np.dtype(np.float32))
    expect_same(found, ALL.view(np.float16).astype(np.float32))


def test_machines_without_the_instruction_write_the_same() -> None:
    x = floats()
    emit = simd_halves.emit_to_half
    found = applied(emit, types.uint16, types.float32, x, np.dtype(np.uint16))
    expect_same(found.view(np.float16), x.astype(np.float16))


@pytest.mark.parametrize("kind", ["float64", "int32", "int64", "int8", "uint8", "bool"])
@HALVES
def test_numbers_of_any_kind_are_rounded_once(half: DType, kind: str, run_kernel: Run) -> None:
    """Also those next to a tie, which float32 on the way would take for one."""
    body = f"""
x = pointer_{pointer_name(dtype_of(kind))}(args[0])
y = pointer_{half}(args[1])
for i in range(args[2]):
    put(y, i, to_{half.name}(get(x, i)))
"""
    ties = ALL.view(half.numpy).astype(np.float64) * (1 + 2.0**-8) * (1 + 2.0**-40)
    wide = np.concatenate([ties, -ties, [1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-11 + 2.0**-40, 1e300]])
    x = wide if kind == "float64" else wide[np.isfinite(wide) & (np.abs(wide) < 2.0**31)]
    if np.dtype(kind).itemsize == 1:
        x = ALL & 0xFF
    x = x.astype(kind)
    y, expected = np.empty(x.size, half.numpy), half.of(x)
    run_kernel(body, x, y, x.size)
    expect_same(y, expected)


@HALVES
def test_rounding_once_is_the_nearest(half: DType) -> None:
    """Against the two neighbours, which float64 tells apart from what is between."""
    bits = 7 if half is BFLOAT16 else 10
    start = np.float64(1 + 2.0**-bits)
    tie = start + 2.0 ** -(bits + 1)
    given = np.array([tie - 2.0**-50, tie, tie + 2.0**-50])
    expected = [start, start + 2.0**-bits, start + 2.0**-bits]
    np.testing.assert_array_equal(half.of(given).astype(np.float64), expected)
    np.testing.assert_array_equal(half.of(-given).astype(np.float64), np.negative(expected))
    large = np.array([2**30 + 2**22 + 1, 2**30 + 2**22], np.int32)
    np.testing.assert_array_equal(BFLOAT16.of(large).astype(np.int64), [2**30 + 2**23, 2**30])


def test_bfloat16_is_that_of_the_library() -> None:
    assert BFLOAT16.numpy == ml_dtypes.bfloat16
