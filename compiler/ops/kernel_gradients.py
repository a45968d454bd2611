"""From images and the gradient of a convolution's result: the gradient of its kernel.

Each element is a sum over all positions in all images. With ``part=(images, lines)`` the sum is
left in parts, one for so many images and so many lines of positions in them; the result then has
an axis of parts in front. A program takes the parts one by one, while what they read is in cache,
and they may run side by side; added up in their order they give the same bits however they ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...runtime.dim import Size
from ..ir.graph import REQUIRED, Node, Op, Order, Sample
from ..ir.kinds import KernelGradient
from ..ir.types import Shape, TensorType
from .contractions import CONV_ATTRS, conv_gradient
from .depthwise import DEPTHWISE_ATTRS, depthwise_gradient
from .registry import ops, register
from .rules import (
    equal_sizes,
    same_size,
    want_float,
    want_known,
    want_rank,
    want_same_dtype,
)
from .windowing import (
    Padding,
    kernel_positions,
    pad_image,
    read_position,
    resolve_padding,
    window_output,
)

Pair = tuple[int, int]
Part: TypeAlias = "Pair | None"


def part_counts(positions: Shape, part: Pair) -> tuple[Size, Size]:
    """In how many parts images and lines fall; ``positions`` is ``(images, lines, ...)``."""
    images, lines = part
    return (positions[0] + images - 1) // images, (positions[1] + lines - 1) // lines


def _checked_positions(
    x: TensorType,
    grad: TensorType,
    window: Pair,
    strides: Pair,
    padding: Padding,
    dilation: Pair,
) -> None:
    want_same_dtype(x, grad)
    want_float(x)
    want_rank("images (N, H, W, C)", x, 4)
    want_rank("a gradient (N, H, W, F)", grad, 4)
    want_known("images of channels", x, x.shape[3:])
    want_known("a gradient of channels", grad, grad.shape[3:])
    spatial = window_output(x.shape[1:3], window, strides, dilation, padding)
    if not all(map(same_size, grad.shape[:3], (x.shape[0], *spatial))):
        raise ValueError(f"expected a gradient of {x.shape[0]} images of {spatial}, got {grad}")


def _position_orders(node: Node) -> Iterator[Order]:
    """There is a gradient for each place of the window, and such places there are."""
    (x, grad), attrs = (operand.shape for operand in node.inputs), node.attrs
    options = (attrs[name] for name in ("window", "strides", "dilation", "padding"))
    positions = (x[0], *window_output(x[1:3], *options))
    yield from ((0, size) for size in positions)
    yield from equal_sizes(positions, grad)


def _in_parts(kernel: TensorType, grad: TensorType, part: Part) -> TensorType:
    if part is None:
        return kernel
    if (
        not isinstance(part, tuple)
        or len(part) != 2
        or not all(isinstance(n, int) and n > 0 for n in part)
    ):
        raise ValueError(f"expected a part of (images, lines), both 1 or more, got {part!r}")
    images, lines = part_counts(grad.shape, part)
    return kernel.with_shape((images * lines, *kernel.shape))


def _sum_parts(
    x: Any, grad: Any, pairs: Any, attrs: dict[str, Any], sum_: Callable[..., Any]
) -> Any:
    """``sum_(seen, slopes)`` of each place in the window, for all positions or part by part."""
    padded = pad_image(x, pairs, 0)
    found = []
    for cut in _cuts(grad.shape, attrs["part"]):
        slopes = grad[cut]
        places = []
        for at in kernel_positions(attrs["window"]):
            seen = read_position(padded, at, attrs["strides"], attrs["dilation"], grad.shape[1:3])
            places.append(sum_(seen[cut], slopes))
        found.append(np.stack(places).reshape(*attrs["window"], *places[0].shape))
    return found[0] if attrs["part"] is None else np.array(found, x.dtype)


def _cuts(positions: Sequence[int], part: Part) -> Iterator[tuple[slice, slice]]:
    """The images and lines of each part, in order."""
    if part is None:
        yield slice(None), slice(None)
        return
    for image in range(0, positions[0], part[0]):
        for line in range(0, positions[1], part[1]):
            yield slice(image, image + part[0]), slice(line, line + part[1])


# conv2d


def _conv_type(
    x: TensorType,
    grad: TensorType,
    *,
    window: Pair,
    strides: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    part: Part,
) -> TensorType:
    _checked_positions(x, grad, window, strides, padding, dilation)
    if groups < 1:
        raise ValueError(f"expected groups of 1 or more, got {groups}")
    kernel = x.with_shape((*window, x.shape[3] // groups, grad.shape[3]))
    return _in_parts(kernel, grad, part)


def _conv_kernel_gradient(x: Any, grad: Any, **attrs: Any) -> Any:
    pairs = resolve_padding(
        x.shape[1:3], attrs["window"], attrs["strides"], attrs["dilation"], attrs["padding"]
    )
    groups = attrs["groups"]

    def sum_(seen: Any, slopes: Any) -> Any:
        rows = seen.reshape(-1, groups, seen.shape[3] // groups)
        slopes = slopes.reshape(-1, groups, slopes.shape[3] // groups)
        products = np.stack([rows[:, g].T @ slopes[:, g] for g in range(groups)], 1)
        return products.reshape(products.shape[0], -1)

    return _sum_parts(x, grad, pairs, attrs, sum_)


def _conv_second_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    """Linear in both operands: the same convolution led on, once either way."""
    x, slope = node.inputs
    forward = ops.conv2d(x, grad, **_forward_attrs(node))
    assert forward.type == slope.type
    by_x, _ = conv_gradient(forward, slope)
    return by_x, forward


def _forward_attrs(node: Node) -> dict[str, Any]:
    """The attributes of the convolution."""
    assert node.attrs["part"] is None, "sums are cut in parts after differentiation"
    return {k: v for k, v in node.attrs.items() if k not in ("window", "part")}


conv2d_kernel_gradient = register(
    Op(
        "conv2d_kernel_gradient",
        _conv_type,
        _conv_kernel_gradient,
        KernelGradient("conv2d"),
        {"window": REQUIRED, **CONV_ATTRS, "part": None},
        _conv_second_gradient,
        (
            Sample(("f32[2, 5, 6, 3]", "f32[2, 3, 4, 4]"), {"window": (3, 3)}),
            Sample(("f32[2, 5, 6, 3]", "f32[2, 5, 6, 4]"), {"window": (1, 1)}),
            Sample(
                ("f32[1, 7, 6, 4]", "f32[1, 4, 3, 6]"),
                {"window": (3, 2), "strides": (2, 2), "padding": "same", "groups": 2},
            ),
            Sample(
                ("f32[2, 9, 8, 3]", "f32[2, 6, 4, 5]"),
                {"window": (2, 3), "padding": ((0, 0), (1, 1)), "dilation": (3, 3)},
            ),
        ),
        "From x and the gradient of conv2d's result: the gradient of its kernel.",
        _position_orders,
    )
)


# depthwise_conv2d


def _depthwise_type(
    x: TensorType,
    grad: TensorType,
    *,
    window: Pair,
    strides: Pair,
    padding: Padding,
    dilation: Pair,
    part: Part,
) -> TensorType:
    _checked_positions(x, grad, window, strides, padding, dilation)
    channels, results = x.shape[3], grad.shape[3]
    if (
        not (isinstance(channels, int) and isinstance(results, int))
        or channels < 1
        or results % channels
    ):
        raise ValueError(f"expected a known multiple of {channels} channels, got {grad}")
    kernel = x.with_shape((*window, channels, results // channels))
    return _in_parts(kernel, grad, part)


def _depthwise_kernel_gradient(x: Any, grad: Any, **attrs: Any) -> Any:
    pairs = resolve_padding(
        x.shape[1:3], attrs["window"], attrs["strides"], attrs["dilation"], attrs["padding"]
    )

    def sum_(seen: Any, slopes: Any) -> Any:
        return np.sum(seen[..., None] * slopes.reshape(*seen.shape, -1), (0, 1, 2))

    return _sum_parts(x, grad, pairs, attrs, sum_)


def _depthwise_second_gradient(node: Node, grad: Node) -> tuple[Node, ...]:
    x, slope = node.inputs
    forward = ops.depthwise_conv2d(x, grad, **_forward_attrs(node))
    by_x, _ = depthwise_gradient(forward, slope)
    return by_x, forward


depthwise_kernel_gradient = register(
    Op(
        "depthwise_kernel_gradient",
        _depthwise_type,
        _depthwise_kernel_gradient,
        KernelGradient("depthwise_conv2d"),
        {"window": REQUIRED, **DEPTHWISE_ATTRS, "part": None},
        _depthwise_second_gradient,
        (
            Sample(("f32[2, 5, 6, 3]", "f32[2, 3, 4, 3]"), {"window": (3, 3)}),
            Sample(
                ("f32[1, 7, 6, 3]", "f32[1, 4, 3, 6]"),
                {"window": (3, 2), "strides": (2, 2), "padding": "same"},
            ),
            Sample(
                ("f32[3, 7, 6, 3]", "f32[3, 5, 4, 3]"),
                {"window": (2, 3), "dilation": (2, 1)},
            ),
        ),
        "From x and the gradient of depthwise_conv2d's result: the gradient of its kernel.",
        _position_orders,
    )
)
