"""Composites around conv2d: convolution of sequences, transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...runtime.dim import Size
from ..ir.graph import Node, Op, Sample
from ..ir.kinds import Composite
from ..ir.types import TensorType
from .contractions import conv2d, swap_filters
from .registry import ops, register
from .rules import same_size, want_float, want_known, want_rank, want_same_dtype
from .windowing import kernel_positions, read_position

# conv1d: a sequence is an image of height 1


def _wide(attrs: dict[str, Any]) -> dict[str, Any]:
    """The attributes of conv1d as those of conv2d."""
    padding = attrs["padding"]
    return {
        "strides": (1, *attrs["strides"]),
        "dilation": (1, *attrs["dilation"]),
        "padding": padding if isinstance(padding, str) else ((0, 0), *padding),
        "groups": attrs["groups"],
    }


def _conv1d_type(x: TensorType, kernel: TensorType, **attrs: Any) -> TensorType:
    want_rank("sequences (N, T, C)", x, 3)
    want_rank("a kernel (width, channels / groups, filters)", kernel, 3)
    image = x.with_shape((x.shape[0], 1, *x.shape[1:]))
    wide = kernel.with_shape((1, *kernel.shape))
    result = conv2d.infer(image, wide, **_wide(attrs))
    assert isinstance(result, TensorType)
    return result.with_shape((result.shape[0], *result.shape[2:]))


def _conv1d(x: Any, kernel: Any, **attrs: Any) -> Any:
    return conv2d.reference(x[:, None], kernel[None], **_wide(attrs))[:, 0]


def _conv1d_expand(node: Node) -> Node:
    x, kernel = node.inputs
    image = ops.reshape(x, shape=(x.shape[0], 1, *x.shape[1:]))
    wide = ops.reshape(kernel, shape=(1, *kernel.shape))
    result = ops.conv2d(image, wide, **_wide(node.attrs))
    return ops.reshape(result, shape=node.shape)


conv1d = register(
    Op(
        "conv1d",
        _conv1d_type,
        _conv1d,
        Composite(_conv1d_expand),
        {"strides": (1,), "padding": "valid", "dilation": (1,), "groups": 1},
        None,
        (
            Sample(("f32[2, 7, 3]", "f32[3, 3, 4]")),
            Sample(("f32[2, 7, 3]", "f32[3, 3, 4]"), {"strides": (2,), "padding": "same"}),
            Sample(
                ("f32[2, 7, 4]", "f32[3, 2, 4]"),
                {"dilation": (2,), "padding": ((4, 0),), "groups": 2},
            ),
        ),
        "Convolution of sequences (N, T, C) with a kernel (w, C / groups, F).",
    )
)


# conv2d_transpose

Extra = Sequence[int | None]


def _ends(
    window: int, stride: int, dilation: int, padding: str, extra: int | None
) -> tuple[int, int]:
    """Keras's padding of the input whose elements stand ``stride`` apart.

    ``extra`` is its output_padding: None makes the result ``size * stride`` ("same") or
    ``(size - 1) * stride + max(window, stride)`` ("valid") elements.
    """
    reach = (window - 1) * dilation
    if padding == "valid":
        return reach, reach + (max(stride - reach - 1, 0) if extra is None else extra)
    if extra is None:
        total = stride + reach - 1
    else:
        total = reach - 1 + (reach + 1) % 2 + extra
    low = min(total // 2 + total % 2, reach)
    return low, total - low


def _all_ends(window: Sequence[Size], attrs: dict[str, Any]) -> list[tuple[int, int]]:
    extra: Extra = attrs["output_padding"] or (None, None)
    rows = zip(window, attrs["strides"], attrs["dilation"], extra, strict=True)
    return [_ends(k, s, d, attrs["padding"], e) for k, s, d, e in rows]  # type: ignore[arg-type]


def _transpose_type(x: TensorType, kernel: TensorType, **attrs: Any) -> TensorType:
    dtype = want_same_dtype(x, kernel)
    want_float(x)
    want_rank("images (N, H, W, C)", x, 4)
    want_rank("a kernel (height, width, filters, channels)", kernel, 4)
    _check_transpose(kernel, attrs)
    if not same_size(kernel.shape[3], x.shape[3]):
        raise ValueError(f"the kernel takes {kernel.shape[3]} channels, the input has {x.shape[3]}")
    window, ends = kernel.shape[:2], _all_ends(kernel.shape[:2], attrs)
    rows = zip(x.shape[1:3], window, attrs["strides"], attrs["dilation"], ends, strict=True)
    spatial = tuple((n - 1) * s + 1 + sum(e) - (k - 1) * d for n, k, s, d, e in rows)
    if any(isinstance(size, int) and size < 1 for size in spatial):
        raise ValueError(f"nothing of {x} is left: the result would be {spatial}")
    return TensorType(dtype, (x.shape[0], *spatial, kernel.shape[2]))


def _check_transpose(kernel: TensorType, attrs: dict[str, Any]) -> None:
    if attrs["padding"] not in ("valid", "same"):
        raise ValueError(f'expected padding "valid" or "same", got {attrs["padding"]!r}')
    want_known("a kernel", kernel, kernel.shape)
    for name in ("strides", "dilation"):
        values = attrs[name]
        if len(values) != 2 or not all(isinstance(v, int) and v > 0 for v in values):
            raise ValueError(f"expected two positive integers as {name}, got {values!r}")
    pairs = zip(attrs["output_padding"] or (None, None), attrs["strides"], strict=True)
    if any(extra is not None and not 0 <= extra < stride for extra, stride in pairs):
        raise ValueError(
            f"expected output_padding of 0 or more and below the strides {attrs['strides']}, "
            f"got {attrs['output_padding']!r}"
        )


def _transpose(x: Any, kernel: Any, **attrs: Any) -> Any:
    """Every element is written, times the kernel, over a window of the result."""
    strides, dilation = attrs["strides"], attrs["dilation"]
    window, ends = kernel.shape[:2], _all_ends(kernel.shape[:2], attrs)
    rows = list(zip(x.shape[1:3], window, strides, dilation, ends, strict=True))
    # Room for all windows, then what the padding asks for is cut out.
    whole = [(n - 1) * s + (k - 1) * d + 1 + sum(e) for n, k, s, d, e in rows]
    result = np.zeros((x.shape[0], *whole, kernel.shape[2]), x.dtype)
    for at in kernel_positions(window):
        target = read_position(result, at, strides, dilation, x.shape[1:3])
        target += x @ kernel[at].T
    cuts = []
    for n, k, s, d, (low, high) in rows:
        start = (k - 1) * d - low
        cuts.append(slice(start, start + (n - 1) * s + 1 + low + high - (k - 1) * d))
    return result[(slice(None), *cuts)]


def _transpose_expand(node: Node) -> Node:
    x, kernel = node.inputs
    low, high = zip(*_all_ends(kernel.shape[:2], node.attrs), strict=True)
    interior = tuple(stride - 1 for stride in node.attrs["strides"])
    spread = x
    if any((*low, *high, *interior)):
        spread = ops.pad(x, low=(0, *low, 0), high=(0, *high, 0), interior=(0, *interior, 0))
    flipped = swap_filters(ops.flip(kernel, axes=(0, 1)), 1)
    return ops.conv2d(spread, flipped, dilation=node.attrs["dilation"])


conv2d_transpose = register(
    Op(
        "conv2d_transpose",
        _transpose_type,
        _transpose,
        Composite(_transpose_expand),
        {"strides": (1, 1), "padding": "valid", "dilation": (1, 1), "output_padding": None},
        None,
        (
            Sample(("f32[2, 3, 4, 3]", "f32[3, 3, 2, 3]")),
            Sample(("f32[2, 3, 4, 3]", "f32[3, 2, 2, 3]"), {"strides": (2, 2), "padding": "same"}),
            Sample(
                ("f32[1, 3, 4, 3]", "f32[3, 2, 2, 3]"),
                {"strides": (2, 3), "padding": "same", "output_padding": (1, 2)},
            ),
            Sample(
                ("f32[1, 3, 4, 3]", "f32[2, 3, 2, 3]"),
                {"strides": (3, 1), "dilation": (1, 2), "output_padding": (2, None)},
            ),
        ),
        "The transpose of conv2d: a kernel (h, w, F, C) spreads each pixel over a window (Keras).",
    )
)
