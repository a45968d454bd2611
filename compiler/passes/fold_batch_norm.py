"""Folds batch normalization with fixed statistics into the weights before it.

With s = gamma / sqrt(variance + epsilon):  batch_norm(y) = y * s + (beta - mean * s),  and for
y = conv(x, k) + b  it is  conv(x, k * s) + ((b - mean) * s + beta). The arithmetic on parameters
stays in the graph, where it runs once per set of weights. See Jacob et al. 2018, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from ..context import Context
from ..decisions import Decision
from ..ir.graph import Graph, Node, apply, origin_scope
from ..ir.rewrite import rewrite_chosen
from ..ops.core import constant
from ..ops.registry import ops
from ..weight_preprocessing import fixed_nodes

STAGE = "fold_batch_norm"


def fold_batch_norm(graph: Graph, context: Context[Any]) -> Graph:
    """Folds batch norms with parameter-only statistics into the convolution or matmul before.

    A batch norm that follows neither becomes a multiplication and an addition.

        %0 = conv2d(%x, $k)
        %1 = add(%0, $b)
        %2 = batch_norm(%1, $gamma, $beta, $mean, $variance)
    -->
        %0 = rsqrt(add($variance, 0.001))
        %1 = multiply($gamma, %0)
        %2 = multiply($k, %1)
        %3 = conv2d(%x, %2)
        %4 = multiply(subtract($b, $mean), %1)
        %5 = add(%4, $beta)
        %6 = add(%3, %5)
    """
    while chosen := [match for match in _matches(graph) if not match.reason]:
        for match in chosen:
            context.decisions.add(match.decision())
        graph = rewrite_chosen(graph, {match.norm: partial(_folded, match) for match in chosen})
    rest = _matches(graph)
    for match in rest:
        context.decisions.add(match.decision())
    scalable = {match.norm: _scaled for match in rest if match.reason != "STATISTICS_VARY"}
    return rewrite_chosen(graph, scalable)


@dataclass(frozen=True)
class _Match:
    """A batch norm, the ops before it, and the reason not to fold it (empty if it can)."""

    norm: Node
    pattern: str = "batch_norm"
    producers: tuple[Node, ...] = ()
    reason: str = ""
    detail: str = ""

    def decision(self) -> Decision:
        nodes = (*self.producers, self.norm)
        layers = tuple(dict.fromkeys(layer for node in nodes for layer in node.layers))
        if not self.reason:
            return Decision(STAGE, self.pattern, layers, "folded", detail="into the weights")
        return Decision(STAGE, self.pattern, layers, "declined", self.reason, self.detail)


def _matches(graph: Graph) -> list[_Match]:
    fixed = fixed_nodes(graph)
    return [_match(node, graph, fixed) for node in graph.nodes if node.op is ops.batch_norm]


def _match(norm: Node, graph: Graph, fixed: frozenset[Node]) -> _Match:
    if not all(statistic in fixed for statistic in norm.inputs[1:]):
        return _Match(norm, reason="STATISTICS_VARY", detail="its statistics are not parameters")
    producers = _producers(norm.inputs[0], fixed)
    if not producers:
        detail = f"it follows {norm.inputs[0].op.name}; it becomes a multiplication and an addition"
        return _Match(norm, reason="NO_WEIGHTS_BEFORE", detail=detail)
    pattern = "+".join(node.op.name for node in (*producers, norm))
    reason, detail = _obstacle(norm, producers, graph, fixed)
    return _Match(norm, pattern, producers, reason, detail)


def _producers(x: Node, fixed: frozenset[Node]) -> tuple[Node, ...]:
    """``(conv,)`` or ``(conv, add)`` that compute ``x``; empty if other ops do."""
    if x.op in WEIGHTED:
        return (x,)
    if x.op is not ops.add:
        return ()
    for weighted, bias in (x.inputs, x.inputs[::-1]):
        if weighted.op in WEIGHTED and weighted.type == x.type and bias in fixed:
            return weighted, x
    return ()


def _obstacle(
    norm: Node, producers: tuple[Node, ...], graph: Graph, fixed: frozenset[Node]
) -> tuple[str, str]:
    """Why ``norm`` cannot be folded into the weights: a code and words, both empty if it can."""
    kernel = producers[0].inputs[1]
    rank = norm.tensor_type.rank
    if kernel not in fixed or kernel.tensor_type.rank < 2:
        return "KERNEL_VARIES", "its kernel is not made of parameters"
    if norm.attrs["axis"] % rank != rank - 1:
        return "AXIS_NOT_LAST", f"it normalizes axis {norm.attrs['axis']} of {rank}"
    for node in producers:
        if node in graph.results:
            return "OUTPUT", f"{node.op.name} is itself an output of the graph"
        if len(graph.users[node]) > 1:
            others = [user for user in graph.users[node] if user not in (*producers, norm)]
            names = ", ".join(dict.fromkeys(_title(user) for user in others))
            return "SECOND_USER", f"the output of {node.op.name} also feeds {names}"
    return "", ""


def _title(node: Node) -> str:
    return " ".join((node.op.name, *(f"({layer})" for layer in node.layers)))


# Building the replacement


def _folded(match: _Match, norm: Node) -> Node:
    """The replacement of ``norm``, which is the node of ``match`` on operands of the new graph."""
    (x, *_), bias = norm.inputs, None
    weighted = x
    if len(match.producers) == 2:
        place = match.producers[1].inputs.index(match.producers[0])
        weighted, bias = x.inputs[place], x.inputs[1 - place]
    scale = _scale(norm)
    source, kernel = weighted.inputs
    scaled = ops.multiply(kernel, WEIGHTED[weighted.op](scale, kernel))
    with origin_scope(*weighted.origins, *x.origins, *norm.origins):
        result = apply(weighted.op, (source, scaled), weighted.attrs)
        return ops.add(result, _shift(norm, scale, bias))


def _scaled(norm: Node) -> Node:
    """``x * s + (beta - mean * s)``, with s along the axis that ``norm`` normalizes."""
    scale = _scale(norm)
    shift = _shift(norm, scale, None)
    rank = norm.tensor_type.rank
    trailing = rank - 1 - norm.attrs["axis"] % rank
    along = [_with_trailing_ones(node, trailing) for node in (scale, shift)]
    return ops.add(ops.multiply(norm.inputs[0], along[0]), along[1])


def _with_trailing_ones(node: Node, count: int) -> Node:
    return ops.reshape(node, shape=(*node.shape, *(1,) * count)) if count else node


def _scale(norm: Node) -> Node:
    _, gamma, _, _, variance = norm.inputs
    epsilon = constant(norm.attrs["epsilon"], variance.dtype)
    return ops.multiply(gamma, ops.rsqrt(ops.add(variance, epsilon)))


def _shift(norm: Node, scale: Node, bias: Node | None) -> Node:
    """``(bias - mean) * scale + beta``; without a bias ``beta - mean * scale``."""
    _, _, beta, mean, _ = norm.inputs
    if bias is None:
        return ops.subtract(beta, ops.multiply(mean, scale))
    return ops.add(ops.multiply(ops.subtract(bias, mean), scale), beta)


def _along_last(scale: Node, kernel: Node) -> Node:
    return scale


def _along_last_two(scale: Node, kernel: Node) -> Node:
    """Of a depthwise kernel, whose output channels are its last two axes."""
    return ops.reshape(scale, shape=kernel.shape[-2:])


WEIGHTED = {
    ops.conv1d: _along_last,
    ops.conv2d: _along_last,
    ops.matmul: _along_last,
    ops.depthwise_conv2d: _along_last_two,
}
