"""Phase decomposition: convolutions read no stored zeros; see ``unpad``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..context import Context
from ..decisions import Decision
from ..ir.graph import Graph, Node
from ..ir.rewrite import rewrite_everywhere
from ..ir.types import Size
from ..ops.registry import ops
from ..ops.windowing import Pairs, resolve_padding

Pair = tuple[int, int]


def unpad(graph: Graph, context: Context[Any]) -> Graph:
    """Merges padding into convolutions, and splits those over dilated images into phases.

        %0 = pad(%x, low=(0, 1, 1, 0), high=(0, 1, 1, 0))
        %1 = conv2d(%0, $kernel)
    -->
        %1 = conv2d(%x, $kernel, padding=((1, 1), (1, 1)))

    The gradient of a convolution of stride 2 is a convolution over pixels with zeros between them.
    Every other row of its result reads the pixels through the even rows of the kernel, the rows
    between through the odd ones, and likewise for columns: each of these four phases is a dense
    convolution.

        %0 = pad(%x, interior=(0, 1, 1, 0), ...)                    %x : f32[N, 8, 8, 64]
        %1 = conv2d(%0, $kernel)                                    f32[N, 16, 16, 32]
    -->
        %0 = slice($kernel, start=(0, 0, 0, 0), step=(2, 2, 1, 1))
        %1 = conv2d(%x, %0, padding=...)                            f32[N, 8, 8, 32]
        ...                                                         three more
        %9 = interleave(%1, %3, %5, %7, steps=(2, 2), size=(16, 16))

    No result multiplies a pixel outside its window, not even by 0, so a value that is not finite
    does not spread. Columns that read the same pixels become channels of one convolution.
    """

    def rule(node: Node) -> Node | None:
        result = _rewritten(node)
        if result is None:
            return None
        code, found = result
        context.decisions.add(Decision("unpad", "pad+conv2d", node.layers, "rewritten", code))
        return found

    return rewrite_everywhere(graph, rule)


def _rewritten(node: Node) -> tuple[str, Node] | None:
    if node.op is not ops.conv2d or node.inputs[0].op is not ops.pad:
        return None
    pad = node.inputs[0]
    gaps = pad.attrs["interior"] or (0, 0, 0, 0)
    ends = tuple(zip(pad.attrs["low"], pad.attrs["high"], strict=True))
    if pad.attrs["value"] != 0 or gaps[0] or gaps[3] or (*ends[0], *ends[3]) != (0, 0, 0, 0):
        return None
    if gaps == (0, 0, 0, 0):
        result = _with_padding(node, ends[1:3])
        return None if result is None else ("PADDING", result)
    result = _dense(node, ends[1:3], (gaps[1] + 1, gaps[2] + 1))
    return None if result is None else ("DENSE", result)


def _with_padding(node: Node, ends: Pairs) -> Node | None:
    """conv2d(pad(x), kernel) --> conv2d(x, kernel, padding)"""
    if any(isinstance(side, int) and side < 0 for pair in ends for side in pair):
        return None
    pairs = _padding(node)
    both = tuple((a + c, b + d) for (a, b), (c, d) in zip(ends, pairs, strict=True))
    image, kernel = node.inputs[0].inputs[0], node.inputs[1]
    return ops.conv2d(image, kernel, **{**node.attrs, "padding": both})


def _padding(node: Node) -> Pairs:
    x, kernel = node.inputs
    window = [size for size in kernel.shape[:2] if isinstance(size, int)]
    attrs = node.attrs
    return resolve_padding(
        x.shape[1:3], window, attrs["strides"], attrs["dilation"], attrs["padding"]
    )


# Zeros between pixels


@dataclass(frozen=True)
class _Phase:
    """A phase along one axis: every ``stride``-th place of the result, as a window.

    The window of the first place begins ``before`` pixels ahead of the image. Its first element is
    element ``first`` of the kernel, and each further one lies ``stride`` further.
    """

    first: int
    window: int
    before: int

    def padding(self, size: int, places: int) -> tuple[int, int]:
        """The padding before and after an image of ``size`` that so many places read."""
        return self.before, places + self.window - 1 - size - self.before


def _phases(low: int, window: int, stride: int) -> list[_Phase]:
    """The ``stride`` phases of a convolution with ``low`` zeros before the image."""
    firsts = [(low - at) % stride for at in range(stride)]
    return [
        _Phase(first, -((first - window) // stride), (low - at - first) // stride)
        for at, first in enumerate(firsts)
    ]


def _dense(node: Node, ends: Pairs, strides: Pair) -> Node | None:
    x, kernel = node.inputs[0].inputs[0], node.inputs[1]
    attrs = node.attrs
    plain = attrs["strides"] == (1, 1) and attrs["dilation"] == (1, 1) and attrs["groups"] == 1
    if not plain or any(side != 0 for pair in _padding(node) for side in pair):
        return None
    if kernel.shape[:2] == (1, 1):
        return ops.pad(ops.conv2d(x, kernel), **node.inputs[0].attrs)
    lows = (ends[0][0], ends[1][0])
    sizes = (*x.shape[1:3], *node.shape[1:3], *kernel.shape, *lows)
    if len(_fixed(sizes)) < len(sizes) or any(map(int.__lt__, _fixed(kernel.shape[:2]), strides)):
        return None
    return _interleaved(node, x, kernel, _fixed(lows), strides)


def _fixed(sizes: Sequence[Size]) -> tuple[int, ...]:
    """Those of ``sizes`` that are known."""
    return tuple(size for size in sizes if isinstance(size, int))


def _interleaved(
    node: Node, x: Node, kernel: Node, lows: Sequence[int], strides: Pair
) -> Node | None:
    """One convolution for each phase, with their results interleaved."""
    height, width, rows, columns = _fixed((*x.shape[1:3], *node.shape[1:3]))
    down, right = map(_phases, lows, _fixed(kernel.shape[:2]), strides)
    places = (-(-rows // strides[0]), -(-columns // strides[1]))
    above = [phase.padding(height, places[0]) for phase in down]
    beside = [phase.padding(width, places[1]) for phase in right]
    if min(side for pair in (*above, *beside) for side in pair) < 0:
        return None
    if strides[1] > 1 and len({(phase.window, phase.before) for phase in right}) == 1:
        wide = _side_by_side(kernel, strides[1])
        parts = [
            ops.conv2d(x, _every(wide, (row.first, 0), (strides[0], 1)), padding=(pair, beside[0]))
            for row, pair in zip(down, above, strict=True)
        ]
        shape = (x.shape[0], places[0], places[1] * strides[1], node.shape[3])
        parts = [ops.reshape(part, shape=shape) for part in parts]
        return ops.interleave(*parts, steps=(strides[0], 1), size=(rows, columns))
    parts = [
        ops.conv2d(x, _every(kernel, (row.first, column.first), strides), padding=(pair, sides))
        for row, pair in zip(down, above, strict=True)
        for column, sides in zip(right, beside, strict=True)
    ]
    return ops.interleave(*parts, steps=strides, size=(rows, columns))


def _every(kernel: Node, first: Pair, steps: Pair) -> Node:
    """Some rows and columns of a kernel."""
    return ops.slice(kernel, start=(*first, 0, 0), stop=kernel.shape, step=(*steps, 1, 1))


def _side_by_side(kernel: Node, stride: int) -> Node:
    """A kernel with the filters of ``stride`` neighbouring places that read the same pixels."""
    height, width, channels, filters = kernel.shape
    split = ops.reshape(kernel, shape=(height, width // stride, stride, channels, filters))
    # The first of neighbouring places reads the last of neighbouring elements.
    swapped = ops.transpose(ops.flip(split, axes=(2,)), axes=(0, 1, 3, 2, 4))
    return ops.reshape(swapped, shape=(height, width // stride, channels, stride * filters))
