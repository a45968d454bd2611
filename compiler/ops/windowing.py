"""Sizes of sliding windows: padding as ``(before, after)`` pairs, output sizes, for any rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...runtime.dim import Size
from ..ir.graph import Node, Order
from ..ir.types import Shape
from .registry import ops
from .rules import equal_sizes

Padding: TypeAlias = "str | Sequence[Sequence[Size]]"
Pairs: TypeAlias = tuple[tuple[Size, Size], ...]


def resolve_padding(
    spatial: Sequence[Size],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: Padding,
) -> Pairs:
    """``padding`` as one ``(before, after)`` pair per spatial axis.

    ``"valid"`` is no padding. ``"same"`` gives ``ceil(size / stride)`` outputs; where the total is
    odd the larger half comes after, as in Keras. Over a symbolic size a window narrower than its
    stride is refused: how much padding it needs is no polynomial.

    Raises:
        ValueError: another spelling, a wrong number of pairs, a negative pair, an undecidable size.
    """
    if padding == "valid":
        return ((0, 0),) * len(spatial)
    if padding == "same":
        rows = zip(spatial, window, strides, dilation, strict=True)
        return tuple(_same(size, *row) for size, *row in rows)
    if isinstance(padding, str):
        raise ValueError(f'expected padding "valid", "same" or pairs, got {padding!r}')
    return _explicit(padding, len(spatial))


def _same(size: Size, window: int, stride: int, dilation: int) -> tuple[Size, Size]:
    extent = (window - 1) * dilation + 1
    total = ((size + stride - 1) // stride - 1) * stride + extent - size
    if isinstance(total, int):
        total = max(total, 0)
    elif extent == 1:
        total = 0  # the last position always lies inside
    elif extent < stride:
        raise ValueError(
            f'padding "same" with window {window} and stride {stride} over the symbolic size '
            f"{size} depends on its value; give the size, or pairs ((before, after), ...)"
        )
    return total // 2, total - total // 2


def _explicit(padding: Sequence[Sequence[Size]], rank: int) -> Pairs:
    pairs = tuple(tuple(pair) for pair in padding)
    if len(pairs) != rank or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"expected {rank} padding pairs (before, after), got {padding!r}")
    if any(isinstance(side, int) and side < 0 for pair in pairs for side in pair):
        raise ValueError(f"expected padding of 0 or more, got {padding!r}")
    return tuple((before, after) for before, after in pairs)


def window_output(
    spatial: Sequence[Size],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: Padding,
) -> Shape:
    """The number of window positions along each spatial axis.

    Raises:
        ValueError: as ``resolve_padding``; a rank, stride or dilation is wrong; the window does
            not fit into the padded image.
    """
    _check_positive("window", window, len(spatial))
    _check_positive("strides", strides, len(spatial))
    _check_positive("dilation", dilation, len(spatial))
    pairs = resolve_padding(spatial, window, strides, dilation, padding)
    rows = zip(spatial, window, strides, dilation, pairs, strict=True)
    return tuple(_positions(*row) for row in rows)


def _positions(
    size: Size, window: int, stride: int, dilation: int, pair: tuple[Size, Size]
) -> Size:
    room = size + pair[0] + pair[1] - ((window - 1) * dilation + 1)
    if isinstance(room, int) and room < 0:
        padded = size + pair[0] + pair[1]
        dilated = f" with dilation {dilation}" if dilation != 1 else ""
        raise ValueError(
            f"a window of {window}{dilated} does not fit into an image of {padded} "
            f"({size} and padding {pair}); use a smaller window or more padding"
        )
    return room // stride + 1


def _check_positive(name: str, values: Sequence[int], rank: int) -> None:
    good = len(values) == rank and all(isinstance(v, int) and v > 0 for v in values)
    if not good:
        raise ValueError(f"expected {rank} positive integers as {name}, got {tuple(values)!r}")


def window_orders(node: Node) -> Iterator[Order]:
    """Windows fit into the padded image, the first operand; filters have its channels."""
    x, attrs = node.inputs[0].shape, node.attrs
    window: Any = attrs["window"] if "window" in attrs else node.inputs[1].shape[:2]
    dilation = attrs.get("dilation", (1, 1))
    padding = resolve_padding(x[1:3], window, attrs["strides"], dilation, attrs["padding"])
    for size, extent, gap, (before, after) in zip(x[1:3], window, dilation, padding, strict=True):
        yield (extent - 1) * gap + 1, size + before + after
    if len(node.inputs) == 2:
        channels = node.inputs[1].shape[2] * attrs.get("groups", 1)
        yield from equal_sizes((channels,), x[3:])


# The same positions, read from numpy arrays and from nodes: images are (N, spatial..., C)


def kernel_positions(window: Sequence[int]) -> list[tuple[int, ...]]:
    """Every place inside a window, in row-major order."""
    return list(np.ndindex(*window))


def pad_image(x: Any, pairs: Any, value: float) -> Any:
    """The array ``x`` with ``value`` around its spatial axes."""
    if all(pair == (0, 0) for pair in pairs):
        return x
    return np.pad(x, ((0, 0), *pairs, (0, 0)), constant_values=value)


def read_position(
    padded: Any,
    position: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    positions: Shape,
) -> Any:
    """What every window sees at one place inside it: ``(N, *positions, C)``, a view."""
    rows = zip(position, strides, dilation, positions, strict=True)
    cuts = [slice(k * d, k * d + (n - 1) * s + 1, s) for k, s, d, n in rows]
    return padded[(slice(None), *cuts)]


def read_position_node(
    padded: Node,
    position: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    positions: Shape,
) -> Node:
    """``read_position`` as a node."""
    rows = list(zip(position, strides, dilation, positions, strict=True))
    first = [k * d for k, _, d, _ in rows]
    last = [k * d + (n - 1) * s + 1 for k, s, d, n in rows]
    return ops.slice(
        padded,
        start=(0, *first, 0),
        stop=(padded.shape[0], *last, padded.shape[-1]),
        step=(1, *strides, 1),
    )


def write_position_node(
    values: Node,
    position: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    pairs: Pairs,
    spatial: Sequence[Size],
) -> Node:
    """The reverse: values of ``(N, *positions, C)`` where their windows read, in an image of 0."""
    rows = zip(position, strides, dilation, pairs, spatial, values.shape[1:-1], strict=True)
    ends = []
    for k, s, d, (before, _), size, n in rows:
        low = k * d - before
        ends.append((low, size - low - ((n - 1) * s + 1)))
    return ops.pad(
        values,
        low=(0, *(low for low, _ in ends), 0),
        high=(0, *(high for _, high in ends), 0),
        interior=(0, *(s - 1 for s in strides), 0),
    )


def pad_node(x: Node, pairs: Pairs, value: float) -> Node:
    """``pad_image`` as a node."""
    if all(pair == (0, 0) for pair in pairs):
        return x
    low, high = zip(*pairs, strict=True)
    return ops.pad(x, low=(0, *low, 0), high=(0, *high, 0), value=value)
