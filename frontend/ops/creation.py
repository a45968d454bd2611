"""Tensors out of nothing: filled, counted, drawn on a diagonal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...runtime.dim import Dim
from ..accepted import Natural, Shape, is_number
from ..allocation import require_memory
from ..dtypes import standard_dtype
from ..errors import UsageError, UsageTypeError, shown
from ..scope import active_scope
from ..tensor import KerasTensor
from .core import as_node, cast_node, constant, ir, operation, tensor
from .shaping import sizes_of
from .slicing import larger


def _filled(shape: Any, value: Any, dtype: Any) -> KerasTensor:
    node = as_node(value, dtype)
    return tensor(ir.broadcast_to(node, shape=sizes_of(shape)))


@operation
def zeros(shape: Shape, dtype: Any = None) -> KerasTensor:
    """All 0."""
    return _filled(shape, 0, standard_dtype(dtype))


@operation
def ones(shape: Shape, dtype: Any = None) -> KerasTensor:
    """All 1."""
    return _filled(shape, 1, standard_dtype(dtype))


empty = zeros


@operation
def full(shape: Shape, fill_value: Any, dtype: Any = None) -> KerasTensor:
    """All ``fill_value``."""
    return _filled(shape, fill_value, standard_dtype(dtype))


@operation
def zeros_like(x: Any, dtype: Any = None) -> KerasTensor:
    """0 in the shape of x."""
    node = as_node(x)
    return _filled(node.shape, 0, node.dtype if dtype is None else dtype)


@operation
def ones_like(x: Any, dtype: Any = None) -> KerasTensor:
    """1 in the shape of x."""
    node = as_node(x)
    return _filled(node.shape, 1, node.dtype if dtype is None else dtype)


@operation
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> KerasTensor:
    """``fill_value`` in the shape of x."""
    node = as_node(x)
    return _filled(node.shape, fill_value, node.dtype if dtype is None else dtype)


@operation
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> KerasTensor:
    """``start, start + step, ...`` below ``stop``; ``start`` and ``stop`` may be symbolic sizes."""
    step = 1 if step is None else step
    if stop is None:
        start, stop = 0, start
    for name, value in (("start", start), ("stop", stop), ("step", step)):
        if not is_number(value) and not isinstance(value, Dim):
            raise UsageError(f"arange: expected {name} as a number; received {shown(value)}")
    if step == 0:
        raise UsageError("arange: expected a step other than 0; received 0")
    if not any(isinstance(each, Dim) for each in (start, stop, step)):
        require_memory("arange", (_steps(start, stop, step),), np.dtype("float64"))
        return tensor(_constant(np.arange(start, stop, step), dtype))
    if not all(isinstance(each, (int, np.integer, Dim)) for each in (start, stop)):
        raise UsageTypeError(
            f"arange: expected numbers or sizes, as ops.shape gives them; received {start!r}, "
            f"{stop!r}"
        )
    if not isinstance(step, (int, np.integer)):
        raise UsageError(f"arange: expected an int other than 0 as step of sizes; received {step}")
    way = (stop - start) * int(np.sign(step))
    size = larger((way + (abs(int(step)) - 1)) // abs(int(step)), 0)
    counted = ir.iota(shape=(size,), axis=0, dtype="int32")
    shifted = ir.add(ir.multiply(counted, constant(int(step))), as_node(start))
    return tensor(cast_node(shifted, standard_dtype("int32" if dtype is None else dtype)))


def _steps(start: float, stop: float, step: float) -> int:
    count = (stop - start) / step
    if not math.isfinite(count):
        raise UsageError(f"arange: expected finite bounds; received {start} to {stop} by {step}")
    return max(math.ceil(count), 0)


def _constant(array: np.ndarray, dtype: Any) -> Any:
    usual = {"i": "int32"}.get(array.dtype.kind)
    name = standard_dtype(usual if dtype is None else dtype).name
    return active_scope().array(array.astype(name))


@operation
def linspace(
    start: float, stop: float, num: Natural = 50, endpoint: bool = True, dtype: Any = None
) -> KerasTensor:
    """``num`` numbers evenly from ``start`` to ``stop``."""
    require_memory("linspace", (num,), np.dtype("float64"))
    return tensor(_constant(np.linspace(start, stop, num, endpoint), dtype))


@operation
def eye(N: Natural, M: Natural | None = None, k: int = 0, dtype: Any = None) -> KerasTensor:
    """1 on the k-th diagonal, else 0."""
    require_memory("eye", (N, N if M is None else M), np.dtype("float32"))
    return tensor(_constant(np.eye(N, M, k, dtype="float32"), dtype))


@operation
def identity(n: Natural, dtype: Any = None) -> KerasTensor:
    """The identity matrix."""
    require_memory("identity", (n, n), np.dtype("float32"))
    return tensor(_constant(np.eye(n, dtype="float32"), dtype))
