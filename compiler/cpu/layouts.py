"""Where values lie on CPUs: halos of zeros around images, cache lines between channels.

What loops alone write and read, a step's slice at a time, lies slice after slice.
"""

from __future__ import annotations

from typing import TypeAlias

from ..ir.graph import Graph, Node
from ..ir.kinds import Concatenation, KernelGradient, Leaf, Projection, Region, ScatterAdd, View
from ..ir.types import DType, Size, TupleType
from ..loops.layout import CACHE_LINE, CONFLICTING, Layout
from ..ops.core import FUSED
from ..ops.registry import ops
from ..ops.stepping import operands_of
from ..ops.windowing import resolve_padding
from ..ops.winograd import WINDOW

Halo: TypeAlias = tuple[tuple[Size, Size], ...]


def choose_layouts(
    graph: Graph, fixed: frozenset[Node], dtypes: frozenset[DType]
) -> dict[Node, Layout]:
    """Where each value lies: with a halo of zeros where a padded convolution reads it."""
    halos: dict[Node, Halo] = {}
    for node in graph.nodes:
        found = wanted_halo(node, dtypes) if node.inputs and node not in fixed else None
        if found is not None:
            x, halo = found
            halos[x] = merge_halos(halos[x], halo) if x in halos else halo
    _spread_channels(graph, fixed, halos)
    return {
        node: Layout(node.type, halos.get(node, ()), node in fixed, _outermost(node, graph))
        for node in graph.nodes
        if not isinstance(node.type, TupleType)
    }


def _spread_channels(graph: Graph, fixed: frozenset[Node], halos: dict[Node, Halo]) -> None:
    """Keeps the pixels of wide images apart by an odd number of cache lines.

    A convolution reads the same channel of a dozen pixels at once. Where they lie a multiple of
    2 KB apart they fall in the same few sets of the first-level cache and evict each other.
    """
    images = (node.inputs[0] for node in graph.nodes if is_convolution(node))
    for node in dict.fromkeys(image for image in images if image not in fixed):
        channels = node.shape[-1]
        if not isinstance(channels, int) or channels % CONFLICTING or not free_layout(node, graph):
            continue
        halo = halos.get(node, ((0, 0),) * node.tensor_type.rank)
        halos[node] = (*halo[:-1], (0, CACHE_LINE))


def _outermost(node: Node, graph: Graph) -> int:
    """The axis of time of what one loop stacks and only loops read, slice by slice; else 0.

    Slices between others are pieces of a row, pages apart: the hardware prefetches none of them.
    """
    maker, users = _maker(node), graph.users[node]
    if maker.op is not ops.scan or not users or node in graph.results:
        return 0
    axis: int = maker.attrs["axis"]
    stacked = node.attrs["index"] >= maker.attrs["carries"]
    return axis if stacked and all(_reads_slices(user, node, axis) for user in users) else 0


def _reads_slices(user: Node, sequence: Node, axis: int) -> bool:
    if user.op is not ops.scan or user.attrs["axis"] != axis:
        return False
    own = operands_of(user, user.inputs)
    return sequence in own.sequences and sequence not in (*own.carries, *own.captured)


def is_convolution(node: Node) -> bool:
    """Whether ``node`` is a conv2d, alone or at the head of a group."""
    if node.op.name == "fused":
        body: Graph = node.attrs["body"]
        return any(n.op.name == "conv2d" and n.inputs[0] is body.inputs[0] for n in body.nodes)
    return node.op.name == "conv2d"


def merge_halos(first: Halo, second: Halo) -> Halo:
    """A halo wide enough for both; where a symbol hides which is wider, their sum."""

    def wider(a: Size, b: Size) -> Size:
        if a == b:
            return a
        return max(a, b) if isinstance(a, int) and isinstance(b, int) else a + b

    return tuple((wider(a, c), wider(b, d)) for (a, b), (c, d) in zip(first, second, strict=True))


def wanted_halo(node: Node, dtypes: frozenset[DType]) -> tuple[Node, Halo] | None:
    """The operand around which ``node`` reads a halo, and how wide; None if there is none."""
    if node.op is FUSED:
        body: Graph = node.attrs["body"]
        for inner in body.nodes:
            found = wanted_halo(inner, dtypes) if inner.inputs else None
            if found is not None and found[0] in body.inputs:
                return node.inputs[body.inputs.index(found[0])], found[1]
        return None
    window = _window(node)
    if window is None or node.dtype not in dtypes:
        return None
    x = node.inputs[1] if node.op is ops.winograd_kernel else node.inputs[0]
    attrs = node.attrs
    strides, dilation = attrs.get("strides", (1, 1)), attrs.get("dilation", (1, 1))
    padding = resolve_padding(x.shape[1:3], window, strides, dilation, attrs["padding"])
    if all(side == 0 for pair in padding for side in pair):
        return None
    return x, ((0, 0), *padding, (0, 0))


def _window(node: Node) -> tuple[int, ...] | None:
    """The window of an op that reads a halo; None for others."""
    if node.op in (ops.winograd_conv2d, ops.winograd_kernel_gradient, ops.winograd_kernel):
        return WINDOW
    if isinstance(node.op.kind, KernelGradient):
        window: tuple[int, ...] = node.attrs["window"]
        return window
    if node.op.name not in ("conv2d", "depthwise_conv2d"):
        return None
    return tuple(size for size in node.inputs[1].shape[:2] if isinstance(size, int))


def free_layout(node: Node, graph: Graph) -> bool:
    """Whether only kernels write and read ``node``, so that it may have a halo."""
    if isinstance(node.op.kind, Leaf) or node in graph.results:
        return False
    return not any(map(_wants_rows, (_maker(node), *graph.users[node])))


def _maker(node: Node) -> Node:
    return node.inputs[0] if isinstance(node.op.kind, Projection) else node


def _wants_rows(node: Node) -> bool:
    """Whether ``node`` reads and writes contiguous values only."""
    if node.op is FUSED:
        body: Graph = node.attrs["body"]
        return any(map(_wants_rows, body.nodes))
    kinds = (View, Concatenation, Region, ScatterAdd)
    products = ("matmul", "transposed_matmul")
    return node.op.name in products or isinstance(node.op.kind, kinds)
