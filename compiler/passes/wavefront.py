"""Wavefront: stacked loops are cut into pieces of some steps, of which those of one loop can run
beside later ones of the loop that it reads.

    %0 = scan(%h, %x, $u, carries=1, sequences=1) {...}                   %x: f32[N, 8, 4]
    %1 = scan(%h, item(%0, index=1), $v, carries=1, sequences=1) {...}
    return item(%1, index=0)
    -->
    %0 = scan(%h, slice(%x, start=(0, 0, 0), stop=(N, 4, 4)), $u, carries=1, sequences=1) {...}
    %1 = scan(%h, item(%0, index=1), $v, carries=1, sequences=1) {...}
    %2 = scan(item(%0, index=0), slice(%x, start=(0, 4, 0), stop=(N, 8, 4)), $u, ...) {...}
    %3 = scan(item(%1, index=0), item(%2, index=1), $v, carries=1, sequences=1) {...}
    return item(%3, index=0)

Here %1 and %2 do not read one another. The steps are the same, in the same order, and so are the
bits. What ``hoist`` takes out of a loop it then takes out of each piece: the projection of a piece
is one product of all of its steps, and is not in the way of the next layer. That is why pieces have
more than one step.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ...runtime.config import config
from ..context import Context
from ..decisions import Decision, Refusal
from ..ir.graph import Graph, Node, on_operands, origin_scope, post_order
from ..ir.rewrite import rebuild
from ..ops.building import pieces
from ..ops.core import ITEM
from ..ops.registry import ops
from ..ops.stepping import AUTO, Nodes, items_of, operands_of, steps_of
from ..units import count_of
from .loops import loop_of
from .waves import Stack, Timing


def wavefront(graph: Graph, context: Context[Any]) -> Graph:
    """Cuts stacked loops into pieces; see the module's docstring."""
    new: dict[Node, Node] = {}
    for stack in _stacks(graph):
        refusal = _refusal(stack, graph)
        plan = None if refusal else Timing(stack, context.target).best()
        if plan is not None and not plan.pays:
            refusal = "LITTLE_GAIN", plan.compared
        if plan is None or refusal is not None:
            _decide(stack, context, "declined", refusal)
            continue
        _cut(stack, plan.pieces, graph, new)
        detail = f"{count_of(plan.pieces, 'piece')} of {steps_of(stack[0])} steps: {plan.compared}"
        _decide(stack, context, "skewed", ("IDLE_THREADS", detail))
    if not new:
        return graph
    rebuild(graph.nodes, new)
    return graph.with_outputs(new[node] for node in graph.outputs)


def _decide(stack: Stack, context: Context[Any], action: str, why: Refusal | None) -> None:
    assert why is not None
    layers = tuple(dict.fromkeys(layer for scan in stack for layer in scan.layers))
    pattern = "+".join(["scan"] * len(stack))
    context.decisions.add(Decision("wavefront", pattern, layers, action, *why))


# Which loops


def _stacks(graph: Graph) -> tuple[Stack, ...]:
    """Loops of which each but the first reads, step by step, results of others before it.

    Those that go through their steps in other ways are stacks of two, which are declined.
    """
    stacks: list[list[Node]] = []
    unlike: list[Stack] = []
    below = _loops_below(graph)
    for scan in (node for node in graph.nodes if node.op is ops.scan):
        read = [stack for stack in stacks if _reads_step_by_step(scan, stack, below)]
        like = [stack for stack in read if _way(stack[0]) == _way(scan)]
        if like:
            like[0].append(scan)
            continue
        stacks.append([scan])
        unlike += [(stack[-1], scan) for stack in read]
    return (*(tuple(stack) for stack in stacks if len(stack) > 1), *unlike)


def _way(scan: Node) -> tuple[int, bool]:
    return scan.attrs["axis"], scan.attrs["reverse"]


def _loops_below(graph: Graph) -> dict[Node, frozenset[Node]]:
    """For each node the loops that it is computed from."""
    found: dict[Node, frozenset[Node]] = {}
    for node in graph.nodes:
        own = frozenset({node} if node.op is ops.scan else ())
        found[node] = own.union(*(found[operand] for operand in node.inputs))
    return found


def _reads_step_by_step(
    scan: Node, stack: Sequence[Node], below: Mapping[Node, frozenset[Node]]
) -> bool:
    """Whether a sequence of ``scan`` is a result of a loop of ``stack``, and nothing else that it
    reads depends on one."""
    direct = [n for n in operands_of(scan, scan.inputs).sequences if _is_result(n, stack)]
    others = (below[n] for n in scan.inputs if n not in direct)
    return bool(direct) and all(loops.isdisjoint(stack) for loops in others)


def _is_result(node: Node, stack: Collection[Node]) -> bool:
    """Whether ``node`` is what a loop of ``stack`` stacks, over all of its steps."""
    if node.op is not ITEM or node.inputs[0] not in stack:
        return False
    return bool(node.attrs["index"] >= node.inputs[0].attrs["carries"])


