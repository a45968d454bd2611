"""Reads what follows an anchor (convolution, matrix product, window) in a group's body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir.graph import Graph, Node
from ..ir.kinds import Contraction, Elementwise, Window
from ..ir.types import FLOAT32, Size
from ..ops.winograd import TILE
from .kernel import Block, Epilogue, EpilogueLoad, Let, Pool, ScalarArg
from .scalars import in_vectors, let_of, scalar_argument


@dataclass(frozen=True)
class EpilogueOperand:
    """A group operand that the epilogue reads, as the dialect names it."""

    node: Node
    name: str
    pointer: str
    kind: str


@dataclass(frozen=True)
class EpilogueParts:
    """The code after an anchor, in the dialect; see ``kernels.Epilogue``."""

    bias: Node | None
    operands: tuple[EpilogueOperand, ...]
    block: Block
    pooled: str
    pool: Pool | None
    after: Block
    result: str

    @property
    def loads(self) -> tuple[EpilogueLoad, ...]:
        return tuple(EpilogueLoad(o.name, o.pointer, o.kind) for o in self.operands)

    @property
    def epilogue(self) -> Epilogue:
        """The code for a kernel that pools in registers."""
        return Epilogue(self.loads, self.block, self.pooled, self.pool, self.after, self.result)

    def covered(self, rows: Size, columns: Size) -> tuple[Size, Size]:
        """The rows and columns to compute: not those that no pooling window covers."""
        if self.pool is None:
            return rows, columns
        pool = self.pool
        return rows // pool.rows * pool.rows, columns // pool.columns * pool.columns

    @property
    def element_loads(self) -> tuple[EpilogueOperand, ...]:
        return tuple(o for o in self.operands if o.kind == "element")


def match_epilogue(body: Graph, anchor: Node) -> EpilogueParts | None:
    """The epilogue of ``anchor`` in ``body``, or None where it is more than kernels can do.

    They can do elementwise code on float32 and conditions of the anchor's shape, whose other
    operands are scalars, one value a channel or one an element; and one pooling whose window is
    its stride.
    """
    matcher = _Matcher(body, anchor)
    return matcher.match()


def operand_kind(operand: Sequence[Size], result: Sequence[Size]) -> str | None:
    """How an epilogue reads an operand of this shape; None if it cannot."""
    if all(size == 1 for size in operand):
        return "scalar"
    if operand[-1] == result[-1] and all(size == 1 for size in operand[:-1]):
        return "channel"
    return "element" if tuple(operand) == tuple(result) else None


def pool_of(node: Node) -> Pool | None:
    """The dialect's pooling for a pooling node whose windows tile the image, else None."""
    facet = node.op.lowering
    if not isinstance(facet, Window) or facet.combine not in ("maximum", "mean"):
        return None
    window = tuple(node.attrs["window"])
    if window != tuple(node.attrs["strides"]) or node.attrs["padding"] not in ("valid", VALID):
        return None
    return Pool(window[0], window[1], facet.combine) if max(window) <= 4 else None


VALID = ((0, 0), (0, 0))


def can_pool(anchor: Node, node: Node) -> bool:
    """Whether the pooling ``node`` can be done on what ``anchor`` has in registers."""
    pool, facet = pool_of(node), anchor.op.lowering
    if pool is None or not isinstance(facet, Contraction):
        return False
    if facet.kind == "winograd_conv2d":  # windows have to tile its tiles
        return TILE % pool.rows == 0 and TILE % pool.columns == 0
    return facet.kind == "conv2d"


def _sums(anchor: Node) -> bool:
    """Whether the anchor's accumulators are sums, which can start from a bias."""
    facet = anchor.op.lowering
    return not isinstance(facet, Window) or facet.combine == "dot"


class _Matcher:
    def __init__(self, body: Graph, anchor: Node) -> None:
        self.body, self.anchor = body, anchor
        self.names: dict[Node, str] = {anchor: "acc"}
        self.bias: Node | None = None
        self.operands: dict[Node, EpilogueOperand] = {}
        self.pool: Pool | None = None
        self.pooled = "acc"
        self.shape = anchor.shape

    def match(self) -> EpilogueParts | None:
        before: list[Let] = []
        after: list[Let] = []
        for node in self.body.nodes:
            if not node.inputs or node is self.anchor:
                continue
            if self._is_bias(node, before):
                self.bias = next(i for i in node.inputs if i is not self.anchor)
                self.names[node] = "acc"
                continue
            if self.pool is None and can_pool(self.anchor, node):
                self.pool = pool_of(node)
                self.pooled = self.names[node.inputs[0]]
                self.names[node] = "pooled"
                self.shape = node.shape
                continue
            let = self._let(node)
            if let is None:
                return None
            (after if self.pool else before).append(let)
        return EpilogueParts(
            self.bias,
            tuple(self.operands.values()),
            tuple(before),
            self.pooled,
            self.pool,
            tuple(after),
            self.names[self.body.outputs[0]],
        )

    def _is_bias(self, node: Node, before: list[Let]) -> bool:
        if node.op.name != "add" or before or self.bias is not None or self.pool is not None:
            return False
        if not _sums(self.anchor):
            return False
        others = [i for i in node.inputs if i is not self.anchor]
        if len(others) != 1 or others[0] not in self.body.inputs:
            return False
        only = len(self.body.users[self.anchor]) == 1 and self.anchor not in self.body.outputs
        return only and operand_kind(others[0].shape, self.anchor.shape) == "channel"

    def _let(self, node: Node) -> Let | None:
        if not isinstance(node.op.lowering, Elementwise) or node.shape != self.shape:
            return None
        if not in_vectors(node):
            return None
        args: list[ScalarArg] = []
        for operand in node.inputs:
            arg = self._argument(operand, node)
            if arg is None:
                return None
            args.append(arg)
        self.names[node] = f"{node.op.name}{len(self.names)}"
        return let_of(node, self.names[node], args)

    def _argument(self, operand: Node, user: Node) -> ScalarArg | None:
        if operand in self.names:
            return self.names[operand]
        if operand.op.name == "constant" and operand.tensor_type.rank == 0:
            return scalar_argument(operand)
        if operand not in self.body.inputs or operand.dtype != FLOAT32:
            return None
        kind = operand_kind(operand.shape, user.shape)
        if kind is None or (kind == "element" and self.pool is not None):
            return None
        index = len(self.operands)
        self.operands[operand] = EpilogueOperand(operand, f"e{index}", f"z{index}", kind)
        self.names[operand] = f"e{index}"
        return f"e{index}"
