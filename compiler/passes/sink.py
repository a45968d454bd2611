"""Loop sinking: sums and results of a loop are computed after it, for all steps at once.

    %0 = scan(%h, %zeros, %x, $u, carries=2, sequences=1) { (%c0, %c1, %x0, %w0)
      %0.0 = tanh(matmul(%c0, %w0))
      %0.1 = matmul(transpose(%x0), %0.0)
      %0.2 = add(%c1, %0.1)
      return %0.0, %0.2
    }
    -->
    %0 = scan(%h, %x, $u, carries=1, sequences=1) { (%c0, %x0, %w0)
      %0.0 = tanh(matmul(%c0, %w0))
      return %0.0, %0.0
    }
    %1 = matmul(transpose(reshape(%x)), reshape(item(%0, index=1)))

The gradient of a weight that a loop reads is such a sum. Computed step by step, it is a product of
few rows that passes over the whole sum in memory each time; computed afterwards, it is one product
over time and batch. The terms must be linear in the values that the steps return instead, which are
stacked.

Products of a step's results with loop-invariant values are computed afterwards, too: the gradients
of a recurrent net's inputs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...runtime.dim import Size
from ..context import Context
from ..decisions import Decision, Decisions
from ..ir.graph import Graph, Node, apply, origin_scope, post_order
from ..ir.kinds import Contraction, Elementwise
from ..ir.rewrite import change_bodies, substituted
from ..ops.building import count, reshaped
from ..ops.core import input_
from ..ops.registry import ops
from ..ops.rules import normal_axes
from ..ops.stepping import is_one_number, items_of, over_all_steps, steps_of
from .batching import StepOperand, batch_steps
from .constants import constant_array
from .equations import addends
from .loops import Results, loop_of, readers, rewrite_scans, tightened


def sink(graph: Graph, context: Context[Any]) -> Graph:
    """Moves sums and results of loops behind them; see the module's docstring."""
    graph = change_bodies(graph, lambda body: sink(body, context))

    def change(node: Node, used: Collection[int]) -> Results:
        return _Sink(node, context.decisions).results(used)

    return rewrite_scans(graph, change)


@dataclass(frozen=True)
class _Sum:
    """A carry that steps only add to: terms to add after the loop, and terms of each step."""

    after: tuple[Node, ...]
    inside: tuple[Node, ...]


