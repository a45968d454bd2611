"""Algebraic simplification: a table of rewrites, each named by its equation.

An equation holds for NaN and infinities too (there is no ``x * 0 = 0`` and no ``x - x = 0``) and
rounds like the original; only the sign of a zero may change. An equation whose result would have
another type does not apply, so ``x + 0`` stays where the 0 broadcasts ``x`` to a larger shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..context import Context
from ..decisions import Decision
from ..ir.graph import Graph, Node, Op
from ..ir.kinds import Elementwise
from ..ir.rewrite import rewrite_everywhere
from ..ops.registry import all_ops, ops
from . import equations as eq


def simplify(graph: Graph, context: Context[Any]) -> Graph:
    """Applies ``EQUATIONS`` bottom-up, to each node until none applies.

        %0 = multiply(%x, 1.0)
        %1 = transpose(%0, axes=(1, 0))
        %2 = transpose(%1, axes=(1, 0))
    -->
        %x
    """

    def rule(node: Node) -> Node | None:
        current = node
        while (row := _matching(current)) is not None:
            equation, current = row
            context.decisions.add(Decision("simplify", equation, node.layers, "simplified"))
        return current if current is not node else None

    return rewrite_everywhere(graph, rule)


def _matching(node: Node) -> tuple[str, Node] | None:
    for row in _BY_OP.get(node.op, ()):
        result = row.rewrite(node)
        if result is not None and result is not node and result.type == node.type:
            return row.equation, result
    return None


@dataclass(frozen=True)
class Equation:
    """An equation: what ``rewrite`` gives for a node of ``op`` where the left side matches."""

    equation: str
    op: Op
    rewrite: eq.Rewrite


EQUATIONS: tuple[Equation, ...] = (
    Equation("x + 0 = x", ops.add, eq.neutral(0, 0, 1)),
    Equation("pad x + pad y = concatenate(x, y)", ops.add, eq.add_of_pads),
    Equation("x - 0 = x", ops.subtract, eq.neutral(0, 1)),
    Equation("x * 1 = x", ops.multiply, eq.neutral(1, 0, 1)),
    Equation("x / 1 = x", ops.divide, eq.neutral(1, 1)),
    Equation("x * -1 = -x", ops.multiply, eq.times_minus_one),
    Equation("x / 2^k = x * 2^-k", ops.divide, eq.divide_by_power_of_two),
    Equation("x ** 1 = x, x ** 2 = square x, x ** -1 = 1/x", ops.power, eq.power),
    Equation("x + -y = x - y", ops.add, eq.add_negative),
    Equation("x - -y = x + y", ops.subtract, eq.subtract_negative),
    Equation("--x = x", ops.negative, eq.undo),
    Equation("not not x = x", ops.logical_not, eq.undo),
    Equation("|-x| = |x|", ops.abs, eq.abs_of_negative),
    *(
        Equation("f(f x) = f x", op, eq.twice)
        for op in (ops.relu, ops.abs, ops.sign, ops.floor, ops.ceil, ops.round, ops.clip)
    ),
    *(
        Equation("f(x, x) = x", op, eq.same)
        for op in (ops.maximum, ops.minimum, ops.logical_and, ops.logical_or)
    ),
    Equation("maximum(x, 0) = relu x", ops.maximum, eq.maximum_with_zero),
    Equation("x and True = x", ops.logical_and, eq.neutral(True, 0, 1)),
    Equation("x or False = x", ops.logical_or, eq.neutral(False, 0, 1)),
    Equation("select(c, x, x) = x", ops.select, eq.select_same),
    Equation("select(True, x, y) = x", ops.select, eq.select_known),
    Equation("cast x = x", ops.cast, eq.cast_same),
    Equation("cast(widen x) = cast x", ops.cast, eq.cast_through_wider),
    Equation("stop_gradient x = x", ops.stop_gradient, eq.operand),
    Equation("reshape x = x", ops.reshape, eq.same_shape),
    Equation("reshape(reshape x) = reshape x", ops.reshape, eq.shape_of_shape),
    Equation("transpose x = x", ops.transpose, eq.transpose_identity),
    Equation("transpose(transpose x) = transpose x", ops.transpose, eq.transpose_twice),
    Equation("transpose of axes of size 1 = reshape", ops.transpose, eq.transpose_of_ones),
    Equation("broadcast_to x = x", ops.broadcast_to, eq.same_shape),
    Equation("broadcast_to(broadcast_to x) = broadcast_to x", ops.broadcast_to, eq.shape_of_shape),
    Equation("slice x = x", ops.slice, eq.slice_all),
    Equation("pad x = x", ops.pad, eq.pad_nothing),
    Equation("flip x = x", ops.flip, eq.flip_nothing),
    Equation("flip(flip x) = x", ops.flip, eq.undo),
    Equation("repeat x = x", ops.repeat, eq.same_shape),
    Equation("concatenate(x) = x", ops.concatenate, eq.single),
    *(
        Equation("reduce x over one element = x", op, eq.reduce_nothing)
        for op in (ops.sum, ops.max, ops.min, ops.prod, ops.any, ops.all, ops.mean)
    ),
    *(
        Equation("f(broadcast_to x, y) = f(x, y)", op, eq.broadcast_by_itself)
        for op in all_ops()
        if isinstance(op.kind, Elementwise)
    ),
)

_BY_OP: dict[Op, tuple[Equation, ...]] = {
    op: tuple(row for row in EQUATIONS if row.op is op)
    for op in dict.fromkeys(row.op for row in EQUATIONS)
}
