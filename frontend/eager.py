"""A step that Python runs op by op: its tensors have values, and weights change at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler.evaluate import evaluate_node
from ..compiler.ir import Node
from ..compiler.ops.core import INPUT, constant, input_
from ..compiler.types import TensorType, dtype_of
from .errors import UsageError
from .tensor import KerasTensor
from .tracing import TraceScope
from .variable import Variable


class EagerTrace(TraceScope):
    """A trace of arrays that are there, so that each of its nodes can be computed.

    Everything goes as in a trace: layers, gradients and updates are the same nodes. The reference
    interpreter computes a node when somebody looks at it, and once; weights are written when they
    are assigned. So the numbers are those of the compiled step, and Python sees them.
    """

    has_values = True

    def __init__(self, root: Any, training: bool) -> None:
        super().__init__(root, training)
        self._values: dict[Node, Any] = {}

    def array(self, array: np.ndarray) -> Node:
        if array.ndim == 0:
            return constant(array)
        return self._known(input_("array", _type_of(array)), array.copy())

    def tensor(self, array: np.ndarray) -> KerasTensor:
        """An argument of the step."""
        return KerasTensor.of(self._known(input_("x", _type_of(array)), array.copy()))

    def leaf(self, variable: Variable) -> Node:
        node = super().leaf(variable)
        return node if node in self._values else self._known(node, variable.numpy())

    def stand_in(self, node: Node) -> Node:
        return self._known(super().stand_in(node), self.value(node))

    def assign(self, variable: Variable, value: Any) -> None:
        super().assign(variable, value)
        variable.memory[...] = self.value(self._current[id(variable)])
        variable.changed()

    def value(self, node: Node) -> np.ndarray:
        """The array that a node stands for, which is not to be written to.

        Raises:
            ValueError: it belongs to a step of a loop over time, of which there are many.
        """
        waiting = [node]
        while waiting:
            last = waiting[-1]
            missing = [operand for operand in last.inputs if operand not in self._values]
            waiting += missing
            if not missing:
                self._compute(waiting.pop())
        found: np.ndarray = self._values[node]
        return found

    def _compute(self, node: Node) -> None:
        if node in self._values:
            return
        if node.op is INPUT:
            raise UsageError(
                "expected a tensor of the step; received one within a loop over time, which stands "
                "for all steps of the loop and has no single value"
            )
        self._values[node] = evaluate_node(node, [self._values[each] for each in node.inputs])

    def _known(self, node: Node, array: np.ndarray) -> Node:
        self._values[node] = array
        return node


def _type_of(array: np.ndarray) -> TensorType:
    return TensorType(dtype_of(array.dtype), array.shape)
