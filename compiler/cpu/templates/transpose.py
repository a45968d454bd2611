"""Builds ``Transpose`` kernels: copies whose contiguous axis changes."""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.graph import Graph
from ...ir.kinds import Movement
from ...ir.types import FLOAT32, Size
from ...loops.accesses import Accesses, Group, Strided, extent, loop_groups
from ...loops.arguments import Pointer
from ...loops.domain import Domain, Values
from ...loops.kernel import Kernel
from ...loops.layout import Address, Launch, Placed
from ...loops.scalars import sum_bytes
from ..arguments import TransposeArguments
from ..bodies import Transpose

OUTER = 3  # loops around the two axes that change places
LEAST = 4  # elements along both: below, most lanes would be idle


@dataclass(frozen=True)
class _Axis:
    """A loop: its steps, and elements between them in the operand and in the result."""

    steps: Size
    read: Size
    write: Size


def build_transpose(
    body: Graph,
    operands: tuple[Placed, ...],
    results: tuple[Placed, ...],
    name: str,
) -> Launch | None:
    """The launch for a transpose that moves the last axis, or None where ``body`` is none."""
    moved = [node for node in body.nodes if node.inputs]
    if len(moved) != 1 or not isinstance(moved[0].op.kind, Movement):
        return None
    domain = Domain(moved[0].shape)
    values = Values(body, domain)
    accesses = Accesses(body, operands, results, domain)
    read, write = accesses.read(values.outputs[0]), accesses.write(0, values.outputs[0])
    if moved[0].dtype != FLOAT32 or read.guards:
        return None
    axes = [_axis(domain, group, read, write) for group in loop_groups(domain, (read, write))]
    transposed = _transposed_axes(axes)
    if transposed is None:
        return None
    x, y = (Pointer(Address(access.slot, access.offset)) for access in (read, write))
    arguments = _arguments(x, y, *transposed)
    total = sum_bytes(operands, results)
    return Launch(Kernel(name, arguments.params, Transpose()), arguments.values, 0, total)


def _axis(domain: Domain, group: Group, read: Strided, write: Strided) -> _Axis:
    return _Axis(extent(domain, group), read.strides[group[-1]], write.strides[group[-1]])


def _transposed_axes(axes: list[_Axis]) -> tuple[_Axis, _Axis, list[_Axis]] | None:
    """The axis that was last, the one that is, and the others."""
    before = [axis for axis in axes if axis.read == 1]
    after = [axis for axis in axes if axis.write == 1]
    if len(before) != 1 or len(after) != 1 or before == after:
        return None
    others = [axis for axis in axes if axis not in (*before, *after)]
    if len(others) > OUTER or len(others) != len(axes) - 2:
        return None
    if any(isinstance(axis.steps, int) and axis.steps < LEAST for axis in (*before, *after)):
        return None
    return before[0], after[0], others


def _arguments(
    x: Pointer, y: Pointer, before: _Axis, after: _Axis, others: list[_Axis]
) -> TransposeArguments[Pointer, Size]:
    first, second, third = [*others, *[_Axis(1, 0, 0)] * (OUTER - len(others))]
    return TransposeArguments(
        x=x,
        y=y,
        rows=after.steps,
        cols=before.steps,
        x_row=after.read,
        y_col=before.write,
        n0=first.steps,
        x0=first.read,
        y0=first.write,
        n1=second.steps,
        x1=second.read,
        y1=second.write,
        n2=third.steps,
        x2=third.read,
        y2=third.write,
    )
