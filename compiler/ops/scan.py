"""``scan``: a loop over time whose step is a graph of its own, as in ``jax.lax.scan``.

    %0 = scan(%h, %x, $u, carries=1, sequences=1) { (%c0: f32[N, 8], %x0: f32[N, 8], %w0: f32[8, 8])
      %0.0 = matmul(%c0, %w0)
      %0.1 = add(%0.0, %x0)
      %0.2 = tanh(%0.1)
      return %0.2, %0.2
    } : (f32[N, 8], f32[N, T, 8])

A step turns the carries into new ones and gives results, which are stacked over all steps. It sees
one slice of each sequence, and captured values, which stay the same. Time is axis 1 unless the
attribute ``axis`` says otherwise: sequences come batch-major, ``[N, T, C]``, and so the slices, the
carries and the stacked results all have the batch in front, and nothing is ever transposed.

There are ``least`` steps or more: a condition on the sizes of a call. The attribute ``unroll`` is
for the pass of that name, and changes no value: how many steps a step of the loop becomes (1: it
stays as it is), ``"full"``, or ``"auto"`` where the pass chooses. After it ``"rows"`` says that
each step has rows of its own in the program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...runtime.dim import Size
from ..ir.graph import REQUIRED, Graph, Op
from ..ir.kinds import Region
from ..ir.types import TensorType, TupleType, Type
from .registry import register
from .scan_gradient import scan_gradient
from .stepping import (
    AUTO,
    FULL,
    ROWS,
    at_one_step,
    over_all_steps,
    split_operands,
    steps_of,
)

# The type rule


def _scan_type(
    *types: Type,
    body: Graph,
    carries: int,
    sequences: int,
    axis: int,
    least: int,
    unroll: int | str,
    **_: Any,
) -> TupleType:
    _check_attributes(body, carries, sequences, axis)
    _check_unroll(unroll)
    operands = single_values(types, carries + sequences, "the carries and sequences")
    given = split_operands(operands, carries, sequences)
    steps = _common_length(given.sequences, axis)
    if isinstance(steps, int) and steps < least:
        raise ValueError(f"expected {least} steps or more along axis {axis}, got {steps}")
    slices = (at_one_step(type_, axis) for type_ in given.sequences)
    what = "the carries, one slice of each sequence and the captured values"
    check_body_inputs(body, (*given.carries, *slices, *given.captured), what)
    made = [node.tensor_type for node in body.outputs]
    check_new_carries(made[:carries], given.carries)
    results = made[carries:]
    if not made:
        raise ValueError("expected a body with results; it has none")
    for type_ in results:
        if type_.rank < axis:
            raise ValueError(
                f"expected results of rank {axis} or more, as time is axis {axis}; got {type_}"
            )
    return TupleType((*given.carries, *(over_all_steps(t, axis, steps) for t in results)))


def _check_attributes(body: Any, carries: Any, sequences: Any, axis: Any) -> None:
    if not isinstance(body, Graph):
        raise TypeError(f"expected a graph as body, got {body!r}")
    least = {"carries": (carries, 0), "sequences": (sequences, 1), "axis": (axis, 0)}
    for name, (value, low) in least.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            why = "; the sequences say how many steps there are" if name == "sequences" else ""
            raise ValueError(f"expected {name} to be a number from {low} on, got {value!r}{why}")


def _check_unroll(unroll: Any) -> None:
    is_count = isinstance(unroll, int) and not isinstance(unroll, bool) and unroll >= 1
    if not is_count and unroll not in (AUTO, FULL, ROWS):
        raise ValueError(
            f"expected unroll to be {AUTO!r}, {FULL!r}, {ROWS!r}, or how many steps there are in "
            f"one from 1 on, got {unroll!r}"
        )


def single_values(types: Sequence[Type], least: int, what: str) -> tuple[TensorType, ...]:
    """The types of operands, of which there are ``least`` for ``what``, whatever is captured."""
    tuples = [type_ for type_ in types if isinstance(type_, TupleType)]
    if tuples:
        raise TypeError(f"expected single values, got {tuples[0]}; pick one with item(index=...)")
    if len(types) < least:
        raise TypeError(f"expected {least} operands for {what}, got {len(types)}")
    return tuple(type_ for type_ in types if isinstance(type_, TensorType))


def _common_length(sequences: Sequence[TensorType], axis: int) -> Size:
    for type_ in sequences:
        if type_.rank <= axis:
            raise ValueError(f"expected sequences with time as axis {axis}, got {type_}")
    length = sequences[0].shape[axis]
    if any(type_.shape[axis] != length for type_ in sequences):
        raise ValueError(
            f"expected sequences of one length along axis {axis}, got {listed(sequences)}"
        )
    return length


def check_body_inputs(body: Graph, expected: Sequence[TensorType], what: str) -> None:
    """Raises ``TypeError`` where a body has inputs of other types than ``what`` it is given."""
    found = [node.tensor_type for node in body.inputs]
    if list(expected) == found:
        return
    raise TypeError(
        f"expected a body whose inputs are {what}, ({listed(expected)}); "
        f"its inputs are ({listed(found)})"
    )


def check_new_carries(found: Sequence[TensorType], expected: Sequence[TensorType]) -> None:
    """Raises ``TypeError`` where a step gives on other types than it is given."""
    if list(expected) != list(found):
        raise TypeError(
            "expected a body that first returns new carries of the types they start with, "
            f"({listed(expected)}); it returns ({listed(found)})"
        )


def listed(types: Iterable[TensorType]) -> str:
    """``f32[N, 8], i32[]``"""
    return ", ".join(map(str, types))


# The reference


def _scan_value(
    *arrays: Any,
    body: Callable[..., tuple[Any, ...]],
    carries: int,
    sequences: int,
    reverse: bool,
    axis: int,
    **_: Any,
) -> tuple[Any, ...]:
    given = split_operands(arrays, carries, sequences)
    state = given.carries
    count = given.sequences[0].shape[axis]
    rows: list[Any] = [()] * count
    for step in reversed(range(count)) if reverse else range(count):
        slices = (np.take(array, step, axis) for array in given.sequences)
        made = body(*state, *slices, *given.captured)
        state, rows[step] = made[:carries], made[carries:]
    if count:
        return (*state, *(np.stack(results, axis) for results in zip(*rows, strict=True)))
    # Nothing is stacked: a step on zeros tells the shapes.
    zeros = (np.zeros(np.delete(array.shape, axis), array.dtype) for array in given.sequences)
    made = body(*state, *zeros, *given.captured)[carries:]
    shapes = ((*array.shape[:axis], 0, *array.shape[axis:]) for array in made)
    return (*state, *map(np.empty, shapes, (array.dtype for array in made)))


scan = register(
    Op(
        "scan",
        _scan_type,
        _scan_value,
        Region(),
        {
            "body": REQUIRED,
            "carries": REQUIRED,
            "sequences": REQUIRED,
            "reverse": False,
            "axis": 1,
            "least": 0,
            "unroll": AUTO,
        },
        scan_gradient,
        orders=lambda node: ((node.attrs["least"], steps_of(node)),),
        doc="The carries after, and the results of, applying ``body`` to each step of sequences.",
    )
)
