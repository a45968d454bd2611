"""Gates: equal stretches of a contraction's channels that are computed side by side.

    %0 = matmul(%h, $u)              : f32[N, 4 * units]
    %1 = slice(%0, channels 0 to units)
    %2 = slice(%0, channels units to 2 * units)
    ...

A kernel that holds an accumulator for each gate goes on with all of a unit's in registers.
"""

from __future__ import annotations

from ..ir.graph import Graph, Node
from ..ir.kinds import AxisMap, Movement


def first_channel(node: Node) -> int | None:
    """Where along the last axis a slice starts that has the others whole; None for other nodes."""
    if not isinstance(node.op.kind, Movement):
        return None
    source, last = node.inputs[0].shape, node.inputs[0].tensor_type.rank - 1
    if node.shape[:last] != source[:last]:
        return None
    index = node.op.kind.index(node)
    if len(index.axes) != node.tensor_type.rank or index.fill is not None or last < 0:
        return None
    start = index.axes[last].offset
    whole = (*(AxisMap(axis) for axis in range(last)), AxisMap(last, offset=start))
    if index.axes != whole:
        return None
    return start if isinstance(start, int) and isinstance(node.shape[last], int) else None


def gates_of(body: Graph, anchor: Node) -> int | None:
    """The equal stretches of the anchor's channels that ``body`` slices; None: unequal ones."""
    wide, slices = {anchor}, []
    for node in body.nodes:
        if wide.isdisjoint(node.inputs):
            continue
        if first_channel(node) is not None:
            slices.append(node)
        elif node.shape == anchor.shape:
            wide.add(node)
    widths = {node.shape[-1] for node in slices}
    if not widths:
        return 1
    width, channels = widths.pop(), anchor.shape[-1]
    if widths or not isinstance(width, int) or not isinstance(channels, int) or channels % width:
        return None
    return None if any((first_channel(n) or 0) % width for n in slices) else channels // width