def _refusal(stack: Stack, graph: Graph) -> Refusal | None:
    first, steps = stack[0], steps_of(stack[0])
    if any(scan.attrs["reverse"] != first.attrs["reverse"] for scan in stack):
        return "OTHER_DIRECTION", "one goes through the steps forwards, another backwards"
    if any(scan.attrs["axis"] != first.attrs["axis"] for scan in stack):
        return "OTHER_AXIS", "they do not go through the steps of the same axis"
    if any(scan.attrs["unroll"] != AUTO for scan in stack):
        return "UNROLLED", "it is asked for that one is unrolled as it is"
    if not isinstance(steps, int):
        return "UNKNOWN_LENGTH", f"of {steps} steps: pieces of few cost more than they save"
    if steps < 2:
        return "ONE_STEP", "there is nothing beside which a second loop could run"
    whole = _read_whole(stack, graph)
    if whole is not None:
        return "READ_WHOLE", f"{whole.op.name} reads all steps of a loop below another"
    if config.threads < 2:
        return "ONE_THREAD", "there is no thread beside it"
    return None


def _read_whole(stack: Stack, graph: Graph) -> Node | None:
    """What reads the stacked results of a loop that another reads, and is not of the stack; or a
    loop that reads those of the last."""
    for scan in stack:
        results = [item for item in graph.users[scan] if _is_result(item, stack)]
        users = [user for item in results for user in graph.users[item]]
        inner = any(user in stack for user in users)
        for user in users:
            if user not in stack and (inner or user.op is ops.scan):
                return user
        if inner and any(item in graph.results for item in results):
            return scan
    return None


# The pieces


def _cut(stack: Stack, count: int, graph: Graph, new: dict[Node, Node]) -> None:
    """Enters in ``new`` what stands for the results of the loops of ``stack``, in ``count``
    pieces."""
    items = {item: scan for scan in stack for item in graph.users[scan]}
    around = tuple(dict.fromkeys(n for scan in stack for n in scan.inputs if n not in items))
    rebuild(post_order(around, ends=new), new)
    made = _Pieces(stack, count, new)
    with origin_scope():
        made.build()
    for item, scan in items.items():
        new[item] = made.result(scan, item.attrs["index"])
    new.update((scan, scan) for scan in stack)  # of which nothing is left


class _Pieces:
    """The pieces of a stack. ``parts`` has, of sequences and of loops' results, those of each, in
    the order of time."""

    def __init__(self, stack: Stack, count: int, new: Mapping[Node, Node]) -> None:
        self.stack = stack
        self.axis: int = stack[0].attrs["axis"]
        steps = steps_of(stack[0])
        assert isinstance(steps, int), "loops of unknown length are declined"
        cuts = [steps * i // count for i in range(count + 1)]
        self.sizes = [high - low for low, high in pairwise(cuts)]
        self.loops = {
            scan: loop_of(on_operands(scan, [new.get(n, n) for n in scan.inputs])) for scan in stack
        }
        self.carries: dict[Node, Nodes] = {scan: self.loops[scan].starts for scan in stack}
        self.parts: dict[tuple[Node, int], dict[int, Node]] = {}
        self.cut: dict[Node, list[Node]] = {}

    def build(self) -> None:
        numbers = range(len(self.sizes))
        for number in reversed(numbers) if self.stack[0].attrs["reverse"] else numbers:
            for scan in self.stack:
                with origin_scope(*scan.origins):
                    self._add(scan, number)

    def _add(self, scan: Node, number: int) -> None:
        """One piece of one loop, which begins with what the piece before it ended with."""
        loop, count = self.loops[scan], len(self.carries[scan])
        own = operands_of(scan, scan.inputs).sequences
        pairs = zip(own, loop.sequences, strict=True)
        sequences = tuple(self._piece(node, whole, number) for node, whole in pairs)
        piece = replace(loop, starts=self.carries[scan], sequences=sequences)
        results = items_of(piece.closed())
        self.carries[scan] = results[:count]
        for index, result in enumerate(results[count:], count):
            self.parts.setdefault((scan, index), {})[number] = result

    def _piece(self, node: Node, whole: Node, number: int) -> Node:
        """What the loops read as ``node``: a piece of ``whole``, or of what a loop made."""
        if _is_result(node, self.stack):
            return self.parts[node.inputs[0], node.attrs["index"]][number]
        if node not in self.cut:
            self.cut[node] = pieces(whole, self.axis, self.sizes)
        return self.cut[node][number]

    def result(self, scan: Node, index: int) -> Node:
        """Result ``index`` of a loop: of the last piece, or of all of them."""
        if index < len(self.carries[scan]):
            return self.carries[scan][index]
        parts = self.parts[scan, index]
        with origin_scope(*scan.origins):
            return ops.concatenate(*(parts[i] for i in sorted(parts)), axis=self.axis)
