"""Groups around heavy ops, as the contraction and window templates share them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ..ir.graph import Graph, Node
from ..ir.types import FLOAT32, Size
from ..ops.windowing import Pairs
from .arguments import (
    ABSENT,
    ArgumentRecord,
    EpilogueArguments,
    ImageArguments,
    Pointer,
    PoolingGradientArguments,
)
from .epilogues import MatchedEpilogue, match_epilogue, result_name
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
class Anchor:
    """A heavy op of a group, and what follows it, up to the next one."""

    node: Node
    matched: MatchedEpilogue


@dataclass(frozen=True)
class Anchored:
    """The heavy ops of a group in order, what follows them, and where the values lie."""

    body: Graph
    anchors: tuple[Anchor, ...]
    operands: tuple[Placed, ...]
    results: tuple[Placed, ...]

    @property
    def anchor(self) -> Node:
        """The heavy op of a group that has one."""
        (anchor,) = self.anchors
        return anchor.node

    @property
    def matched(self) -> MatchedEpilogue:
        """What follows the one heavy op."""
        (anchor,) = self.anchors
        return anchor.matched

    @property
    def result(self) -> Placed:
        """Where the result of a group that has one lies."""
        (result,) = self.results
        return result

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
        return tuple(self.layout(load.node) for load in self.matched.element_loads)

    def pointer(self, node: Node, start: Size = 0, packing: Packing | None = None) -> Pointer:
        """Where the kernel starts in the memory of an operand."""
        return Pointer(Address(self.slot(node), start, packing))

    def origin(self, node: Node) -> Pointer:
        """Where an operand begins."""
        return self.pointer(node, self.layout(node).origin)

    def image(self, node: Node) -> ImageArguments[Pointer, Size]:
        """An operand that is images."""
        return image_arguments(self.origin(node), image_strides(self.layout(node)))

    def pooling_gradient(self, padding: Pairs) -> PoolingGradientArguments[Pointer, Size]:
        """The arguments of a kernel around the gradient of one pooling."""
        anchor, attrs = self.anchor, self.anchor.attrs
        (kh, kw), (sy, sx) = attrs["window"], attrs["strides"]
        images, rows, cols, channels = anchor.shape
        is_largest = anchor.op.kind.combine == "maximum"
        return PoolingGradientArguments(
            images=images,
            rows=rows,
            cols=cols,
            channels=channels,
            window_rows=anchor.inputs[-1].shape[1],
            window_cols=anchor.inputs[-1].shape[2],
            stride_y=sy,
            stride_x=sx,
            pad_y=padding[0][0],
            pad_x=padding[1][0],
            kys=kh,
            kxs=kw,
            x=self.image(anchor.inputs[0]) if is_largest else ABSENT,
            pooled=self.image(anchor.inputs[1]) if is_largest else ABSENT,
            grad=self.image(anchor.inputs[-1]),
            epilogue=self.epilogue(),
        )

    def stored(self, start: Size = 0, result: int = 0) -> Pointer:
        """Where a result lies, so many elements into it."""
        return Pointer(Address(len(self.operands) + result, self.results[result].origin + start))

    def epilogue(
        self, strides: Callable[[Placed], Strides] = image_strides, start: Size = 0
    ) -> EpilogueArguments[Pointer, Size]:
        """The results, the first ``start`` elements into it, and what the epilogue reads.

        ``strides`` gives those of arrays with the shape of the anchor's result.
        """
        operands: dict[str, ImageArguments[Pointer, Size]] = {}
        for load in self.matched.operands:
            at = self.origin(load.node)
            operands[load.pointer] = (
                image_arguments(at, strides(self.layout(load.node)))
                if load.kind == "element"
                else ImageArguments(at=at)
            )
        results = {
            result_name(i): image_arguments(self.stored(result=i), strides(layout))
            for i, layout in enumerate(self.results)
        }
        return EpilogueArguments(
            y=image_arguments(self.stored(start), strides(self.results[0])),
            others={name: found for name, found in results.items() if name != result_name(0)},
            bias=ABSENT if self.matched.bias is None else self.origin(self.matched.bias),
            operands=operands,
        )

    def launch(
        self, name: str, body: Body, arguments: ArgumentRecord[Pointer, Size], flops: Size
    ) -> Launch:
        """The launch of ``body``; ``flops`` are the multiplications and additions that it takes."""
        values = arguments.values
        seldom = {a.index for a in values if isinstance(a, Address) and a.seldom}
        read = (layout for slot, layout in enumerate(self.operands) if slot not in seldom)
        total = sum_bytes(read, self.results)
        return Launch(Kernel(name, arguments.params, body), values, flops, total)


def match_anchored(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    *kinds: type,
    several: bool = False,
) -> Anchored | None:
    """The group seen around its ops of the kinds ``kinds``, or None where there is no such view.

    Kernels of these kinds compute float32 and read what their anchors do not make from memory.
    Unless they hold ``several``, they make one result from one accumulator an element.
    """
    nodes = [node for node in body.nodes if isinstance(node.op.kind, kinds)]
    if len(nodes) != len(kinds):
        return None
    if not all(isinstance(n.op.kind, f) for n, f in zip(nodes, kinds, strict=True)):
        return None
    if any(
        n.dtype != FLOAT32 for n in (*body.outputs, *(i for node in nodes for i in node.inputs))
    ):
        return None
    later = [node.inputs[0] for node in nodes[1:]]
    read = (operand for node in nodes for operand in node.inputs if operand not in later)
    if any(operand not in body.inputs for operand in read):
        return None
    anchors: list[Anchor] = []
    before: set[Node] = set()
    for node, outputs in zip(nodes, (*((value,) for value in later), body.outputs), strict=True):
        stage = Graph("stage", body.inputs, outputs)
        matched = match_epilogue(stage, node, before) if node in stage.nodes else None
        if matched is None or not (several or matched.is_single):
            return None
        anchors.append(Anchor(node, matched))
        before.update(stage.nodes)
    return Anchored(body, tuple(anchors), operands, results)
