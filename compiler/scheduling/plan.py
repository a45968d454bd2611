"""Turns a schedule into a plan: rows in order, a slot of memory for every value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ...runtime.program import (
    ARENA,
    INPUT,
    OUTPUT,
    STATE,
    BranchRow,
    Condition,
    GuardRow,
    LaunchRow,
    Location,
    LoopRow,
    Move,
    Row,
    Slot,
    TileRow,
    listing,
)
from ..ir.graph import Node
from ..ir.types import Size, TensorType
from ..loops.kernel import Kernel
from ..loops.layout import Address, Launch, Layout, Packing, Placed
from ..ops.stepping import operands_of, steps_of
from .conditions import conditions
from .schedule import BatchTile, Loop, Schedule, Step
from .slots import Prepared, Slots, value_name
from .trips import at_trip


@dataclass(frozen=True)
class Plan:
    """A program whose kernels are no texts yet; see ``runtime.program.Program``.

    ``prepared`` says which weight, in which form, goes in which of the constant slots.
    """

    name: str
    kernels: tuple[Kernel, ...]
    slots: tuple[Slot, ...]
    rows: tuple[Row, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    symbols: tuple[str, ...]
    conditions: tuple[Condition, ...]
    prepared: Mapping[int, Prepared]

    def __str__(self) -> str:
        kernels = [kernel.name for kernel in self.kernels]
        return f"plan {self.name}\n{listing(kernels, self.slots, self.rows)}"


def plan(schedule: Schedule, tiles: tuple[BatchTile, ...] = ()) -> Plan:
    """The plan of a lowered schedule, with these segments of it tiled over the batch."""
    return _Planner(schedule, tiles).plan()


@dataclass
class _Scope:
    """A schedule whose rows are being made: the graph's, or that of a loop's body.

    ``values`` holds the locations of values, ``packed`` those of operands packed in panels.
    """

    schedule: Schedule
    values: dict[Node, Location] = field(default_factory=dict)
    packed: dict[tuple[Node, Packing], Location] = field(default_factory=dict)
    loops: int = 0  # around it


@dataclass(frozen=True)
class _Head:
    """A tile or branch of the steps ``first`` to ``last``: its row, whose length is to be found."""

    first: int
    last: int
    row: TileRow | BranchRow


class _Planner:
    def __init__(self, schedule: Schedule, tiles: tuple[BatchTile, ...]) -> None:
        self.tiles = tiles
        self.scope = _Scope(schedule)
        self.kernels: dict[Kernel, int] = {}
        self.rows: list[Row] = []
        self.slots = Slots(self.rows)

    def plan(self) -> Plan:
        graph = self.scope.schedule.graph
        inputs = [self._add_value(node, INPUT).slot for node in graph.inputs]
        outputs = [self._add_value(node, OUTPUT).slot for node in graph.returned]
        self._add_state()
        self._add_steps()
        self._copy_updates()
        return Plan(
            graph.name,
            tuple(self.kernels),
            tuple(self.slots.made),
            tuple(self.rows),
            tuple(inputs),
            tuple(outputs),
            graph.symbols,
            conditions(graph),
            {place.slot: p for p, place in self.slots.prepared.items()},
        )

    def _add_state(self) -> None:
        """Adds memory for the updated parameters; most next values are written there in place."""
        schedule = self.scope.schedule
        for parameter, value in schedule.graph.next_values.items():
            place = self._add_value(parameter, STATE)
            if parameter in schedule.overwritten:
                self.scope.values[value] = place

    def _copy_updates(self) -> None:
        schedule = self.scope.schedule
        values = schedule.graph.next_values
        for parameter, launches in schedule.copies.items():
            places = self._value(values[parameter]), self._value(parameter)
            self._add_copy(launches, *places, f"update {value_name(parameter)}")

    def _add_steps(self) -> None:
        """All rows: those of a tile or branch after a row that counts them."""
        heads = self._heads()
        open_: list[tuple[int, _Head]] = []  # heads' rows
        for index, step in enumerate(self.scope.schedule.steps):
            for head in heads:
                if head.first == index:
                    open_.append((len(self.rows), head))
                    self.rows.append(head.row)
            self._add_step(step)
            while open_ and open_[-1][1].last == index:
                start, head = open_.pop()
                self.rows[start] = replace(head.row, rows=len(self.rows) - 1 - start)

    def _heads(self) -> list[_Head]:
        """Tiles and branches, those that hold others before them."""
        heads = [
            _Head(tile.first, tile.last, TileRow(0, tile.samples, tile.least, unit=tile.unit))
            for tile in self.tiles
        ]
        heads += [
            _Head(branch[0], branch[-1], BranchRow(0, number, fork.most))
            for number, fork in enumerate(self.scope.schedule.forks)
            for branch in fork.branches
        ]
        return sorted(heads, key=lambda head: (head.first, -head.last))

    def _add_step(self, step: Step) -> None:
        if step.loop is not None:
            self._add_loop(step, step.loop)
        if step.branches:
            self._add_choice(step)
        for launch in step.launches:
            for arg in launch.args:
                if isinstance(arg, Address) and arg.packing is not None:
                    self._pack(step.operands[arg.index], arg.packing, step.label)
            self._add_launch(launch, partial(self._place, step), len(step.operands), step.label)

    def _add_launch(
        self, launch: Launch, place: Callable[[Address], Location], results: int, label: str
    ) -> None:
        """Adds a row; the launch writes its operands from index ``results`` on."""
        places = {arg: place(arg) for arg in launch.args if isinstance(arg, Address)}
        read = dict.fromkeys(p.slot for arg, p in places.items() if arg.index < results)
        written = dict.fromkeys(p.slot for arg, p in places.items() if arg.index >= results)
        self.slots.touch((*read, *written))
        self.rows.append(
            LaunchRow(
                self._kernel(launch.kernel),
                tuple(places[a] if isinstance(a, Address) else a for a in launch.args),
                tuple(read),
                tuple(written),
                label,
                launch.flops,
                launch.bytes,
                launch.kernel.body.fills_halo,
                launch.grid,
            )
        )

    def _add_copy(
        self, launches: Iterable[Launch], source: Location, to: Location, label: str
    ) -> None:
        """Rows of launches from slot 0 to slot 1."""
        for launch in launches:
            self._add_launch(launch, partial(self._among, (source, to)), 1, label)

    def _pack(self, node: Node, packing: Packing, label: str) -> None:
        """Adds a row that packs an operand computed at run time, unless there is one already."""
        scope = self.scope
        if scope.schedule.weight(node) is not None or (node, packing) in scope.packed:
            return
        source, layout = self._value(node), scope.schedule.layouts[node]
        assert isinstance(layout, Layout), "what is packed has no gaps between its rows"
        type_ = TensorType(node.dtype, (packing.elements(node.tensor_type),))
        panels = self.slots.add(f"packed {value_name(node)}", ARENA, type_)
        scope.packed[node, packing] = panels
        self._add_copy([packing.launch(layout)], source, panels, f"pack ({label})")

    # Loops

    def _add_loop(self, step: Step, loop: Loop) -> None:
        """The carries' starts, the rows of a step after one that counts them, the last carries.

        If the loop is laid out, the rows of all steps are there instead, one after another.
        """
        node, label = step.node, step.label
        outer = operands_of(node, node.inputs)
        items = {item.attrs["index"]: item for item in step.results}
        types = (carry.both.type for carry in loop.carries)
        carries = [self.slots.add(f"carry of {label}", ARENA, type_) for type_ in types]
        for launches, start, carry in zip(loop.starts, outer.carries, carries, strict=True):
            self._add_copy(launches, self._any_value(start), carry, label)
        inner = self._scope_of(step, loop, carries, items)
        head = len(self.rows)
        places = [inner.values[value] for value in loop.body.graph.inputs[: len(carries)]]
        if loop.steps is None:
            self._add_body(GuardRow(0, places[0], 1, True, label), inner)
            # A row behind the loop reads where its next step would.
            lasts = places
        else:
            self._add_body(LoopRow(0, loop.steps, label), inner)
            ways = [loop.steps % 2 * carry.apart for carry in loop.carries]
            lasts = [Location(p.slot, way) for p, way in zip(carries, ways, strict=True)]
        if loop.laid_out:
            self._lay_out(head)
        # Whatever a laid-out step makes, the next one makes again.
        self.slots.keep_through(head, len(self.rows) if loop.laid_out else head)
        for index, (launches, last) in enumerate(zip(loop.finals, lasts, strict=True)):
            if launches:
                self._add_copy(launches, last, self._value(items[index]), label)

    def _lay_out(self, head: int) -> None:
        """Puts the rows of all trips in the place of the loop at row ``head``, the last."""
        loop, *step = self.rows[head:]
        assert isinstance(loop, LoopRow), "what goes on as data decide is no sequence of trips"
        assert isinstance(loop.trips, int), "loops of unknown length are no rows"
        depth, trips = self.scope.loops, range(loop.trips)
        self.rows[head:] = (row for trip in trips for row in at_trip(step, depth, trip))

    def _add_body(self, row: LoopRow | GuardRow, scope: _Scope) -> None:
        """The rows of a schedule within another, after ``row``, which counts them."""
        head = len(self.rows)
        if isinstance(row, GuardRow):
            self.slots.touch((row.flag.slot,))
        self.rows.append(row)
        around, self.scope = self.scope, scope
        for each in scope.schedule.steps:
            self._add_step(each)
        self.scope = around
        self.rows[head] = replace(row, rows=len(self.rows) - 1 - head)

    def _add_choice(self, step: Step) -> None:
        """The rows of both branches, each behind a guard; they write the same results."""
        node, around = step.node, self.scope
        items = {item.attrs["index"]: item for item in step.results}
        flag, captured = self._any_value(node.inputs[0]), node.inputs[1:]
        outputs = step.branches[0].graph.outputs
        made = (step.branches[0].layouts[value] for value in outputs)
        places = [self._result(items.get(i), each, step.label) for i, each in enumerate(made)]
        for wanted, branch in zip((1, 0), step.branches, strict=True):
            known = dict(zip(branch.graph.outputs, places, strict=True))
            scope = _Scope(branch, known, loops=around.loops + 1)
            self._capture(scope, zip(branch.graph.inputs, captured, strict=True), step.label)
            self._add_body(GuardRow(0, flag, wanted, False, step.label), scope)

    def _scope_of(
        self, step: Step, loop: Loop, carries: Sequence[Location], items: Mapping[int, Node]
    ) -> _Scope:
        """The scope of a loop's steps: the locations of values shared with the graph around."""
        node, around = step.node, self.scope
        outer, own = operands_of(node, node.inputs), operands_of(node, loop.body.graph.inputs)
        results = loop.body.graph.outputs[len(carries) :]
        scope = _Scope(loop.body, self._carried(loop, carries), loops=around.loops + 1)
        for value, sequence in zip(own.sequences, outer.sequences, strict=True):
            layout = around.schedule.layouts[sequence]
            scope.values[value] = self._sliced(node, self._any_value(sequence), layout)
        for index, (value, layout) in enumerate(zip(results, loop.stacked, strict=True)):
            place = self._result(items.get(len(carries) + index), layout, step.label)
            scope.values[value] = self._sliced(node, place, layout)
        self._capture(scope, zip(own.captured, outer.captured, strict=True), step.label)
        return scope

    def _capture(self, scope: _Scope, pairs: Iterable[tuple[Node, Node]], label: str) -> None:
        """Where the inputs of a body lie that stand for values around it, packed where it wants
        them so."""
        captured = {value: n for value, n in pairs if value not in scope.schedule.weights}
        for value, packing in packings(scope.schedule):
            if value in captured:
                self._pack(captured[value], packing, label)
                scope.packed[value, packing] = self.scope.packed[captured[value], packing]
        scope.values |= {value: self._value(n) for value, n in captured.items()}

    def _carried(self, loop: Loop, carries: Sequence[Location]) -> dict[Node, Location]:
        """Each step reads a carry where the last step wrote it, and writes to the other buffer."""
        graph, depth = loop.body.graph, self.scope.loops
        found = {}
        for index, (place, carry) in enumerate(zip(carries, loop.carries, strict=True)):
            there, back = (Move(depth, carry.apart * way, alternate=True) for way in (1, -1))
            found[graph.inputs[index]] = _moving(place, 0, there)
            found[graph.outputs[index]] = _moving(place, carry.apart, back)
        return found

    def _result(self, item: Node | None, layout: Placed, label: str) -> Location:
        """The memory of a result of a loop or choice, even if nothing reads it."""
        if item is not None:
            return self._value(item)
        return self.slots.add(f"unread of {label}", ARENA, layout.type)

    def _sliced(self, node: Node, whole: Location, layout: Placed) -> Location:
        """The slice that the first step reads of a sequence; each further step reads the next."""
        stride = layout.strides[node.attrs["axis"]] * layout.type.dtype.itemsize
        if not node.attrs["reverse"]:
            return _moving(whole, 0, Move(self.scope.loops, stride))
        return _moving(whole, (steps_of(node) - 1) * stride, Move(self.scope.loops, stride * -1))

    # Places

    def _place(self, step: Step, address: Address) -> Location:
        """Where an operand or result of a step lies."""
        node = _value(step, address.index)
        if address.packing is None or self.scope.schedule.weight(node) is not None:
            found = self._any_value(node, address.packing)
        else:
            found = self.scope.packed[node, address.packing]
        return _moving(found, address.offset * node.dtype.itemsize)

    def _among(self, places: Sequence[Location], address: Address) -> Location:
        place = places[address.index]
        return _moving(place, address.offset * self.slots.itemsize(place))

    def _any_value(self, node: Node, packing: Packing | None = None) -> Location:
        """Where a value lies, a weight perhaps."""
        weight = self.scope.schedule.weight(node)
        return (
            self._value(node) if weight is None else self.slots.constant(Prepared(weight, packing))
        )

    def _value(self, node: Node) -> Location:
        owner = self.scope.schedule.owners[node]
        weight = self.scope.schedule.weight(owner)
        if weight is not None:
            return self.slots.constant(Prepared(weight))
        known = self.scope.values.get(owner)
        return self._add_value(owner, ARENA) if known is None else known

    def _add_value(self, node: Node, kind: str) -> Location:
        layout = self.scope.schedule.layouts[node]
        assert isinstance(layout, Layout), "a strided view has no memory of its own"
        place = self.slots.add(value_name(node), kind, layout.type, layout)
        self.scope.values[node] = place
        return place

    def _kernel(self, kernel: Kernel) -> int:
        return self.kernels.setdefault(kernel, len(self.kernels))


def packings(schedule: Schedule) -> Iterator[tuple[Node, Packing]]:
    """The operands that the kernels of a schedule, its loops' included, want in panels."""
    for step in schedule.steps:
        for launch in step.launches:
            for arg in launch.args:
                if isinstance(arg, Address) and arg.packing is not None:
                    yield step.operands[arg.index], arg.packing
        for body in step.bodies:
            # All operands, but for the one that decides between branches.
            captured = step.node.inputs[-len(body.graph.inputs) :] if body.graph.inputs else ()
            outer = dict(zip(body.graph.inputs, captured, strict=True))
            inner = packings(body)
            yield from ((outer[node], packing) for node, packing in inner if node in outer)


def _moving(place: Location, bytes_: Size, *moves: Move) -> Location:
    return Location(place.slot, place.offset + bytes_, (*place.moves, *moves))


def _value(step: Step, slot: int) -> Node:
    operands = len(step.operands)
    return step.operands[slot] if slot < operands else step.results[slot - operands]
