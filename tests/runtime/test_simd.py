"""Every name of `simd` against numpy, on vectors and scalars, with NaN, infinities and tails."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba.core.errors import TypingError

from keraunos.runtime.cpu.simd import LANES

Run = Callable[..., None]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, np.inf, -np.inf, np.nan, 1e-40, 3e38]

MAP2 = """
x = pointer_f32(args[0])
y = pointer_f32(args[1])
z = pointer_f32(args[2])
s = pointer_f32(args[3])
n = args[4]
one = splat(1.0)
zero = splat(0.0)
for i in range(0, n, LANES):
    a = load(x, i)
    b = load(y, i)
    store(z, i, {vector})
for i in range(n):
    a = get(x, i)
    b = get(y, i)
    put(s, i, {scalar})
"""


def pairs() -> tuple[np.ndarray, np.ndarray]:
    special = np.array(SPECIAL, np.float32)
    a, b = (m.ravel() for m in np.meshgrid(special, special))
    rng = np.random.default_rng(0)
    a = np.concatenate([a, rng.normal(0, 100, 64).astype(np.float32)])
    b = np.concatenate([b, rng.normal(0, 3, 64).astype(np.float32)])
    fill = -a.size % 16
    return np.append(a, np.ones(fill, np.float32)), np.append(b, np.ones(fill, np.float32))


def expect_same(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(got, expected.astype(np.float32))


BINARY: dict[str, tuple[str, str, Callable[..., Any]]] = {
    "add": ("a + b", "a + b", np.add),
    "sub": ("a - b", "a - b", np.subtract),
    "mul": ("a * b", "a * b", np.multiply),
    "div": ("a / b", "a / b", np.divide),
    "neg": ("-a", "-a", lambda a, b: -a),
    "maximum": ("maximum(a, b)", "maximum(a, b)", np.maximum),
    "minimum": ("minimum(a, b)", "minimum(a, b)", np.minimum),
    "absolute": ("absolute(a)", "absolute(a)", lambda a, b: np.abs(a)),
    "sqrt": ("sqrt(a)", "sqrt(a)", lambda a, b: np.sqrt(a)),
    "floor": ("floor(a)", "floor(a)", lambda a, b: np.floor(a)),
    "ceil": ("ceil(a)", "ceil(a)", lambda a, b: np.ceil(a)),
    "round": ("round(a)", "round(a)", lambda a, b: np.rint(a)),
    "truncate": ("truncate(a)", "truncate(a)", lambda a, b: np.trunc(a)),
    "copysign": ("copysign(a, b)", "copysign(a, b)", np.copysign),
    "is_nan": (
        "mask_to_float(is_nan(a))",
        "to_float32(is_nan(a))",
        lambda a, b: np.isnan(a).astype(np.float32),
    ),
}
COMPARISONS = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
for symbol, reference in COMPARISONS.items():
    BINARY[symbol] = (
        f"select(a {symbol} b, one, zero)",
        f"select(a {symbol} b, float32(1), float32(0))",
        reference,
    )


@pytest.mark.parametrize("name", BINARY)
def test_elementwise(name: str, run_kernel: Run) -> None:
    vector, scalar, reference = BINARY[name]
    a, b = pairs()
    z, s = np.empty_like(a), np.empty_like(a)
    run_kernel(MAP2.format(vector=vector, scalar=scalar), a, b, z, s, a.size)
    with np.errstate(all="ignore"):
        expected = reference(a, b)
    expect_same(z, expected)
    expect_same(s, expected)
    signs = ~np.isnan(z) & (z != 0)
    np.testing.assert_array_equal(np.signbit(z[signs]), np.signbit(s[signs]))


def test_fma_rounds_once(run_kernel: Run) -> None:
    a, b = pairs()
    z, s = np.empty_like(a), np.empty_like(a)
    body = MAP2.format(vector="fma(a, b, -(a * b))", scalar="fma(a, b, -(a * b))")
    run_kernel(body, a, b, z, s, a.size)
    with np.errstate(all="ignore"):
        product = (a * b).astype(np.float64)
        expected = (a.astype(np.float64) * b - product).astype(np.float32)
    exact = np.isfinite(product) & (np.abs(product) > 1e-20)
    np.testing.assert_array_equal(z[exact], expected[exact])
    np.testing.assert_array_equal(s[exact], expected[exact])
    assert np.any(z[exact] != 0)


def test_masks_combine(run_kernel: Run) -> None:
    a, b = pairs()
    z, s = np.empty_like(a), np.empty_like(a)
    vector = "mask_to_float(((a < b) & (a > -one)) | ~(b < one) ^ (a == one))"
    scalar = "to_float32(((a < b) & (a > -1.0)) | (not (b < 1.0)) ^ (a == 1.0))"
    run_kernel(MAP2.format(vector=vector, scalar=scalar), a, b, z, s, a.size)
    expected = ((a < b) & (a > -1)) | ~(b < 1) ^ (a == 1)
    expect_same(z, expected)
    expect_same(s, expected)


@pytest.mark.parametrize(("name", "reference"), [("low", np.maximum), ("high", np.minimum)])
def test_clamp_keeps_nan(name: str, reference: Any, run_kernel: Run) -> None:
    a, b = pairs()
    z, s = np.empty_like(a), np.empty_like(a)
    body = MAP2.format(vector=f"clamp_{name}(a, one)", scalar=f"clamp_{name}(a, float32(1))")
    run_kernel(body, a, b, z, s, a.size)
    expect_same(z, reference(a, np.float32(1)))
    expect_same(s, reference(a, np.float32(1)))


def test_augmented_assignment(run_kernel: Run) -> None:
    x = np.arange(LANES, dtype=np.float32)
    z = np.empty_like(x)
    run_kernel(
        """
