"""Orders a graph's groups and decides where each value is stored.

A ``Schedule`` is what remains of the graph once it is a sequence: ``Step`` after ``Step``, each a
group of ops; which values are views of others; which have a halo of zeros around them; and what
is computed from weights alone, once, before all steps. ``lower`` adds the launches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..ir.graph import Graph, Node, bodies_of
from ..ir.kinds import Projection, View
from ..ir.types import Size, TupleType
from ..loops.layout import Launch, Layout, Placed, StridedView, at_index
from ..ops.core import fuse_nodes
from ..ops.registry import ops
from ..ops.stepping import ROWS, operands_of, steps_of
from ..weight_preprocessing import fixed_nodes
from .carry import Carry
from .parts import parts_in_place
from .state import order_updates
from .views import slices_in_place


class LayoutPolicy(ABC):
    """What scheduling asks of a target."""

    @abstractmethod
    def layouts(self, graph: Graph, fixed: frozenset[Node]) -> dict[Node, Layout]:
        """Where each value of ``graph`` lies; those in ``fixed`` are computed before all calls."""


@dataclass(frozen=True)
class Step:
    """One group: the node it computes, the values it reads and makes, its ops, its launches.

    Of a loop the results are those that are used, and in place of a body ``loop`` says how it is
    done. Of a choice ``branches`` are what is done where its first operand holds, and where it does
    not. ``launches`` are none before ``lower``.
    """

    node: Node
    operands: tuple[Node, ...]
    results: tuple[Node, ...]
    body: Graph | None = None
    loop: Loop | None = None
    branches: tuple[Schedule, ...] = ()
    launches: tuple[Launch, ...] = ()

    @property
    def bodies(self) -> tuple[Schedule, ...]:
        """The schedules within: of a loop's step, or of branches."""
        return self.branches if self.loop is None else (self.loop.body,)

    @property
    def waits_for_data(self) -> bool:
        """Whether what is done, or how often, depends on data."""
        return bool(self.branches) or (self.loop is not None and self.loop.steps is None)

    @property
    def label(self) -> str:
        """What the step does and for which layers, e.g. ``conv2d+relu (conv2d_1)``."""
        name = self.node.attrs.get("label") or self.node.op.name
        layers = ", ".join(self.node.layers)
        return f"{name} ({layers})" if layers else str(name)

    @property
    def flops(self) -> Size:
        if self.loop is not None:
            return self.loop.flops
        total: Size = 0
        for launch in self.launches:
            total = total + launch.flops
        for branch in self.branches:
            for step in branch.steps:
                total = total + step.flops
        return total


@dataclass(frozen=True)
class Loop:
    """A scheduled loop: the schedule of a step, run ``steps`` times, with copies before and after.

    ``steps`` is None where the first carry says before each step whether it is taken.
    Of each carry ``starts`` has the launches from the operand (slot 0) to its first place (slot 1),
    ``finals`` those from a place (slot 0) to the result (slot 1): none if that is not used. Both
    are empty before ``lower``. A loop that is ``laid_out`` has rows of its own for each step.
    """

    body: Schedule
    steps: Size | None
    carries: tuple[Carry, ...]
    stacked: tuple[Layout, ...]  # results
    laid_out: bool
    starts: tuple[tuple[Launch, ...], ...] = ()
    finals: tuple[tuple[Launch, ...], ...] = ()

    @property
    def flops(self) -> Size:
        each: Size = 0
        for step in self.body.steps:
            each = each + step.flops
        return each if self.steps is None else each * self.steps


@dataclass(frozen=True)
class BatchTile:
    """Steps ``first`` to ``last`` run ``samples`` at a time; see ``runtime.program.TileRow``."""

    first: int
    last: int
    samples: int
    least: int
    unit: int = 1


@dataclass(frozen=True)
class Fork:
    """Branches beside one another, as numbers of steps; see ``runtime.program.BranchRow``.

    They are worth it up to ``most`` samples.
    """

    branches: tuple[tuple[int, ...], ...]
    most: int


