"""From the groups of a schedule to launches: what a target's templates make of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from ..ir.graph import Graph, Node
from ..ir.types import Size
from ..loops.layout import Address, Argument, Launch, Placed, StridedView
from ..ops.core import copy, fuse_nodes, input_
from ..ops.stepping import operands_of
from .schedule import Loop, Schedule, Step


class Lowering(ABC):
    """What lowering asks of a target."""

    @abstractmethod
    def lower(
        self, body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
    ) -> tuple[Launch, ...]:
        """The launches that compute ``body``, a group; raises ``IRError`` if no template can."""


def lower(schedule: Schedule, target: Lowering) -> Schedule:
    """The same schedule with the launches of its steps, its loops' included, and of its copies.

    Groups that are equal and lie alike are lowered once. Raises ``IRError`` if a group cannot be.
    """
    return _Lowerer(target).schedule(schedule)


class _Lowerer:
    """Remembers what the target made of each group."""

    def __init__(self, target: Lowering) -> None:
        self._at_start = cache(target.lower)

    def schedule(self, known: Schedule) -> Schedule:
        layouts = known.layouts
        copies = {
            parameter: self._copy(layouts[value], layouts[parameter])
            for parameter, value in known.graph.next_values.items()
            if parameter not in known.overwritten
        }
        steps = tuple(self._step(step, layouts) for step in known.steps)
        return replace(known, steps=steps, copies=copies)

    def _step(self, step: Step, layouts: Mapping[Node, Placed]) -> Step:
        if step.loop is not None:
            return replace(step, loop=self._loop(step, step.loop, layouts))
        assert step.body is not None
        operands = tuple(layouts[node] for node in step.operands)
        results = tuple(layouts[node] for node in step.results)
        return replace(step, launches=self._lower(step.body, operands, results))

    def _lower(
        self, body: Graph, operands: tuple[Placed, ...], results: tuple[Placed, ...]
    ) -> tuple[Launch, ...]:
        """The launches of views from the start of their memory, moved to where they begin."""
        places = (*operands, *results)
        origins = [place.origin if isinstance(place, StridedView) else 0 for place in places]
        if all(origin == 0 for origin in origins):
            return self._at_start(body, operands, results)
        starts = [
            replace(place, origin=0) if isinstance(place, StridedView) else place
            for place in places
        ]
        count = len(operands)
        launches = self._at_start(body, tuple(starts[:count]), tuple(starts[count:]))
        return tuple(_moved(launch, origins) for launch in launches)

    def _loop(self, step: Step, loop: Loop, layouts: Mapping[Node, Placed]) -> Loop:
        first = operands_of(step.node, step.operands).carries
        items = {item.attrs["index"]: item for item in step.results}
        places = [carry.place for carry in loop.carries]
        starts = (self._copy(layouts[n], place) for n, place in zip(first, places, strict=True))
        finals = (
            self._copy(place, layouts[items[i]]) if i in items else ()
            for i, place in enumerate(places)
        )
        body = self.schedule(loop.body)
        return replace(loop, body=body, starts=tuple(starts), finals=tuple(finals))

    def _copy(self, source: Placed, to: Placed) -> tuple[Launch, ...]:
        """The launches that copy slot 0 to slot 1."""
        value = input_("x", source.type)
        moved = copy(value)
        body: Graph = fuse_nodes((moved,), (moved,), "copy").attrs["body"]
        return self._lower(body, (source,), (to,))


def _moved(launch: Launch, origins: Sequence[Size]) -> Launch:
    """``launch`` with operands and results that begin so many elements further on."""
    return replace(launch, args=tuple(_further(arg, origins) for arg in launch.args))


def _further(arg: Argument, origins: Sequence[Size]) -> Argument:
    # What is packed has memory of its own.
    if not isinstance(arg, Address) or arg.packing is not None:
        return arg
    return replace(arg, offset=arg.offset + origins[arg.index])


def kernel_name(body: Graph) -> str:
    """``conv2d_add_relu``: the ops of a group, shortened when they are many."""
    names = [node.op.name for node in body.nodes if node.inputs]
    return "_".join(names) if len(names) <= 6 else "_".join([*names[:5], f"and_{len(names) - 5}"])


def describe(body: Graph) -> str:
    """The group's ops with their operand types, for an error."""
    return "; ".join(_describe(node) for node in body.nodes if node.inputs)


def _describe(node: Node) -> str:
    types = ", ".join(str(operand.type) for operand in node.inputs)
    return f"{node.op.name}({types})"
