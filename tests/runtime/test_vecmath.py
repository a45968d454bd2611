"""Elementary functions against float64, in units in the last place, over all of float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keraunos.runtime.erf_inverse import erf_inverse

Run = Callable[..., None]
Reference = Callable[[np.ndarray], np.ndarray]

BODY = """
x = pointer_f32(args[0])
z = pointer_f32(args[1])
s = pointer_f32(args[2])
for i in range(0, args[3], LANES):
    store(z, i, vecmath.{name}(load(x, i)))
for i in range(args[3]):
    put(s, i, vecmath.{name}(get(x, i)))
"""
BODY_64 = """
x = pointer_f64(args[0])
z = pointer_f64(args[1])
for i in range(args[2]):
    put(z, i, vecmath.{name}(get(x, i)))
"""
SMALLEST_NORMAL = np.float32(2.0**-126)
erf = np.vectorize(math.erf, otypes=[np.float64])

# name: (reference in float64, ulp allowed)
POLYNOMIALS: dict[str, tuple[Reference, float]] = {
    "exp": (np.exp, 1.2),
    "expm1": (np.expm1, 1.7),
    "log": (np.log, 1.0),
    "log1p": (np.log1p, 1.7),
    "tanh": (np.tanh, 2.5),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 2.7),
    "softplus": (lambda x: np.logaddexp(x, 0), 2.3),
    "erf": (erf, 1.3),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1.6),
}
LIBRARY: dict[str, Reference] = {
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}


def samples(stride: int) -> np.ndarray:
    """Every stride-th float32 of all 2^32, the interesting ranges densely, and the special ones."""
    everywhere = np.arange(0, 2**32, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)
    ranges = [(-1, 1), (-20, 20), (-110, 110), (0.5, 2), (-1e-4, 1e-4)]
    dense = [np.linspace(low, high, 20001, dtype=np.float32) for low, high in ranges]
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3.4e38, -3.4e38, 1.0, -1.0]
    x = np.concatenate([everywhere, *dense, np.array(special, np.float32)])
    return np.append(x, np.zeros(-x.size % 16, np.float32))


def ulp(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Error in units in the last place of the exact value's float32 neighbourhood."""
    nearest = exact.astype(np.float32)
    unit = np.spacing(np.maximum(np.abs(nearest), SMALLEST_NORMAL)).astype(np.float64)
    finite = np.isfinite(nearest) & np.isfinite(got)
    return np.where(finite, np.abs(got.astype(np.float64) - exact) / unit, 0.0)


def run_both(name: str, x: np.ndarray, run_kernel: Run) -> tuple[np.ndarray, np.ndarray]:
    z, s = np.empty_like(x), np.empty_like(x)
    run_kernel(BODY.format(name=name), x, z, s, x.size)
    return z, s


def expect_special_values(got: np.ndarray, exact: np.ndarray) -> None:
    nearest = exact.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(nearest))
    infinite = np.isinf(nearest)
    np.testing.assert_array_equal(got[infinite], nearest[infinite])


@pytest.mark.parametrize("name", POLYNOMIALS)
@np.errstate(all="ignore")
def test_polynomials(name: str, run_kernel: Run) -> None:
    reference, allowed = POLYNOMIALS[name]
    x = samples(10007)
    z, s = run_both(name, x, run_kernel)
    exact = reference(x.astype(np.float64))
    if name == "sigmoid":  # documented: 0 below 4.3e-39, where exp(-x) overflows
        overflow = x < -88.3
        assert np.all(z[overflow] <= 4.5e-39)
        exact[overflow] = z[overflow]
    expect_special_values(z, exact)
    error = ulp(z, exact)
    worst = int(error.argmax())
    assert error[worst] <= allowed, f"{name}({x[worst]!r}): {z[worst]!r}, not {exact[worst]!r}"
    np.testing.assert_array_equal(z.view(np.uint32)[~np.isnan(z)], s.view(np.uint32)[~np.isnan(z)])
    np.testing.assert_array_equal(np.isnan(z), np.isnan(s))


