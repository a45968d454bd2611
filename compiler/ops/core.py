"""Leaves and regions: inputs, parameters, constants, fused groups, projections of tuples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..ir.graph import (
    REQUIRED,
    Graph,
    IRError,
    Literal,
    Node,
    Op,
    Sample,
    apply,
    origin_scope,
    post_order,
)
from ..ir.kinds import Elementwise, Leaf, NoGrad, Projection, Region
from ..ir.rewrite import rebuild
from ..ir.types import DType, TensorType, TupleType, Type, dtype_of
from .registry import register


def _leaf_type(*, type: TensorType, **_: Any) -> TensorType:
    return type


def _leaf_value(**_: Any) -> Any:
    raise AssertionError("a leaf has no formula: the interpreter binds its value")


INPUT = register(
    Op(
        "input",
        _leaf_type,
        _leaf_value,
        Leaf(),
        {"name": REQUIRED, "type": REQUIRED},
        NoGrad("an input is where differentiation ends"),
        doc="An argument of the graph.",
    )
)
PARAMETER = register(
    Op(
        "parameter",
        _leaf_type,
        _leaf_value,
        Leaf(),
        {"name": REQUIRED, "type": REQUIRED},
        NoGrad("a parameter is where differentiation ends"),
        doc="A weight: an argument bound once and reused over calls.",
    )
)


def _constant_type(*, value: Any) -> TensorType:
    if not isinstance(value, Literal):
        raise TypeError(f"expected an array, got {value!r}")
    return TensorType(dtype_of(value.array.dtype), value.array.shape)


CONSTANT = register(
    Op(
        "constant",
        _constant_type,
        lambda *, value: value.array,
        Leaf(),
        {"value": REQUIRED},
        NoGrad("a constant does not vary"),
        doc="An array fixed at compile time.",
    )
)


copy = register(
    Op(
        "copy",
        lambda x: x,
        lambda x: x,
        Elementwise("copy"),
        {},
        lambda node, grad: (grad,),
        (Sample(("f32[2, 3]",)), Sample(("i32[2, 3]",))),
        doc="The same value in memory of its own.",
    )
)


def input_(name: str, type_: TensorType) -> Node:
    """A fresh graph input."""
    return apply(INPUT, (), {"name": name, "type": type_})


def parameter(name: str, type_: TensorType) -> Node:
    """A fresh parameter."""
    return apply(PARAMETER, (), {"name": name, "type": type_})


def constant(value: Any, dtype: DType | str | None = None) -> Node:
    """The constant ``value`` (array-like); Python floats are float32, ints int32."""
    array = np.asarray(value)
    if dtype is not None:
        array = dtype_of(dtype).of(array)
    elif not isinstance(value, (np.ndarray, np.generic)):
        array = array.astype(_default_dtype(array))
    return apply(CONSTANT, (), {"value": Literal(array)})


def _default_dtype(array: np.ndarray) -> np.dtype:
    names = {"f": "float32", "i": "int32", "b": "bool"}
    if array.dtype.kind not in names:
        raise IRError(f"expected a number or an array of numbers as a constant, got {array!r}")
    return np.dtype(names[array.dtype.kind])


def _fused_type(*types: TensorType, body: Any, **_: Any) -> Type:
    if not isinstance(body, Graph):
        raise TypeError(f"expected a graph as body, got {body!r}")
    if not body.outputs:
        raise ValueError("expected a body with results; it has none")
    expected = tuple(node.type for node in body.inputs)
    if types != expected:
        raise TypeError(f"the body expects ({', '.join(map(str, expected))})")
    results = tuple(node.tensor_type for node in body.outputs)
    return results[0] if len(results) == 1 else TupleType(results)


def _fused_value(*arrays: Any, **_: Any) -> Any:
    raise AssertionError("the interpreter runs the body of a region itself")


FUSED = register(
    Op(
        "fused",
        _fused_type,
        _fused_value,
        Region(),
        {"body": REQUIRED, "label": ""},
        NoGrad("differentiate before fusing"),
        doc="Several ops that run as one kernel: ``body`` computes the result from the operands.",
    )
)


def _item_type(type_: Type, *, index: int) -> TensorType:
    if not isinstance(type_, TupleType):
        raise TypeError(f"expected a value with several results, got {type_}")
    if not 0 <= index < len(type_.items):
        raise ValueError(f"expected an index below {len(type_.items)}, as {type_} has")
    return type_.items[index]


ITEM = register(
    Op(
        "item",
        _item_type,
        lambda values, *, index: values[index],
        Projection(),
        {"index": REQUIRED},
        NoGrad("differentiate the op that made the tuple"),
        doc="One result of an op with several.",
    )
)


def fuse_nodes(
    group: Iterable[Node],
    outputs: Iterable[Node],
    label: str,
    rebuilt: Mapping[Node, Node] | None = None,
    bodies: dict[object, Graph] | None = None,
) -> Node:
    """The ``fused`` node that computes ``outputs`` from ``group``, whatever else feeding it.

    Operands of the result are the nodes outside ``group`` in order of first use, each replaced by
    what ``rebuilt`` holds for it; numbers that only elementwise ops use stay in the body.
    ``bodies`` keeps the bodies of groups: those that are alike, as steps laid out are, have one.
    """
    members = set(group)
    outputs = tuple(outputs)
    order = list(post_order(outputs, members))
    outside = dict.fromkeys(i for n in order for i in n.inputs if i not in members)
    moved = {i for n in order if not isinstance(n.op.kind, Elementwise) for i in n.inputs}
    # Arithmetic takes a number as it is; data movement reads even a number from memory.
    operands = [n for n in outside if not is_scalar_constant(n) or n in moved]
    key = _structure(operands, order, outputs)
    body = None if bodies is None else bodies.get(key)
    if body is None:
        body = _body(operands, order, outputs)
        if bodies is not None:
            bodies[key] = body
    arguments = tuple((rebuilt or {}).get(node, node) for node in operands)
    with origin_scope(*(origin for node in order for origin in node.origins)):
        return apply(FUSED, arguments, {"body": body, "label": label})


def _body(operands: Sequence[Node], order: Sequence[Node], outputs: Sequence[Node]) -> Graph:
    with origin_scope():  # they stand for the operands, wherever the group is made
        inner = {n: input_(f"a{i}", n.tensor_type) for i, n in enumerate(operands)}
    new = rebuild(order, dict(inner))
    return Graph("body", tuple(inner.values()), tuple(new[n] for n in outputs))


def _structure(
    operands: Sequence[Node], order: Sequence[Node], outputs: Sequence[Node]
) -> tuple[object, ...]:
    """What a body is made of, as a value: equal for groups whose bodies would be alike."""
    number: dict[Node, int | Node] = {n: i for i, n in enumerate((*operands, *order))}
    rows = tuple(
        (n.op, n.exact_attributes, n.type, n.origins, tuple(number.get(i, i) for i in n.inputs))
        for n in order
    )
    return tuple(n.type for n in operands), rows, tuple(number[n] for n in outputs)


def is_scalar_constant(node: Node) -> bool:
    """A constant of rank 0: printed and compiled in place."""
    return node.op is CONSTANT and node.tensor_type.rank == 0
