"""What must hold of symbolic sizes for a graph to make sense, as far as types cannot tell.

A type rule checks the sizes it knows. ``x[5:]`` of ``N`` samples has ``N - 5`` of them, a window of
three rows must fit an image of ``H``: whether they do is seen when a program meets its arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..runtime.dim import is_never_negative
from ..runtime.program import Condition
from .ir.graph import Graph, Node
from .ir.kinds import KernelGradient
from .ir.types import Size, TupleType
from .ops.windowing import resolve_padding, window_output
from .passes.rewriting import all_nodes

Order = tuple[Size, Size]  # the first is at most the second

WINDOWS = frozenset({"conv2d", "depthwise_conv2d", "max_pool2d", "avg_pool2d"})


def conditions(graph: Graph) -> tuple[Condition, ...]:
    """The conditions of ``graph``, in order, each once; those that always hold are left out."""
    found: dict[Condition, None] = {}
    for node in all_nodes(graph):
        for low, high in _orders(node):
            if not is_never_negative(high - low):
                found[Condition(low, high, _place(node))] = None
    return tuple(found)


def _place(node: Node) -> str:
    layers = ", ".join(node.layers)
    return f"{node.op.name} ({layers})" if layers else node.op.name


def _orders(node: Node) -> Iterator[Order]:
    types = node.type.items if isinstance(node.type, TupleType) else (node.type,)
    yield from ((0, size) for type_ in types for size in type_.shape)
    if node.op.name == "slice":
        yield from _slice_orders(node)
    elif node.op.name == "matmul":
        left, right = (operand.shape for operand in node.inputs)
        yield from _equal(left[-1], right[-2] if len(right) > 1 else right[0])
    elif node.op.name == "transposed_matmul":
        yield from _equal(*(operand.shape[-2] for operand in node.inputs))
    elif node.op.name == "scatter_add":
        rows, indices = (operand.shape for operand in node.inputs)
        for pair in zip(rows[node.attrs["axis"] :], indices, strict=False):
            yield from _equal(*pair)
    elif node.op.name == "avg_pool2d_gradient":
        names = ("spatial", "window", "strides", "padding")
        spatial, window, strides, padding = (node.attrs[name] for name in names)
        places = window_output(spatial, window, strides, (1, 1), padding)
        for pair in zip(node.inputs[0].shape[1:3], places, strict=True):
            yield from _equal(*pair)
    elif node.op.name in WINDOWS:
        yield from _window_orders(node)
    elif isinstance(node.op.lowering, KernelGradient):
        yield from _kernel_gradient_orders(node)


def _slice_orders(node: Node) -> Iterator[Order]:
    rows = zip(node.attrs["start"], node.attrs["stop"], node.inputs[0].shape, strict=True)
    for start, stop, size in rows:
        yield from ((0, start), (start, stop), (stop, size))


def _window_orders(node: Node) -> Iterator[Order]:
    """Windows fit into the padded image; filters have its channels."""
    x, attrs = node.inputs[0].shape, node.attrs
    window: Any = attrs["window"] if "window" in attrs else node.inputs[1].shape[:2]
    dilation = attrs.get("dilation", (1, 1))
    padding = resolve_padding(x[1:3], window, attrs["strides"], dilation, attrs["padding"])
    for size, extent, gap, (before, after) in zip(x[1:3], window, dilation, padding, strict=True):
        yield (extent - 1) * gap + 1, size + before + after
    if len(node.inputs) == 2:
        yield from _equal(node.inputs[1].shape[2] * attrs.get("groups", 1), x[3])


def _kernel_gradient_orders(node: Node) -> Iterator[Order]:
    """There is a gradient for each place of the window, and such places there are."""
    (x, grad), attrs = (operand.shape for operand in node.inputs), node.attrs
    if "window" not in attrs:  # Winograd's, of images of known size
        yield from _equal(x[0], grad[0])
        return
    options = (attrs[name] for name in ("window", "strides", "dilation", "padding"))
    places = window_output(x[1:3], *options)
    for size, known in zip((x[0], *places), grad[:3], strict=True):
        yield 0, size
        yield from _equal(size, known)


def _equal(one: Size, other: Size) -> Iterator[Order]:
    yield one, other
    yield other, one