v = load(pointer_f32(args[0]), 0)
w = v
w += v
w *= splat(3.0)
w -= splat(1.0)
w /= splat(2.0)
store(pointer_f32(args[1]), 0, w)
""",
        x,
        z,
    )
    np.testing.assert_array_equal(z, (x * 6 - 1) / 2)


def test_tails_touch_nothing_outside(run_kernel: Run) -> None:
    """The last masked access ends at a page that must not be read or written."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    libc_protect(memory, page)
    room = np.frombuffer(memory, np.float32, count=page // 4)
    for n in (1, 3, LANES - 1, LANES, LANES + 1, 2 * LANES + 5):
        x = room[room.size - n :]
        x[:] = np.arange(1, n + 1)
        z = np.full(n + LANES, 7, np.float32)
        run_kernel(
            """
x = pointer_f32(args[0])
z = pointer_f32(args[1])
n = args[2]
for i in range(0, n, LANES):
    m = first(n - i)
    v = load_masked(x, i, m)
    store_masked(z, i, v + splat(1.0), m)
    store_masked(x, i, v, m)
""",
            x,
            z,
            n,
        )
        np.testing.assert_array_equal(z[:n], np.arange(2, n + 2))
        assert np.all(z[n:] == 7)


def libc_protect(memory: Any, page: int) -> None:
    """Make everything after the first page inaccessible."""
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    assert libc.mprotect(start + page, page, 0) == 0


@pytest.mark.parametrize("n", [-5, 0, 1, LANES - 1, LANES, LANES + 1, 2**33])
def test_first(n: int, run_kernel: Run) -> None:
    z = np.full(LANES, 9, np.float32)
    body = "store(pointer_f32(args[0]), 0, mask_to_float(first(args[1])))"
    run_kernel(body, z, n)
    np.testing.assert_array_equal(z, np.arange(LANES) < n)


def test_masked_lanes_read_as_zero(run_kernel: Run) -> None:
    x = np.full(LANES, 5, np.float32)
    z = np.empty_like(x)
    body = "store(pointer_f32(args[1]), 0, load_masked(pointer_f32(args[0]), 0, first(2)))"
    run_kernel(body, x, z)
    np.testing.assert_array_equal(z, np.where(np.arange(LANES) < 2, 5, 0))


def test_strided_and_splat(run_kernel: Run) -> None:
    x = np.arange(3 * LANES + 5, dtype=np.float32)
    z = np.zeros((3, LANES), np.float32)
    spread = np.zeros(2 * LANES, np.float32)
    run_kernel(
        """
x = pointer_f32(args[0])
z = pointer_f32(args[1])
store(z, 0, load_strided(x, 2, 3))
store(z, LANES, load_splat(x, 4))
prefetch(x, 1 << 40)
v = load_strided(x, 3 * LANES, -1)
store(z, 2 * LANES, v)
store_strided(pointer_f32(args[2]), 1, 2, v)
""",
        x,
        z,
        spread,
    )
    np.testing.assert_array_equal(z[0], x[2 : 2 + 3 * LANES : 3])
    np.testing.assert_array_equal(z[1], np.full(LANES, 4))
    np.testing.assert_array_equal(z[2], x[3 * LANES : 2 * LANES : -1])
    np.testing.assert_array_equal(spread[1::2], z[2])
    assert not spread[::2].any()


def test_transpose(run_kernel: Run) -> None:
    x = np.arange(LANES * (LANES + 3), dtype=np.float32).reshape(LANES, LANES + 3)
    whole = np.zeros((LANES, LANES + 1), np.float32)
    part = np.full((LANES, LANES), -1, np.float32)
    run_kernel(
        """
x = pointer_f32(args[0])
transpose(x, 1, LANES + 3, LANES + 9, pointer_f32(args[1]), 0, LANES + 1, LANES)
transpose(x, 0, LANES + 3, 3, pointer_f32(args[2]), LANES, LANES, 2)
""",
        x,
        whole,
        part,
    )
    np.testing.assert_array_equal(whole[:, :LANES], x[:, 1 : LANES + 1].T)
    assert not whole[:, LANES:].any()
    np.testing.assert_array_equal(part[1:3, :3], x[:3, :2].T)
    part[1:3, :3] = -1
    assert (part == -1).all()


def test_mask_bytes(run_kernel: Run) -> None:
    rng = np.random.default_rng(1)
    flags = rng.integers(0, 3, LANES).astype(np.uint8)
    out = np.full(LANES, 9, np.uint8)
    body = "store_mask(pointer_u8(args[1]), 0, ~load_mask(pointer_u8(args[0]), 0))"
    run_kernel(body, flags, out)
    np.testing.assert_array_equal(out, flags == 0)


@pytest.mark.parametrize(
    ("dtype", "pointer"),
    [
        (np.float32, "f32"),
        (np.float64, "f64"),
        (np.int32, "i32"),
        (np.int64, "i64"),
        (np.uint8, "u8"),
        (np.int8, "i8"),
    ],
)
def test_scalar_access_of_every_type(dtype: Any, pointer: str, run_kernel: Run) -> None:
    x = np.array([100, 2, 3], dtype)
    y = np.zeros(3, dtype)
    middle = x[1:].ctypes.data
    body = f"""
x = pointer_{pointer}(args[0])
y = pointer_{pointer}(args[1])
for i in range(-1, 2):
    put(y, i + 1, get(x, i))
put(y, 1, get(x, 0) + 1.0)
"""
    run_kernel(body, middle, y)
    np.testing.assert_array_equal(y, np.array([100, 3, 3], dtype))


def test_integer_scalars(run_kernel: Run) -> None:
    out = np.zeros(8, np.int64)
    run_kernel(
        """
z = pointer_i64(args[0])
a = args[1]
b = args[2]
put(z, 0, maximum(a, b))
put(z, 1, minimum(a, b))
put(z, 2, absolute(b))
put(z, 3, select(a > b, a, b))
put(z, 4, to_int64(to_float32(a)))
put(z, 5, to_int32(to_float64(b)))
put(z, 6, select(to_bool(a), 10, 20))
put(z, 7, clamp_low(b, 0) + clamp_high(a, 1) + to_uint8(True))
""",
        out,
        7,
        -9,
    )
    assert out.tolist() == [7, -9, 9, 7, 7, -9, 10, 2]


def test_mixed_scalars_take_the_wider_type(run_kernel: Run) -> None:
    out = np.zeros(2, np.float64)
    body = """
x = get(pointer_f32(args[1]), 0)
put(pointer_f64(args[0]), 0, maximum(x, 1e-300))
put(pointer_f64(args[0]), 1, fma(x, 3, 0.1))
"""
    run_kernel(body.replace("fma(x, 3,", "fma(x, 3.0,"), out, np.zeros(1, np.float32))
    assert out.tolist() == [1e-300, 0.1]


ACROSS = """
z = pointer_f32(args[1])
v = load(pointer_f32(args[0]), 0)
put(z, 0, sum_lanes(v))
put(z, 1, prod_lanes(v))
put(z, 2, max_lanes(v))
put(z, 3, min_lanes(v))
put(z, 4, to_float32(any_lanes(v > splat(0.0))))
put(z, 5, to_float32(all_lanes(v > splat(0.0))))
"""


def halves(values: np.ndarray, operation: Any) -> Any:
    while values.size > 1:
        middle = values.size // 2
        values = operation(values[:middle], values[middle:])
    return values[0]


@pytest.mark.parametrize("seed", range(4))
def test_across_lanes_in_a_fixed_order(seed: int, run_kernel: Run) -> None:
    x = np.random.default_rng(seed).normal(0, 2, LANES).astype(np.float32)
    x = np.abs(x) if seed == 1 else x
    z = np.zeros(6, np.float32)
    run_kernel(ACROSS, x, z)
    expected = [halves(x, f) for f in (np.add, np.multiply, np.maximum, np.minimum)]
    np.testing.assert_array_equal(z[:4], np.array(expected, np.float32))
    assert z[4:].tolist() == [float((x > 0).any()), float((x > 0).all())]


@pytest.mark.parametrize("lane", range(LANES))
def test_nan_in_any_lane_shows(lane: int, run_kernel: Run) -> None:
    x = np.ones(LANES, np.float32)
    x[lane] = np.nan
    z = np.zeros(6, np.float32)
    run_kernel(ACROSS, x, z)
    assert np.isnan(z[:4]).all()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x = splat(1.0) + 1.0", "f32x"),
        ("x = fma(splat(1.0), 2.0, splat(1.0))", "use splat"),
        ("x = load(pointer_f64(args[0]), 0)", "expected a pointer to float32"),
        ("x = select(first(1), 1.0, 2.0)", "a mask picks between vectors"),
        ("x = sqrt(1)", "all floats"),
    ],
)
def test_mistakes_are_named(body: str, message: str, run_kernel: Run) -> None:
    with pytest.raises(TypingError, match=message):
        run_kernel(body, 0)
