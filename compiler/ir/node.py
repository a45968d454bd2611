"""Nodes: one value each, an op applied to other values, typed and interned when it is made.

Building the same computation twice gives the same node, so equality is identity and common
subexpressions never exist. ``input`` and ``parameter`` nodes are the exception: each is its own
value, even under an equal name.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ...runtime.dim import Size
from ...runtime.forks import cached_property
from .attributes import attribute_kind
from .types import DType, TensorType, TupleType, Type, check_type


class IRError(ValueError):
    """An ill-typed or malformed graph: says what was expected, what came, and where from."""


@dataclass(frozen=True)
class Origin:
    """Where a node comes from: the layer that made it and the user's file and line."""

    layer: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else ""
        return "  ".join(part for part in (self.layer, place) if part)


class Literal:
    """An immutable array usable as an attribute: equal content, shape and dtype are equal."""

    __slots__ = ("__weakref__", "_key", "array")

    def __init__(self, array: Any) -> None:
        self.array = np.array(array, order="C")
        self.array.setflags(write=False)
        self._key = (self.array.dtype.str, self.array.shape, self.array.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Literal({self.array.tolist()!r})"


@dataclass(frozen=True)
class Required:
    """Stands where an attribute has no default."""


REQUIRED = Required()

Order: TypeAlias = tuple[Size, Size]  # the first is at most the second
OrderRule: TypeAlias = "Callable[[Node], Iterable[Order]]"


def no_orders(node: Node) -> Iterable[Order]:
    """Most ops have no conditions on sizes beyond their type rule."""
    return ()


TypeRule: TypeAlias = Callable[..., Type]
Reference: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Op:
    """One operation, and everything the compiler knows of it; see ``compiler/ops``.

    ``infer(*types, **attrs)`` gives the result type or raises ``ValueError``/``TypeError``;
    ``reference(*arrays, **attrs)`` computes it with numpy in the dtype of its operands;
    ``gradient(node, grad)`` gives one gradient node (or None) per input, or is a ``NoGrad``
    (an op with several results gets a tuple of gradients; one with a body also ``pullback`` and the
    nodes whose gradients are wanted);
    ``kind`` says which kind of computation it is; ``samples`` feed tests and the fuzzer;
    ``orders(node)`` what must hold of symbolic sizes, which the type rule takes on trust. An op is
    a function: calling it with nodes and attributes builds a node.
    """

    name: str
    infer: TypeRule
    reference: Reference
    kind: Any
    attrs: Mapping[str, Any] = field(default_factory=dict)
    gradient: Any = None
    samples: tuple[Sample, ...] = ()
    doc: str = ""
    orders: OrderRule = no_orders

    def __call__(self, *inputs: Node, **attrs: Any) -> Node:
        return apply(self, inputs, attrs)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


@dataclass(frozen=True)
class Sample:
    """Input types (``"f32[2, 3]"``) and attributes an op can be tried on.

    ``low`` and ``high`` bound the values drawn (for domains such as ``log``'s).
    """

    types: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    low: float = -2.0
    high: float = 2.0


@dataclass(frozen=True, eq=False)
class Node:
    """One value of a graph: an op applied to nodes, its attributes, its type, its origins."""

    op: Op
    inputs: tuple[Node, ...]
    attributes: tuple[tuple[str, Any], ...]
    type: Type
    origins: tuple[Origin, ...] = ()

    @cached_property
    def attrs(self) -> dict[str, Any]:
        return dict(self.attributes)

    @cached_property
    def inferred(self) -> Type:
        """What the type rule gives: the same for ever, however many passes have it verified."""
        return self.op.infer(*(node.type for node in self.inputs), **self.attrs)

    @cached_property
    def exact_attributes(self) -> Any:
        """The attributes as ``exact`` has them: part of what nodes are known by."""
        return exact(self.attributes)

    @property
    def shape(self) -> tuple[Size, ...]:
        return self.tensor_type.shape

    @property
    def dtype(self) -> DType:
        return self.tensor_type.dtype

    @property
    def tensor_type(self) -> TensorType:
        """The type of a node with one result; raises ``IRError`` on a tuple."""
        if isinstance(self.type, TupleType):
            raise IRError(f"{self.op.name} has several results; pick one with item(index=...)")
        return self.type

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers this node comes from, each once."""
        return tuple(dict.fromkeys(origin.layer for origin in self.origins if origin.layer))

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is interned as other nodes are."""
        return _made_again, (self.op, self.inputs, self.attrs, self.origins)

    def __repr__(self) -> str:
        return f"<{self.op.name} : {self.type}>"


_ORIGINS: ContextVar[tuple[Origin, ...]] = ContextVar("origins", default=())
_Known: TypeAlias = MutableMapping[Any, Node]
_INTERNED: _Known = weakref.WeakValueDictionary()
_APART: ContextVar[_Known | None] = ContextVar("apart", default=None)


@contextmanager
def nodes_apart() -> Iterator[_Known]:
    """Nodes built inside are new ones, whatever equals them outside; the mapping has all of them.

    So what a branch computes can be told from what was there before. They are for being built
    again: equal nodes of a graph are one.
    """
    made: dict[Any, Node] = {}
    token = _APART.set(made)
    try:
        yield made
    finally:
        _APART.reset(token)


def _interned() -> _Known:
    apart = _APART.get()
    return _INTERNED if apart is None else apart


class origin_scope:  # a class, as it is entered for each node of each pass
    """Nodes built inside carry these origins."""

    __slots__ = ("_origins", "_token")

    def __init__(self, *origins: Origin) -> None:
        self._origins = origins if len(origins) < 2 else tuple(dict.fromkeys(origins))

    def __enter__(self) -> None:
        self._token = _ORIGINS.set(self._origins)

    def __exit__(self, *error: object) -> None:
        _ORIGINS.reset(self._token)


def set_origins(origins: tuple[Origin, ...]) -> None:
    """Nodes built from here on carry these origins, until the ``origin_scope`` around it ends."""
    _ORIGINS.set(origins)


def current_origins() -> tuple[Origin, ...]:
    """The origins a node built now would carry."""
    return _ORIGINS.get()


def apply(op: Op, inputs: Sequence[Node], attrs: Mapping[str, Any]) -> Node:
    """The node ``op(*inputs, **attrs)``: typed, interned. Raises ``IRError`` if it is ill-typed."""
    attributes = _complete(op, attrs)
    key = None if op.name in UNIQUE_LEAVES else (op, tuple(inputs), exact(attributes))
    try:
        _check_kinds(op, inputs, attributes)
        if key is not None and (known := _interned().get(key)) is not None:
            return known
        type_ = op.infer(*(node.type for node in inputs), **dict(attributes))
        check_type(type_)
    except (ValueError, TypeError) as error:
        raise IRError(_type_error(op, inputs, attributes, error)) from error
    # A constant means the same everywhere: it belongs to no line.
    origins = current_origins() if inputs or key is None else ()
    node = _typed(Node(op, tuple(inputs), attributes, type_, origins))
    return node if key is None else _interned().setdefault(key, node)


def _typed(node: Node) -> Node:
    """``node``, whose type is what its type rule gave."""
    node.__dict__["inferred"] = node.type
    return node


def on_operands(node: Node, inputs: Sequence[Node]) -> Node:
    """``node`` on other operands: itself on its own, and what ``apply`` would make on others.

    On operands of the same types its attributes fit and its type is the same: that costs a third.
    """
    inputs = tuple(inputs)
    if inputs == node.inputs:
        return node
    if [operand.type for operand in inputs] != [operand.type for operand in node.inputs]:
        return apply(node.op, inputs, node.attrs)
    key = (node.op, inputs, node.exact_attributes)
    nodes = _interned()
    known = nodes.get(key)
    if known is not None:
        return known
    made = _typed(Node(node.op, inputs, node.attributes, node.inferred, current_origins()))
    return nodes.setdefault(key, made)


UNIQUE_LEAVES = frozenset({"input", "parameter"})
TAKE_TUPLES = frozenset({"item"})  # ops whose operand may have several results


def _check_kinds(op: Op, inputs: Sequence[Node], attributes: tuple[tuple[str, Any], ...]) -> None:
    """Raises ``TypeError`` for what no type rule has to expect: other kinds of values."""
    for node in inputs:
        if isinstance(node.type, TupleType) and op.name not in TAKE_TUPLES:
            raise TypeError(
                f"expected single values, got {node.type}; pick one with item(index=...)"
            )
    for key, value in attributes:
        if value is op.attrs[key]:
            continue
        kind = attribute_kind(op.name, key)
        if kind is not None and not kind.holds(value):
            raise TypeError(f"{key}: expected {kind.words}, got {value!r}")


def _made_again(
    op: Op, inputs: tuple[Node, ...], attrs: Mapping[str, Any], origins: tuple[Origin, ...]
) -> Node:
    with origin_scope(*origins):
        return apply(op, inputs, attrs)


def _complete(op: Op, attrs: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    unknown = set(attrs) - set(op.attrs)
    missing = [k for k, v in op.attrs.items() if v is REQUIRED and k not in attrs]
    if unknown or missing:
        takes = ", ".join(op.attrs) or "none"
        wrong = f"unknown {sorted(unknown)}" if unknown else f"missing {missing}"
        raise IRError(f"{op.name}: expected attributes {takes}; {wrong}")
    return tuple((k, freeze(attrs.get(k, default))) for k, default in op.attrs.items())


def freeze(value: Any) -> Any:
    """An attribute value in hashable form: lists become tuples, arrays ``Literal``."""
    if isinstance(value, (list, tuple)):
        return tuple(map(freeze, value))
    if isinstance(value, np.ndarray):
        return Literal(value)
    if isinstance(value, np.generic):
        return value.item()
    return value


def exact(value: Any) -> Any:
    """A key for ``value``: ``0``, ``0.0``, ``-0.0`` and ``False`` differ, NaN equals itself."""
    if isinstance(value, tuple):
        return tuple(map(exact, value))
    return type(value), value.hex() if isinstance(value, float) else value


def _type_error(
    op: Op, inputs: Sequence[Node], attributes: tuple[tuple[str, Any], ...], error: Exception
) -> str:
    types = ", ".join(str(node.type) for node in inputs)
    given = "".join(f", {k}={v}" for k, v in attributes if not isinstance(v, Literal))
    where = "".join(f"\n  at {origin}" for origin in current_origins() if str(origin))
    return f"{op.name}({types}{given}): {error}{where}"
