"""A group around one heavy op, as the contraction and window templates share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ..ir.graph import Graph, Node
from ..ir.types import FLOAT32, Size
from .arguments import ABSENT, ArgumentRecord, EpilogueArguments, ImageArguments, Pointer
from .epilogues import EpilogueParts, match_epilogue
from .kernel import Body, Kernel
from .layout import Address, Launch, Packing, Placed
from .scalars import sum_bytes

Strides: TypeAlias = "tuple[Size, Size, Size]"


def image_strides(layout: Placed) -> Strides:
    """From image to image, row to row and column to column."""
    image, row, col, *_ = layout.strides
    return image, row, col


def image_arguments(at: Pointer, strides: Strides) -> ImageArguments[Pointer, Size]:
    """An array of images with these strides."""
    image, row, col = strides
    return ImageArguments(at=at, image=image, row=row, col=col)


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

    def pointer(self, node: Node, start: Size = 0, packing: Packing | None = None) -> Pointer:
        """Where the kernel starts in the memory of an operand."""
        return Pointer(Address(self.slot(node), start, packing))

    def origin(self, node: Node) -> Pointer:
        """Where an operand begins."""
        return self.pointer(node, self.layout(node).origin)

    def stored(self, start: Size = 0) -> Pointer:
        """Where the result lies, so many elements into it."""
        return Pointer(Address(len(self.operands), self.result.origin + start))

    def epilogue(
        self, strides: Callable[[Placed], Strides] = image_strides, start: Size = 0
    ) -> EpilogueArguments[Pointer, Size]:
        """The result, ``start`` elements into it, and what the epilogue reads.

        ``strides`` gives those of arrays with the shape of the anchor's result.
        """
        operands: dict[str, ImageArguments[Pointer, Size]] = {}
        for load in self.parts.operands:
            at = self.origin(load.node)
            operands[load.pointer] = (
                image_arguments(at, strides(self.layout(load.node)))
                if load.kind == "element"
                else ImageArguments(at=at)
            )
        return EpilogueArguments(
            y=image_arguments(self.stored(start), strides(self.result)),
            bias=ABSENT if self.parts.bias is None else self.origin(self.parts.bias),
            operands=operands,
        )

    def launch(
        self, name: str, body: Body, arguments: ArgumentRecord[Pointer, Size], flops: Size
    ) -> Launch:
        """The launch of ``body``; ``flops`` are the multiplications and additions that it takes."""
        values = arguments.values
        seldom = {a.slot for a in values if isinstance(a, Address) and a.seldom}
        read = (layout for slot, layout in enumerate(self.operands) if slot not in seldom)
        total = sum_bytes(read, (self.result,))
        return Launch(Kernel(name, arguments.params, body), values, flops, total)


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
