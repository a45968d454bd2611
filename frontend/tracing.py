"""From a layer, a model or a function to the compiler's graph, with the weights that it reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from ..compiler.ir.graph import Graph, IRError, Node, Origin
from ..compiler.ir.rewrite import substituted
from ..compiler.ir.types import Shape, TensorType, dtype_of
from ..compiler.ops.core import INPUT, input_, parameter
from ..runtime.device import Buffer
from . import tree
from .dtypes import standard_dtype
from .errors import SizesUnknown, UsageError, of_users, shown, user_facing
from .history import Operation
from .ops.core import as_node, cast_node
from .scope import Scope, entered
from .tensor import KerasTensor, symbolic_shape
from .variable import Variable
from .watching import Generation
from .weights import Weighted


@dataclass(frozen=True)
class Spec:
    """An input to come: its shape (None where sizes vary), dtype and name."""

    shape: tuple[int | None, ...]
    dtype: str = "float32"
    name: str | None = None


@dataclass(frozen=True)
class Classes:
    """What names classes: numbers from 0 to below ``count``, or the one that is ``ignored``."""

    node: Node
    count: int
    ignored: int | None


@dataclass(frozen=True)
class Traced:
    """A graph, the weight behind each of its parameters, and the nesting of what it returns.

    Attributes:
        variables: by the parameter's name.
        structure: as the layer returned it; each tensor stands for one output, in order.
        arguments: as the layer took them, for their nesting.
        classes: what names classes in the graph, such as targets.
    """

    graph: Graph
    variables: dict[str, Variable]
    structure: Any
    arguments: tuple[Any, ...] = ()
    classes: tuple[Classes, ...] = ()

    @property
    def updated(self) -> tuple[Variable, ...]:
        """The weights that a call changes."""
        names = (node.attrs["name"] for node in self.graph.updates)
        return tuple(self.variables[name] for name in names if name in self.variables)

    def values(self) -> dict[str, np.ndarray]:
        """The weights by the parameters' names."""
        return {name: variable.view for name, variable in self.variables.items()}

    def state(self) -> dict[str, Buffer]:
        """The buffers of the weights that a call changes, by the parameters' names."""
        names = (node.attrs["name"] for node in self.graph.updates)
        return {name: self.variables[name].buffer for name in names if name in self.variables}

    def pack(self, results: Any) -> Any:
        """One result per output returned, in the nesting of ``structure``."""
        remaining = iter(results)
        leaves = tree.flatten(self.structure)
        return tree.pack_as(
            self.structure,
            [next(remaining) if isinstance(leaf, KerasTensor) else leaf for leaf in leaves],
        )