@np.errstate(all="ignore")
def test_erf_inverse(run_kernel: Run) -> None:
    x = np.linspace(-1, 1, 2**16, dtype=np.float32)
    x[:8] = [1.5, -2, np.nan, np.inf, 1, -1, np.nextafter(np.float32(1), np.float32(0)), 0]
    z, s = run_both("erf_inverse", x, run_kernel)
    np.testing.assert_array_equal(z.view(np.uint32), s.view(np.uint32))
    assert np.isnan(z[:4]).all()
    np.testing.assert_array_equal(z[4:6], [np.inf, -np.inf])
    inside = np.abs(x) < 0.99  # beyond, erf hardly changes: float64 tells too little of z
    np.testing.assert_allclose(erf(z[inside].astype(np.float64)), x[inside], rtol=5e-7, atol=1e-9)
    np.testing.assert_allclose(z, erf_inverse(x), rtol=2e-6)
    np.testing.assert_allclose(1 - erf(float(z[6])), 2.0**-24, rtol=1e-4)


@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh", "erf"])
def test_odd_near_zero(name: str, run_kernel: Run) -> None:
    """The sign of zero survives, and tiny arguments come back unchanged or in proportion."""
    x = np.array([0.0, -0.0, 1e-30, -1e-30] * 4, np.float32)
    z, _ = run_both(name, x, run_kernel)
    slope = 2 / math.sqrt(math.pi) if name == "erf" else 1.0
    np.testing.assert_array_equal(np.signbit(z), np.signbit(x))
    np.testing.assert_allclose(z, x * slope, rtol=2e-7)


@pytest.mark.parametrize("name", LIBRARY)
@np.errstate(all="ignore")
def test_library_functions(name: str, run_kernel: Run) -> None:
    x = samples(1000003)
    z, s = run_both(name, x, run_kernel)
    exact = LIBRARY[name](x.astype(np.float64))
    expect_special_values(z, exact)
    assert ulp(z, exact).max() <= 4
    np.testing.assert_array_equal(z, s)


@pytest.mark.parametrize("name", [*POLYNOMIALS, *LIBRARY])
@np.errstate(all="ignore")
def test_float64_scalars(name: str, run_kernel: Run) -> None:
    reference = POLYNOMIALS[name][0] if name in POLYNOMIALS else LIBRARY[name]
    x = np.array([0.3, -0.3, 0.0, 1.0, 5.5, -7.0, 40.0, np.nan, np.inf, -np.inf])
    z = np.empty_like(x)
    run_kernel(BODY_64.format(name=name), x, z, x.size)
    np.testing.assert_allclose(z, reference(x), rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("power", np.power),
        ("atan2", np.arctan2),
        ("mod", np.mod),
        ("floor_divide", np.floor_divide),
    ],
)
@np.errstate(all="ignore")
def test_two_operands(name: str, reference: Any, run_kernel: Run) -> None:
    values = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0, -3.0, 2.5, np.inf, -np.inf, np.nan, 1e-3]
    a, b = (m.ravel() for m in np.meshgrid(*[np.array(values, np.float32)] * 2))
    a, b = (np.append(v, np.ones(-v.size % 16, np.float32)) for v in (a, b))
    z, s = np.empty_like(a), np.empty_like(a)
    run_kernel(
        f"""
x = pointer_f32(args[0])
y = pointer_f32(args[1])
z = pointer_f32(args[2])
s = pointer_f32(args[3])
for i in range(0, args[4], LANES):
    store(z, i, vecmath.{name}(load(x, i), load(y, i)))
for i in range(args[4]):
    put(s, i, vecmath.{name}(get(x, i), get(y, i)))
""",
        a,
        b,
        z,
        s,
        a.size,
    )
    exact = reference(a.astype(np.float64), b.astype(np.float64))
    expect_special_values(z, exact)
    assert ulp(z, exact).max() <= 1.0
    np.testing.assert_array_equal(z, s)
