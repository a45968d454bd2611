"""Constant folding: nodes with constant operands are computed now, by the reference functions."""

from __future__ import annotations

from typing import Any

from ..context import Context
from ..decisions import Decision
from ..ir.evaluate import evaluate
from ..ir.graph import Graph, Node
from ..ir.rewrite import rewrite_everywhere
from ..ir.types import TensorType
from ..ops.core import CONSTANT, constant
from ..ops.registry import ops

LIMIT_BYTES = 1 << 16  # a larger constant is cheaper to compute again than to store


def fold_constants(graph: Graph, context: Context[Any]) -> Graph:
    """Replaces nodes whose operands are all constants by their value, up to ``LIMIT_BYTES``.

        %0 = sqrt(2.0)
        %1 = multiply(%x, %0)
    -->
        %0 = multiply(%x, 1.4142135)
    """

    def fold(node: Node) -> Node | None:
        if not _is_foldable(node):
            return None
        if not _is_small(node):
            context.decisions.add(_too_large(node))
            return None
        (value,) = evaluate(Graph("constant", (), (node,)), ())
        context.decisions.add(Decision("fold_constants", node.op.name, node.layers, "folded"))
        return constant(value)

    return rewrite_everywhere(graph, fold)


def _is_foldable(node: Node) -> bool:
    """Whether the operands are constants, and the op is no broadcast, which is free later."""
    computes = bool(node.inputs) and node.op not in (ops.iota, ops.broadcast_to)
    single = isinstance(node.type, TensorType)
    return computes and single and all(map(_is_known, node.inputs))


def _is_known(node: Node) -> bool:
    if node.op in (ops.iota, ops.broadcast_to):
        return not _is_symbolic(node) and all(map(_is_known, node.inputs))
    return node.op is CONSTANT


def _is_symbolic(node: Node) -> bool:
    return not isinstance(node.type, TensorType) or bool(node.type.symbols)


def _is_small(node: Node) -> bool:
    bytes_ = node.tensor_type.bytes
    operands = [operand.tensor_type.bytes for operand in node.inputs]
    ints = [size for size in operands if isinstance(size, int)]
    return isinstance(bytes_, int) and bytes_ <= max(LIMIT_BYTES, *ints)


def _too_large(node: Node) -> Decision:
    detail = f"{node.tensor_type.bytes} bytes are more than {LIMIT_BYTES}"
    return Decision("fold_constants", node.op.name, node.layers, "declined", "TOO_LARGE", detail)
