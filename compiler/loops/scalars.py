"""Small things the kernel builders share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..ir.graph import Node
from ..ir.kinds import Elementwise, Reduction
from ..ir.types import BOOL, Size
from .kernel import VECTOR, Let, Number, ScalarArg
from .layout import Placed


def is_constant(node: Node) -> bool:
    """A constant that is written into the kernel."""
    return node.op.name == "constant"


def scalar_argument(node: Node) -> Number:
    """The number of a one-element constant."""
    return Number.of(node.attrs["value"].array.item(), node.dtype)


def let_of(node: Node, name: str, args: Sequence[ScalarArg]) -> Let:
    """The dialect's assignment for an elementwise node; attributes follow as constants."""
    assert isinstance(node.op.kind, Elementwise), node.op
    if node.op.name == "cast":
        return _cast(node, name, args[0])
    fixed = (Number.of(value, node.dtype) for value in node.attrs.values())
    return Let(name, node.op.kind.fn, (*args, *fixed), node.dtype)


def _cast(node: Node, name: str, arg: ScalarArg) -> Let:
    source = node.inputs[0].dtype
    if source.computed == node.dtype or source == node.dtype:
        return Let(name, "copy", (arg,), node.dtype)
    if node.dtype == BOOL:
        return Let(name, "not_equal", (arg, Number.of(0, source)), BOOL)
    return Let(name, "cast", (arg,), node.dtype)


COMPARISONS = frozenset(["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"])


def in_vectors(node: Node) -> bool:
    """Whether vectors compute ``node``.

    They hold what is computed as ``VECTOR``. Masks, their truth values, can be combined but not
    compared.
    """
    inputs = {operand.dtype.computed for operand in node.inputs}
    reduces = isinstance(node.op.kind, Reduction)
    if node.dtype == BOOL and (reduces or BOOL in inputs):
        return not reduces and node.op.name not in COMPARISONS
    return node.dtype.computed in (VECTOR, BOOL) and inputs <= {VECTOR, BOOL}


def sum_bytes(*layouts: Iterable[Placed]) -> Size:
    """Bytes of all these values: what a launch reads and writes at least."""
    total: Size = 0
    for group in layouts:
        for layout in group:
            total = total + layout.type.bytes
    return total
