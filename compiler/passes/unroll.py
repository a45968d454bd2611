"""Loop unrolling: the steps of a loop of known length, laid out one after another.

    %0 = scan(%h, %x, $u, carries=1, sequences=1) { (%c0: f32[N, 8], %x0: f32[N, 8], %w0)
      %0.0 = matmul(%c0, %w0)
      %0.1 = tanh(add(%x0, %0.0))
      return %0.1, %0.1
    }                                                   %x: f32[N, 2, 8]
    -->
    %0 = reshape(slice(%x, start=(0, 0, 0), stop=(N, 1, 8)), shape=(N, 8))
    %1 = tanh(add(%0, matmul(%h, $u)))
    %2 = reshape(slice(%x, start=(0, 1, 0), stop=(N, 2, 8)), shape=(N, 8))
    %3 = tanh(add(%2, matmul(%1, $u)))
    %4 = concatenate(reshape(%1), reshape(%3), axis=1)

Unrolled by k, a loop takes T // k steps, each of which is k of those before. The T % k others come
first, in front of the loop. The first step of all knows the values that the carries start with:
the product of a state of zeros is zeros, and is not computed.

How far is what the scan, or the option ``unroll``, says; else ``unrolling`` chooses by cost. Where
all steps would be many nodes they stay a loop, which the passes that follow optimise as one; it is
marked, and laid out when the program gets its rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..context import Context
from ..decisions import Decision
from ..ir.graph import Graph, Node, apply, on_operands, post_order
from ..ir.kinds import Contraction
from ..ir.rewrite import change_bodies, rebuild
from ..ops.building import full, reshaped, sliced
from ..ops.core import input_
from ..ops.registry import ops
from ..ops.stepping import (
    AUTO,
    ROWS,
    Nodes,
    ScanStep,
    Unroll,
    at_one_step,
    items_of,
    steps_of,
)
from .constants import uniform_value
from .loops import Loop, Results, loop_of, rewrite_scans
from .unrolling import Choice, Unrolling, all_steps, laid_out_as


def unroll(graph: Graph, context: Context[Any]) -> Graph:
    """Unrolls loops of known length; see the module's docstring."""
    graph = change_bodies(graph, lambda body: unroll(body, context))

    def change(node: Node, used: Collection[int]) -> Results:
        steps = steps_of(node)
        wanted = node.attrs["unroll"] if context.unroll is None else context.unroll
        if not isinstance(steps, int):
            context.decisions.add(_unknown(node))
            return items_of(node)
        choice = _choice(node, steps, wanted, context)
        action = "unrolled" if choice.unrolls else "declined"
        context.decisions.add(_decision(node, action, choice.reason, choice.detail))
        if choice.unrolls and not choice.rows:
            return unrolled(node, choice.by)
        return items_of(_marked(node, ROWS if choice.rows else wanted))

    return rewrite_scans(graph, change)


def _choice(node: Node, steps: int, wanted: Unroll, context: Context[Any]) -> Choice:
    if not steps:
        return Choice(1, False, "NO_STEPS", "there is none")
    if wanted == AUTO:
        return Unrolling(node, steps, zero_starts(node), context.target).best()
    if wanted == 1:
        return Choice(1, False, "ASKED", "a loop")
    if isinstance(wanted, str) or wanted >= steps:
        return all_steps(node, steps)
    return Choice(wanted, True, "ASKED", laid_out_as(wanted, steps))


def _marked(node: Node, how: Unroll) -> Node:
    """``node`` that says ``how`` it is unrolled."""
    same = node.attrs["unroll"] == how
    return node if same else apply(node.op, node.inputs, node.attrs | {"unroll": how})


def _unknown(node: Node) -> Decision:
    detail = f"the number of steps, {steps_of(node)}, is known at the call"
    return _decision(node, "declined", "UNKNOWN_LENGTH", detail)


def _decision(node: Node, action: str, reason: str, detail: str) -> Decision:
    return Decision("unroll", "scan", node.layers, action, reason, detail)


