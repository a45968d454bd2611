"""Builds a concatenation: one copy for each operand into its part of the result."""

from __future__ import annotations

from dataclasses import replace

from ..ir import Graph
from ..layout import Address, Launch, Part, Placed
from ..ops.core import copy, fuse_nodes, input_
from ..types import Size
from .nest import build_nest


def build_concatenate(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
) -> tuple[Launch, ...]:
    """The launches that put the operands of ``body``'s concatenation side by side."""
    node, result = body.outputs[0], results[0]
    axis = node.attrs["axis"] % len(node.shape)
    launches = []
    start: Size = 0
    for operand in node.inputs:
        slot = body.inputs.index(operand)
        origin = result.origin + start * result.strides[axis]
        part = Part(operands[slot].type, result.strides, origin)
        launch = _copy(operands[slot], part)
        launches.append(_renumber(launch, slot, len(operands)))
        start = start + operand.shape[axis]
    return tuple(launches)


def _copy(source: Placed, target: Part) -> Launch:
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
        replace(arg, slot=slots[arg.slot]) if isinstance(arg, Address) else arg
        for arg in launch.args
    )
    return replace(launch, args=args)
