"""Reverse-mode differentiation: a graph of a number to the graph of its gradients.

Nodes are visited from the output back. Each hands the gradient that reached it on to its operands
by the rule of its op; a composite without a rule of its own does so through its expansion, and
stays whole in the forward part, where passes can still match it.
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
    outputs: Sequence[Node], slopes: Sequence[Node | None], wrt: Sequence[Node]
) -> tuple[Node | None, ...]:
    """What the gradients ``slopes`` of ``outputs`` make of those of ``wrt``; None is no gradient.

    Nodes of ``wrt`` count as independent of one another, and are not looked beyond.

    Raises:
        IRError: an op on the way has no gradient.
    """
    pairs = [(n, s) for n, s in zip(outputs, slopes, strict=True) if s is not None]
    found = _flow([n for n, _ in pairs], [s for _, s in pairs], wrt, local=True)
    return tuple(found.get(node) for node in wrt)


Seed: TypeAlias = "Node | Sequence[Node | None]"


def _flow(
    outputs: Sequence[Node], seeds: Sequence[Seed], targets: Sequence[Node], local: bool = False
) -> dict[Node, Node]:
    """The gradients that reach ``targets``; if ``local`` nothing is looked at beyond these."""
    order = between(outputs, frozenset(targets) if local else frozenset())
    moving = varying(order, targets)
    arrived = _Arrived()
    for output, seed in zip(outputs, seeds, strict=True):
        arrived.put(output, seed)
    for node in reversed(order):
        received = arrived.at(node)
        if received is None or not any(i in moving for i in node.inputs):
            continue
        if local and node in targets:
            continue
        with origin_scope(*node.origins):
            arrived.hand_on(node, received, moving)
    plain = {node: arrived.at(node) for node in targets}
    return {node: slope for node, slope in plain.items() if isinstance(slope, Node)}


class _Arrived:
    """The sum of the gradients that have reached each result of each node so far."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Node, int], Node] = {}

    def at(self, node: Node) -> Node | tuple[Node | None, ...] | None:
        """What a node received: one gradient, or for a tuple one per result; None if nothing."""
        if not isinstance(node.type, TupleType):
            return self._sums.get((node, 0))
        parts = tuple(self._sums.get((node, i)) for i in range(len(node.type.items)))
        return parts if any(part is not None for part in parts) else None

    def put(self, node: Node, slope: Seed, index: int = 0) -> None:
        if not isinstance(slope, Node):
            for i, part in enumerate(slope):
                if part is not None:
                    self.put(node, part, i)
            return
        known = self._sums.get((node, index))
        self._sums[node, index] = slope if known is None else ops.add(known, slope)

    def hand_on(self, node: Node, received: Any, moving: Collection[Node]) -> None:
        """Gives the operands of ``node`` among ``moving`` their share of what it received."""
        if node.op is ITEM:
            self.put(node.inputs[0], received, node.attrs["index"])
            return
        slopes = _slopes(node, received, moving)
        for operand, slope in zip(node.inputs, slopes, strict=True):
            if slope is None or operand not in moving or not _is_float(operand):
                continue
            assert slope.type == operand.type, f"{node.op.name}: {slope.type}, not {operand.type}"
            self.put(operand, slope)


def _slopes(node: Node, received: Any, moving: Collection[Node]) -> Sequence[Node | None]:
    """One gradient (or None) per operand, by the rule of the op or through its expansion."""
    rule = node.op.gradient
    if isinstance(rule, NoGrad):
        raise IRError(_refusal(node, rule.reason))
    if rule is not None:
        # The gradient of a region is made of the gradient of its body.
        more = (pullback, moving) if isinstance(node.op.lowering, Region) else ()
        slopes: Sequence[Node | None] = rule(node, received, *more)
        return slopes
    assert isinstance(node.op.lowering, Composite), f"{node.op.name} has no gradient entry"
    expansion = node.op.lowering.expand(node)
    operands = tuple(dict.fromkeys(node.inputs))
    found = _flow([expansion], [received], operands, local=True)
    # An operand used twice gets the whole once.
    return [found.pop(operand, None) for operand in node.inputs]


def _refusal(node: Node, reason: str) -> str:
    where = "".join(f"\n  at {origin}" for origin in node.origins if str(origin))
    return f"{node.op.name} : {node.type} has no gradient: {reason}{where}"


def _is_float(node: Node) -> bool:
    return not isinstance(node.type, TensorType) or node.dtype.is_float


def _check_nothing(output: Node, nodes: Sequence[Node]) -> None:
    """An error if one of ``nodes``, which no gradient reached, became a float by way of others.

    An index or an answer made a number again (an accuracy, say) would look like a loss that does
    not learn. As a condition or as the index of a ``gather`` it may well be all there is.
    """
    if not nodes:
        return
    order = between([output])
    for part, moving in _with_bodies(order, varying(order, nodes)):
        for user in part:
            if user in moving and _turns(user):
                raise IRError(_blocked(user, part, moving))


Part: TypeAlias = "tuple[Sequence[Node], Collection[Node]]"


def _with_bodies(order: Sequence[Node], moving: Collection[Node]) -> Iterator[Part]:
    """What is read in bodies of loops, innermost first, then ``order``; each with what moves."""
    read: dict[Node, set[int]] = {}  # of each loop the results that something reads
    for node in order:
        if node.op is ITEM:
            read.setdefault(node.inputs[0], set()).add(node.attrs["index"])
    for node in order:
        if node.op is ops.scan and node in moving:
            inside = read_inside(node, read.get(node, set()))
            yield from _with_bodies(inside, varying_inside(node, moving))
    yield order, moving


def _turns(user: Node) -> bool:
    """Whether ``user`` makes floats of what is none."""
    if not _is_float(user) or not user.inputs or any(map(_is_float, user.inputs)):
        return False
    return user.op is ops.cast or isinstance(user.op.gradient, NoGrad)


def _blocked(user: Node, part: Sequence[Node], moving: Collection[Node]) -> str:
    """What to say of the first op on the way to ``user`` whose result has no slope."""
    above = between([user])
    # What a loop carries from step to step is not above its user.
    for order in (above, part):
        for nodes, inside in _with_bodies(order, moving):
            for node in nodes:
                if node in inside and _stops(node):
                    return _refusal(node, _reason(node))
    return _refusal(user, "its operand is no float")


def _stops(node: Node) -> bool:
    """Whether ``node`` makes something else of floats."""
    return not _is_float(node) and node.op is not ITEM and any(map(_is_float, node.inputs))


def _reason(node: Node) -> str:
    rule = node.op.gradient
    return rule.reason if isinstance(rule, NoGrad) else "it is no float"
