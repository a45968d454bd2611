"""The op table: every op by name. Each family file registers its entries here, once each."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..ir.graph import Node, Op
from ..ir.types import dtype_of
from ..suggest import did_you_mean

_TABLE: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Enters ``op`` in the table and gives it back; a name is taken once."""
    assert op.name not in _TABLE, f"op {op.name} is registered twice"
    _TABLE[op.name] = op
    return op


def get_op(name: str) -> Op:
    """The op called ``name``; raises ``KeyError`` that lists the close names."""
    if name not in _TABLE:
        raise KeyError(f"no op is called {name!r}{did_you_mean(name, _TABLE)}")
    return _TABLE[name]


def op_table() -> Mapping[str, Op]:
    """Every op by its name."""
    return MappingProxyType(_TABLE)


def all_ops() -> tuple[Op, ...]:
    """Every op, sorted by name."""
    return tuple(_TABLE[name] for name in sorted(_TABLE))


class _Table:
    """``ops.add(x, y)``: ops by name, looked up when used.

    Gradients and expansions go through it, because families need each other: the gradient of
    ``add`` sums, that of ``sum`` broadcasts.
    """

    def __getattr__(self, name: str) -> Op:
        return get_op(name)


ops = _Table()


@dataclass(frozen=True, eq=False, repr=False)
class TypedOp(Op):
    """An op whose attribute ``dtype`` may be given by name; nodes hold the ``DType``."""

    def __call__(self, *inputs: Node, **attrs: Any) -> Node:
        if "dtype" in attrs:
            attrs["dtype"] = dtype_of(attrs["dtype"])
        return super().__call__(*inputs, **attrs)


def _by_name(op: Op) -> tuple[Callable[[str], Op], tuple[str]]:
    return get_op, (op.name,)


# An op is its entry in the table, in every copy and in every process.
copyreg.pickle(Op, _by_name)
