"""A step that Python runs op by op: its tensors have values, and weights change at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler import ops as ir
from ..compiler.ir.evaluate import evaluate_node
from ..compiler.ir.graph import Graph, Node
from ..compiler.ir.nonfinite import first_nonfinite_of
from ..compiler.ir.types import TensorType, dtype_of
from ..compiler.ops.core import INPUT, constant, input_
from ..runtime.config import config
from . import tree
from .errors import UsageError
from .ids import check_classes, check_rows, leaves_of, shown_layer
from .scope import entered
from .tensor import KerasTensor
from .tracing import TraceScope
from .variable import Variable


class EagerTrace(TraceScope):
    """A trace of arrays that are there, so that each of its nodes can be computed.

    Everything goes as in a trace: layers, gradients and updates are the same nodes. The reference
    interpreter computes a node when somebody looks at it, and once; weights are written when they
    are assigned. So the numbers are those of the compiled step, and Python sees them.
    """

    fixes_values = False
    has_values = True

    def __init__(self, root: Any, training: bool) -> None:
        super().__init__(root, training)
        self._values: dict[Node, Any] = {}
        self._before: dict[int, tuple[Variable, np.ndarray]] = {}

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
        node = self._current[id(variable)]
        new = self.value(node)
        self._before.setdefault(id(variable), (variable, variable.numpy()))
        if config.check_finite:
            self.check_finite(node)
        variable.buffer.write(new)
        variable.changed()

    def note_classes(self, node: Node, classes: int, ignored: int | None) -> None:
        try:
            values = self.value(node)
        except UsageError:  # of a loop over time, see there
            return
        check_classes(values, classes, ignored)

    def check_finite(self, node: Node) -> None:
        """Raises ``ValueError`` where a value is not finite, and leaves weights as they were."""
        if np.isfinite(self.value(node)).all():
            return
        self.undo()
        found = first_nonfinite_of(Graph("step", (), (node,)), self._values)
        raise UsageError(f"expected finite results. The first: {found}")

    def undo(self) -> None:
        """Gives all weights the values that they had before the step."""
        for variable, value in self._before.values():
            variable.buffer.write(value)
            variable.changed()

    def remembered(self, outputs: Any) -> Any:
        # Not the tensors themselves, which would keep all values of the step.
        with entered(None):
            return tree.map_structure(_of_any_batch, outputs)

    def value(self, node: Node) -> np.ndarray:
        """The array that a node stands for; read it only.

        Raises:
            ValueError: it belongs to the step of a loop, which has a value for each step.
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
        operands = [self._values[each] for each in node.inputs]
        if node.op is ir.gather:
            self._check_lookup(node, *operands)
        self._values[node] = evaluate_node(node, operands)

    def _check_lookup(self, lookup: Node, table: np.ndarray, ids: np.ndarray) -> None:
        """Raises ``ValueError`` for an id outside the table that is data, and nothing computed."""
        source = next(leaves_of(lookup.inputs[1], {}), None)
        if source is not None:
            rows, name = table.shape[lookup.attrs["axis"]], str(source[0].attrs["name"])
            check_rows(ids, rows, lookup.attrs["from_end"], shown_layer(lookup), name)

    def _known(self, node: Node, array: np.ndarray) -> Node:
        self._values[node] = array
        return node


def _type_of(array: np.ndarray) -> TensorType:
    return TensorType(dtype_of(array.dtype), array.shape)


def _of_any_batch(tensor: Any) -> Any:
    if not isinstance(tensor, KerasTensor):
        return tensor
    return KerasTensor((None, *tensor.shape[1:]) if tensor.ndim else (), tensor.dtype)