@dataclass(frozen=True)
class Schedule:
    """Steps in order; ``owners`` maps each value to the owner of its buffer.

    ``weights`` are the inputs that stand for weights: those of a loop's body that captured some.
    ``overwritten`` are the updated parameters whose next value takes the place of the old one;
    ``forks`` are in order, the steps of a branch behind one another.
    ``copies`` has, once lowered, the launches that bring the others theirs, from slot 0 to slot 1.
    """

    graph: Graph
    steps: tuple[Step, ...]
    layouts: Mapping[Node, Placed]
    owners: Mapping[Node, Node]
    fixed: frozenset[Node]
    weights: Mapping[Node, Node] = field(default_factory=dict)
    overwritten: frozenset[Node] = frozenset()
    copies: Mapping[Node, tuple[Launch, ...]] = field(default_factory=dict)
    forks: tuple[Fork, ...] = ()

    def weight(self, node: Node) -> Node | None:
        """The preprocessed weight behind ``node``; None if it is computed at each call."""
        return node if node in self.fixed else self.weights.get(node)

    def __str__(self) -> str:
        lines = [f"schedule {self.graph.name}: {len(self.steps)} steps"]
        return "\n".join([*lines, *_lines(self, "  ")])


def _lines(schedule: Schedule, indent: str) -> list[str]:
    lines = []
    for i, step in enumerate(schedule.steps):
        lines.append(f"{indent}{i:3}  {step.label:50}  {_done(step)}")
        for number, body in enumerate(step.bodies):
            if number:
                lines.append(f"{indent}{'':3}  {'otherwise':50}")
            lines += _lines(body, f"{indent}     ")
    return lines


def _done(step: Step) -> str:
    if step.branches:
        return f"if {step.operands[0].op.name}:"
    if step.loop is None:
        return _made(step)
    if step.loop.steps is None:
        return "while it goes on:"
    return (
        f"{step.loop.steps} times, laid out:" if step.loop.laid_out else f"{step.loop.steps} times:"
    )


def _made(step: Step) -> str:
    """The kernels of a step; before it is lowered the types of its results."""
    if not step.launches:
        return ", ".join(str(result.type) for result in step.results)
    kernels = ", ".join(launch.kernel.name for launch in step.launches)
    return f"{kernels}  {step.flops} flops"


def schedule(graph: Graph, target: LayoutPolicy) -> Schedule:
    """The schedule of a legalized graph: in its order, except for updates that have to wait."""
    return _scheduled(graph, target, {}, {})


def _scheduled(
    graph: Graph,
    target: LayoutPolicy,
    placed: Mapping[Node, Placed],
    weights: Mapping[Node, Node],
) -> Schedule:
    """Of a loop's body some values are ``placed`` already, and some inputs are ``weights``."""
    fixed = fixed_nodes(graph)
    layouts = {**target.layouts(graph, fixed), **placed}
    # Only in the body of a loop do kernels read and write values in parts.
    parts = parts_in_place(graph, layouts, fixed) if placed else {}
    in_parts = {part: whole for whole, places in parts.items() for part in places}
    for places in parts.values():
        layouts |= places
    views = slices_in_place(graph, layouts, {*fixed, *placed, *in_parts})
    layouts |= views
    owners = _owners(graph, fixed, views) | in_parts
    known = Schedule(graph, (), layouts, owners, fixed, weights)
    seen = {*fixed, *parts, *views}
    steps = tuple(
        _step(node, known, target)
        for node in graph.nodes
        if node.inputs and node not in seen and not _is_alias(node)
    )
    if not graph.updates:
        return replace(known, steps=steps)
    order, overwritten = order_updates(steps, graph, known.owners)
    return replace(known, steps=tuple(steps[i] for i in order), overwritten=overwritten)


def _is_alias(node: Node) -> bool:
    return isinstance(node.op.kind, (View, Projection))