def unrolled(node: Node, by: int) -> Nodes:
    """The results of the scan ``node`` with ``by`` steps in one; all laid out where that is all."""
    loop, steps = loop_of(node), steps_of(node)
    assert isinstance(steps, int)
    first = steps if by >= steps else steps % by
    order = range(steps)
    walked = list(reversed(order) if loop.reverse else order)
    ahead = _laid_out(loop, loop.starts, loop.sequences, walked[:first])
    if first == steps:
        return (*ahead.state, *ahead.stacked(loop))
    rest = range(steps - first) if loop.reverse else range(first, steps)
    made = items_of(_by_several(loop, ahead.state, rest, by).closed())
    last, chunks = made[: len(loop.starts)], made[len(loop.starts) :]
    wholes = [_joined_axes(chunk, loop.axis) for chunk in chunks]
    if not first:
        return (*last, *wholes)
    pairs = list(zip(ahead.stacked(loop), wholes, strict=True))
    ordered = (pair[::-1] if loop.reverse else pair for pair in pairs)
    return (*last, *(ops.concatenate(*pair, axis=loop.axis) for pair in ordered))


@dataclass(frozen=True)
class _Steps:
    """Some steps of a loop, laid out: the carries after them, and their results by position."""

    state: Nodes
    results: dict[int, Nodes]

    def stacked(self, loop: Loop) -> Iterator[Node]:
        """Each result over these steps, in the order of the sequences."""
        rows = (self.results[position] for position in sorted(self.results))
        for values in zip(*rows, strict=True):
            yield stacked(values, loop.axis)


def _laid_out(
    loop: Loop, state: Nodes, sequences: Sequence[Node], positions: Iterable[int]
) -> _Steps:
    step, results = loop.step, dict[int, Nodes]()
    order = tuple(post_order(loop.outputs, ends=step.outside))
    for position in positions:
        slices = (one_step(sequence, loop.axis, position) for sequence in sequences)
        known = dict(zip((*step.state, *step.slices), (*state, *slices), strict=True))
        new = rebuild(order, known, _make)
        state = tuple(new[node] for node in step.new_state)
        results[position] = tuple(new[node] for node in step.results)
    return _Steps(state, results)


def _make(node: Node, operands: Nodes) -> Node:
    """``node`` on ``operands``; a product of zeros is none."""
    same = on_operands(node, operands)
    changed = same is not node and isinstance(node.op.kind, Contraction)
    if changed and any(map(_is_zeros, operands[:2])):
        return full(0, same.shape, same.dtype)
    return same


def zero_starts(node: Node) -> frozenset[int]:
    """Which carries of a scan start with zeros."""
    return frozenset(i for i, start in enumerate(loop_of(node).starts) if _is_zeros(start))


def _is_zeros(node: Node) -> bool:
    if node.op in (ops.broadcast_to, ops.reshape):
        return _is_zeros(node.inputs[0])
    return bool(uniform_value(node) == 0)


def _by_several(loop: Loop, state: Nodes, positions: range, by: int) -> Loop:
    """The loop over ``positions`` whose steps are ``by`` of its steps each."""
    axis, count = loop.axis, len(positions) // by
    sequences = tuple(_chunks(s, axis, positions, count) for s in loop.sequences)
    slices = tuple(
        input_(f"x{i}", at_one_step(s.tensor_type, axis)) for i, s in enumerate(sequences)
    )
    order = range(by)
    inside = _laid_out(loop, loop.step.state, slices, reversed(order) if loop.reverse else order)
    results = tuple(inside.stacked(loop))
    step = ScanStep(loop.step.state, slices, inside.state, results, loop.step.outside)
    return replace(loop, step=step, starts=state, sequences=sequences, unroll=1)


def _chunks(sequence: Node, axis: int, positions: range, count: int) -> Node:
    """Those ``positions`` of a sequence, in ``count`` chunks."""
    shape = sequence.shape
    part = sliced(sequence, axis, positions.start, positions.stop)
    by = len(positions) // count
    return reshaped(part, (*shape[:axis], count, by, *shape[axis + 1 :]))


def _joined_axes(chunks: Node, axis: int) -> Node:
    shape = chunks.shape
    steps = shape[axis] * shape[axis + 1]
    return reshaped(chunks, (*shape[:axis], steps, *shape[axis + 2 :]))


# Steps of sequences


def one_step(sequence: Node, axis: int, position: int) -> Node:
    """What a sequence has at one step."""
    shape = sequence.shape
    found = sliced(sequence, axis, position, position + 1)
    return reshaped(found, (*shape[:axis], *shape[axis + 1 :]))


def stacked(values: Sequence[Node], axis: int) -> Node:
    """Values of successive steps, side by side along a new ``axis``."""
    shape = values[0].shape
    wide = [reshaped(value, (*shape[:axis], 1, *shape[axis:])) for value in values]
    return wide[0] if len(wide) == 1 else ops.concatenate(*wide, axis=axis)
