"""What every function of ``keraunos.ops`` goes through: arguments to nodes, arrays to results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from ...compiler import ops as ir
from ...compiler.ir.evaluate import evaluate
from ...compiler.ir.graph import Graph, Node, Origin, current_origins, origin_scope
from ...compiler.ir.nonfinite import not_finite
from ...compiler.ir.types import FLOAT64, DType, TensorType
from ...compiler.ops.building import count
from ...compiler.ops.core import constant
from ...runtime.config import config
from ...runtime.dim import Dim, Size, symbols_of
from ...runtime.dim import evaluate as evaluate_size
from .. import tree
from ..accepted import is_int
from ..allocation import require_memory
from ..arguments import check_arguments
from ..dtypes import BOOL, INT32, canonical_array, promote, scalar_dtype, standard_dtype
from ..errors import UsageError, refuse_misfit, shown, user_facing
from ..history import FunctionOperation
from ..scope import EagerScope, active_scope, current_scope, entered
from ..source import user_line
from ..tensor import KerasTensor, is_symbolic
from ..variable import Variable

Function = TypeVar("Function", bound=Callable[..., Any])


def operation(function: Function) -> Function:
    """Makes a function on tensors work everywhere.

    Inside a layer it builds nodes; on symbolic tensors at top level it becomes part of the
    functional model; on arrays it is computed at once by the reference interpreter.
    """

    name = function.__name__
    is_public = not name.startswith("_")

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if current_scope() is None:
            return _call_at_top_level(function, args, kwargs)
        if is_public:
            check_arguments(function, name, args, kwargs)
        try:
            if current_origins():
                return function(*args, **kwargs)
            # Outside of layers, which have lines of their own, the line of the call counts.
            line = user_line()
            with origin_scope(Origin("", line.file, line.line)):
                return function(*args, **kwargs)
        except TypeError as error:
            refuse_misfit(error, function, name, args, kwargs)
            raise

    return call  # type: ignore[return-value]


@user_facing
def _call_at_top_level(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if not function.__name__.startswith("_"):
        check_arguments(function, function.__name__, args, kwargs)
    try:
        if any(map(is_symbolic, tree.flatten((args, kwargs)))):
            return FunctionOperation(function).build_call(args, kwargs)
        return _evaluate_now(function, args, kwargs)
    except TypeError as error:
        refuse_misfit(error, function, function.__name__, args, kwargs)
        raise


def _evaluate_now(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    scope = EagerScope()
    with entered(scope):
        result = function(*args, **kwargs)
    leaves = tree.flatten(result)
    nodes = tuple(leaf.node for leaf in leaves if isinstance(leaf, KerasTensor))
    graph = Graph(function.__name__, tuple(scope.inputs), nodes)
    for node in graph.nodes:
        if isinstance(node.type, TensorType):  # several results are picked apart by others
            require_memory(function.__name__, node.type.shape, node.type.dtype)
    values = evaluate(graph, scope.arrays)
    if config.check_finite and not all(np.isfinite(value).all() for value in values):
        raise not_finite(graph, scope.arrays, {})
    own = iter(_owned(values, scope.arrays))
    return tree.pack_as(
        result, [next(own) if isinstance(leaf, KerasTensor) else leaf for leaf in leaves]
    )


def _owned(values: Sequence[np.ndarray], given: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Results that are nobody else's: copies of those that lie in arguments, weights, constants."""
    own: list[np.ndarray] = []
    for value in values:
        others = (*given, *own)
        shared = not value.flags.writeable or any(np.may_share_memory(value, o) for o in others)
        own.append(value.copy() if shared else value)
    return own


def is_scalar(value: Any) -> bool:
    """A Python number: it takes the dtype of the tensor that it meets."""
    return isinstance(value, (bool, int, float))


def as_node(value: Any, dtype: Any = None) -> Node:
    """The node for a tensor, weight, number or array-like, cast to ``dtype`` if one is given."""
    if dtype is None:
        return _node(value)
    wanted = standard_dtype(dtype)
    return cast_node(_node(value, wanted), wanted)


def _node(value: Any, wanted: DType | None = None) -> Node:
    """The node for a value, which where it is no tensor keeps what the type wanted can hold."""
    if isinstance(value, KerasTensor):
        # One of another step that ran eagerly is an array by now.
        foreign = value.values is not None and value.values is not active_scope()
        return active_scope().array(value.numpy()) if foreign else value.node
    if isinstance(value, Variable):
        return active_scope().parameter(value)
    if isinstance(value, Dim):
        return count((value,), INT32)
    if isinstance(value, (list, tuple)) and any(
        isinstance(leaf, (KerasTensor, Variable, Dim)) for leaf in tree.flatten(value)
    ):
        return _stacked(nodes_of(value, wanted))
    doubles = None if wanted is None else wanted.name if wanted.is_float else "float64"
    return active_scope().array(canonical_array(value, doubles))


def nodes_of(values: Iterable[Any], wanted: DType | None = None) -> list[Node]:
    """The nodes of operands; arrays keep their digits beside a tensor or weight of float64."""
    given = list(values)
    if any(isinstance(x, (KerasTensor, Variable)) and x.dtype == FLOAT64.name for x in given):
        wanted = FLOAT64
    return [_node(value, wanted) for value in given]


def _stacked(nodes: list[Node]) -> Node:
    """Nodes of equal shape along a new first axis."""
    rows = [ir.reshape(node, shape=(1, *node.shape)) for node in common_dtype(nodes)]
    return rows[0] if len(rows) == 1 else ir.concatenate(*rows, axis=0)


