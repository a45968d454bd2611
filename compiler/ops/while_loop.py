"""``while_loop``: a loop that goes on as long as the data say so.

    %0 = less(%x, 100.0)
    %1 = while_loop(%0, %x, $u, carries=2) { (%c0: bool[], %c1: f32[], %w0: f32[])
      %1.0 = multiply(%c1, %w0)
      %1.1 = less(%1.0, 100.0)
      return %1.1, %1.0
    } : (bool[], f32[])

The first carry is whether there is another step: a scalar, true at the beginning of each. The body
turns the carries into new ones, that one among them, and sees captured values, which stay the same.
The results are the carries after the last step, or those at the beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ir.graph import REQUIRED, Graph, Op
from ..ir.kinds import NoGrad, Region
from ..ir.types import TupleType, Type
from .registry import register
from .scan import check_body_inputs, check_new_carries, single_values
from .stepping import FLAG, split_operands


def _while_type(*types: Type, body: Graph, carries: int) -> TupleType:
    if not isinstance(body, Graph):
        raise TypeError(f"expected a graph as body, got {body!r}")
    if carries < 1:
        raise ValueError(
            "expected carries to be a number from 1 on, as the first says whether there is another "
            f"step; got {carries}"
        )
    operands = single_values(types, carries, "the carries")
    given = split_operands(operands, carries, 0)
    if given.carries[0] != FLAG:
        raise TypeError(f"expected {FLAG} as the first operand, got {given.carries[0]}")
    check_body_inputs(body, operands, "the carries and the captured values")
    check_new_carries([node.tensor_type for node in body.outputs], given.carries)
    return TupleType(given.carries)


def _while_value(
    *arrays: Any, body: Callable[..., tuple[Any, ...]], carries: int
) -> tuple[Any, ...]:
    state, captured = arrays[:carries], arrays[carries:]
    while state[0]:
        state = body(*state, *captured)
    return state


while_loop = register(
    Op(
        "while_loop",
        _while_type,
        _while_value,
        Region(),
        {"body": REQUIRED, "carries": REQUIRED},
        NoGrad(
            "the data decide how many steps it takes; give ops.while_loop maximum_iterations, or "
            "use ops.scan or ops.fori_loop"
        ),
        doc="The carries after applying ``body`` as long as the first of them holds.",
    )
)
