"""A group around one heavy op, as the contraction and window templates share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...runtime.program import Scratch
from ..ir.graph import Graph, Node
from ..ir.types import FLOAT32, Size
from .epilogues import EpilogueParts, match_epilogue
from .kernel import Body, Kernel, Param
from .layout import Address, Launch, Packing, Placed
from .scalars import sum_bytes

Sizes = list[tuple[str, Size]]


@dataclass(frozen=True)
class Anchored:
    """The heavy op ``anchor`` of a group, what follows it, and where the values lie."""

    body: Graph
    anchor: Node
    parts: EpilogueParts
    operands: tuple[Placed, ...]
    result: Placed

    def slot(self, node: Node) -> int:
        """The launch slot of an operand."""
        return self.body.inputs.index(node)

    def layout(self, node: Node) -> Placed:
        return self.operands[self.slot(node)]

    @property
    def x(self) -> Placed:
        """Where the anchor's data lie."""
        return self.layout(self.anchor.inputs[0])

    @property
    def element_layouts(self) -> tuple[Placed, ...]:
        """Where the epilogue's full-size operands lie."""
        return tuple(self.layout(load.node) for load in self.parts.element_loads)

    def launch(
        self,
        name: str,
        body: Body,
        starts: Mapping[str, Size],
        packing: Packing | None,
        sizes: Sizes,
        flops: Size,
    ) -> Launch:
        """The launch of ``body``.

        ``starts`` says where the kernel starts: in the memory of the data ``x``, of a second
        operand ``w``, and how far into the result ``y``.
        """
        pointers = [("x", Address(self.slot(self.anchor.inputs[0]), starts["x"]))]
        if len(self.anchor.inputs) == 2:
            start = starts.get("w", 0)
            pointers.append(("w", Address(self.slot(self.anchor.inputs[1]), start, packing)))
        return self.launch_on(pointers, name, body, sizes, flops, starts.get("y", 0))

    def launch_on(
        self,
        operands: Sequence[tuple[str, Address | Scratch]],
        name: str,
        body: Body,
        sizes: Sizes,
        flops: Size,
        start: Size = 0,
    ) -> Launch:
        """The launch that reads the anchor's operands at these addresses; ``start``: of ``y``.

        It may have scratch among them.
        """
        pointers = [*operands, ("y", Address(len(self.operands), self.result.origin + start))]
        if self.parts.bias is not None:
            pointers.append(("bias", self.origin(self.parts.bias)))
        pointers += [(load.pointer, self.origin(load.node)) for load in self.parts.operands]
        params = (*(Param(n, FLOAT32) for n, _ in pointers), *(Param(n) for n, _ in sizes))
        values = (*(address for _, address in pointers), *(size for _, size in sizes))
        seldom = {a.slot for _, a in operands if isinstance(a, Address) and a.seldom}
        read = (layout for slot, layout in enumerate(self.operands) if slot not in seldom)
        total = sum_bytes(read, (self.result,))
        return Launch(Kernel(name, params, body), values, flops, total)

    def origin(self, node: Node) -> Address:
        """Where an operand begins."""
        return Address(self.slot(node), self.layout(node).origin)


def match_anchored(
    body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...], facet: type
) -> Anchored | None:
    """The group seen around its one op of kind ``facet``, or None where there is no such view.

    Kernels of this kind compute float32, read the anchor's operands from memory, and make one
    result.
    """
    anchors = [node for node in body.nodes if isinstance(node.op.lowering, facet)]
    if len(anchors) != 1 or len(body.outputs) != 1:
        return None
    anchor = anchors[0]
    if any(node.dtype != FLOAT32 for node in (*anchor.inputs, *body.outputs)):
        return None
    if any(operand not in body.inputs for operand in anchor.inputs):
        return None
    parts = match_epilogue(body, anchor)
    return None if parts is None else Anchored(body, anchor, parts, operands, results[0])
