"""Derivatives of functions and of graphs: ``keraunos.grad`` and ``keraunos.value_and_grad``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..compiler.autodiff import grad as derivatives
from ..compiler.autodiff import gradients
from ..compiler.ir.graph import Graph, Node
from ..compiler.ir.rewrite import substituted
from ..compiler.suggest import did_you_mean
from . import tree
from .arguments import checked
from .calls import array_of_numbers, call_on_arrays
from .dtypes import floatx
from .errors import UsageError, of_users, user_facing
from .history import FunctionOperation
from .ops.core import as_node
from .scope import active_scope, current_scope
from .source import user_line
from .tensor import KerasTensor, is_symbolic
from .variable import Variable


@checked
def grad(target: Any, wrt: Any = None, has_aux: bool = False) -> Any:
    """The derivatives of a function of tensors, or of a graph, that gives a scalar.

    Of a function: a function of the same arguments that gives the gradients, on arrays (compiled
    once for each kind of arguments, as layers are) and on tensors alike. So it can be
    differentiated again, used in a layer, or given to ``keraunos.compile`` or ``trace``.

    >>> import numpy as np, keraunos
    >>> from keraunos import ops
    >>> slope = keraunos.grad(lambda x: ops.sum(ops.square(x)))
    >>> slope(np.array([1.0, 2.0, 3.0]))
    array([2., 4., 6.], dtype=float32)
    >>> curvature = keraunos.grad(keraunos.grad(lambda x: x**3))
    >>> float(curvature(2.0))
    12.0

    Weights that the function reads are chosen by ``wrt``:

    >>> w = keraunos.Variable(np.ones((2, 1), "float32"))
    >>> def loss(x, y):
    ...     return ops.mean(ops.square(ops.matmul(x, w) - y))
    >>> by_w, by_x = keraunos.grad(loss, wrt=(w, 0))(np.eye(2), np.zeros((2, 1)))
    >>> by_w.shape, by_x.shape
    ((2, 1), (2, 2))

    A step of one's own (``train_step`` of a model) takes the gradients of its losses by it:

    >>> def with_predictions(x, y):
    ...     predicted = ops.matmul(x, w)
    ...     return ops.mean(ops.square(predicted - y)), predicted
    >>> by_w, predicted = keraunos.grad(with_predictions, wrt=w, has_aux=True)(np.eye(2), 0.0)
    >>> predicted.shape
    (2, 1)

    Args:
        target: a function, layer or model, or a graph with one output.
        wrt: of a function, the number of an argument, a ``Variable``, or a nesting of both; the
            first argument if None. Gradients come in this nesting, each as its argument is nested.
            Of a graph, a name of an input or parameter, or several; all that are floats if None.
        has_aux: whether the function gives a pair of the scalar and something more, a nesting of
            tensors, which is then handed on: results are pairs ``(gradients, more)``.

    Returns:
        For a graph the graph of its derivatives, one output each.

    Raises:
        ValueError: the result is another value than a float scalar; an argument to differentiate
            by is missing or holds no floats; an op on the way has no gradient (with its line).
    """
    return _differentiated(target, wrt, with_value=False, has_aux=has_aux)


@checked
def value_and_grad(target: Any, wrt: Any = None, has_aux: bool = False) -> Any:
    """As ``grad``, with the value itself in front.

    >>> import numpy as np, keraunos
    >>> both = keraunos.value_and_grad(lambda x: keraunos.ops.sum(x * x))
    >>> both(np.array([1.0, 2.0]))
    (array(5., dtype=float32), array([2., 4.], dtype=float32))

    With ``has_aux`` results are ``((value, more), gradients)``. A graph gets its value as first
    output.
    """
    return _differentiated(target, wrt, with_value=True, has_aux=has_aux)


def _differentiated(target: Any, wrt: Any, with_value: bool, has_aux: bool) -> Any:
    if isinstance(target, Graph):
        if has_aux:
            raise UsageError("grad: expected a function where has_aux=True; received a graph")
        return _graph_of_derivatives(target, wrt, with_value)
    if not callable(target):
        raise UsageError(
            f"grad: expected a function of tensors, a layer, a model or a graph; received "
            f"{target!r}"
        )
    return Gradient(target, 0 if wrt is None else wrt, with_value, has_aux)


class Gradient:
    """What ``grad`` and ``value_and_grad`` make of a function: call it as that function.

    Attributes:
        function: what is differentiated.
        wrt: by what, as given to ``grad``.
        with_value: whether results are pairs of the value and the gradients.
        has_aux: whether the function gives something more beside its value.
    """

    kind = "function"

    def __init__(
        self, function: Callable[..., Any], wrt: Any, with_value: bool, has_aux: bool = False
    ) -> None:
        _check_wrt(wrt)
        self.function = self.__wrapped__ = function
        self.wrt = wrt
        self.with_value = with_value
        self.has_aux = has_aux
        self.source = user_line()
        self.programs: dict[Any, Any] = {}
        named = getattr(function, "name", None) or getattr(function, "__name__", "function")
        self.name = self.__name__ = f"{self.class_name}_of_{named}"

    @property
    def class_name(self) -> str:
        return "value_and_grad" if self.with_value else "grad"

    def __repr__(self) -> str:
        return f"<{self.class_name} of {self.function!r}>"

    @user_facing
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The gradients for these arguments: as tensors in a layer or trace, else as arrays."""
        if current_scope() is not None:
            return self._on_tensors(args, kwargs)
        if any(map(is_symbolic, tree.flatten((args, kwargs)))):
            return FunctionOperation(self).build_call(args, kwargs)
        return call_on_arrays(self, self._with_arrays(args), kwargs, exact=True)

    def _with_arrays(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Lists of numbers are arrays, and so are numbers to differentiate by."""
        given = [array_of_numbers(arg) for arg in args]
        for position in self._positions(args):
            given[position] = tree.map_structure(_array, given[position])
        return tuple(given)

    def _on_tensors(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Differentiates by stand-ins, so that only what the function does with them counts."""
        known: dict[Node, Node] = {}
        given: list[Any] = list(args)
        for position in self._positions(args):
            stand_in = partial(_stand_in, known, f"argument {position}")
            given[position] = tree.map_structure(stand_in, args[position])
        weights = {id(v): _stand_in(known, f"weight {v.path}", v) for v in self._variables()}
        with active_scope().reading({key: tensor.node for key, tensor in weights.items()}):
            value, more = self._split(of_users(self.function, self.name, *given, **kwargs))
        chosen = [
            weights[id(leaf)] if isinstance(leaf, Variable) else given[leaf]
            for leaf in tree.flatten(self.wrt)
        ]
        return self._packed(value, more, chosen, known)

    def _packed(
        self, value: Node, more: Any, chosen: Sequence[Any], known: dict[Node, Node]
    ) -> Any:
        leaves = [leaf for leaf in tree.flatten(chosen) if leaf is not None]
        slopes = gradients(value, [leaf.node for leaf in leaves])
        beside = [leaf.node for leaf in tree.flatten(more) if isinstance(leaf, KerasTensor)]
        active_scope().substitute(known)
        made = map(KerasTensor.of, substituted((value, *beside, *slopes), known))
        first: Any = next(made)
        more = tree.map_structure(
            lambda leaf: next(made) if isinstance(leaf, KerasTensor) else leaf, more
        )
        tensors = iter(made)
        nested = [
            tree.map_structure(lambda leaf: None if leaf is None else next(tensors), each)
            for each in chosen
        ]
        result = tree.pack_as(self.wrt, nested)
        if self.has_aux:
            return ((first, more), result) if self.with_value else (result, more)
        return (first, result) if self.with_value else result

    def _positions(self, args: tuple[Any, ...]) -> list[int]:
        """The numbers of the arguments to differentiate by, each once."""
        leaves = [leaf for leaf in tree.flatten(self.wrt) if not isinstance(leaf, Variable)]
        missing = [leaf for leaf in leaves if not -len(args) <= leaf < len(args)]
        if missing:
            raise UsageError(
                f"{self.name}: expected argument {missing[0]}, to differentiate by; received "
                f"{len(args)} arguments. Pass it by position, or weights as wrt=[variable, ...]"
            )
        return sorted({leaf % len(args) for leaf in leaves})

    def _variables(self) -> list[Variable]:
        return [leaf for leaf in tree.flatten(self.wrt) if isinstance(leaf, Variable)]

    def _split(self, result: Any) -> tuple[Node, Any]:
        """The node of the one number that the function gave, and what it gave beside it."""
        if not self.has_aux:
            return self._scalar(result), None
        if not isinstance(result, (list, tuple)) or len(result) != 2:
            raise UsageError(
                f"{self.name}: expected a pair of a scalar and something more as the function's "
                f"result, as has_aux=True; received {_shown(result)}"
            )
        return self._scalar(result[0]), result[1]

    def _scalar(self, result: Any) -> Node:
        """The node of the one number that the function gave."""
        if isinstance(result, (list, tuple, dict)) or result is None:
            raise UsageError(
                f"{self.name}: expected one scalar tensor as the function's result; received "
                f"{_shown(result)}. Give the loss alone, or pass has_aux=True for (loss, more)"
            )
        node = as_node(result)
        if node.shape == () and node.dtype.is_float:
            return node
        how = (
            "Take keraunos.ops.mean or sum of it" if node.dtype.is_float else "It has no derivative"
        )
        shape = tuple(n if isinstance(n, int) else None for n in node.shape)
        raise UsageError(
            f"{self.name}: expected a float scalar as the function's result; received shape "
            f"{shape}, dtype {node.dtype.name}. {how}"
        )


def _shown(result: Any) -> str:
    return "None" if result is None else f"a {type(result).__name__}"


def _stand_in(known: dict[Node, Node], what: str, leaf: Any) -> Any:
    """A tensor of the type of ``leaf``, entered in ``known`` with the node that it stands for."""
    if leaf is None:
        return None
    if isinstance(leaf, (str, bool)):
        raise UsageError(f"grad: expected tensors of floats as {what}; received {leaf!r}")
    node = as_node(leaf)
    if not node.dtype.is_float:
        raise UsageError(
            f"grad: expected floats as {what}, to differentiate by; received dtype "
            f"{node.dtype.name}. Choose others with wrt, or cast it before the call"
        )
    stand_in = active_scope().stand_in(node)
    known[stand_in] = node
    return KerasTensor.of(stand_in)


def _array(leaf: Any) -> Any:
    """A Python float as an array: constants have no gradients."""
    return np.asarray(leaf, floatx()) if isinstance(leaf, float) else leaf


def _check_wrt(wrt: Any) -> None:
    leaves = tree.flatten(wrt)
    if not leaves:
        raise UsageError(
            "grad: expected something to differentiate by as wrt; received an empty "
            f"{type(wrt).__name__}. Layers have weights once they are built: call them first"
        )
    for leaf in leaves:
        if isinstance(leaf, bool) or not isinstance(leaf, (int, Variable)):
            raise UsageError(
                "grad: expected the numbers of arguments, or keraunos.Variables, as wrt; received "
                f"{leaf!r}"
            )


# Graphs


def _graph_of_derivatives(graph: Graph, wrt: Any, with_value: bool) -> Graph:
    leaves = {node.attrs["name"]: node for node in (*graph.inputs, *graph.parameters)}
    if wrt is None:
        chosen = [node for node in leaves.values() if node.dtype.is_float]
    else:
        chosen = [_leaf_of(graph, leaves, each) for each in tree.flatten(wrt)]
    if len(graph.returned) != 1:
        raise UsageError(
            f"grad: expected a graph with one output; received {graph.name} with "
            f"{len(graph.returned)}. Graph.with_outputs chooses one"
        )
    found = derivatives(graph, chosen)
    return found.with_outputs((*graph.returned, *found.outputs)) if with_value else found


def _leaf_of(graph: Graph, leaves: dict[str, Node], wanted: Any) -> Node:
    if isinstance(wanted, Node):
        return wanted
    name = str(wanted).lstrip("%$")
    if name not in leaves:
        known = ", ".join(leaves) or "none"
        raise UsageError(
            f"grad: expected the name of an input or parameter of {graph.name} as wrt, among "
            f"{known}; received {wanted!r}{did_you_mean(name, leaves)}"
        )
    return leaves[name]
