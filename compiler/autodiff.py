"""Reverse-mode differentiation: a graph of a number to the graph of its gradients.

Nodes are visited in reverse order, from the output. The gradient rule of an op turns the cotangent
of its result into cotangents of its operands, which accumulate. A composite without a rule is
differentiated through its expansion, and stays whole in the forward graph, where passes can still
match it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeAlias

from .ir.graph import Graph, IRError, Node, origin_scope
from .ir.kinds import Composite, NoGrad, Region
from .ir.types import TensorType, TupleType
from .ops.building import full
from .ops.core import ITEM
from .ops.dependence import between, read_inside, varying, varying_inside
from .ops.registry import ops


def grad(graph: Graph, wrt: Sequence[Node]) -> Graph:
    """The graph of the derivatives of the one, scalar output of ``graph``, one per node of ``wrt``.

    It updates no parameters, whatever ``graph`` does.

    Raises:
        IRError: as ``gradients``; ``graph`` has several outputs.
    """
    if len(graph.returned) != 1:
        raise IRError(
            f"graph {graph.name}: expected one output to differentiate, got {len(graph.returned)}; "
            "use with_outputs to choose one"
        )
    return Graph(graph.name, graph.inputs, gradients(graph.returned[0], wrt))


def gradients(output: Node, wrt: Sequence[Node]) -> tuple[Node, ...]:
    """The derivative of the float scalar ``output`` by each node, in the type of that node.

    Zeros for a node that the output does not depend on, or only through ``stop_gradient`` and
    steps such as ``floor``.

    Raises:
        IRError: ``output`` is no float scalar; an op on the way has no gradient.
    """
    if not output.dtype.is_float or output.shape != ():
        raise IRError(f"expected a float scalar to differentiate, got {output.type}; take its mean")
    for node in wrt:
        if not node.dtype.is_float:
            raise IRError(f"expected floats to differentiate by, got {node.type}")
    found = _flow([output], [full(1, (), output.dtype)], wrt)
    _check_nothing(output, [node for node in wrt if node not in found])
    return tuple(found.get(node) or full(0, node.shape, node.dtype) for node in wrt)


def pullback(
    outputs: Sequence[Node], cotangents: Sequence[Node | None], wrt: Sequence[Node]
) -> tuple[Node | None, ...]:
    """The cotangents of ``wrt``, given those of ``outputs``; None stands for no gradient.

    Nodes of ``wrt`` count as independent of one another; nothing before them is visited.

    Raises:
        IRError: an op on the way has no gradient.
    """
    pairs = [(n, s) for n, s in zip(outputs, cotangents, strict=True) if s is not None]
    found = _flow([n for n, _ in pairs], [s for _, s in pairs], wrt, local=True)
    return tuple(found.get(node) for node in wrt)


Seed: TypeAlias = "Node | Sequence[Node | None]"


def _flow(
    outputs: Sequence[Node], seeds: Sequence[Seed], targets: Sequence[Node], local: bool = False
) -> dict[Node, Node]:
    """The cotangents of ``targets``; with ``local`` nothing before them is visited."""
    order = between(outputs, frozenset(targets) if local else frozenset())
    moving = varying(order, targets)
    sums = _CotangentSums()
    for output, seed in zip(outputs, seeds, strict=True):
        sums.accumulate(output, seed)
    for node in reversed(order):
        received = sums.at(node)
        if received is None or not any(i in moving for i in node.inputs):
            continue
        if local and node in targets:
            continue
        with origin_scope(*node.origins):
            sums.propagate(node, received, moving)
    plain = {node: sums.at(node) for node in targets}
    return {node: cotangent for node, cotangent in plain.items() if isinstance(cotangent, Node)}


class _CotangentSums:
    """The cotangents of each result of each node, summed as they arrive."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Node, int], Node] = {}

    def at(self, node: Node) -> Node | tuple[Node | None, ...] | None:
        """The cotangent of a node: one, or for a tuple one per result; None if there is none."""
        if not isinstance(node.type, TupleType):
            return self._sums.get((node, 0))
        found = tuple(self._sums.get((node, i)) for i in range(len(node.type.items)))
        return found if any(each is not None for each in found) else None

    def accumulate(self, node: Node, cotangent: Seed, index: int = 0) -> None:
        if not isinstance(cotangent, Node):
            for i, each in enumerate(cotangent):
                if each is not None:
                    self.accumulate(node, each, i)
            return
        known = self._sums.get((node, index))
        self._sums[node, index] = cotangent if known is None else ops.add(known, cotangent)

    def propagate(self, node: Node, received: Any, moving: Collection[Node]) -> None:
        """Accumulates the cotangents of those operands of ``node`` that are among ``moving``."""
        if node.op is ITEM:
            self.accumulate(node.inputs[0], received, node.attrs["index"])
            return
        cotangents = _cotangents_of_operands(node, received, moving)
        for operand, cotangent in zip(node.inputs, cotangents, strict=True):
            if cotangent is None or operand not in moving or not _is_float(operand):
                continue
            assert cotangent.type == operand.type, (
                f"{node.op.name}: {cotangent.type}, not {operand.type}"
            )
            self.accumulate(operand, cotangent)


