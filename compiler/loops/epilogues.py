"""Reads what follows an anchor (convolution, matrix product, window) in a group's body."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..ir.graph import Graph, Node
from ..ir.kinds import Contraction, Elementwise, Window, WindowGradient
from ..ir.types import FLOAT32, Shape, Size
from ..ops.winograd import TILE
from .gates import first_channel, gates_of
from .kernel import Block, Epilogue, EpilogueLoad, EpilogueStore, Let, Pool, ScalarArg
from .scalars import in_vectors, let_of, scalar_argument


@dataclass(frozen=True)
class EpilogueOperand:
    """A group operand that the epilogue reads, as the dialect names it."""

    node: Node
    name: str
    pointer: str
    kind: str
    gate: int = 0


@dataclass(frozen=True)
class MatchedEpilogue:
    """The code after an anchor, in the dialect; see ``kernel.Epilogue``."""

    bias: Node | None
    operands: tuple[EpilogueOperand, ...]
    block: Block
    pooled: str
    pool: Pool | None
    after: Block
    stores: tuple[EpilogueStore, ...]
    accumulators: tuple[str, ...]

    @property
    def loads(self) -> tuple[EpilogueLoad, ...]:
        return tuple(EpilogueLoad(o.name, o.pointer, o.kind, o.gate) for o in self.operands)

    @property
    def epilogue(self) -> Epilogue:
        """The code for a kernel that pools in registers."""
        return Epilogue(
            self.loads,
            self.block,
            self.pooled,
            self.pool,
            self.after,
            self.stores,
            self.accumulators,
        )

    @property
    def gates(self) -> int:
        return len(self.accumulators)

    @property
    def is_single(self) -> bool:
        """Whether there is one accumulator, one result, and no slice of an operand."""
        sliced = any(operand.gate for operand in self.operands)
        return self.gates == 1 and len(self.stores) == 1 and not sliced

    def covered(self, rows: Size, columns: Size) -> tuple[Size, Size]:
        """The rows and columns to compute: not those that no pooling window covers."""
        if self.pool is None:
            return rows, columns
        pool = self.pool
        return rows // pool.rows * pool.rows, columns // pool.columns * pool.columns

    @property
    def element_loads(self) -> tuple[EpilogueOperand, ...]:
        """Those of full size, each array once."""
        found = {o.pointer: o for o in self.operands if o.kind == "element"}
        return tuple(found.values())


def match_epilogue(
    body: Graph, anchor: Node, before: Collection[Node] = ()
) -> MatchedEpilogue | None:
    """The epilogue of ``anchor`` in ``body``, or None where it is more than kernels can do.

    They can do elementwise code on float32 and conditions of the anchor's shape, or of that of its
    gates, whose other operands are scalars, one value a channel or one an element; and one pooling
    whose window is its stride. What comes ``before`` the anchor is another's.
    """
    gates = gates_of(body, anchor)
    return None if gates is None else _Matcher(body, anchor, gates, before).match()


def result_name(index: int) -> str:
    """What the array of a group's result is called: ``y``, ``y1``, ``y2``, ..."""
    return f"y{index}" if index else "y"


def operand_kind(operand: Sequence[Size], result: Sequence[Size]) -> str | None:
    """How an epilogue reads an operand of this shape; None if it cannot."""
    if all(size == 1 for size in operand):
        return "scalar"
    if operand[-1] == result[-1] and all(size == 1 for size in operand[:-1]):
        return "channel"
    return "element" if tuple(operand) == tuple(result) else None


def pool_of(node: Node) -> Pool | None:
    """The dialect's pooling for a pooling node whose windows tile the image, else None."""
    kind = node.op.kind
    if not isinstance(kind, Window) or kind.combine not in ("maximum", "mean"):
        return None
    window = tuple(node.attrs["window"])
    if window != tuple(node.attrs["strides"]) or node.attrs["padding"] not in ("valid", VALID):
        return None
    return Pool(window[0], window[1], kind.combine) if max(window) <= 4 else None


VALID = ((0, 0), (0, 0))


def can_pool(anchor: Node, node: Node) -> bool:
    """Whether the pooling ``node`` can be done on what ``anchor`` has in registers."""
    pool, kind = pool_of(node), anchor.op.kind
    if pool is None or not isinstance(kind, Contraction):
        return False
    if kind.form == "winograd_conv2d":  # windows have to tile its tiles
        return TILE % pool.rows == 0 and TILE % pool.columns == 0
    return kind.form == "conv2d"


HEAVY = (Contraction, Window, WindowGradient)


def anchors_of(body: Graph) -> tuple[Node, ...]:
    """The heavy ops of a group in order: a pooling in the first one's registers is none."""
    found: list[Node] = []
    for node in body.nodes:
        if isinstance(node.op.kind, HEAVY) and not (found and can_pool(found[0], node)):
            found.append(node)
    return tuple(found)


def _sums(anchor: Node) -> bool:
    """Whether the anchor's accumulators are sums, which can start from a bias."""
    kind = anchor.op.kind
    return not isinstance(kind, Window) or kind.combine == "dot"


Value: TypeAlias = tuple[Node, int]  # a node, and which gate's stretch of it


