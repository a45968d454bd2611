"""Sums, means, extremes and their like over some axes; ``axis=None`` is all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...compiler.ir.graph import Node
from ..accepted import Axes
from ..dtypes import BOOL
from ..errors import UsageError
from ..tensor import KerasTensor
from .core import (
    as_node,
    floating,
    ir,
    normal_axes,
    normal_axis,
    operation,
    tensor,
)
from .elementwise import count_cast, maximum, minimum, multiply, not_equal, sqrt, true_divide
from .shaping import reshape

_OF_SOME = ("logsumexp",)
_OF_DISTANCES = ("variance",)  # 0 for an element alone, where others give the element


def _reduction(name: str, prepare: Callable[[Any], Any], doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: Axes | None = None, keepdims: bool = False) -> KerasTensor:
        node = prepare(x)
        axes = normal_axes(axis, node.tensor_type.rank)
        if not axes:
            alone = ir.subtract(node, node) if name in _OF_DISTANCES else node
            return tensor(alone)
        if name in _OF_SOME:
            _require_some(name, node, axes)
        return tensor(getattr(ir, name)(node, axes=axes, keepdims=keepdims))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return operation(function)


def _require_some(name: str, node: Node, axes: tuple[int, ...]) -> None:
    """Raises ``UsageError`` where there is nothing to choose from."""
    if 0 in [node.shape[axis] for axis in axes]:
        raise UsageError(
            f"{name}: expected 1 element or more along the axes {axes}; received shape "
            f"{node.shape}, which has none"
        )


def _countable(x: Any) -> Any:
    return count_cast(x).node


def _boolean(x: Any) -> Any:
    return as_node(x, "bool")


sum = _reduction("sum", _countable, "The sum; of booleans the count.")
any = _reduction("any", _boolean, "Whether some element is true.")
all = _reduction("all", _boolean, "Whether every element is true.")
mean = _reduction("mean", floating, "The mean.")
var = _reduction("variance", floating, "The mean squared distance from the mean.")
logsumexp = _reduction("logsumexp", floating, "log(sum(exp(x))), without overflow.")
_product = _reduction("prod", _countable, "The product.")


def _extreme(name: str, of_flags: Any, larger: Callable[..., Any], doc: str) -> Callable[..., Any]:
    """``of_flags`` is the same for booleans; ``larger`` is the same for two numbers."""
    numbers = _reduction(name, as_node, doc)

    def function(
        x: Any, axis: Axes | None = None, keepdims: bool = False, initial: Any = None
    ) -> KerasTensor:
        node = as_node(x)
        if initial is None:
            _require_some(name, node, normal_axes(axis, node.tensor_type.rank))
        found = of_flags if node.dtype is BOOL else numbers
        result = found(x, axis, keepdims)
        return result if initial is None else larger(result, initial)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return operation(function)


max = _extreme("max", any, maximum, "The largest element, and ``initial`` at least.")
min = _extreme("min", all, minimum, "The smallest element, and ``initial`` at most.")
amax, amin = max, min


@operation
def prod(
    x: Any, axis: Axes | None = None, keepdims: bool = False, dtype: Any = None
) -> KerasTensor:
    """The product."""
    return _product(x if dtype is None else tensor(as_node(x, dtype)), axis, keepdims)


@operation
def std(x: Any, axis: Axes | None = None, keepdims: bool = False) -> KerasTensor:
    """The standard deviation."""
    return sqrt(var(x, axis, keepdims))


@operation
def moments(x: Any, axes: Axes | None, keepdims: bool = False, synchronized: bool = False) -> Any:
    """Mean and variance."""
    if synchronized:
        raise UsageError("moments: expected synchronized=False, on one device; received True")
    return mean(x, axes, keepdims), var(x, axes, keepdims)


@operation
def average(x: Any, axis: Axes | None = None, weights: Any = None) -> KerasTensor:
    """The mean; weights have the shape of x, or there is one for each place along ``axis``."""
    if weights is None:
        return mean(x, axis)
    rank = as_node(x).tensor_type.rank
    if as_node(weights).tensor_type.rank < rank and isinstance(axis, (int, np.integer)):
        place = normal_axis(int(axis), rank)
        weights = reshape(weights, tuple(-1 if i == place else 1 for i in range(rank)))
    return true_divide(
        sum(multiply(x, weights), axis), sum(multiply(weights, tensor(_ones(x))), axis)
    )


def _ones(x: Any) -> Any:
    node = floating(x)
    return ir.broadcast_to(as_node(1.0, node.dtype), shape=node.shape)


@operation
def count_nonzero(x: Any, axis: Axes | None = None) -> KerasTensor:
    """How many elements are not 0, as int32."""
    return sum(not_equal(x, 0), axis)


def _arg_extreme(name: str, doc: str) -> Callable[..., Any]:
    def function(x: Any, axis: int | None = None, keepdims: bool = False) -> KerasTensor:
        node = as_node(x)
        if node.dtype is BOOL:
            node = as_node(tensor(node), "int32")
        if axis is None:
            node = ir.reshape(node, shape=(node.tensor_type.elements,))
        place = normal_axis(axis or 0, node.tensor_type.rank)
        _require_some(name, node, (place,))
        found = getattr(ir, name)(node, axis=place)
        if not keepdims:
            return tensor(found)
        rank = as_node(x).tensor_type.rank
        kept = (1,) * rank if axis is None else (*found.shape[:place], 1, *found.shape[place:])
        return tensor(ir.reshape(found, shape=kept))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return operation(function)


argmax = _arg_extreme("argmax", "The index of the largest element (the first of several).")
argmin = _arg_extreme("argmin", "The index of the smallest element (the first of several).")
