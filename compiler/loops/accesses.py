"""Where a nest reads and writes: strides along the domain's axes, and which axes walk as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..ir.graph import Graph, Node
from ..ir.kinds import AxisMap, IndexMap, Movement
from ..ir.types import Size, product
from .domain import Domain, Value, is_gather
from .layout import Address, Layout, Placed


@dataclass(frozen=True)
class Guard:
    """An axis of an operand whose index is no plain multiple of a loop's, or may lie outside."""

    axis: int | None
    map: AxisMap
    stride: Size
    bound: Size


NOWHERE = -1


@dataclass(frozen=True)
class Strided:
    """An access before it has parameter names: elements per step along each domain axis."""

    slot: int
    strides: tuple[Size, ...]
    offset: Size
    guards: tuple[Guard, ...] = ()
    fill: float | None = None


@dataclass(frozen=True)
class Accesses:
    """Finds the accesses of a group's values in its operands and results."""

    body: Graph
    operands: tuple[Placed, ...]
    results: tuple[Placed, ...]
    domain: Domain

    def read(self, value: Value) -> Strided:
        """Where an operand, or what moves or picks its elements, is read."""
        node = value.node
        if node.op.name == "input":
            slot = self.body.inputs.index(node)
            return self._plain(slot, self.operands[slot], value.axes)
        slot = self.body.inputs.index(node.inputs[0])
        if is_gather(node):
            return self._picked(node, slot, value.axes)
        assert isinstance(node.op.kind, Movement)
        return self._moved(node, node.op.kind.index(node), slot, value.axes)

    def picks(self, value: Value) -> Strided:
        """Where the indices of a gather are read."""
        node = value.node
        at = node.attrs["axis"] % node.inputs[0].tensor_type.rank
        slot = self.body.inputs.index(node.inputs[1])
        rank = node.inputs[1].tensor_type.rank
        return self._plain(slot, self.operands[slot], value.axes[at : at + rank])

    def index(self, value: Value) -> Strided:
        """How the index that a value is made of grows; it is read nowhere."""
        node, axis = value.node, value.node.attrs.get("axis")
        if axis is not None:
            return Strided(NOWHERE, self._along([(value.axes[axis % len(node.shape)], 1)]), 0)
        steps = Layout(node.tensor_type).strides
        return Strided(NOWHERE, self._along(zip(value.axes, steps, strict=True)), 0)

    def numbers(self, value: Value) -> tuple[Address, ...]:
        """Where the numbers lie that such a value is made of."""
        (operand,) = value.node.inputs
        slot = self.body.inputs.index(operand)
        layout = self.operands[slot]
        if not layout.strides:
            return (Address(slot, layout.origin),)
        (stride,), (count,) = layout.strides, operand.shape
        assert isinstance(count, int), "the type rule asks for so many numbers"
        return tuple(Address(slot, layout.origin + stride * i) for i in range(count))

    def write(self, index: int, value: Value) -> Strided:
        """Where the result ``index`` is stored."""
        return self._plain(len(self.operands) + index, self.results[index], value.axes)

    def _plain(self, slot: int, layout: Placed, axes: Sequence[int | None]) -> Strided:
        return Strided(slot, self._along(zip(axes, layout.strides, strict=True)), layout.origin)

    def _along(self, pairs: Iterable[tuple[int | None, Size]]) -> tuple[Size, ...]:
        """A stride for each domain axis, out of strides along some of them."""
        strides: list[Size] = [0] * len(self.domain.shape)
        for axis, stride in pairs:
            if axis is not None:
                strides[axis] = strides[axis] + stride
        return tuple(strides)

    def _moved(self, node: Node, index: IndexMap, slot: int, axes: Sequence[int | None]) -> Strided:
        layout = self.operands[slot]
        offset = layout.origin
        plain: list[tuple[int | None, Size]] = []
        guards: list[Guard] = []
        rows = zip(index.axes, layout.type.shape, layout.strides, strict=True)
        for axis_map, size, stride in rows:
            axis = None if axis_map.axis is None else axes[axis_map.axis]
            if _stays_inside(axis_map, index, node, size):
                offset = offset + axis_map.offset * stride
                plain.append((axis, stride * axis_map.stride))
            else:
                guards.append(Guard(axis, axis_map, stride, size))
        fill = index.fill if guards else None
        return Strided(slot, self._along(plain), offset, tuple(guards), fill)

    def _picked(self, node: Node, slot: int, axes: Sequence[int | None]) -> Strided:
        """The table's access without its picked axis (the index has an access of its own)."""
        layout, at = self.operands[slot], node.attrs["axis"] % node.inputs[0].tensor_type.rank
        width = node.inputs[1].tensor_type.rank
        rest = [stride for k, stride in enumerate(layout.strides) if k != at]
        walked = (*axes[:at], *axes[at + width :])
        return Strided(slot, self._along(zip(walked, rest, strict=True)), layout.origin)


def _stays_inside(m: AxisMap, index: IndexMap, node: Node, size: Size) -> bool:
    """Whether every read along this axis is inside and linear, so that no check is needed."""
    if m.divisor != 1:
        return False
    if index.fill is None:
        return True
    return m.axis is not None and m.offset == 0 and m.stride == 1 and node.shape[m.axis] == size


Group = tuple[int, ...]


def extent(domain: Domain, group: Group) -> Size:
    """The number of steps of a loop over these axes."""
    return product(domain.shape[axis] for axis in group)


def loop_groups(domain: Domain, accesses: Sequence[Strided]) -> tuple[Group, ...]:
    """The axes in order, those together that every access walks as one; axes of one step left out.

    Something is left to reduce if anything was.
    """
    groups: list[Group] = [(axis,) for axis in domain.axes if domain.shape[axis] != 1]
    for position in range(len(groups) - 1, 0, -1):
        outer, inner = groups[position - 1 : position + 1]
        if _walk_as_one(domain, outer[-1], inner, accesses):
            groups[position - 1 : position + 1] = [(*outer, *inner)]
    if domain.reduced and not any(group[0] in domain.reduced for group in groups):
        groups = sorted([*groups, (max(domain.reduced),)])
    return tuple(groups)


def _walk_as_one(domain: Domain, outer: int, inner: Group, accesses: Sequence[Strided]) -> bool:
    if (outer in domain.reduced) != (inner[0] in domain.reduced):
        return False
    steps = extent(domain, inner)
    return all(
        access.strides[outer] == access.strides[inner[-1]] * steps
        and not any(guard.axis in (outer, *inner) for guard in access.guards)
        for access in accesses
    )
