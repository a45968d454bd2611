"""Values at which functions go wrong, and every op of the table applied to all pairs of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ml_dtypes import finfo

from keraunos.compiler.ir.graph import Graph, Node, Op, apply
from keraunos.compiler.ir.kinds import Composite, Elementwise
from keraunos.compiler.ir.types import BOOL, DTYPES, DType, TensorType
from keraunos.compiler.ops import all_ops
from keraunos.compiler.ops.core import input_

SIZES = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 6.0, 7.0, 88.8, 104.0, 710.0, 1e4)
LARGE = (2.0**23 + 0.5, 2.0**24 + 2, 2.0**31, 2.0**53, 2.0**63, 1e10, 1e30)


def extremes(dtype: DType) -> np.ndarray:
    """The values of ``dtype`` worth trying, in no order that matters."""
    if dtype is BOOL:
        return np.array([False, True])
    return _floats(dtype) if dtype.is_float else _integers(dtype)


def _floats(dtype: DType) -> np.ndarray:
    info, (zero, half, one, two) = finfo(dtype.numpy), np.array([0, 0.5, 1, 2], dtype.numpy)
    near = (np.nextafter(one, two), np.nextafter(one, zero), np.nextafter(half, zero))
    small = (0.0, info.smallest_subnormal, info.tiny / 8, info.tiny, info.eps)
    with np.errstate(over="ignore"):
        positive = np.array([*small, *near, *SIZES, *LARGE, info.max, np.inf], dtype.numpy)
    return np.concatenate([positive, -positive, np.array([np.nan], dtype.numpy)])


def _integers(dtype: DType) -> np.ndarray:
    info = np.iinfo(dtype.numpy)
    around = [info.min, info.min + 1, info.max - 1, info.max, info.max // 2, info.max // 2 + 1]
    powers = [2**k + step for k in (4, 7, 8, 15, 16, 24, 31, 32, 53, 62) for step in (-1, 0, 1)]
    small = [*range(-9, 10), 31, 32, 33, 63, 64, 65, 100, 1000]
    found = {*around, *small, *powers, *(-n for n in powers)}
    return np.array(sorted(n for n in found if info.min <= n <= info.max), dtype.numpy)


def grid(*dtypes: DType) -> list[np.ndarray]:
    """All combinations of the extremes, one array an operand, a multiple of 16 and one more."""
    meshes = np.meshgrid(*map(extremes, dtypes), indexing="ij")
    flat = [mesh.ravel() for mesh in meshes]
    short = (1 - flat[0].size) % 16
    return [np.concatenate([array, np.resize(array, short)]) for array in flat]


@dataclass(frozen=True)
class Trial:
    """An op on vectors of these dtypes."""

    op: Op
    dtypes: tuple[DType, ...]
    attrs: dict[str, Any]

    @property
    def id(self) -> str:
        kinds = "-".join(dtype.short for dtype in self.dtypes)
        values = "-".join(f"{name}={value}" for name, value in self.attrs.items())
        return "-".join(filter(None, (self.op.name, kinds, values)))

    def graph(self, size: int | None = None) -> Graph:
        shape = (len(grid(*self.dtypes)[0]) if size is None else size,)
        inputs = tuple(input_(f"x{i}", TensorType(d, shape)) for i, d in enumerate(self.dtypes))
        return Graph(self.op.name, inputs, (self.op(*inputs, **self.attrs),))


def is_elementwise(op: Op) -> bool:
    """Whether elements of the result are functions of at most three beside each other."""
    if len(op.samples[0].types if op.samples else ()) not in (1, 2, 3):
        return False
    if not isinstance(op.kind, Composite):
        return isinstance(op.kind, Elementwise)
    kinds = [TensorType(DTYPES[0], (3,)) for _ in op.samples[0].types]
    inputs = tuple(input_(f"x{i}", kind) for i, kind in enumerate(kinds))
    try:
        node = op(*inputs, **op.samples[0].attrs)
    except (TypeError, ValueError):
        return False
    return all(_is_plain(each) for each in Graph(op.name, inputs, (expanded(node),)).nodes)


def _is_plain(node: Node) -> bool:
    return node.op.name in ("input", "constant") or isinstance(node.op.kind, Elementwise)


def expanded(node: Node) -> Node:
    """``node`` in ops that are no composites."""
    inputs = tuple(map(expanded, node.inputs))
    same = node if inputs == node.inputs else apply(node.op, inputs, node.attrs)
    composite = isinstance(same.op.kind, Composite)
    return expanded(same.op.kind.expand(same)) if composite else same


def trials() -> Iterator[Trial]:
    """Every elementwise op with all dtypes that it takes, and the attributes of its samples."""
    for op in filter(is_elementwise, all_ops()):
        attrs = [dict(items) for items in {tuple(s.attrs.items()): None for s in op.samples}]
        if op.name == "cast":
            attrs = [{"dtype": dtype.name} for dtype in DTYPES]
        for dtypes in itertools.product(DTYPES, repeat=len(op.samples[0].types)):
            for each in attrs:
                trial = Trial(op, dtypes, each)
                if _is_typed(trial):
                    yield trial


def _is_typed(trial: Trial) -> bool:
    try:
        trial.graph(3)
    except (TypeError, ValueError):
        return False
    return True