class _Matcher:
    """Names each value of a group: a wide one, of all the anchor's channels, once for each gate."""

    def __init__(self, body: Graph, anchor: Node, gates: int, before: Collection[Node]) -> None:
        self.body, self.anchor, self.gates, self.before = body, anchor, gates, before
        self.accumulators = ("acc",) if gates == 1 else tuple(f"acc{g}" for g in range(gates))
        self.names: dict[Value, str] = {(anchor, g): n for g, n in enumerate(self.accumulators)}
        self.bias: Node | None = None
        self.operands: dict[Value, EpilogueOperand] = {}
        self.sliced: dict[Node, Value] = {}
        self.pool: Pool | None = None
        self.pooled = "acc"
        self.shape = anchor.shape if gates == 1 else _narrow(anchor.shape, gates)

    def match(self) -> MatchedEpilogue | None:
        before: list[Let] = []
        after: list[Let] = []
        for node in self.body.nodes:
            if not node.inputs or node is self.anchor or node in self.before:
                continue
            if self._is_bias(node, before):
                self.bias = next(i for i in node.inputs if i is not self.anchor)
                self.names |= {(node, g): name for g, name in enumerate(self.accumulators)}
                continue
            if self.gates == 1 and self.pool is None and can_pool(self.anchor, node):
                self.pool = pool_of(node)
                self.pooled = self.names[node.inputs[0], 0]
                self.names[node, 0] = "pooled"
                self.shape = node.shape
                continue
            if first_channel(node) is not None:
                if not self._slice(node):
                    return None
                continue
            lets = self._lets(node)
            if lets is None:
                return None
            (after if self.pool else before).extend(lets)
        stores = self._stores()
        if stores is None:
            return None
        return MatchedEpilogue(
            self.bias,
            tuple(self.operands.values()),
            tuple(before),
            self.pooled,
            self.pool,
            tuple(after),
            stores,
            self.accumulators,
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

    def _slice(self, node: Node) -> bool:
        """Takes a slice for a gate of its operand; whether it is one."""
        source, units = node.inputs[0], self.shape[-1]
        start = first_channel(node)
        if start is None or node.shape[-1] != units or not isinstance(units, int) or start % units:
            return False
        gate = start // units
        if source in self.body.inputs:
            self.sliced[node] = (source, gate)
        elif (source, gate) in self.names:
            self.names[node, 0] = self.names[source, gate]
        return node in self.sliced or (node, 0) in self.names

    def _lets(self, node: Node) -> list[Let] | None:
        """The code of a node, for each gate where it is wide."""
        if not isinstance(node.op.kind, Elementwise) or not in_vectors(node):
            return None
        if node.shape not in (self.shape, self._wide):
            return None
        lets = []
        for gate in self._gates(node):
            args = [self._argument(operand, node, gate) for operand in node.inputs]
            known = [arg for arg in args if arg is not None]
            if len(known) != len(args):
                return None
            name = f"{node.op.name}{len(self.names) + len(self.operands)}"
            self.names[node, gate] = name
            lets.append(let_of(node, name, known))
        return lets

    @property
    def _wide(self) -> Shape:
        return self.shape if self.gates == 1 else self.anchor.shape

    def _gates(self, node: Node) -> range:
        return range(self.gates if self.gates > 1 and node.shape == self._wide else 1)

    def _argument(self, operand: Node, user: Node, gate: int) -> ScalarArg | None:
        known = self.names.get((operand, gate if operand.shape == self._wide else 0))
        if known is not None:
            return known
        if operand.op.name == "constant" and operand.tensor_type.rank == 0:
            return scalar_argument(operand)
        source, sum_block = self.sliced.get(operand, (operand, gate))
        if source not in self.body.inputs or operand.dtype != FLOAT32:
            return None
        kind = operand_kind(operand.shape, user.shape)
        if kind == "scalar" and operand in self.sliced:
            kind = "channel" if user.shape[-1] == 1 else None
        if kind is None or (kind == "element" and self.pool is not None):
            return None
        return self._operand((source, 0 if kind == "scalar" else sum_block), kind)

    def _operand(self, value: Value, kind: str) -> str:
        """The name of what is read of a group operand."""
        if value not in self.operands:
            index, (node, gate) = len(self.operands), value
            pointers = (o.pointer for o in self.operands.values() if o.node is node)
            pointer = next(pointers, f"z{index}")
            self.operands[value] = EpilogueOperand(node, f"e{index}", pointer, kind, gate)
        return self.operands[value].name

    def _stores(self) -> tuple[EpilogueStore, ...] | None:
        """All results, each in an array of its own."""
        outputs = self.body.outputs
        stored = all(node.dtype == FLOAT32 and (node, 0) in self.names for node in outputs)
        if not stored or any(node.shape not in (self.shape, self._wide) for node in outputs):
            return None
        return tuple(
            EpilogueStore(self.names[node, gate], result_name(index), gate)
            for index, node in enumerate(outputs)
            for gate in self._gates(node)
        )


def _narrow(shape: Shape, gates: int) -> Shape:
    """The shape of one gate."""
    channels = shape[-1]
    assert isinstance(channels, int), "gates are slices of known channels"
    return (*shape[:-1], channels // gates)
