"""``cond``: one of two graphs, as the data say.

    %1 = cond(%flag, %x, $u) { (%w0: f32[N, 8], %w1: f32[8, 8])
      %1.0 = matmul(%w0, %w1)
      return %1.0
    } otherwise { (%w0: f32[N, 8], %w1: f32[8, 8])
      return %w0
    } : (f32[N, 8])

The first operand, a scalar bool, says whether ``body`` or ``otherwise`` is computed. Both get the
other operands, and give as many values of the same types. There is always a tuple of results.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from ..ir.graph import REQUIRED, Graph, Node, Op, apply, post_order
from ..ir.kinds import Region
from ..ir.rewrite import applied, rebuild
from ..ir.types import TupleType, Type
from .core import input_
from .registry import register
from .scan import check_body_inputs, listed, single_values
from .scan_gradient import Cotangent, Pullback, zeros
from .stepping import FLAG, Nodes, is_one_number, items_of


def _cond_type(*types: Type, body: Graph, otherwise: Graph) -> TupleType:
    if not isinstance(body, Graph) or not isinstance(otherwise, Graph):
        raise TypeError(f"expected graphs as body and otherwise, got {body!r} and {otherwise!r}")
    flag, *captured = single_values(types, 1, "the flag")
    if flag != FLAG:
        raise TypeError(f"expected {FLAG} as the first operand, got {flag}")
    for graph in (body, otherwise):
        check_body_inputs(graph, captured, "the captured values")
    made, other = (tuple(n.tensor_type for n in g.outputs) for g in (body, otherwise))
    if not made or made != other:
        raise TypeError(
            f"expected graphs with results, of the same types; got ({listed(made)}) and "
            f"({listed(other)})"
        )
    return TupleType(made)


def _cond_value(
    flag: Any,
    *captured: Any,
    body: Callable[..., tuple[Any, ...]],
    otherwise: Callable[..., tuple[Any, ...]],
) -> tuple[Any, ...]:
    return body(*captured) if flag else otherwise(*captured)


def close_cond(
    flag: Node, results: Sequence[Node], others: Sequence[Node], inside: Collection[Node]
) -> Node:
    """The choice of ``results`` where ``flag`` holds, else of ``others``.

    Of what they are made of, nodes that are ``inside`` are computed where they are chosen alone.
    All else is captured.
    """
    order = tuple(post_order((*results, *others)))
    made = {node for node in order if node in inside}
    read = [*(i for node in order if node in made for i in node.inputs), *results, *others]
    outer = dict.fromkeys(n for n in read if n not in made and not is_one_number(n))
    return apply(
        cond,
        (flag, *outer),
        {
            "body": _enclosed("body", results, tuple(outer), made),
            "otherwise": _enclosed("otherwise", others, tuple(outer), made),
        },
    )


def _enclosed(name: str, outputs: Sequence[Node], outer: Nodes, made: Collection[Node]) -> Graph:
    """``outputs`` as a graph of ``outer``; nodes that were ``made`` apart become ordinary ones."""
    inputs = tuple(input_(f"w{i}", node.tensor_type) for i, node in enumerate(outer))
    known = dict(zip(outer, inputs, strict=True))

    def make(node: Node, operands: Nodes) -> Node:
        return apply(node.op, operands, node.attrs) if node in made else node

    new = rebuild(post_order(outputs, ends=frozenset(outer)), known, make)
    return Graph(name, inputs, tuple(new[node] for node in outputs))


def _cond_gradient(
    node: Node, grads: Sequence[Cotangent], pullback: Pullback, wanted: Collection[Node]
) -> tuple[Cotangent, ...]:
    """A choice of the gradients of both: each computes its branch again."""
    flag, *captured = node.inputs
    moving = [i for i, n in enumerate(captured) if n in wanted and n.dtype.is_float]
    given = tuple(cotangent for cotangent in grads if cotangent is not None)
    inputs = tuple(input_(f"w{i}", n.tensor_type) for i, n in enumerate((*captured, *given)))
    found = []
    for key in ("body", "otherwise"):
        arriving = iter(inputs[len(captured) :])
        seeds = [None if cotangent is None else next(arriving) for cotangent in grads]
        outputs = applied(node.attrs[key], inputs[: len(captured)])
        found.append(pullback(outputs, seeds, [inputs[i] for i in moving]))
    reached = [k for k, pair in enumerate(zip(*found, strict=True)) if any(pair)]
    if not reached:
        return (None,) * len(node.inputs)
    graphs = (
        Graph(key, inputs, tuple(each[k] or zeros(inputs[moving[k]]) for k in reached))
        for key, each in zip(("body", "otherwise"), found, strict=True)
    )
    body, otherwise = graphs
    back = apply(cond, (flag, *captured, *given), {"body": body, "otherwise": otherwise})
    cotangents: list[Cotangent] = [None] * len(node.inputs)
    for k, item in zip(reached, items_of(back), strict=True):
        cotangents[1 + moving[k]] = item
    return tuple(cotangents)


cond = register(
    Op(
        "cond",
        _cond_type,
        _cond_value,
        Region(),
        {"body": REQUIRED, "otherwise": REQUIRED},
        _cond_gradient,
        doc="What ``body`` gives where the first operand holds, else what ``otherwise`` gives.",
    )
)
