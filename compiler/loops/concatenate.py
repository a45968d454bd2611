"""Builds concatenations: one copy for each operand, into its slice of the result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..ir.graph import Graph
from ..ir.types import Size
from ..ops.core import copy, fuse_nodes, input_
from .layout import Address, Launch, Placed, StridedView
from .nest import build_nest


def build_concatenate(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
) -> tuple[Launch, ...]:
    """The launches that put the operands of ``body``'s concatenation side by side."""
    node, result = body.outputs[0], results[0]
    axis = node.attrs["axis"] % len(node.shape)
    copies: list[tuple[int, Placed, StridedView]] = []
    start: Size = 0
    for operand in node.inputs:
        slot = body.inputs.index(operand)
        origin = result.origin + start * result.strides[axis]
        part = StridedView(operands[slot].type, result.strides, origin)
        copies.append((slot, operands[slot], part))
        start = start + operand.shape[axis]
    return _launches(copies, len(operands))


def build_interleave(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
) -> tuple[Launch, ...]:
    """The launches that put the pixels of ``body``'s operands between each other."""
    node, result = body.outputs[0], results[0]
    (down, right), (rows, columns) = node.attrs["steps"], node.attrs["size"]
    image, line, pixel, channel = result.strides
    strides = (image, line * down, pixel * right, channel)
    copies: list[tuple[int, Placed, StridedView]] = []
    for index, operand in enumerate(node.inputs):
        slot, (row, column) = body.inputs.index(operand), divmod(index, right)
        source = operands[slot]
        spatial = (len(range(row, rows, down)), len(range(column, columns, right)))
        if 0 in spatial:
            continue
        type_ = source.type.with_shape((node.shape[0], *spatial, node.shape[3]))
        origin = result.origin + row * line + column * pixel
        seen = StridedView(type_, source.strides, source.origin)
        copies.append((slot, seen, StridedView(type_, strides, origin)))
    return _launches(copies, len(operands))


def _launches(copies: Iterable[tuple[int, Placed, StridedView]], result: int) -> tuple[Launch, ...]:
    """One copy each, from an operand to a strided view of the result."""
    return tuple(_renumber(_copy(source, part), slot, result) for slot, source, part in copies)


def _copy(source: Placed, target: StridedView) -> Launch:
    value = input_("x", source.type)
    moved = copy(value)
    body: Graph = fuse_nodes((moved,), (moved,), "copy").attrs["body"]
    launch = build_nest(body, (source,), (target,), "copy")
    assert launch is not None
    return launch


def _renumber(launch: Launch, operand: int, result: int) -> Launch:
    """The launch with its slots 0 and 1 become the group's ``operand`` and ``result``."""
    slots = {0: operand, 1: result}
    args = tuple(
        replace(arg, index=slots[arg.index]) if isinstance(arg, Address) else arg
        for arg in launch.args
    )
    return replace(launch, args=args)