def _owners(
    graph: Graph, fixed: frozenset[Node], views: Mapping[Node, StridedView]
) -> dict[Node, Node]:
    owners: dict[Node, Node] = {}
    for node in graph.nodes:
        view = node in views or (isinstance(node.op.kind, View) and node not in fixed)
        owners[node] = owners[node.inputs[0]] if view else node
    return owners


def _step(node: Node, known: Schedule, target: LayoutPolicy) -> Step:
    if node.op in (ops.scan, ops.while_loop):
        return _loop_step(node, known, target)
    if node.op is ops.cond:
        return _choice_step(node, known, target)
    group = as_group(node)
    return Step(node, group.inputs, _results(node, known.graph), group.attrs["body"])


def as_group(node: Node) -> Node:
    """A ``fused`` node itself; of any other node, the group it makes alone.

    Its operands may be fewer: each once, and no constants of one element, which are in the body.
    """
    return node if node.op.name == "fused" else fuse_nodes((node,), (node,), node.op.name)


def _results(node: Node, graph: Graph) -> tuple[Node, ...]:
    if not isinstance(node.type, TupleType):
        return (node,)
    items = {user.attrs["index"]: user for user in graph.users[node]}
    return tuple(items[i] for i in range(len(node.type.items)))


# Loops and choices


def _loop_step(node: Node, known: Schedule, target: LayoutPolicy) -> Step:
    items = {user.attrs["index"]: user for user in known.graph.users[node]}
    outer = operands_of(node, node.inputs)
    carries = tuple(Carry(start.tensor_type) for start in outer.carries)
    places = tuple(carry.place for carry in carries)
    stacked = _result_layouts(node, items, known)[len(carries) :]
    body: Graph = node.attrs["body"]
    own = operands_of(node, body.inputs)
    axis: int = node.attrs.get("axis", 0)
    slices = (at_index(known.layouts[n], axis) for n in outer.sequences)
    results = (at_index(layout, axis) for layout in stacked)
    captured = (replace(known.layouts[n], kept=True) for n in outer.captured)
    placed = zip(
        (*body.inputs, *body.outputs),
        (*places, *slices, *captured, *places, *results),
        strict=True,
    )
    weights = _weights(own.captured, outer.captured, known)
    loop_body = _scheduled(body, target, dict(placed), weights)
    steps = steps_of(node) if node.op is ops.scan else None
    laid_out = isinstance(steps, int) and node.attrs["unroll"] == ROWS
    loop = Loop(loop_body, steps, carries, stacked, laid_out)
    return Step(node, node.inputs, tuple(items[i] for i in sorted(items)), loop=loop)


def _choice_step(node: Node, known: Schedule, target: LayoutPolicy) -> Step:
    items = {user.attrs["index"]: user for user in known.graph.users[node]}
    results = _result_layouts(node, items, known)
    captured = node.inputs[1:]
    branches = []
    for _, body in bodies_of(node):
        ends = (*body.inputs, *body.outputs)
        placed = zip(ends, (*(known.layouts[n] for n in captured), *results), strict=True)
        weights = _weights(body.inputs, captured, known)
        branches.append(_scheduled(body, target, dict(placed), weights))
    read = tuple(items[i] for i in sorted(items))
    return Step(node, node.inputs, read, branches=tuple(branches))


def _weights(own: Sequence[Node], outer: Sequence[Node], known: Schedule) -> dict[Node, Node]:
    """Which inputs of a body are weights, of those that stand for ``outer`` values."""
    pairs = zip(own, map(known.weight, outer), strict=True)
    return {value: weight for value, weight in pairs if weight is not None}


def _result_layouts(node: Node, items: Mapping[int, Node], known: Schedule) -> tuple[Layout, ...]:
    assert isinstance(node.type, TupleType)
    found = []
    for index, type_ in enumerate(node.type.items):
        layout = known.layouts[items[index]] if index in items else Layout(type_)
        assert isinstance(layout, Layout), "only the body of a loop has values in parts"
        found.append(layout)
    return tuple(found)