def _cotangents_of_operands(
    node: Node, received: Any, moving: Collection[Node]
) -> Sequence[Node | None]:
    """One cotangent (or None) per operand, by the rule of the op or through its expansion."""
    rule = node.op.gradient
    if isinstance(rule, NoGrad):
        raise IRError(_refusal(node, rule.reason))
    if rule is not None:
        # The gradient of a region is built from the gradient of its body.
        more = (pullback, moving) if isinstance(node.op.kind, Region) else ()
        cotangents: Sequence[Node | None] = rule(node, received, *more)
        return cotangents
    assert isinstance(node.op.kind, Composite), f"{node.op.name} has no gradient entry"
    expansion = node.op.kind.expand(node)
    operands = tuple(dict.fromkeys(node.inputs))
    found = _flow([expansion], [received], operands, local=True)
    # An operand used twice gets its whole cotangent once.
    return [found.pop(operand, None) for operand in node.inputs]


def _refusal(node: Node, reason: str) -> str:
    where = "".join(f"\n  at {origin}" for origin in node.origins if str(origin))
    return f"{node.op.name} : {node.type} has no gradient: {reason}{where}"


def _is_float(node: Node) -> bool:
    return not isinstance(node.type, TensorType) or node.dtype.is_float


def _check_nothing(output: Node, nodes: Sequence[Node]) -> None:
    """Raises if one of ``nodes``, which no gradient reached, is converted to a float on the way.

    An integer or a boolean that is cast to a float (an accuracy, say) would look like a loss that
    does not learn. A parameter that is only a condition, or only the index of a ``gather``, is
    fine.
    """
    if not nodes:
        return
    order = between([output])
    for nodes_read, moving in _with_bodies(order, varying(order, nodes)):
        for user in nodes_read:
            if user in moving and _becomes_float(user):
                raise IRError(_blocked(user, nodes_read, moving))


_Scope: TypeAlias = "tuple[Sequence[Node], Collection[Node]]"


def _with_bodies(order: Sequence[Node], moving: Collection[Node]) -> Iterator[_Scope]:
    """The nodes read in bodies of loops, innermost first, then ``order``.

    Each with the varying ones.
    """
    read: dict[Node, set[int]] = {}  # of each loop the results that something reads
    for node in order:
        if node.op is ITEM:
            read.setdefault(node.inputs[0], set()).add(node.attrs["index"])
    for node in order:
        if node.op is ops.scan and node in moving:
            inside = read_inside(node, read.get(node, set()))
            yield from _with_bodies(inside, varying_inside(node, moving))
    yield order, moving


def _becomes_float(user: Node) -> bool:
    """Whether ``user`` computes a float from operands that are not floats."""
    if not _is_float(user) or not user.inputs or any(map(_is_float, user.inputs)):
        return False
    return user.op is ops.cast or isinstance(user.op.gradient, NoGrad)


def _blocked(user: Node, nodes_read: Sequence[Node], moving: Collection[Node]) -> str:
    """The message for the first op on the way to ``user`` whose result has no derivative."""
    above = between([user])
    # A loop's carries do not come before their user in its body.
    for order in (above, nodes_read):
        for nodes, inside in _with_bodies(order, moving):
            for node in nodes:
                if node in inside and _stops(node):
                    return _refusal(node, _reason(node))
    return _refusal(user, "its operand is no float")


def _stops(node: Node) -> bool:
    """Whether ``node`` computes something other than a float from floats."""
    return not _is_float(node) and node.op is not ITEM and any(map(_is_float, node.inputs))


def _reason(node: Node) -> str:
    rule = node.op.gradient
    return rule.reason if isinstance(rule, NoGrad) else "it is no float"