class _Sink:
    """One scan. ``stacked`` maps values of a step to nodes outside that hold all steps."""

    def __init__(self, node: Node, decisions: Decisions) -> None:
        self.node = node
        self.decisions = decisions
        self.loop = loop_of(node)
        self.steps = steps_of(node)
        step = self.loop.step
        self.users = _users(self.loop.outputs, step.outside)
        leaves = (*step.state, *step.slices)
        self.varying = {*leaves, *readers(self.loop.outputs, leaves, step.outside)}
        self.stacked: dict[Node, Node] = {}

    def results(self, used: Collection[int]) -> Results:
        count_, step = len(self.loop.starts), self.loop.step
        sums = {i: found for i in range(count_) if i in used and (found := self._sum(i))}
        after = {
            count_ + i: whole
            for i, result in enumerate(step.results)
            if count_ + i in used and (whole := self._afterwards(result))
        }
        if not sums and not after:
            return items_of(self.node)
        ends = (*after.values(), *(total for each in sums.values() for total in each.after))
        beyond = step.outside | {*self.loop.sequences}
        read = set(post_order(ends, ends=beyond))
        stacked = {node: whole for node, whole in self.stacked.items() if whole in read}
        new_state = (self._left(i, sums.get(i)) for i in range(count_))
        rest = replace(step, new_state=tuple(new_state), results=(*step.results, *stacked))
        first = len(self.loop.outputs)
        inside = (set(used) - set(after)) | set(range(first, first + len(stacked)))
        made, _ = tightened(replace(self.loop, step=rest), inside)
        known = {
            whole: node
            for whole, node in zip(stacked.values(), made[first:], strict=True)
            if node is not None
        }
        results = list(made[:first])
        for i, whole in after.items():
            (results[i],) = substituted((whole,), known, beyond)
        for i, each in sums.items():
            results[i] = _added((results[i], *substituted(each.after, known, beyond)))
        return results

    # Sums

    def _sum(self, index: int) -> _Sum | None:
        """The terms added to a carry; None if it is no plain sum, or if no term can be moved."""
        terms = self._terms(index)
        if terms is None:
            return None
        after: list[Node] = []
        inside: list[Node] = []
        for term in terms:
            with origin_scope(*term.origins):
                total = self._total(term)
            if total is None:
                inside.append(term)
            else:
                after.append(total)
                self._record(term, "ONE_SUM", f"one sum over all {self.steps} steps")
        return _Sum(tuple(after), tuple(inside)) if after else None

    def _terms(self, index: int) -> list[Node] | None:
        """The terms that a step adds to a carry which nothing else reads, before or after."""
        carry, node = self.loop.step.state[index], self.loop.step.new_state[index]
        terms: list[Node] = []
        while node is not carry:
            running = [i for i in node.inputs if i is carry or self._contains(i, carry)]
            alone = len(self.users[node]) + self.loop.outputs.count(node) == 1
            if node.op is not ops.add or len(running) != 1 or not alone:
                return None
            (other,) = (i for i in node.inputs if i is not running[0])
            if other.shape != node.shape:
                return None
            terms += addends(other)
            node = running[0]
        alone = len(self.users[carry]) + self.loop.outputs.count(carry) == 1
        return terms if terms and alone else None

    def _contains(self, node: Node, carry: Node) -> bool:
        return node in self.varying and carry in post_order((node,), ends=self.loop.step.outside)

    def _left(self, index: int, found: _Sum | None) -> Node:
        """The new carry, perhaps without the terms that moved."""
        if found is None:
            return self.loop.step.new_state[index]
        return _added((self.loop.step.state[index], *found.inside))

    def _total(self, node: Node) -> Node | None:
        """The sum of ``node`` over all steps, computed outside; None if that does not pay."""
        if node not in self.varying:
            return ops.multiply(node, count((self.steps,), node.dtype))
        if node in self.loop.step.slices:
            return ops.sum(self._sequence(node), axes=(self.loop.axis,))
        if _is_linear(node):
            inner = self._total(node.inputs[0])
            return None if inner is None else apply(node.op, (inner,), node.attrs)
        match node.op:
            case ops.sum:
                return self._total_of_sum(node)
            case ops.matmul if node.tensor_type.rank == 2:
                return self._total_of_matmul(node)
            case ops.transposed_matmul if node.tensor_type.rank == 2:
                return self._total_of_matmul(node)
            case ops.conv2d_kernel_gradient | ops.depthwise_kernel_gradient:
                return self._total_over_images(node)
        return None

    def _total_of_sum(self, node: Node) -> Node | None:
        (x,) = node.inputs
        whole, rank, axis = self._whole(x), x.tensor_type.rank, self.loop.axis
        if whole is None:
            return None
        axes = [a if a < axis else a + 1 for a in normal_axes(node.attrs["axes"], rank)]
        return reshaped(ops.sum(whole, axes=(*axes, axis)), node.shape)

    def _total_of_matmul(self, node: Node) -> Node | None:
        left, right = node.inputs
        if left not in self.varying or right not in self.varying:
            return self._bilinear(node)
        if node.op is ops.transposed_matmul:
            return self._total_of_product(node, left, right)
        if left.op is not ops.transpose or left.attrs["axes"] != (1, 0):
            return None
        return self._total_of_product(node, left.inputs[0], right)

    def _bilinear(self, node: Node) -> Node | None:
        """The product of an invariant operand with the sum of the varying one."""
        inputs = [self._total(i) if i in self.varying else i for i in node.inputs]
        found = [i for i in inputs if i is not None]
        return apply(node.op, found, node.attrs) if len(found) == len(inputs) else None

    def _total_of_product(self, node: Node, left: Node, right: Node) -> Node | None:
        """The rows of all steps as rows of one long product."""
        wholes = [self._whole(left), self._whole(right)]
        if self.loop.axis > 1 or node.attrs.get("split") is not None or None in wholes:
            return None
        one, other = (_rows(whole) for whole in wholes if whole is not None)
        return ops.matmul(ops.transpose(one, axes=(1, 0)), other)

    def _total_over_images(self, node: Node) -> Node | None:
        """Merges time into the batch: the images of all steps become samples."""
        if any(i not in self.varying for i in node.inputs):
            return self._bilinear(node)
        wholes = [self._whole(i) for i in node.inputs]
        if self.loop.axis > 1 or node.attrs["split"] is not None or None in wholes:
            return None
        images = [
            ops.reshape(whole, shape=(whole.shape[0] * whole.shape[1], *whole.shape[2:]))
            for whole in wholes
            if whole is not None
        ]
        return apply(node.op, images, node.attrs)

    # Values of all steps

    def _whole(self, node: Node) -> Node | None:
        """``node`` at all steps: a sequence, or a value that the loop stacks."""
        step, axis = self.loop.step, self.loop.axis
        if node in step.slices:
            return self._sequence(node)
        if node.tensor_type.rank < axis:
            return None
        if node not in self.stacked:
            type_ = over_all_steps(node.tensor_type, axis, self.steps)
            self.stacked[node] = input_("stacked", type_)
        return self.stacked[node]

    def _sequence(self, slice_: Node) -> Node:
        return self.loop.sequences[self.loop.step.slices.index(slice_)]

    def _afterwards(self, node: Node, reader: Node | None = None) -> Node | None:
        """``node`` computed after the loop, if it contains a product; else None."""
        if not self._is_only_for(node, reader):
            return None
        if isinstance(node.op.kind, Contraction):
            moving = {i: self._whole(i) for i in node.inputs if i in self.varying}
            return self._batched(node, moving) if len(moving) == 1 else None
        if not isinstance(node.op.kind, Elementwise):
            return None
        moving = {i: self._afterwards(i, node) for i in node.inputs if i in self.varying}
        if not any(moving.values()):
            return None
        return self._batched(node, {i: whole or self._whole(i) for i, whole in moving.items()})

    def _is_only_for(self, node: Node, reader: Node | None) -> bool:
        """Whether only ``reader`` needs ``node``, or only the loop's caller if that is None."""
        found = set(self.users[node]) if node in self.varying else {node}
        carried = node in self.loop.step.new_state
        handed_out = reader is not None and node in self.loop.step.results
        return not carried and not handed_out and found == ({reader} if reader else set())

    def _batched(self, node: Node, moving: Mapping[Node, Node | None]) -> Node | None:
        wholes = {i: whole for i, whole in moving.items() if whole is not None}
        if len(wholes) < len(moving):
            return None
        operands = [StepOperand(i, wholes.get(i, i), i in wholes) for i in node.inputs]
        with origin_scope(*node.origins):
            found = batch_steps(node, operands, self.loop.axis, self.steps)
        if found is not None:
            self._record(node, "WHOLE_SEQUENCE", f"all {self.steps} steps at once")
        return found

    def _record(self, node: Node, reason: str, detail: str) -> None:
        layers = node.layers or self.node.layers
        pattern = "sum" if node in self.loop.step.slices else node.op.name
        self.decisions.add(Decision("sink", pattern, layers, "sunk", reason, detail))


