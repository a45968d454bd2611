"""Convolution and pooling over spatial axes, channels first or last."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...compiler.ir.graph import Node
from ...compiler.ops.core import constant
from ...compiler.ops.windowing import resolve_padding
from ...runtime.dim import Size
from ..accepted import DataFormat, is_int
from ..errors import UsageError, shown
from ..scope import active_scope
from ..tensor import KerasTensor
from .core import floating, ir, operation, promoted, tensor
from .shaping import permuted


def pair(value: Any, rank: int, what: str, *, least: int = 1) -> tuple[int, ...]:
    """An int or a sequence of ``rank`` ints as a tuple. Raises ``UsageError``."""
    sizes = (value,) * rank if is_int(value) else value
    listed = isinstance(sizes, (list, tuple)) and all(map(is_int, sizes))
    given = tuple(map(int, sizes)) if listed else ()
    if len(given) != rank or min(given, default=0) < least:
        raise UsageError(
            f"{what}: expected an int or {rank} ints, {least} or more; received {value!r}"
        )
    return given


def channels_last(node: Node, data_format: DataFormat) -> Node:
    """``node`` with its channels moved to the end."""
    rank = node.tensor_type.rank
    if data_format != "channels_first":
        return node
    return permuted(node, (0, *range(2, rank), 1))


def restored(node: Node, data_format: DataFormat) -> KerasTensor:
    """The inverse of ``channels_last``."""
    rank = node.tensor_type.rank
    if data_format != "channels_first":
        return tensor(node)
    return tensor(permuted(node, (0, rank - 1, *range(1, rank - 1))))


def widened(node: Node) -> Node:
    """A sequence (batch, steps, channels) as an image one pixel high."""
    batch, steps, channels = node.shape
    return ir.reshape(node, shape=(batch, 1, steps, channels))


def narrowed(node: Node) -> Node:
    """The inverse of ``widened``."""
    batch, _, steps, channels = node.shape
    return ir.reshape(node, shape=(batch, steps, channels))


def _image_and_kernel(
    name: str, inputs: Any, kernel: Any, data_format: str | None
) -> tuple[Node, Node]:
    """Both in one float type, the channels of the image last."""
    image, weight = promoted(inputs, kernel)
    ranks = image.tensor_type.rank, weight.tensor_type.rank
    kinds = ("3 axes (sequences)", "4 (images)", "5 (volumes)")[: 3 if name == "conv" else 2]
    if ranks[0] != ranks[1] or not 3 <= ranks[0] < 3 + len(kinds):
        raise UsageError(
            f"{name}: expected inputs and a kernel of {', or of '.join(kinds)}; received shapes "
            f"{image.shape} and {weight.shape}"
        )
    image, weight = floating(tensor(image)), floating(tensor(weight))
    image = channels_last(image, data_format)
    _want_known_sizes(name, "channels and a kernel", (image.shape[-1], *weight.shape))
    return image, weight


def _want_known_sizes(name: str, what: str, sizes: Iterable[Size]) -> None:
    if not all(isinstance(size, int) for size in sizes):
        active_scope().require_sizes(f"{name}: loops over {what} are made for the sizes")


@operation
def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: DataFormat = None,
    dilation_rate: Any = 1,
) -> KerasTensor:
    """Convolution; groups are told from the kernel's ``(..., channels / groups, filters)``.

    ``padding`` is "valid", "same", for sequences also "causal".
    """
    image, weight = _image_and_kernel("conv", inputs, kernel, data_format)
    rank = image.tensor_type.rank - 2
    steps, dilation = pair(strides, rank, "strides"), pair(dilation_rate, rank, "dilation_rate")
    channels, each = image.shape[-1], weight.shape[-2]
    groups = 1
    if isinstance(channels, int) and isinstance(each, int) and each:
        groups = channels // each
    around = _causal(weight, dilation) if padding == "causal" else padding
    given: dict[str, Any] = {"padding": around, "groups": groups}
    given |= {"strides": steps, "dilation": dilation}
    if rank == 3:
        return restored(_conv3d(image, weight, **given), data_format)
    return restored((ir.conv1d if rank == 1 else ir.conv2d)(image, weight, **given), data_format)


def _conv3d(
    volume: Node,
    weight: Node,
    *,
    strides: tuple[int, ...],
    padding: str,
    dilation: tuple[int, ...],
    groups: int,
) -> Node:
    """The sum over the kernel's depth: each of its slices with the layers of the volume it meets,
    which are images of one batch."""
    batch, size, *image = volume.shape
    depth = weight.shape[0]
    assert isinstance(depth, int), "sizes of kernels are asked for"
    window = (depth,), strides[:1], dilation[:1]
    ((low, high),) = resolve_padding((size,), *window, padding)
    padded = ir.pad(volume, low=(0, low, 0, 0, 0), high=(0, high, 0, 0, 0))
    layers = (size + low + high - (depth - 1) * dilation[0] - 1) // strides[0] + 1
    total: Node | None = None
    for k in range(depth):
        first = k * dilation[0]
        stop = (batch, first + (layers - 1) * strides[0] + 1, *image)
        start, step = (0, first, 0, 0, 0), (1, strides[0], 1, 1, 1)
        met = ir.slice(padded, start=start, stop=stop, step=step)
        part = ir.conv2d(
            ir.reshape(met, shape=(batch * layers, *image)),
            ir.gather(weight, constant(k), axis=0),
            strides=strides[1:],
            padding=padding,
            dilation=dilation[1:],
            groups=groups,
        )
        total = part if total is None else ir.add(total, part)
    assert total is not None, "a kernel has no size of 0"
    return ir.reshape(total, shape=(batch, layers, *total.shape[1:]))


def _causal(weight: Node, dilation: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Padding before the first step only: a result sees its own step and earlier ones."""
    size = weight.shape[0]
    if not isinstance(size, int):
        raise UsageError(
            f"conv: expected a kernel of known sizes; received shape {shown(weight.shape)}"
        )
    return (((size - 1) * dilation[0], 0),)


