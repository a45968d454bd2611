"""Slices that are read where they lie: no kernel copies them out of the value they are cut from.

The kernels of steps read strided views anyway, and so those around them read a slice of a wider
value, or what is under it in another shape, as a step reads a slice of a sequence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ..ir.graph import Graph, Node
from ..ir.kinds import Elementwise, View
from ..ir.types import Size
from ..loops.epilogues import HEAVY
from ..loops.layout import READ_STRIDED, Layout, Placed, StridedView, are_even
from ..ops.core import FUSED
from ..ops.registry import ops
from ..ops.stepping import operands_of
from ..units import BATCH

Views = dict[Node, StridedView]


def slices_in_place(graph: Graph, layouts: Mapping[Node, Placed], made: Collection[Node]) -> Views:
    """The slices that nobody has to copy, and other shapes of these, with where they lie.

    Those of ``made`` are written elsewhere already, before all calls or as a part of another value.
    """
    found: Views = {}
    for node in graph.nodes:
        if node.op is not ops.slice or node in made or _whole(node) in graph.updates:
            continue  # what is updated can be written in place once no step reads it any more
        if _keeps_samples(node):
            (whole,) = node.inputs
            view = _cut(node, found.get(whole, layouts[whole]))
            found.update(_readable(node, view, graph, layouts) or {})
    return found


def _whole(node: Node) -> Node:
    """What ``node`` is cut from, in its first shape."""
    while node.op is ops.slice or isinstance(node.op.kind, View):
        node = node.inputs[0]
    return node


def _keeps_samples(node: Node) -> bool:
    """Whether the batch, if there is one, stays what it is: some samples at a time lie together."""
    whole = node.inputs[0]
    return BATCH not in whole.type.symbols or node.shape[0] == whole.shape[0]


def _cut(node: Node, whole: Placed) -> StridedView:
    origin = whole.origin
    for start, stride in zip(node.attrs["start"], whole.strides, strict=True):
        origin = origin + start * stride
    steps = zip(node.attrs["step"], whole.strides, strict=True)
    return StridedView(node.tensor_type, tuple(step * stride for step, stride in steps), origin)


def _readable(
    node: Node, view: StridedView, graph: Graph, layouts: Mapping[Node, Placed]
) -> Views | None:
    """``node`` and its other shapes as views; None where somebody reads values without gaps."""
    layout = layouts[node]
    halo = isinstance(layout, Layout) and layout.halo
    if halo or node in graph.results or view.strides[-1:] != (1,):
        return None
    found = {node: view}
    for user in graph.users[node]:
        if isinstance(user.op.kind, View):
            seen = _in_shape(view, user)
            others = None if seen is None else _readable(user, seen, graph, layouts)
            if others is None:
                return None
            found |= others
        elif not all(_reads_strided(user, i, view) for i in _places(node, user.inputs)):
            return None
    return found


def _in_shape(view: StridedView, node: Node) -> StridedView | None:
    """``view`` in the shape of ``node``, which differs in axes of one element alone."""
    old = [pair for pair in zip(view.type.shape, view.strides, strict=True) if pair[0] != 1]
    if [size for size, _ in old] != [size for size in node.shape if size != 1]:
        return None
    if node.shape[:1] != view.type.shape[:1]:  # the batch stays in front
        return None
    strides: list[Size] = []
    inner: Size = 1
    for size in reversed(node.shape):
        stride = inner if size == 1 else old.pop()[1]
        strides.append(stride)
        inner = stride * size
    return StridedView(node.tensor_type, tuple(reversed(strides)), view.origin)


def _places(node: Node, inputs: tuple[Node, ...]) -> Iterator[int]:
    return (i for i, operand in enumerate(inputs) if operand is node)


def _reads_strided(user: Node, index: int, view: StridedView) -> bool:
    """Whether the kernel of ``user`` reads its operand ``index`` as it does without gaps."""
    if user.op is ops.scan:
        return user.inputs[index] not in operands_of(user, user.inputs).captured
    if user.op is not FUSED:
        return isinstance(user.op.kind, READ_STRIDED)
    body: Graph = user.attrs["body"]
    value = body.inputs[index]
    kinds: tuple[type, ...] = READ_STRIDED
    if any(isinstance(node.op.kind, HEAVY) for node in body.nodes):
        # Pixels or rows that follow one another are walked as one.
        if not are_even(view, 0, max(view.type.rank - 2, 0)):
            return False
        kinds = (Elementwise,)
    return all(isinstance(node.op.kind, kinds) for node in body.users[value])
