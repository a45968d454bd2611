"""What tensors are being built for: decides what a weight, an array and a layer's line become."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..compiler.ir.graph import Node, Origin
from ..compiler.ir.types import Shape, TensorType, dtype_of
from ..compiler.ops.core import constant, input_, parameter


class Scope:
    """Inference while a model is put together: weights are placeholders that carry a type."""

    training = False
    asks_types_alone = True  # whether of what is computed here only types matter
    fixes_values = False  # whether what Python reads now would be part of a program for good
    has_values = False  # whether tensors have values at once, as in a step that runs eagerly
    bodies = 0  # of loops and branches, around what is traced: there nothing has a value

    def __init__(self) -> None:
        self._current: dict[int, Node] = {}
        self._stand_ins: dict[Node, Node] = {}
        self.losses: list[Any] = []
        self._loss_owners: list[Any] = []

    def parameter(self, variable: Any) -> Node:
        """The node that stands for a weight, the same one each time."""
        if id(variable) not in self._current:
            type_ = TensorType(dtype_of(variable.dtype), variable.shape)
            self._current[id(variable)] = parameter(variable.path, type_)
        return self._current[id(variable)]

    @contextmanager
    def reading(self, nodes: Mapping[int, Node]) -> Iterator[None]:
        """Inside, weights (by their ``id``) are read as these nodes, until they are assigned."""
        before = {key: self._current.get(key) for key in nodes}
        self._current |= nodes
        try:
            yield
        finally:
            unchanged = [key for key, node in nodes.items() if self._current[key] is node]
            self._current |= {key: node for key in unchanged if (node := before[key]) is not None}
            for key in unchanged:
                if before[key] is None:
                    del self._current[key]

    @contextmanager
    def during(self, training: bool) -> Iterator[None]:
        """Inside, layers are in training, or are not, unless they are told otherwise."""
        before, self.training = self.training, training
        try:
            yield
        finally:
            self.training = before

    def stand_in(self, node: Node) -> Node:
        """A value of its own in the place of ``node``: what is made of it can be told apart."""
        made = input_("x", node.tensor_type)
        self._stand_ins[made] = node
        return made

    def substitute(self, known: Mapping[Node, Node]) -> None:
        """Puts others in place of the nodes ``known``, wherever the scope keeps what reads them."""

    def assign(self, variable: Any, value: Any) -> None:
        """Makes a tensor the value of a weight from now on.

        Here only types matter, and the old value does as well.
        """

    def add_loss(self, loss: Any, owner: Any = None) -> None:
        """Takes part of what training minimizes, a scalar tensor; ``losses`` has them in order."""
        self.losses.append(loss)
        self._loss_owners.append(id(owner))

    def losses_of(self, owners: Collection[int]) -> list[Any]:
        """The losses that layers (by their ``id``) have added."""
        pairs = zip(self.losses, self._loss_owners, strict=True)
        return [loss for loss, owner in pairs if owner in owners]

    def forget_losses(self, owners: Collection[int]) -> None:
        """Drops what layers (by their ``id``) added: they are called anew."""
        pairs = list(zip(self.losses, self._loss_owners, strict=True))
        kept = [(loss, owner) for loss, owner in pairs if owner not in owners]
        self.losses = [loss for loss, _ in kept]
        self._loss_owners = [owner for _, owner in kept]

    def remembered(self, outputs: Any) -> Any:
        """What a layer keeps of its first results, for their shapes."""
        return outputs

    def array(self, array: np.ndarray) -> Node:
        """The node that stands for a numpy array."""
        return constant(array)

    def assume_shape(self, node: Node, shape: Shape) -> Node:
        """``node`` under a shape that it may turn out to have.

        Here only types matter, so anything of that shape does. A program takes no assumptions:
        tracing raises ``SizesUnknown``, and is done again for the sizes of the data.
        """
        return input_("assumed", node.tensor_type.with_shape(shape))

    def cuts_slices(self) -> bool:
        """Whether slices get sizes that hold for all sizes of their axis, however short it is.

        Such sizes say less than those of slices that an axis is long enough for.
        """
        return False

    def require_sizes(self, reason: str) -> None:
        """Says that a shape depends on sizes that only the data tell.

        As with ``assume_shape``, a program is then made for the sizes of the data.
        """

    def note_classes(self, node: Node, classes: int, ignored: int | None) -> None:
        """Says that ``node`` names classes from 0 to below ``classes``, or the one ``ignored``."""

    def origin(self, layer: Any) -> Origin:
        """Whose line the nodes of ``layer`` are marked with."""
        return Origin(layer.name, layer.source.file, layer.source.line)


class EagerScope(Scope):
    """One op on arrays: arrays and weights are inputs, whose values wait in ``arrays``."""

    asks_types_alone = False

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[Node] = []
        self.arrays: list[np.ndarray] = []

    def parameter(self, variable: Any) -> Node:
        return self._current.get(id(variable)) or self.array(variable.view)

    def array(self, array: np.ndarray) -> Node:
        if array.ndim == 0:
            return constant(array)
        node = input_(f"a{len(self.inputs)}", TensorType(dtype_of(array.dtype), array.shape))
        self.inputs.append(node)
        self.arrays.append(array)
        return node


_ENCLOSING: ContextVar[tuple[Any, ...]] = ContextVar("enclosing", default=())


@contextmanager
def enclosing(layer: Any) -> Iterator[None]:
    """Weights made inside belong to ``layer``: their paths begin with its path."""
    layers = _ENCLOSING.get()
    token = _ENCLOSING.set(layers if layers and layers[-1] is layer else (*layers, layer))
    try:
        yield
    finally:
        _ENCLOSING.reset(token)


def is_enclosed() -> bool:
    """Whether the call of a layer is under way."""
    return bool(_ENCLOSING.get())


def path_within(layer: Any, name: str) -> str:
    """The path of a weight: ``block/dense/kernel``."""
    layers = _ENCLOSING.get()
    outer = layers[:-1] if layers and layers[-1] is layer else layers
    return "/".join((*(each.name for each in outer), layer.name, name))


_CURRENT: ContextVar[Scope | None] = ContextVar("scope", default=None)


def current_scope() -> Scope | None:
    """The scope of the layer call or trace under way; None in user code at top level."""
    return _CURRENT.get()


def active_scope() -> Scope:
    """The current scope; inside the package there is one whenever a node is built."""
    scope = _CURRENT.get()
    assert scope is not None, "a node is built outside any scope"
    return scope


@contextmanager
def entered(scope: Scope | None) -> Iterator[None]:
    """Makes ``scope`` the current one; None is the top level."""
    token = _CURRENT.set(scope)
    try:
        yield
    finally:
        _CURRENT.reset(token)
