"""Turns a schedule into a program: rows in order, a slot of memory for every value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ..runtime.program import (
    ARENA,
    CONSTANT,
    INPUT,
    OUTPUT,
    Argument,
    KernelText,
    LaunchRow,
    Operand,
    Program,
    Row,
    Slot,
    TileRow,
)
from .cpu.emit import emit
from .ir import Node
from .kernels import Border, Kernel
from .layout import Address, Launch, Layout, Packing
from .packing import packed_elements
from .prologue import is_fixed
from .schedule import Schedule, Step
from .templates.panels import build_panels
from .tiling import Tile
from .types import FLOAT32, Size


@dataclass(frozen=True)
class Prepared:
    """A weight as a kernel wants it: the value of ``node``, packed or as it is."""

    node: Node
    packing: Packing | None = None


@dataclass(frozen=True)
class Plan:
    """A program, and which prepared weight goes in which of its constant slots."""

    program: Program
    prepared: Mapping[int, Prepared]


def plan(schedule: Schedule, tiles: tuple[Tile, ...]) -> Plan:
    """The program of a schedule, with these stretches of it tiled over the batch."""
    return _Planner(schedule, tiles).plan()


class _Planner:
    def __init__(self, schedule: Schedule, tiles: tuple[Tile, ...]) -> None:
        self.schedule = schedule
        self.tiles = tiles
        self.slots: list[Slot] = []
        self.of_value: dict[Node, int] = {}
        self.of_prepared: dict[Prepared, int] = {}
        self.of_packed: dict[tuple[Node, Packing], int] = {}
        self.kernels: dict[Kernel, int] = {}
        self.rows: list[Row] = []

    def plan(self) -> Plan:
        graph = self.schedule.graph
        for node in graph.inputs:
            self._add_value(node, INPUT)
        outputs = [self._add_value(node, OUTPUT) for node in graph.outputs]
        self._add_steps()
        program = Program(
            graph.name,
            tuple(KernelText(k.name, emit(k)) for k in self.kernels),
            tuple(self.slots),
            tuple(self.rows),
            tuple(self.of_value[node] for node in graph.inputs),
            tuple(outputs),
            graph.symbols,
        )
        return Plan(program, {slot: prepared for prepared, slot in self.of_prepared.items()})

    def _add_steps(self) -> None:
        """All rows: those of a tile after a row that counts them."""
        opening = {tile.first: tile for tile in self.tiles}
        closing = {tile.last: tile for tile in self.tiles}
        start = 0
        for index, step in enumerate(self.schedule.steps):
            if index in opening:
                start = len(self.rows)
                self.rows.append(TileRow(0, opening[index].samples, opening[index].least))
            self._add_step(step)
            if index in closing:
                rows = len(self.rows) - 1 - start
                self.rows[start] = TileRow(rows, closing[index].samples, closing[index].least)

    def _add_step(self, step: Step) -> None:
        for launch in step.launches:
            for pack in self._packs(step, launch):
                self.rows.append(pack)
            self.rows.append(self._row(step, launch))

    def _row(self, step: Step, launch: Launch) -> LaunchRow:
        arguments = tuple(self._argument(step, arg) for arg in launch.args)
        used = {self._slot(step, arg): arg.slot for arg in launch.args if isinstance(arg, Address)}
        writes = tuple(s for s, slot in used.items() if slot >= len(step.operands))
        reads = tuple(s for s, slot in used.items() if slot < len(step.operands))
        self._touch((*reads, *writes))
        return LaunchRow(
            self._kernel(launch.kernel),
            arguments,
            reads,
            writes,
            step.label,
            launch.flops,
            launch.bytes,
            isinstance(launch.kernel.body, Border),
        )

    def _packs(self, step: Step, launch: Launch) -> Iterator[LaunchRow]:
        """Rows that pack operands which are not weights."""
        for arg in launch.args:
            if not isinstance(arg, Address) or arg.packing is None:
                continue
            node = step.operands[arg.slot]
            if self._is_fixed(node) or (node, arg.packing) in self.of_packed:
                continue
            elements = packed_elements(node.tensor_type, arg.packing)
            slot = self._add_slot(f"packed {len(self.slots)}", ARENA, (elements,), FLOAT32.name)
            self.of_packed[node, arg.packing] = slot
            pack = build_panels(self.schedule.layouts[node], arg.packing)
            source = self._value_slot(node)
            slots = {0: source, 1: slot}
            self._touch((source, slot))
            yield LaunchRow(
                self._kernel(pack.kernel),
                tuple(_bound(a, slots) for a in pack.args),
                (source,),
                (slot,),
                f"pack ({step.label})",
                pack.flops,
                pack.bytes,
            )

    def _argument(self, step: Step, arg: Address | Size) -> Argument:
        if not isinstance(arg, Address):
            return arg
        size = _value(step, arg.slot).dtype.itemsize
        return Operand(self._slot(step, arg), arg.offset * size)

    def _slot(self, step: Step, address: Address) -> int:
        node = _value(step, address.slot)
        if self._is_fixed(node):
            return self._constant(Prepared(node, address.packing))
        if address.packing is not None:
            return self.of_packed[node, address.packing]
        return self._value_slot(node)

    def _is_fixed(self, node: Node) -> bool:
        return is_fixed(node, self.schedule.prologue)

    def _value_slot(self, node: Node) -> int:
        home = self.schedule.homes[node]
        return self.of_value[home] if home in self.of_value else self._add_value(home, ARENA)

    def _add_value(self, node: Node, kind: str) -> int:
        layout = self.schedule.layouts[node]
        slot = self._add_slot(_name(node), kind, layout.type.shape, node.dtype.name, layout)
        self.of_value[node] = slot
        return slot

    def _constant(self, prepared: Prepared) -> int:
        if prepared not in self.of_prepared:
            type_ = prepared.node.tensor_type
            shape: tuple[Size, ...] = type_.shape
            if prepared.packing is not None:
                shape = (packed_elements(type_, prepared.packing),)
            slot = self._add_slot(_name(prepared.node), CONSTANT, shape, type_.dtype.name)
            self.of_prepared[prepared] = slot
        return self.of_prepared[prepared]

    def _add_slot(
        self,
        name: str,
        kind: str,
        shape: tuple[Size, ...],
        dtype: str,
        layout: Layout | None = None,
    ) -> int:
        bytes_ = layout.bytes if layout is not None else _elements(shape) * _itemsize(dtype)
        self.slots.append(Slot(name, kind, dtype, shape, bytes_, len(self.rows), len(self.rows)))
        return len(self.slots) - 1

    def _touch(self, slots: tuple[int, ...]) -> None:
        """Values live until the row that is added next."""
        for slot in slots:
            self.slots[slot] = replace(self.slots[slot], last=len(self.rows))

    def _kernel(self, kernel: Kernel) -> int:
        return self.kernels.setdefault(kernel, len(self.kernels))


def _bound(arg: Address | Size, slots: dict[int, int]) -> Argument:
    if not isinstance(arg, Address):
        return arg
    return Operand(slots[arg.slot], arg.offset * FLOAT32.itemsize)


def _value(step: Step, slot: int) -> Node:
    operands = len(step.operands)
    return step.operands[slot] if slot < operands else step.results[slot - operands]


def _name(node: Node) -> str:
    if "name" in node.attrs:
        return str(node.attrs["name"])
    layers = ", ".join(node.layers)
    return f"{node.op.name} ({layers})" if layers else node.op.name


def _elements(shape: tuple[Size, ...]) -> Size:
    total: Size = 1
    for size in shape:
        total = total * size
    return total


def _itemsize(dtype: str) -> int:
    return 1 if dtype == "bool" else int("".join(c for c in dtype if c.isdigit())) // 8
