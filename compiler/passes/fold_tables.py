"""Folds products with weights into the table whose rows a gather picks.

A row of a product depends on one row of its left operand: those of ``matmul(gather(t, i), w)``
are rows of ``matmul(t, w)``, which depends on weights alone and runs once per set of them. An
embedding before a dense layer, or before the projections of a recurrent net, becomes one table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ..context import Context
from ..decisions import Decision, Refusal
from ..durations import size_of
from ..ir.graph import Graph, Node, apply, on_operands, origin_scope
from ..ir.rewrite import rebuild
from ..ops.registry import ops
from ..units import count_of, format_bytes
from ..weight_preprocessing import fixed_nodes

STAGE = "fold_tables"
# Where an index names no row the gather gives NaN, and so do these of NaN.
BY_ROW = (ops.add, ops.subtract, ops.multiply, ops.divide, ops.relu, ops.sigmoid, ops.tanh)
LIMIT_BYTES = 1 << 26  # a larger table takes too long to compute, and too much memory
CALLS = 10_000  # of one sample: they should pick more rows than the table has


def fold_tables(graph: Graph, context: Context[Any]) -> Graph:
    """Computes what follows a gather of weights on the table of weights instead, as far as it is
    computed row by row and has a product.

        %0 = gather($table, %x)
        %1 = matmul(%0, $w)
        %2 = tanh(%1)
    -->
        %0 = matmul($table, $w)
        %1 = tanh(%0)
        %2 = gather(%1, %x)
    """
    found = _found(graph, context)
    last = {n: found[n] for n in found if found[n].has_product and not _goes_on(n, graph, found)}
    new: dict[Node, Node] = {}

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        return last[node].picked(new) if node in last else on_operands(node, operands)

    for rows in last.values():
        context.decisions.add(rows.decision("folded", detail=f"into a table of {rows.size}"))
    rebuild(graph.nodes, new, make)
    return graph.with_outputs(new[node] for node in graph.outputs)


@dataclass(frozen=True)
class _Rows:
    """A value whose rows are those of ``table`` that ``gather`` picks.

    ``chain`` has the ops from the gather to the value.
    """

    gather: Node
    table: Node
    chain: tuple[Node, ...]

    @property
    def has_product(self) -> bool:
        return any(node.op is ops.matmul for node in self.chain)

    @property
    def count(self) -> int:
        return size_of(self.table.shape[0], 1)

    @property
    def bytes(self) -> int:
        return size_of(self.table.tensor_type.bytes, 1)

    @property
    def size(self) -> str:
        return f"{count_of(self.count, 'row')}, {format_bytes(self.bytes)}"

    def picked(self, new: Mapping[Node, Node]) -> Node:
        """The rows, from ``new`` indices."""
        with origin_scope(*(origin for node in self.chain for origin in node.origins)):
            return ops.gather(self.table, new[self.gather].inputs[1], **self.gather.attrs)

    def decision(self, action: str, reason: str = "", detail: str = "") -> Decision:
        pattern = "+".join(node.op.name for node in self.chain)
        layers = tuple(dict.fromkeys(layer for node in self.chain for layer in node.layers))
        return Decision(STAGE, pattern, layers, action, reason, detail)


def _found(graph: Graph, context: Context[Any]) -> dict[Node, _Rows]:
    """The nodes that are rows of tables which pay; what was declined is recorded."""
    fixed = fixed_nodes(graph)
    found: dict[Node, _Rows] = {}
    for node in graph.nodes:
        rows = _rows(node, found, fixed)
        if rows is None:
            continue
        refusal = _refusal(rows)
        if refusal is None:
            found[node] = rows
        else:
            context.decisions.add(rows.decision("declined", *refusal))
    return found


def _rows(node: Node, found: Mapping[Node, _Rows], fixed: frozenset[Node]) -> _Rows | None:
    """``node`` as rows of a table of weights; None if it is none."""
    if node.op is ops.gather:
        return _Rows(node, node.inputs[0], (node,)) if _picks_weights(node, fixed) else None
    before = [found[operand] for operand in node.inputs if operand in found]
    others = [operand for operand in node.inputs if operand not in found]
    one = len({rows.gather for rows in before}) == 1
    if not one or not all(i in fixed for i in others) or not _is_by_row(node, found, others):
        return None
    with origin_scope(*node.origins):
        table = apply(
            node.op, [found[i].table if i in found else i for i in node.inputs], node.attrs
        )
    chain = dict.fromkeys(each for rows in before for each in rows.chain)
    return _Rows(before[0].gather, table, (*chain, node))


def _is_by_row(node: Node, found: Mapping[Node, _Rows], others: Sequence[Node]) -> bool:
    """Whether a row of ``node`` is made of one row of its operands, the same way for each."""
    ranks = [operand.tensor_type.rank for operand in others]
    if node.op is ops.matmul:
        return node.inputs[0] in found and ranks == [2]
    return node.op in BY_ROW and all(rank <= 1 for rank in ranks)


def _picks_weights(node: Node, fixed: frozenset[Node]) -> bool:
    """Whether ``node`` picks rows of a matrix of weights, by indices that a call brings."""
    table = node.inputs[0]
    is_matrix = table in fixed and table.tensor_type.rank == 2 and node.attrs["axis"] in (0, -2)
    else_nan = node.dtype.is_float and node.attrs["fill"] is None
    return is_matrix and else_nan and node not in fixed


def _refusal(rows: _Rows) -> Refusal | None:
    """Why the table does not pay; None if it does, or if nothing is saved so far."""
    if not rows.has_product:
        return None
    if rows.bytes > LIMIT_BYTES:
        return "TOO_LARGE", f"a table of {rows.size}, more than {format_bytes(LIMIT_BYTES)}"
    picked = prod(size_of(size, 1) for size in rows.gather.inputs[1].shape)
    if picked * CALLS < rows.count:
        return "SELDOM_READ", f"{count_of(picked, 'row')} a sample of a table of {rows.size}"
    return None


def _goes_on(node: Node, graph: Graph, found: Mapping[Node, _Rows]) -> bool:
    """Whether nothing reads ``node`` but what is rows of a table, too."""
    return node not in graph.results and all(user in found for user in graph.users[node])
