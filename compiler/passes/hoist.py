"""Loop-invariant code motion, and batching over steps: work leaves the bodies of loops.

    %0 = scan(%h, %x, $w, $u, carries=1, sequences=1) { (%c0, %x0, %w0, %w1)
      %0.0 = matmul(%x0, %w0)
      %0.1 = matmul(%c0, %w1)
      %0.2 = tanh(add(%0.0, %0.1))
      return %0.2
    }
    -->
    %0 = matmul(%x, $w)
    %1 = scan(%h, %0, $u, carries=1, sequences=1) { (%c0, %x0, %w0)
      %1.0 = matmul(%c0, %w0)
      %1.1 = tanh(add(%x0, %1.0))
      return %1.1
    }

Loop-invariant values, which depend on neither carries nor sequences, are computed once before the
loop. Values that depend on sequences but on no carry are computed for all steps at once where the
op allows it (``batching``): the projections of a recurrent net become one large matrix product. Ops
that only move data stay inside if nothing outside needs them, because there they cost no pass over
memory.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from math import prod
from typing import Any

from ...runtime.dim import Dim, Size, substitute, symbols_of
from ..context import Context
from ..decisions import Decision, Decisions
from ..ir.graph import Graph, Node, origin_scope
from ..ir.kinds import Movement, View
from ..ir.rewrite import change_bodies, substituted
from ..ir.types import TupleType
from ..ops.building import broadcast, reshaped
from ..ops.core import input_
from ..ops.registry import ops
from ..ops.stepping import ScanStep, is_one_number, items_of, operands_of, steps_of
from .batching import StepOperand, batch_steps
from .loops import Loop, Results, loop_of, readers, rewrite_scans, tightened

TYPICAL = 64  # what symbolic sizes are taken to be where sizes are compared


def hoist(graph: Graph, context: Context[Any]) -> Graph:
    """Moves invariant and batchable ops out of loops; see the module's docstring."""
    graph = change_bodies(graph, lambda body: hoist(body, context))

    def change(node: Node, used: Collection[int]) -> Results:
        return _Hoist(node, context.decisions).results(used)

    return rewrite_scans(graph, change)


class _Hoist:
    """One scan. ``whole`` maps a value of a step to its value over all steps."""

    def __init__(self, node: Node, decisions: Decisions) -> None:
        self.node = node
        self.decisions = decisions
        self.loop = loop_of(node)
        self.steps = steps_of(node)
        step = self.loop.step
        self.varying = readers(self.loop.outputs, (*step.state, *step.slices), step.outside)
        self.moving = readers(self.loop.outputs, step.state, step.outside)
        self.whole = dict(zip(step.slices, self.loop.sequences, strict=True))

    def results(self, used: Collection[int]) -> Results:
        invariant = self._invariant()
        self._batch()
        self._keep_inside()
        batched = [node for node in self.varying if node in self.whole]
        if not invariant and not batched:
            return items_of(self.node)
        self._record(invariant, "LOOP_INVARIANT", "it is the same at every step")
        self._record(batched, "WHOLE_SEQUENCE", f"all {self.steps} steps at once")
        outside = self._results_outside()
        count = len(self.loop.starts)
        inside = {i for i in used if i - count not in outside}
        results = list(tightened(self._remaining(batched), inside)[0])
        for index, result in outside.items():
            results[count + index] = result
        return results

    def _invariant(self) -> list[Node]:
        """The ops in the body that see neither carries nor slices."""
        body: Graph = self.node.attrs["body"]
        own = operands_of(self.node, body.inputs)
        varying = readers(body.outputs, (*own.carries, *own.sequences))
        plain = [n for n in body.nodes if n.inputs and n not in varying]
        return [node for node in plain if not is_one_number(node)]

    def _batch(self) -> None:
        for node in self.varying:
            if node in self.moving or isinstance(node.type, TupleType):
                continue
            if any(i in self.varying and i not in self.whole for i in node.inputs):
                continue
            operands = [StepOperand(i, self.whole.get(i, i), i in self.whole) for i in node.inputs]
            with origin_scope(*node.origins):
                whole = batch_steps(node, operands, self.loop.axis, self.steps)
            if whole is not None:
                self.whole[node] = whole
            elif not _is_free(node):
                detail = f"it cannot be applied with time as axis {self.loop.axis}"
                self._decide(node, "declined", "TIME_AXIS", detail)

    def _keep_inside(self) -> None:
        """Keeps ops in the loop that cost nothing there and that nothing outside needs."""
        needed: set[Node] = set(self.loop.step.results)
        for node in reversed(self.varying):
            if node not in self.whole:
                continue
            if node in needed or not _is_free(node):
                needed.update(node.inputs)
            else:
                del self.whole[node]

    def _results_outside(self) -> dict[int, Node]:
        """The stacked results that can be computed without the loop: by number, for all steps."""
        found: dict[int, Node] = {}
        for index, result in enumerate(self.loop.step.results):
            if result in self.whole:
                found[index] = self.whole[result]
            elif result not in self.varying and result not in self.loop.step.state:
                found[index] = self._repeated(result)
        return found

    def _repeated(self, value: Node) -> Node:
        """``value`` at every step."""
        shape, axis = value.shape, self.loop.axis
        once = reshaped(value, (*shape[:axis], 1, *shape[axis:]))
        return broadcast(once, (*shape[:axis], self.steps, *shape[axis:]))

    def _remaining(self, batched: list[Node]) -> Loop:
        """The loop without the ops that moved out; its steps read slices of their results."""
        step = self.loop.step
        slices = {node: input_(f"x{i}", node.tensor_type) for i, node in enumerate(batched)}
        outputs = substituted(self.loop.outputs, slices, step.outside)
        count = len(step.state)
        seen = (*step.slices, *slices.values())
        rest = ScanStep(step.state, seen, outputs[:count], outputs[count:], step.outside)
        sequences = (*self.loop.sequences, *(self.whole[node] for node in batched))
        return replace(self.loop, step=rest, sequences=sequences)

    def _record(self, nodes: list[Node], reason: str, detail: str) -> None:
        for node in nodes:
            if not _is_free(node):
                self._decide(node, "hoisted", reason, detail)

    def _decide(self, node: Node, action: str, reason: str, detail: str) -> None:
        layers = node.layers or self.node.layers
        self.decisions.add(Decision("hoist", node.op.name, layers, action, reason, detail))


def _is_free(node: Node) -> bool:
    """Whether ``node`` is free inside a loop: a kernel reads its operand at another index."""
    if isinstance(node.op.kind, (Movement, View)):
        return True
    if isinstance(node.type, TupleType):
        return False
    most = max((_elements(i) for i in node.inputs if not isinstance(i.type, TupleType)), default=0)
    return _elements(node) > most and node.op is not ops.matmul


def _elements(node: Node) -> int:
    sizes: list[Size] = list(node.shape)
    known = [substitute(n, dict.fromkeys(symbols_of(n), TYPICAL)) for n in sizes]
    return prod(n for n in known if not isinstance(n, Dim))
