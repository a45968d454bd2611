"""The reference interpreter: runs a graph node by node with numpy, slowly and plainly.

Programs, passes and gradients are held against it, best in float64, where rounding is out of the
way. A region (``fused``, ``scan``) runs its bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...runtime.dim import Dim, substitute
from ...runtime.dim_solver import solve_size
from ..ops.core import FUSED
from .graph import Graph, IRError, Node
from .types import FLOAT64, DType, Shape, TensorType, TupleType


def evaluate(
    graph: Graph,
    inputs: Sequence[Any],
    parameters: Mapping[str, Any] | None = None,
    dtype: str | None = None,
) -> tuple[np.ndarray, ...]:
    """The outputs of ``graph``, one array each.

    ``inputs`` are array-likes in the order of ``graph.inputs``; their shapes bind the symbolic
    sizes. ``parameters`` maps names to array-likes; more than needed is fine. ``dtype="float64"``
    computes every float in float64, and gives float64. What is float16 or bfloat16 is computed in
    float32, or in float64, and rounded once an op, to its own type, either way.

    Raises:
        IRError: an argument is missing or has another dtype or shape; sizes contradict, or do not
            fit where no type could tell, such as a window in an image of symbolic size.
    """
    values = evaluate_all(graph, inputs, parameters, dtype)
    return tuple(values[node] for node in graph.outputs)


def evaluate_all(
    graph: Graph,
    inputs: Sequence[Any],
    parameters: Mapping[str, Any] | None = None,
    dtype: str | None = None,
) -> dict[Node, Any]:
    """The value of every node (a tuple of arrays where an op has several results), in order.

    For finding the first node that is wrong or not finite. Arguments and errors as ``evaluate``.
    """
    if dtype not in (None, "float64"):
        raise IRError(f"expected dtype None (as typed) or 'float64', got {dtype!r}")
    if len(inputs) != len(graph.inputs):
        names = ", ".join(f"%{node.attrs['name']}" for node in graph.inputs) or "none"
        raise IRError(f"graph {graph.name} expects inputs {names}; got {len(inputs)} arrays")
    arrays = [np.asarray(array) for array in inputs]
    bindings = bind_sizes(graph, [array.shape for array in arrays])
    interpreter = _Interpreter(parameters or {}, bindings, wide=dtype is not None)
    with np.errstate(all="ignore"):
        return interpreter.run(graph, arrays)


def evaluate_node(node: Node, operands: Sequence[Any]) -> Any:
    """The value of one node, whose sizes are all ints, from the values of its operands.

    A tuple of arrays where the op has several results. Raises ``IRError`` for a leaf without value.
    """
    with np.errstate(all="ignore"):
        return _Interpreter({}, {}, wide=False).compute(node, list(operands))


def bind_sizes(graph: Graph, shapes: Sequence[tuple[int, ...]]) -> dict[str, int]:
    """The symbolic sizes of ``graph`` that input ``shapes`` determine, such as ``{"N": 32}``.

    Raises:
        IRError: an input has another rank, or two shapes give a size different values.
    """
    bindings: dict[str, int] = {}
    pairs = list(zip(graph.inputs, shapes, strict=True))
    for node, shape in pairs:
        _check_rank(node, shape)
    # Plain symbols first: an expression such as 2*N + 1 may need a symbol bound further on.
    sizes = [pair for node, shape in pairs for pair in zip(node.shape, shape, strict=True)]
    for size, extent in sorted(sizes, key=lambda pair: len(str(pair[0]))):
        bindings.update(solve_size(size, extent, bindings))
    for node, shape in pairs:
        _check_shape(node, shape, bindings)
    return bindings


def _check_rank(node: Node, shape: tuple[int, ...]) -> None:
    if len(shape) != len(node.shape):
        raise IRError(f"{_title(node)} expects {node.type}; got an array of shape {shape}")


def _check_shape(node: Node, shape: tuple[int, ...], bindings: Mapping[str, int]) -> None:
    if _bound(node.shape, bindings) == tuple(shape):
        return
    symbols = sorted(node.tensor_type.symbols & bindings.keys())
    known = ", ".join(f"{name} = {bindings[name]}" for name in symbols)
    why = f" with {known} (as the inputs' shapes say)" if known else ""
    raise IRError(f"{_title(node)} expects {node.type}{why}; got an array of shape {shape}")


def _bound(shape: Shape, bindings: Mapping[str, int]) -> Shape:
    return tuple(substitute(size, bindings) for size in shape)


def _title(node: Node) -> str:
    return f"{node.op.name} {node.attrs['name']!r}"


@dataclass(frozen=True)
class _Interpreter:
    """Runs graphs under one binding of the symbolic sizes; ``wide`` computes in float64."""

    parameters: Mapping[str, Any]
    bindings: Mapping[str, int]
    wide: bool

    def run(self, graph: Graph, inputs: Sequence[Any]) -> dict[Node, Any]:
        values: dict[Node, Any] = {
            node: self.argument(node, array)
            for node, array in zip(graph.inputs, inputs, strict=True)
        }
        for node in graph.nodes:
            if node not in values:
                values[node] = self.compute(node, [values[i] for i in node.inputs])
        return values

    def compute(self, node: Node, operands: list[Any]) -> Any:
        if node.op.name == "parameter":
            return self.parameter(node)
        if node.op.name == "input":
            raise IRError(f"{_title(node)} is used but is not among the inputs of the graph")
        if node.op is FUSED:
            return self.checked(node, _single(self.body(node.attrs["body"])(*operands)))
        attrs = {name: self.attribute(value) for name, value in node.attributes}
        try:
            value = node.op.reference(*map(self.computed, node.inputs, operands), **attrs)
        except IRError:
            raise
        except (ValueError, TypeError, IndexError) as error:
            raise self.unfit(node, error) from error
        return self.checked(node, value)

    def unfit(self, node: Node, error: Exception) -> IRError:
        """A type rule cannot tell whether symbolic sizes fit: that of ``node`` let these pass."""
        types = ", ".join(str(i.tensor_type.bind(self.bindings)) for i in node.inputs)
        known = ", ".join(f"{name} = {size}" for name, size in sorted(self.bindings.items()))
        why = f" with {known} (as the inputs' shapes say)" if known else ""
        return IRError(f"{node.op.name}({types}){why}: {error}")

    def parameter(self, node: Node) -> np.ndarray:
        name = node.attrs["name"]
        if name not in self.parameters:
            known = ", ".join(self.parameters) or "none"
            raise IRError(f"expected a value for parameter {name!r}; got values for: {known}")
        return self.argument(node, np.asarray(self.parameters[name]))

    def argument(self, node: Node, array: Any) -> np.ndarray:
        _check_shape(node, array.shape, self.bindings)
        target = self.dtype(node.dtype)
        if not np.can_cast(array.dtype, target, "same_kind"):
            raise IRError(f"{_title(node)} expects {node.type}; got {array.dtype}")
        return np.asarray(array.astype(target, copy=False))

    def dtype(self, dtype: DType) -> np.dtype:
        """What holds a value of ``dtype``; a type that nothing is computed in stays as it is."""
        computes = dtype.is_float and dtype.wide is None
        return FLOAT64.numpy if self.wide and computes else dtype.numpy

    def computed(self, node: Node, operand: Any) -> Any:
        """The value of ``node`` as an operand: of a type that its users are computed in."""
        if isinstance(node.type, TupleType) or node.dtype.wide is None:
            return operand
        return operand.astype(self.dtype(node.dtype.wide))

    def attribute(self, value: Any) -> Any:
        """An attribute as a reference wants it: sizes as ints, bodies as functions."""
        if isinstance(value, tuple):
            return tuple(map(self.attribute, value))
        if isinstance(value, Dim):
            return value.evaluate(self.bindings)
        if isinstance(value, DType) and value.is_float and (self.wide or value.wide):
            return FLOAT64  # what is no float64 is rounded from there
        return self.body(value) if isinstance(value, Graph) else value

    def body(self, graph: Graph) -> Callable[..., tuple[Any, ...]]:
        """``graph`` as a function from arrays to a tuple of arrays."""

        def call(*operands: Any) -> tuple[Any, ...]:
            values = self.run(graph, [np.asarray(operand) for operand in operands])
            return tuple(values[node] for node in graph.outputs)

        return call

    def checked(self, node: Node, value: Any) -> Any:
        if isinstance(node.type, TupleType):
            pairs = zip(node.type.items, value, strict=True)
            return tuple(self.checked_array(node, type_, array) for type_, array in pairs)
        return self.checked_array(node, node.type, value)

    def checked_array(self, node: Node, type_: TensorType, value: Any) -> np.ndarray:
        """``value`` as an array of ``type_``. A reference that gives another type is a bug."""
        array = np.asarray(value)
        if type_.dtype.wide is not None and array.dtype.kind == "f":
            array = type_.dtype.of(array)
        elif self.dtype(type_.dtype) == FLOAT64.numpy:
            array = array.astype(FLOAT64.numpy, copy=False)
        expected = _bound(type_.shape, self.bindings)
        if array.shape != expected or array.dtype != self.dtype(type_.dtype):
            raise IRError(
                f"{node.op.name}: its type is {type_}, {expected} here, but its reference gave "
                f"{array.dtype} of shape {array.shape}"
            )
        return array


def _single(results: tuple[Any, ...]) -> Any:
    return results[0] if len(results) == 1 else results