def _is_linear(node: Node) -> bool:
    """Whether ``node`` is a linear function of one operand."""
    match node.op:
        case ops.negative | ops.reshape | ops.transpose | ops.slice | ops.flip:
            return True
        case ops.pad:
            return bool(node.attrs["value"] == 0)
    return False


def _added(nodes: Sequence[Node | None]) -> Node:
    """The sum of ``nodes`` without those that are zeros."""
    present = [node for node in nodes if node is not None]
    some = [node for node in present if not _is_zero(node)] or present[:1]
    total = some[0]
    for node in some[1:]:
        total = ops.add(total, node)
    return total


def _is_zero(node: Node) -> bool:
    while is_one_number(node) and node.inputs:
        (node,) = node.inputs
    array = constant_array(node)
    return array is not None and array.ndim == 0 and not array.any()


def _rows(node: Node) -> Node:
    """A matrix of every step, and the batch, as one long matrix."""
    rows: Size = node.shape[0] * node.shape[1]
    return ops.reshape(node, shape=(rows, node.shape[2]))


def _users(outputs: Sequence[Node], outside: Collection[Node]) -> dict[Node, tuple[Node, ...]]:
    """For each node under ``outputs``, as far as ``outside``, those that read it."""
    found: dict[Node, dict[Node, None]] = {}
    for node in post_order(outputs, ends=outside):
        found.setdefault(node, {})
        for operand in node.inputs:
            found.setdefault(operand, {})[node] = None
    return {node: tuple(users) for node, users in found.items()}