def cast_node(node: Node, dtype: DType) -> Node:
    """``node`` in another element type; itself where it has that type."""
    return node if node.dtype is dtype else ir.cast(node, dtype=dtype.name)


def common_dtype(nodes: list[Node]) -> list[Node]:
    """The nodes cast to the type that holds all of theirs."""
    dtype = nodes[0].dtype
    for node in nodes[1:]:
        dtype = promote(dtype, node.dtype)
    return [cast_node(node, dtype) for node in nodes]


def promoted(*values: Any) -> list[Node]:
    """Operands of an op in one dtype; Python numbers take that of the tensors beside them."""
    others = iter(nodes_of([value for value in values if not is_scalar(value)]))
    nodes = [None if is_scalar(value) else next(others) for value in values]
    tensors = [node for node in nodes if node is not None]
    dtype = tensors[0].dtype if tensors else BOOL
    for node in tensors[1:]:
        dtype = promote(dtype, node.dtype)
    for value in values:
        if is_scalar(value):
            dtype = scalar_dtype(value, dtype)
    return [
        constant(_scalar(value, dtype)) if node is None else cast_node(node, dtype)
        for value, node in zip(values, nodes, strict=True)
    ]


def _scalar(value: bool | int | float, dtype: DType) -> np.ndarray:
    try:
        if dtype.wide is not None:
            return dtype.of(np.asarray(value, np.float64))
        return np.asarray(value, dtype.numpy)
    except OverflowError:
        raise UsageError(
            f"expected a number that {dtype.name} holds, as the tensor beside it does; received "
            f"{value}. Cast the tensor first"
        ) from None


def aligned(*values: Any) -> list[Node]:
    """Operands that broadcast, in one dtype."""
    return reconciled(promoted(*values))


def reconciled(nodes: list[Node], free: int | None = None) -> list[Node]:
    """The nodes with sizes made equal where only the data can tell whether they are.

    Axes are counted from the end; sizes of 1, and those at axis ``free``, may differ.
    """
    shapes = [node.shape for node in nodes]
    if all(shape == shapes[0] for shape in shapes):
        return nodes
    agreed: dict[int, Size] = {}
    for axis in range(-max(map(len, shapes)), 0):
        sizes = [shape[axis] for shape in shapes if len(shape) >= -axis and shape[axis] != 1]
        if axis != free and _may_be_equal(sizes):
            agreed[axis] = next((size for size in sizes if isinstance(size, int)), sizes[0])
    return [_with_sizes(node, agreed) for node in nodes] if agreed else nodes


def _may_be_equal(sizes: list[Size]) -> bool:
    """Whether sizes differ as expressions, but not by a constant: then the data decide."""
    if len(set(sizes)) < 2:
        return False
    return not any(isinstance(size - sizes[0], int) and size != sizes[0] for size in sizes)


def _with_sizes(node: Node, agreed: dict[int, Size]) -> Node:
    shape = list(node.shape)
    for axis, size in agreed.items():
        if len(shape) >= -axis and shape[axis] != 1:
            shape[axis] = size
    return node if tuple(shape) == node.shape else active_scope().assume_shape(node, tuple(shape))


def floating(value: Any) -> Node:
    """The node for ``value``, integers turned into the default float."""
    node = as_node(value)
    return node if node.dtype.is_float else cast_node(node, standard_dtype(None))


def tensor(node: Node) -> KerasTensor:
    """What the functions of ``keraunos.ops`` return."""
    return KerasTensor.of(node)


def require_size(node: Node, axis: int, least: int) -> None:
    """Asks for known sizes where a size is not certain to be ``least`` or more.

    Every size is taken as 1 or more. That of the batch is never known: programs serve them all.
    """
    size = node.shape[axis]
    if least <= 1 or isinstance(size, int) or symbols_of(size) <= {"N"}:
        return
    grows = all(factor > 0 for atoms, factor in size.terms if atoms)
    smallest = evaluate_size(size, dict.fromkeys(symbols_of(size), 1)) if grows else 1
    if smallest < least:
        active_scope().require_sizes(
            f"axis {axis} of shape {node.shape} has {least} elements only for some sizes"
        )


def normal_axis(axis: Any, rank: int) -> int:
    """``axis`` counted from the front. Raises ``UsageError`` if it is not below ``rank``."""
    if not is_int(axis) or isinstance(axis, Dim):
        raise UsageError(f"expected an axis as an int; received {shown(axis)}")
    if not rank:
        raise UsageError(f"expected a tensor of 1 axis or more; received a scalar, axis {axis}")
    if not -rank <= axis < rank:
        raise UsageError(f"expected an axis between {-rank} and {rank - 1}; received {axis}")
    return int(axis % rank)


def normal_axes(axis: Any, rank: int) -> tuple[int, ...]:
    """One axis, several or None (all of them) as a sorted tuple."""
    if axis is None:
        return tuple(range(rank))
    found = sorted(normal_axis(each, rank) for each in listed_axes(axis))
    if len(set(found)) < len(found):
        raise UsageError(f"expected each axis once; received {shown(axis)} for {rank} axes")
    return tuple(found)


def listed_axes(axis: Any) -> list[Any]:
    """One axis, or a sequence of several, as a list."""
    if is_int(axis):
        return [axis]
    if not isinstance(axis, (list, tuple, range, np.ndarray, set, frozenset)):
        raise UsageError(f"expected an int or several as axes; received {shown(axis)}")
    return list(axis)


__all__ = [
    "BOOL", "INT32", "aligned", "as_node", "cast_node", "common_dtype", "constant", "floating",
    "ir", "is_scalar", "listed_axes", "normal_axes", "normal_axis", "operation", "promoted",
    "reconciled", "require_size", "tensor",
]  # fmt: skip
