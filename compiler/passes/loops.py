"""Shared by the passes over loops: scans taken apart, rewrites by which results are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..ir.graph import Graph, Node, on_operands, post_order
from ..ir.rewrite import remade, substituted
from ..ops.core import ITEM
from ..ops.registry import ops
from ..ops.stepping import (
    MANNER,
    Nodes,
    ScanStep,
    Unroll,
    close_scan,
    items_of,
    open_scan,
    operands_of,
)

Results: TypeAlias = Sequence["Node | None"]
Change: TypeAlias = Callable[[Node, Collection[int]], Results]


@dataclass(frozen=True)
class Loop:
    """A scan taken apart: its step, the initial carries, the sequences it runs over."""

    step: ScanStep
    starts: Nodes
    sequences: Nodes
    axis: int
    reverse: bool
    least: int
    unroll: Unroll

    @property
    def outputs(self) -> Nodes:
        return (*self.step.new_state, *self.step.results)

    def with_outputs(self, outputs: Sequence[Node]) -> Loop:
        """The same loop with other outputs of the step, with as many carries as before."""
        count = len(self.step.state)
        new_state, results = tuple(outputs[:count]), tuple(outputs[count:])
        return replace(self, step=replace(self.step, new_state=new_state, results=results))

    def closed(self) -> Node:
        return close_scan(
            self.step,
            self.starts,
            self.sequences,
            axis=self.axis,
            reverse=self.reverse,
            least=self.least,
            unroll=self.unroll,
        )


def loop_of(node: Node) -> Loop:
    """The scan ``node``, taken apart."""
    outer = operands_of(node, node.inputs)
    how = {key: node.attrs[key] for key in MANNER}
    return Loop(open_scan(node), outer.carries, outer.sequences, **how)


def rewrite_scans(graph: Graph, change: Change) -> Graph:
    """``graph`` with the results of each scan replaced by those that ``change`` returns.

    ``change`` gets scans whose operands are new already, and the numbers of the results that are
    read; it may give None for the others.
    """
    results: dict[Node, Results] = {}

    def make(node: Node, operands: Sequence[Node]) -> Node:
        if node.op is ITEM and node.inputs[0] in results:
            result: Node | None = results[node.inputs[0]][node.attrs["index"]]
            assert result is not None, f"result {node.attrs['index']} of a loop is used"
            return result
        same = on_operands(node, operands)
        if node.op is ops.scan:
            results[node] = change(same, used_results(node, graph))
        return same

    return remade(graph, make)


def used_results(node: Node, graph: Graph) -> frozenset[int]:
    """The numbers of the results of ``node`` that something reads."""
    return frozenset(user.attrs["index"] for user in graph.users[node])


def readers(
    outputs: Sequence[Node], leaves: Collection[Node], outside: Collection[Node] = ()
) -> dict[Node, None]:
    """The nodes under ``outputs`` that depend on ``leaves``, operands first, none ``outside``."""
    seen = set(leaves)
    found: dict[Node, None] = {}
    for node in post_order(outputs, ends=outside):
        if any(operand in seen for operand in node.inputs):
            seen.add(node)
            found[node] = None
    return found


def read_by(
    outputs: Sequence[Node], leaves: Collection[Node], outside: Collection[Node]
) -> frozenset[Node]:
    """Those of ``leaves`` that ``outputs`` are computed from, none of them beyond ``outside``."""
    return frozenset(leaves).intersection(post_order(outputs, ends=outside))


def tightened(loop: Loop, used: Collection[int]) -> tuple[Results, Node | None]:
    """The results of ``loop``, those not in ``used`` None, and the scan of no more than they need.

    It removes carries that no used result depends on, unread results, and sequences that no step
    reads. A carry that never changes becomes a captured value, a result that is a slice of a
    sequence becomes that sequence, and equal results are stacked once.
    """
    loop = _over_distinct(_without_still_carries(loop))
    step, count = loop.step, len(loop.starts)
    known = dict(zip(step.slices, loop.sequences, strict=True))
    wanted = {r for i, r in enumerate(step.results) if count + i in used}
    stacked = tuple(dict.fromkeys(r for r in step.results if r in wanted and r not in known))
    moving = _moving_carries(loop, used, stacked)
    scan = _narrowed(loop, moving, stacked)
    made = () if scan is None else items_of(scan)
    known.update(zip(stacked, made[len(moving) :], strict=True))
    still = {i: loop.starts[i] for i in range(count) if _is_still(loop, i)}
    finals = still | dict(zip(moving, made, strict=False))
    results = (known[r] if r in wanted else None for r in step.results)
    return (*(finals.get(i) for i in range(count)), *results), scan


def _is_still(loop: Loop, index: int) -> bool:
    return loop.step.new_state[index] in (loop.step.state[index], loop.starts[index])


def _without_still_carries(loop: Loop) -> Loop:
    """The start takes the place of each carry that no step changes.

    Then it may be seen of others: a step that hands on what is the start of both.
    """
    step = loop.step
    number = {state: i for i, state in enumerate(step.state)}
    outside = step.outside
    while read := read_by(
        loop.outputs, [s for s in step.state if _is_still(loop, number[s])], outside
    ):
        still = {state: loop.starts[number[state]] for state in read}
        outputs = substituted(loop.outputs, still, outside)
        outside = outside | {*still.values()}
        loop = replace(loop, step=replace(loop.step, outside=outside)).with_outputs(outputs)
    return loop


def _over_distinct(loop: Loop) -> Loop:
    """Merges equal sequences, so that a step reads one slice of each."""
    first: dict[Node, Node] = {}
    same = {}
    for slice_, sequence in zip(loop.step.slices, loop.sequences, strict=True):
        if first.setdefault(sequence, slice_) is not slice_:
            same[slice_] = first[sequence]
    if not same:
        return loop
    return loop.with_outputs(substituted(loop.outputs, same, loop.step.outside))


def _moving_carries(loop: Loop, used: Collection[int], results: Sequence[Node]) -> tuple[int, ...]:
    """The carries that a used final carry or one of ``results`` depends on."""
    step = loop.step
    number = {state: i for i, state in enumerate(step.state)}
    needed: set[int] = set()
    waiting = {i for i in used if i < len(step.state)}
    waiting |= {number[state] for state in read_by(results, step.state, step.outside)}
    while waiting:
        needed |= waiting
        read = read_by([step.new_state[i] for i in waiting], step.state, step.outside)
        waiting = {number[state] for state in read} - needed
    return tuple(i for i in sorted(needed) if not _is_still(loop, i))


def _narrowed(loop: Loop, carries: Sequence[int], results: Nodes) -> Node | None:
    """The scan of these ``carries`` and ``results`` alone; None if there are none."""
    if not carries and not results:
        return None
    step = loop.step
    new_state = tuple(step.new_state[i] for i in carries)
    read = read_by((*new_state, *results), step.slices, step.outside)
    pairs = zip(step.slices, loop.sequences, strict=True)
    # One sequence always stays, because its length is the number of steps.
    kept = [pair for pair in pairs if pair[0] in read] or [(step.slices[0], loop.sequences[0])]
    narrow = replace(
        loop,
        step=ScanStep(
            tuple(step.state[i] for i in carries),
            tuple(s for s, _ in kept),
            new_state,
            results,
            step.outside,
        ),
        starts=tuple(loop.starts[i] for i in carries),
        sequences=tuple(s for _, s in kept),
    )
    return narrow.closed()
