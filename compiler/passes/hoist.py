"""What a loop does the same for every step, or for each step by itself, is done outside of it.

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

Values that depend on neither carries nor sequences are computed once before the loop. Values that
depend on sequences, but on no carry, are computed for all steps at once where the op treats steps
alike (``lifting``): the projections of a recurrent net become one large matrix product. Ops that
only move data stay inside if nothing outside needs them: there they cost no pass over memory.
"""

from __future__ import annotations

from collections.abc import Collection
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
from ..ops.stepping import Step, is_one_number, items_of, parts_of, steps_of
from .lifting import Operand, lift
from .loops import Loop, Results, loop_of, rewrite_scans, tightened

TYPICAL = 64  # what symbolic sizes are taken to be where sizes are compared


def hoist(graph: Graph, context: Context[Any]) -> Graph:
    """Moves out of loops what need not be done in them; see the module's docstring."""
    graph = change_bodies(graph, lambda body: hoist(body, context))

    def change(node: Node, used: Collection[int]) -> Results:
        return _Hoist(node, context.decisions).results(used)

    return rewrite_scans(graph, change)


class _Hoist:
    """One scan. ``whole`` holds, beside each value of a step, what it is over all steps."""

    def __init__(self, node: Node, decisions: Decisions) -> None:
        self.node = node
        self.decisions = decisions
        self.loop = loop_of(node)
        self.steps = steps_of(node)
        step = self.loop.step
        self.varying = _readers(self.loop.outputs, (*step.state, *step.slices))
        self.moving = _readers(self.loop.outputs, step.state)
        self.whole = dict(zip(step.slices, self.loop.sequences, strict=True))

    def results(self, used: Collection[int]) -> Results:
        invariant = self._invariant()
        self._lift()
        self._keep_inside()
        lifted = [node for node in self.varying if node in self.whole]
        if not invariant and not lifted:
            return items_of(self.node)
        self._record(invariant, "LOOP_INVARIANT", "it is the same at every step")
        self._record(lifted, "WHOLE_SEQUENCE", f"all {self.steps} steps at once")
        outside = self._results_outside()
        count = len(self.loop.starts)
        inside = {i for i in used if i - count not in outside}
        results = list(tightened(self._remaining(lifted), inside)[0])
        for index, result in outside.items():
            results[count + index] = result
        return results

    def _invariant(self) -> list[Node]:
        """The ops in the body that see neither carries nor slices."""
        body: Graph = self.node.attrs["body"]
        own = parts_of(self.node, body.inputs)
        varying = _readers(body.outputs, (*own.carries, *own.sequences))
        plain = [n for n in body.nodes if n.inputs and n not in varying]
        return [node for node in plain if not is_one_number(node)]

    def _lift(self) -> None:
        for node in self.varying:
            if node in self.moving or isinstance(node.type, TupleType):
                continue
            if any(i in self.varying and i not in self.whole for i in node.inputs):
                continue
            operands = [Operand(i, self.whole.get(i, i), i in self.whole) for i in node.inputs]
            with origin_scope(*node.origins):
                whole = lift(node, operands, self.loop.axis, self.steps)
            if whole is not None:
                self.whole[node] = whole
            elif not _is_free(node):
                detail = f"it cannot be applied with time as axis {self.loop.axis}"
                self._decide(node, "declined", "TIME_AXIS", detail)

    def _keep_inside(self) -> None:
        """Leaves in the loop what costs nothing there and what nothing outside needs."""
        needed: set[Node] = set(self.loop.step.results)
        for node in reversed(self.varying):
            if node not in self.whole:
                continue
            if node in needed or not _is_free(node):
                needed.update(node.inputs)
            else:
                del self.whole[node]

    def _results_outside(self) -> dict[int, Node]:
        """The stacked results that need no loop: by number, for all steps."""
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

    def _remaining(self, lifted: list[Node]) -> Loop:
        """The loop without what is done outside, of which its steps see slices."""
        step = self.loop.step
        slices = {node: input_(f"x{i}", node.tensor_type) for i, node in enumerate(lifted)}
        outputs = substituted(self.loop.outputs, slices)
        count = len(step.state)
        rest = Step(step.state, (*step.slices, *slices.values()), outputs[:count], outputs[count:])
        sequences = (*self.loop.sequences, *(self.whole[node] for node in lifted))
        return Loop(rest, self.loop.starts, sequences, self.loop.axis, self.loop.reverse)

    def _record(self, nodes: list[Node], reason: str, detail: str) -> None:
        for node in nodes:
            if not _is_free(node):
                self._decide(node, "hoisted", reason, detail)

    def _decide(self, node: Node, action: str, reason: str, detail: str) -> None:
        layers = node.layers or self.node.layers
        self.decisions.add(Decision("hoist", node.op.name, layers, action, reason, detail))


def _readers(outputs: tuple[Node, ...], leaves: tuple[Node, ...]) -> dict[Node, None]:
    """The nodes under ``outputs`` that depend on ``leaves``, operands first."""
    seen = set(leaves)
    found: dict[Node, None] = {}
    for node in Graph("", (), outputs).nodes:
        if any(operand in seen for operand in node.inputs):
            seen.add(node)
            found[node] = None
    return found


def _is_free(node: Node) -> bool:
    """Whether ``node`` costs nothing inside of a loop: a kernel reads its operand elsewhere."""
    if isinstance(node.op.lowering, (Movement, View)):
        return True
    if isinstance(node.type, TupleType):
        return False
    most = max((_elements(i) for i in node.inputs if not isinstance(i.type, TupleType)), default=0)
    return _elements(node) > most and node.op is not ops.matmul


def _elements(node: Node) -> int:
    sizes: list[Size] = list(node.shape)
    known = [substitute(n, dict.fromkeys(symbols_of(n), TYPICAL)) for n in sizes]
    return prod(n for n in known if not isinstance(n, Dim))
