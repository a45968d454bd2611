"""Convolutions of 3 x 3 windows take fewer products: see ``winograd``."""

from __future__ import annotations

from dataclasses import dataclass

from ....runtime.cpu.host import Host
from ...context import Context
from ...decisions import Decision
from ...ir.graph import Graph, Node
from ...ir.rewrite import rewrite_everywhere
from ...ir.types import FLOAT32, Shape, Size
from ...ops.registry import ops
from ...ops.windowing import resolve_padding
from ...ops.winograd import PLACES, TILE, WINDOW, transformed_kernel

# Cycles of a tile, a vector of channels each: to transform its pixels, and its results.
PIXEL_CYCLES, RESULT_CYCLES = 64, 48
USUAL_IMAGES = 8  # that a transformed kernel serves, where weights change with every call
LEAST_GAIN = 1.2
MOST_CHANNELS = 512  # the transformed pixels of some tiles are to fit in a core's cache: 1 MB


def winograd(graph: Graph, context: Context[Host]) -> Graph:
    """Convolutions are done by Winograd's F(2x2, 3x3) where that takes less time.

        %0 = conv2d(%x, $kernel, padding="same")                  $kernel : f32[3, 3, 32, 64]
        %1 = conv2d_kernel_gradient(%x, %g, window=(3, 3), padding="same")
    -->
        %0 = matmul(%G, reshape($kernel, shape=(9, 2048)))        %G : f32[16, 9]
        %1 = winograd_conv2d(%x, reshape(%0, shape=(16, 32, 64)), $kernel, padding="same")
        %2 = winograd_kernel_gradient(%x, %g, padding="same")     f32[16, 32, 64]
        %3 = winograd_kernel(%2, %x, %g, padding="same")          f32[3, 3, 32, 64]

    A tile of 2 x 2 results takes 16 products a pair of channels instead of 36. To transform pixels
    and results costs additions, which many channels share: few channels are not worth it, nor are
    images so small that many of the last tiles' results are made twice.

    NaN, infinity and finite values of any size give what a direct sum gives: where a tile has a
    result that is not finite, its results are summed again from the kernel itself. What is finite
    is off by more than a direct sum, relative to the largest pixel and weight of its window;
    ``ops/winograd.py`` states the bound.
    """

    lanes = context.target.machine.lanes

    def rule(node: Node) -> Node | None:
        convolution = _convolution(node)
        if convolution is None:
            return None
        refusal = _refusal(convolution, lanes)
        action = "rewritten" if refusal is None else "declined"
        reason = refusal or ("FEWER_PRODUCTS", _estimate(convolution, lanes))
        context.decisions.add(Decision("winograd", node.op.name, node.layers, action, *reason))
        return _rewritten(node) if refusal is None else None

    return rewrite_everywhere(graph, rule)


def _rewritten(node: Node) -> Node:
    padding = node.attrs["padding"]
    if node.op is ops.conv2d:
        x, kernel = node.inputs
        return ops.winograd_conv2d(x, transformed_kernel(kernel), kernel, padding=padding)
    places = ops.winograd_kernel_gradient(*node.inputs, padding=padding)
    return ops.winograd_kernel(places, *node.inputs, padding=padding)


@dataclass(frozen=True)
class _Convolution:
    """A 3 x 3 window that moves by single pixels: its places, and what it leads from and to.

    ``above`` and ``height`` say which rows of it lie in the image, where only those are summed.
    """

    places: Shape
    channels: int
    filters: int
    above: Size = 0
    height: Size | None = None


def _convolution(node: Node) -> _Convolution | None:
    """What a convolution, or the gradient of its kernel, works on; None if its window differs."""
    if node.op not in (ops.conv2d, ops.conv2d_kernel_gradient) or node.dtype != FLOAT32:
        return None
    attrs = node.attrs
    if (attrs["strides"], attrs["dilation"], attrs["groups"]) != ((1, 1), (1, 1), 1):
        return None
    kernel, made = (node.inputs[1], node) if node.op is ops.conv2d else (node, node.inputs[1])
    if attrs.get("part") is not None or kernel.shape[:2] != WINDOW:
        return None
    _, _, channels, filters = kernel.shape
    if not isinstance(channels, int) or not isinstance(filters, int):
        return None
    places = made.shape[1:3]
    if node.op is ops.conv2d_kernel_gradient:
        return _Convolution(places, channels, filters)
    spatial = node.inputs[0].shape[1:3]
    (above, _), _ = resolve_padding(spatial, WINDOW, (1, 1), (1, 1), attrs["padding"])
    return _Convolution(places, channels, filters, above, spatial[0])


def _refusal(convolution: _Convolution, lanes: int) -> tuple[str, str] | None:
    """Why a convolution stays as it is: a code and a sentence; None if it does not."""
    channels = convolution.channels
    places = [size for size in convolution.places if isinstance(size, int)]
    if len(places) < len(convolution.places):
        return "UNKNOWN_SIZE", "the size of the images is known at a call only"
    if min(places) < TILE:
        return "SMALL", f"a tile has {TILE} x {TILE} results"
    if channels % lanes or channels > MOST_CHANNELS:
        return (
            "CHANNELS",
            f"{channels}, where a multiple of {lanes} up to {MOST_CHANNELS} is needed",
        )
    if _gain(convolution, lanes) < LEAST_GAIN:
        return "LITTLE_GAIN", _estimate(convolution, lanes)
    return None


def _estimate(convolution: _Convolution, lanes: int) -> str:
    return f"{_gain(convolution, lanes):.2f} times less work by estimate"


def _gain(convolution: _Convolution, lanes: int) -> float:
    """How many times less long it should take so, in cycles of a core that does a vector each."""
    rows, columns = (size for size in convolution.places if isinstance(size, int))
    channels = convolution.channels
    seen, made = channels / lanes, -(-convolution.filters // lanes)
    direct = _rows_seen(convolution, rows) * columns * WINDOW[1] * channels * made
    tiles = -(-rows // TILE) * -(-columns // TILE)
    tile = PLACES * channels * made + PIXEL_CYCLES * seen + RESULT_CYCLES * made
    kernel = (WINDOW[0] * WINDOW[1] + 2) * PLACES * seen * made
    return float(direct / (tiles * tile + kernel / USUAL_IMAGES))


def _rows_seen(convolution: _Convolution, rows: int) -> int:
    """Rows of windows in a column of so many, without those that lie above or below the image."""
    above, height = convolution.above, convolution.height
    if not isinstance(above, int) or not isinstance(height, int):
        return rows * WINDOW[0]
    spans = ((max(0, row - above), min(height, row - above + WINDOW[0])) for row in range(rows))
    return sum(stop - first for first, stop in spans)