@operation
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: DataFormat = None,
    dilation_rate: Any = 1,
) -> KerasTensor:
    """One filter or more per channel: kernel ``(..., channels, multiplier)``."""
    image, weight = _image_and_kernel("depthwise_conv", inputs, kernel, data_format)
    rank = image.tensor_type.rank - 2
    steps, dilation = pair(strides, rank, "strides"), pair(dilation_rate, rank, "dilation_rate")
    if rank == 1:
        image, weight = widened(image), ir.reshape(weight, shape=(1, *weight.shape))
        steps, dilation = (1, *steps), (1, *dilation)
    result = ir.depthwise_conv2d(image, weight, strides=steps, padding=padding, dilation=dilation)
    return restored(narrowed(result) if rank == 1 else result, data_format)


@operation
def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: DataFormat = None,
    dilation_rate: Any = 1,
) -> KerasTensor:
    """A depthwise convolution, then one of size 1 across the channels."""
    deep = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(deep, pointwise_kernel, 1, "valid", data_format)


@operation
def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: DataFormat = None,
    dilation_rate: Any = 1,
) -> KerasTensor:
    """The transpose of a convolution: kernel ``(..., filters, channels)``."""
    image, weight = _image_and_kernel("conv_transpose", inputs, kernel, data_format)
    rank = image.tensor_type.rank - 2
    steps, dilation = pair(strides, rank, "strides"), pair(dilation_rate, rank, "dilation_rate")
    extra = (None,) * rank if output_padding is None else pair(
        output_padding, rank, "output_padding", least=0
    )  # fmt: skip
    if rank == 1:
        image, weight = widened(image), ir.reshape(weight, shape=(1, *weight.shape))
        steps, dilation, extra = (1, *steps), (1, *dilation), (None, *extra)
    result = ir.conv2d_transpose(
        image, weight, strides=steps, padding=padding, dilation=dilation, output_padding=extra
    )
    return restored(narrowed(result) if rank == 1 else result, data_format)


def _pooled(
    op: Callable[..., Node],
    inputs: Any,
    pool_size: Any,
    strides: Any,
    padding: str,
    data_format: DataFormat,
) -> KerasTensor:
    node = floating(inputs)
    if node.tensor_type.rank not in (3, 4):
        raise UsageError(
            f"pooling: expected inputs of 3 axes (sequences) or 4 (images); received shape "
            f"{node.shape}"
        )
    image = channels_last(node, data_format)
    _want_known_sizes("pooling", "channels", image.shape[-1:])
    rank = image.tensor_type.rank - 2
    window = pair(pool_size, rank, "pool_size")
    steps = window if strides is None else pair(strides, rank, "strides")
    if rank == 1:
        image, window, steps = widened(image), (1, *window), (1, *steps)
    result = op(image, window=window, strides=steps, padding=padding)
    return restored(narrowed(result) if rank == 1 else result, data_format)


@operation
def max_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: DataFormat = None,
) -> KerasTensor:
    """The largest element of each window."""
    return _pooled(ir.max_pool2d, inputs, pool_size, strides, padding, data_format)


@operation
def average_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: DataFormat = None,
) -> KerasTensor:
    """The mean of each window, over the elements inside the image."""
    return _pooled(ir.avg_pool2d, inputs, pool_size, strides, padding, data_format)
