"""Ops whose elements are made of their own index: counting, and random numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...runtime import threefry
from ...runtime.erf_inverse import erf_inverse as erf_inverse_of
from ..ir.graph import REQUIRED, Node, Op, Sample
from ..ir.kinds import Composite, Elementwise, FromIndex, NoGrad
from ..ir.types import FLOAT32, INT32, Shape, TensorType
from .building import number
from .registry import ops, register
from .rules import normal_axis, want_number

# count_from


def _count_type(start: TensorType, *, shape: Shape, axis: int) -> TensorType:
    want_number(start)
    if start.rank:
        raise ValueError(f"expected one number to start from, got {start}")
    normal_axis(axis, len(shape))
    return start.with_shape(tuple(shape))


def _count(start: Any, *, shape: tuple[int, ...], axis: int) -> Any:
    place = normal_axis(axis, len(shape))
    steps = np.arange(shape[place]).astype(start.dtype) + start
    column = steps.reshape(-1, *(1,) * (len(shape) - 1 - place))
    return np.broadcast_to(column, shape)


def _count_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    return (ops.sum(grad, axes=tuple(range(grad.tensor_type.rank))),)


count_from = register(
    Op(
        "count_from",
        _count_type,
        _count,
        FromIndex("count"),
        {"shape": REQUIRED, "axis": 0},
        _count_gradient,
        (
            Sample(("i32[]",), {"shape": (2, 37, 4), "axis": 1}),
            Sample(("f32[]",), {"shape": (3, 37), "axis": -1}),
            Sample(("f32[]",), {"shape": (3, 37), "axis": 0}),
        ),
        "The operand, one number, plus each element's own index along one axis.",
    )
)


# random_uniform

KEY = TensorType(INT32, (2,))
_FIXED = NoGrad("random numbers depend on nothing but the key")
_KEYS = {"low": 0.0, "high": 2**31 - 1.0}


def _random_type(key: TensorType, *, shape: Shape) -> TensorType:
    if key != KEY:
        raise ValueError(f"expected a key of type {KEY}, got {key}")
    return TensorType(FLOAT32, tuple(shape))


def _random_uniform(key: Any, *, shape: tuple[int, ...]) -> Any:
    return threefry.uniform(key, np.arange(math.prod(shape))).reshape(shape)


random_uniform = register(
    Op(
        "random_uniform",
        _random_type,
        _random_uniform,
        FromIndex("uniform"),
        {"shape": REQUIRED},
        _FIXED,
        (
            Sample(("i32[2]",), {"shape": (3, 37)}, **_KEYS),
            Sample(("i32[2]",), {"shape": ()}, **_KEYS),
        ),
        "Random numbers, evenly from [0, 1): equal keys give equal numbers.",
    )
)


# erf_inverse and random_normal


def _erf_inverse_type(x: TensorType) -> TensorType:
    if x.dtype != FLOAT32:
        raise TypeError(f"expected float32, got {x}; insert a cast")
    return x


def _erf_inverse_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    derivative = ops.multiply(ops.exp(ops.square(node)), number(math.sqrt(math.pi) / 2, node))
    return (ops.multiply(grad, derivative),)


erf_inverse = register(
    Op(
        "erf_inverse",
        _erf_inverse_type,
        erf_inverse_of,
        Elementwise("erf_inverse"),
        {},
        _erf_inverse_gradient,
        (Sample(("f32[3, 40]",), {}, -0.99, 0.99),),
        "The inverse of erf: infinite at -1 and 1, NaN beyond.",
    )
)

# What makes of twice a number in [0, 1) one that lies evenly around 0: exactly, and never -1 or 1.
CENTRED = -1.0 + 2.0**-threefry.FRACTION_BITS


def _random_normal(key: Any, *, shape: tuple[int, ...]) -> Any:
    drawn = threefry.uniform(key, np.arange(math.prod(shape))).reshape(shape)
    return erf_inverse_of(drawn * 2 + np.float32(CENTRED)) * np.float32(math.sqrt(2))


def _random_normal_expand(node: Node) -> Node:
    drawn = ops.random_uniform(node.inputs[0], shape=node.shape)
    even = ops.add(ops.multiply(drawn, number(2.0, drawn)), number(CENTRED, drawn))
    return ops.multiply(ops.erf_inverse(even), number(math.sqrt(2), drawn))


random_normal = register(
    Op(
        "random_normal",
        _random_type,
        _random_normal,
        Composite(_random_normal_expand),
        {"shape": REQUIRED},
        _FIXED,
        (Sample(("i32[2]",), {"shape": (3, 37)}, **_KEYS),),
        "Normal random numbers (mean 0, variance 1): equal keys give equal numbers.",
    )
)
