"""Convolutions read no zeros that someone wrote: see ``unpad``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..decisions import Decision, Decisions
from ..ir import Graph, Node
from ..ops.registry import ops
from ..ops.windowing import Pairs, resolve_padding
from ..types import Size
from .rewriting import rewrite_everywhere

Pair = tuple[int, int]


def unpad(graph: Graph, decisions: Decisions) -> Graph:
    """Padding in front of a convolution becomes its own; zeros between pixels are left out.

        %0 = pad(%x, low=(0, 1, 1, 0), high=(0, 1, 1, 0))
        %1 = conv2d(%0, $kernel)
    -->
        %1 = conv2d(%x, $kernel, padding=((1, 1), (1, 1)))

    What leads a convolution of stride 2 back slides over pixels with zeros between them. Of every
    two rows of its result, one sees the pixels through the even rows of the kernel and one through
    the odd ones, so each is made by a dense convolution; neighbouring columns are channels of it:

        %0 = pad(%x, interior=(0, 1, 1, 0), ...)                    %x : f32[N, 8, 8, 64]
        %1 = conv2d(%0, $kernel)                                    f32[N, 16, 16, 32]
    -->
        %0 = conv2d(%x, %even)          f32[N, 8, 8, 2 * 32]        %even, %odd : from $kernel
        %1 = conv2d(%x, %odd)
        %2 = concatenate(%0, %1, axis=2)                            each row of the one, the other
        %3 = reshape(%2, shape=(N, 16, 16, 32))
    """

    def rule(node: Node) -> Node | None:
        result = _rewritten(node)
        if result is None:
            return None
        code, found = result
        decisions.add(Decision("unpad", "pad+conv2d", node.layers, "rewritten", code))
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
    """One axis of every ``stride``-th place of the result, as a window over the dense image.

    The window of the first place begins ``before`` the image; its first element stands at element
    ``first`` of the kernel, and each further one ``stride`` further there.
    """

    first: int
    window: int
    before: int

    def padding(self, size: int, places: int) -> tuple[int, int]:
        """What is read before and after an image of ``size`` for so many places."""
        return self.before, places + self.window - 1 - size - self.before


def _phases(low: int, window: int, stride: int) -> list[_Phase]:
    """One for each place of a stretch of ``stride``, ``low`` zeros standing before the image."""
    firsts = [(low - at) % stride for at in range(stride)]
    return [
        _Phase(first, -((first - window) // stride), (low - at - first) // stride)
        for at, first in enumerate(firsts)
    ]


def _covering(phases: list[_Phase], low: int, stride: int) -> _Phase:
    """One window that sees what those of all phases do."""
    before = max(phase.before for phase in phases)
    end = max(phase.window - phase.before for phase in phases)
    return _Phase(low - (stride - 1) - stride * before, end + before, before)


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
    """The rows of each phase by one convolution, put between those of the others."""
    height, width, rows, columns = _fixed((*x.shape[1:3], *node.shape[1:3]))
    down, right = map(_phases, lows, _fixed(kernel.shape[:2]), strides)
    across = _covering(right, lows[1], strides[1])
    places = (-(-rows // strides[0]), -(-columns // strides[1]))
    sides = across.padding(width, places[1])
    ends = [phase.padding(height, places[0]) for phase in down]
    if min(*sides, *(side for pair in ends for side in pair)) < 0:
        return None
    wide = _side_by_side(kernel, across, strides[1])
    parts = [
        ops.conv2d(x, _every(wide, phase.first, strides[0]), padding=(pair, sides))
        for phase, pair in zip(down, ends, strict=True)
    ]
    whole = (x.shape[0], places[0] * strides[0], places[1] * strides[1], node.shape[3])
    result = ops.reshape(ops.concatenate(*parts, axis=2), shape=whole)
    if whole == node.shape:
        return result
    return ops.slice(result, start=(0,) * 4, stop=node.shape, step=(1,) * 4)


def _every(kernel: Node, first: int, stride: int) -> Node:
    """Every ``stride``-th row of a kernel."""
    return ops.slice(kernel, start=(first, 0, 0, 0), stop=kernel.shape, step=(stride, 1, 1, 1))


def _side_by_side(kernel: Node, across: _Phase, stride: int) -> Node:
    """A kernel of ``stride`` times the filters: those of one phase after the other."""
    height, width, channels, filters = kernel.shape
    low, total = -across.first, across.window * stride
    padded = ops.pad(kernel, low=(0, low, 0, 0), high=(0, total - width - low, 0, 0))
    split = ops.reshape(padded, shape=(height, across.window, stride, channels, filters))
    # The first of neighbouring places sees the last of neighbouring elements.
    turned = ops.transpose(ops.flip(split, axes=(2,)), axes=(0, 1, 3, 2, 4))
    return ops.reshape(turned, shape=(height, across.window, channels, stride * filters))
