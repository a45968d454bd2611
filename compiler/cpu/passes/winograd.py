"""Winograd convolution: 3 x 3 windows with fewer products; see ``winograd``."""

from __future__ import annotations

from collections.abc import Sequence

from ....runtime.cpu.host import Host
from ...context import Context
from ...decisions import Decision, Refusal
from ...engine import Convolution, Engine, engines_for, least_work
from ...ir.graph import Graph, Node
from ...ir.rewrite import rewrite_everywhere
from ...ops.registry import ops
from ...ops.windowing import resolve_padding
from ...ops.winograd import WINDOW, transformed_kernel

DIRECT, TRANSFORMED = "conv2d", "winograd_conv2d"  # kinds of contractions
LEAST_GAIN = 1.2  # times less work by estimate, for a rewrite


def winograd(graph: Graph, context: Context[Host]) -> Graph:
    """Replaces convolutions by Winograd's F(2x2, 3x3) where that takes less time.

        %0 = conv2d(%x, $kernel, padding="same")                  $kernel : f32[3, 3, 32, 64]
        %1 = conv2d_kernel_gradient(%x, %g, window=(3, 3), padding="same")
    -->
        %0 = matmul(%G, reshape($kernel, shape=(9, 2048)))        %G : f32[16, 9]
        %1 = winograd_conv2d(%x, reshape(%0, shape=(16, 32, 64)), $kernel, padding="same")
        %2 = winograd_kernel_gradient(%x, %g, padding="same")     f32[16, 32, 64]
        %3 = winograd_kernel(%2, %x, %g, padding="same")          f32[3, 3, 32, 64]

    A tile of 2 x 2 results takes 16 products for each pair of channels instead of 36. Transforming
    pixels and results costs additions, which many channels share. It does not pay for few channels,
    nor for images so small that many results of the last tiles are computed twice.

    NaN, infinity and finite values of any size give what a direct sum gives: where a tile has a
    result that is not finite, its results are summed again from the kernel itself. Finite results
    have larger errors than direct sums, relative to the largest pixel and weight of the window;
    ``ops/winograd.py`` states the bound.
    """

    engines = context.target.engines

    def rule(node: Node) -> Node | None:
        convolution = _convolution(node)
        if convolution is None or not engines_for(TRANSFORMED, convolution.dtype, engines):
            return None
        refusal = _refusal(convolution, engines)
        action = "rewritten" if refusal is None else "declined"
        reason = refusal or ("FEWER_PRODUCTS", _estimate(convolution, engines))
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


def _convolution(node: Node) -> Convolution | None:
    """The sizes of a convolution, or of its kernel's gradient; None if its window differs."""
    if node.op not in (ops.conv2d, ops.conv2d_kernel_gradient):
        return None
    attrs = node.attrs
    if (attrs["strides"], attrs["dilation"], attrs["groups"]) != ((1, 1), (1, 1), 1):
        return None
    kernel, made = (node.inputs[1], node) if node.op is ops.conv2d else (node, node.inputs[1])
    if attrs.get("split") is not None or kernel.shape[:2] != WINDOW:
        return None
    _, _, channels, filters = kernel.shape
    if not isinstance(channels, int) or not isinstance(filters, int):
        return None
    places = made.shape[1:3]
    if node.op is ops.conv2d_kernel_gradient:
        return Convolution(node.dtype, WINDOW, places, channels, filters)
    spatial = node.inputs[0].shape[1:3]
    (above, _), _ = resolve_padding(spatial, WINDOW, (1, 1), (1, 1), attrs["padding"])
    return Convolution(node.dtype, WINDOW, places, channels, filters, above, spatial[0])


def _refusal(convolution: Convolution, engines: Sequence[Engine]) -> Refusal | None:
    """Why a convolution stays as it is; None if it does not."""
    able = engines_for(TRANSFORMED, convolution.dtype, engines)
    refusals = [engine.refusal(convolution) for engine in able]
    if None not in refusals:
        return refusals[0]
    if _gain(convolution, engines) < LEAST_GAIN:
        return "LITTLE_GAIN", _estimate(convolution, engines)
    return None


def _estimate(convolution: Convolution, engines: Sequence[Engine]) -> str:
    return f"{_gain(convolution, engines):.2f} times less work by estimate"


def _gain(convolution: Convolution, engines: Sequence[Engine]) -> float:
    """How many times less long it should take so."""
    direct, transformed = (least_work(kind, convolution, engines) for kind in (DIRECT, TRANSFORMED))
    return direct / transformed