class TraceScope(Scope):
    """Building one graph: weights become named parameters, layers are named by their path."""

    asks_types_alone = False
    fixes_values = True

    def __init__(self, root: Any, training: bool, open_sizes: bool = False) -> None:
        super().__init__()
        self.open_sizes = open_sizes
        self.has_cut = False
        self.training = training
        self.variables: dict[str, Variable] = {}
        self._root = root
        self.updates: dict[Node, Node] = {}
        self.classes: list[Classes] = []
        self._nodes: dict[int, Node] = {}
        self._paths: dict[int, str] = {}
        self._walked = -1  # what the structure was when its members were last looked up
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}  # how far the numbers behind a name have come

    def parameter(self, variable: Variable) -> Node:
        return self._current.get(id(variable)) or self.leaf(variable)

    def leaf(self, variable: Variable) -> Node:
        """The parameter that stands for the value before the call."""
        if id(variable) not in self._nodes:
            name = self.free_name(self._path(variable) or variable.path.replace("/", "."))
            type_ = TensorType(dtype_of(variable.dtype), variable.shape)
            self.variables[name] = variable
            self._nodes[id(variable)] = parameter(name, type_)
        return self._nodes[id(variable)]

    def assign(self, variable: Variable, value: Any) -> None:
        """``value`` is what is read from here on, and what the graph updates the weight to."""
        node = as_node(value)
        variable.check_shape(node.shape)
        new = cast_node(node, dtype_of(variable.dtype))
        self._current[id(variable)] = self.updates[self.leaf(variable)] = new

    def substitute(self, known: Mapping[Node, Node]) -> None:
        added = [as_node(loss) for loss in self.losses]
        kept = (*self._current.values(), *self.updates.values(), *added)
        changed = dict(zip(kept, substituted(kept, known), strict=True))
        self._current = {key: changed[node] for key, node in self._current.items()}
        self.updates = {leaf: changed[node] for leaf, node in self.updates.items()}
        self.losses = [KerasTensor.of(changed[node]) for node in added]

    def settled(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """The nodes without stand-ins: tensors may leave the function that is differentiated."""
        known: dict[Node, Node] = {}
        for stand_in, node in self._stand_ins.items():
            known[stand_in] = substituted((node,), known)[0] if known else node
        return substituted(nodes, known) if known else nodes

    def note_classes(self, node: Node, classes: int, ignored: int | None) -> None:
        self.classes.append(Classes(node, classes, ignored))

    def settled_classes(self) -> tuple[Classes, ...]:
        """What names classes, without stand-ins."""
        nodes = self.settled(tuple(each.node for each in self.classes))
        pairs = zip(self.classes, nodes, strict=True)
        return tuple(replace(each, node=node) for each, node in pairs)

    def cuts_slices(self) -> bool:
        self.has_cut = self.has_cut or self.open_sizes
        return self.open_sizes

    def assume_shape(self, node: Node, shape: Shape) -> Node:
        self.require_sizes(f"shapes {node.shape} and {shape} are equal only for some sizes")

    def require_sizes(self, reason: str) -> NoReturn:
        raise SizesUnknown(
            f"{reason} of the data. Give the sizes, for example as trace(model, (None, 64, 64, 3))"
        )

    def origin(self, layer: Operation) -> Origin:
        return Origin(self._path(layer) or layer.name, layer.source.file, layer.source.line)

    def free_name(self, wanted: str) -> str:
        """``wanted``, or the first of ``wanted_1``, ... that nothing in the graph has."""
        name, count = wanted, self._counts.get(wanted, 0)
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._counts[wanted] = count
        self._taken.add(name)
        return name

    def _path(self, member: Any) -> str:
        # Layers make weights and further layers on their first call: then the walk is repeated,
        # but not for each weight of an optimizer, which the model does not hold.
        if id(member) not in self._paths:
            tracked = isinstance(member, (Weighted, Variable)) and isinstance(self._root, Weighted)
            if tracked and self._walked != Generation.structure:
                self._walked = Generation.structure
                self._paths |= dict(_named_members(self._root))
            self._paths.setdefault(id(member), "")
        return self._paths[id(member)]


def _named_members(root: Weighted) -> Iterator[tuple[int, str]]:
    # Models are known by their layers: `dense.kernel`, not `model.dense.kernel`.
    prefix = "" if root.kind == "model" else f"{root.name}."
    yield id(root), root.name
    found: dict[int, str] = {}
    stack: list[tuple[Any, str]] = [(root, prefix)]
    entered_: set[int] = set()
    while stack:
        layer, prefix = stack.pop()
        if id(layer) in entered_:
            continue
        entered_.add(id(layer))
        if layer is not root:
            found[id(layer)] = prefix.removesuffix(".")
        for variable in layer.own_variables:
            found.setdefault(id(variable), f"{prefix}{variable.name}")
        stack.extend((inner, f"{prefix}{inner.name}.") for inner in reversed(layer.sublayers))
    yield from found.items()


def trace_call(
    target: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    training: bool = False,
    root: Any = None,
    open_sizes: bool = False,
) -> Traced:
    """The graph of ``target(*args, **kwargs)``, where each ``Spec`` stands for an input.

    Weights and lines are named by their place in ``root``, the target itself unless given.

    Args:
        open_sizes: whether the graph is to hold for all sizes, as nothing will be traced again for
            those of the data: where it can, slices are cut to axes of unknown size.

    Raises:
        ValueError: the inputs do not fit, or the target returns something else than tensors.
    """
    scope = TraceScope(target if root is None else root, training, open_sizes)
    try:
        return _traced(scope, target, args, kwargs or {})
    except (UsageError, IRError):
        if not scope.has_cut:
            raise
    # What follows a slice may need its size.
    return trace_call(target, args, kwargs, training, root)


def _traced(
    scope: TraceScope, target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Traced:
    inputs: list[Node] = []

    def symbolic(leaf: Any) -> Any:
        if not isinstance(leaf, Spec):
            return leaf
        type_ = TensorType(dtype_of(leaf.dtype), symbolic_shape(leaf.shape, scope.free_name))
        inputs.append(input_(scope.free_name(_identifier(leaf.name or "x")), type_))
        return KerasTensor.of(inputs[-1])

    with entered(scope):
        args, kwargs = tree.map_structure(symbolic, (args, kwargs))
        outputs = of_users(target, "the trace", *args, **kwargs)
        structure = tree.map_structure(lambda leaf: _result(target, leaf), outputs)
    nodes = [leaf.node for leaf in tree.flatten(structure) if isinstance(leaf, KerasTensor)]
    # The last one assigned comes first: backward steps end with the first layer's weights.
    updates = dict(reversed(scope.updates.items()))
    name = _identifier(_name_of(target))
    settled = scope.settled((*nodes, *updates.values()))
    graph = Graph(name, tuple(inputs), settled, tuple(updates))
    _check_no_strangers(graph)
    used = {node.attrs["name"] for node in graph.parameters}
    variables = {name: v for name, v in scope.variables.items() if name in used}
    return Traced(graph, variables, structure, args, scope.settled_classes())


def _check_no_strangers(graph: Graph) -> None:
    strangers = {n for n in graph.nodes if n.op is INPUT}.difference(graph.inputs)
    if strangers:
        found = ", ".join(f"{node.attrs['name']}: {node.type}" for node in strangers)
        raise UsageError(
            f"{graph.name}: expected tensors made within this call, of its arguments; received "
            f"some made of {found}, of another call. A tensor that is kept in an attribute stands "
            "for the call that made it alone: keep numbers in a keraunos.Variable"
        )


def _result(target: Any, leaf: Any) -> Any:
    if leaf is None or isinstance(leaf, KerasTensor):
        return leaf
    try:
        return KerasTensor.of(as_node(leaf))
    except TypeError as error:
        raise UsageError(
            f"{_name_of(target)}: expected tensors as results; received {shown(leaf)}"
        ) from error


def _name_of(target: Any) -> str:
    return str(getattr(target, "name", None) or getattr(target, "__name__", "function"))


def _identifier(name: str) -> str:
    cleaned = re.sub(r"\W", "_", name)
    return cleaned if cleaned.isidentifier() else f"_{cleaned}"


@user_facing
def trace(target: Any, *inputs: Any, training: bool = False) -> Graph:
    """The graph of a model, a layer or a function of tensors, before any pass.

    Args:
        inputs: one per argument: a shape such as ``(None, 28, 28, 1)``, an array, a symbolic
            tensor, or a nesting of these. A model that knows its inputs needs none.
        training: as the argument ``training`` of ``call``.

    Raises:
        ValueError: the inputs are missing or do not fit the target.
    """
    return trace_call(target, specs_of(target, inputs), training=training, open_sizes=True).graph


def specs_of(target: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs of ``trace`` as specs; those of the target itself where none are given."""
    if inputs:
        return tuple(_spec(each) for each in inputs)
    own = getattr(target, "input_structure", None)
    if own is None:
        raise UsageError(
            f"trace: {_name_of(target)} does not know its inputs yet. Pass a shape for each, such "
            "as trace(model, (None, 28, 28, 1)), or call it on data first"
        )
    return (tree.map_structure(_spec, own),)


def _spec(value: Any) -> Any:
    if isinstance(value, Spec):
        return value
    if isinstance(value, KerasTensor):
        return Spec(value.shape, value.dtype, _given_name(value))
    if hasattr(value, "shape"):
        return Spec((None, *value.shape[1:])[: len(value.shape)], standard_dtype(value.dtype).name)
    if _is_shape(value):
        return Spec(tuple(value))
    if isinstance(value, dict):
        return {name: _spec(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spec(each) for each in value]
    raise UsageError(
        f"trace: expected shapes, arrays or tensors as inputs; received {shown(value)}"
    )


def _given_name(tensor: KerasTensor) -> str | None:
    """The name that the user gave an input; automatic names say nothing."""
    maker = tensor.history.operation if tensor.history else None
    return tensor.name if getattr(maker, "is_named", False) else None


def _is_shape(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(v is None or isinstance(v, int) for v in value)
