"""Building blocks of scans: their operands by role, and their steps on values around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from ...runtime.dim import Size
from ..ir.graph import Graph, IRError, Node, apply, origin_scope, post_order
from ..ir.rewrite import applied, rebuild
from ..ir.types import BOOL, TensorType, TupleType
from .core import ITEM, input_, is_scalar_constant
from .registry import ops

T = TypeVar("T")
Nodes: TypeAlias = tuple[Node, ...]
Unroll: TypeAlias = int | str  # the attribute of that name of a scan
AUTO, FULL, ROWS = "auto", "full", "rows"
FLAG = TensorType(BOOL, ())  # what the data say of a loop or choice
MANNER = ("axis", "reverse", "least", "unroll")  # attributes that a loop made of another keeps


@dataclass(frozen=True)
class ScanOperands(Generic[T]):
    """The operands of a scan, or the inputs of its body, by role."""

    carries: tuple[T, ...]
    sequences: tuple[T, ...]
    captured: tuple[T, ...]


def split_operands(values: Sequence[T], carries: int, sequences: int) -> ScanOperands[T]:
    """``values`` divided as the attributes of a scan say."""
    values, first = tuple(values), carries + sequences
    return ScanOperands(values[:carries], values[carries:first], values[first:])


def operands_of(node: Node, values: Sequence[T]) -> ScanOperands[T]:
    """``values``, one an operand of the loop ``node``, divided by what its operands are."""
    return split_operands(values, node.attrs["carries"], node.attrs.get("sequences", 0))


def steps_of(node: Node) -> Size:
    """How many steps the scan ``node`` takes."""
    axis: int = node.attrs["axis"]
    return operands_of(node, node.inputs).sequences[0].shape[axis]


def at_one_step(type_: TensorType, axis: int) -> TensorType:
    """The type of a slice of a sequence."""
    return type_.with_shape((*type_.shape[:axis], *type_.shape[axis + 1 :]))


def over_all_steps(type_: TensorType, axis: int, steps: Size) -> TensorType:
    """The type of a result once it is stacked."""
    return type_.with_shape((*type_.shape[:axis], steps, *type_.shape[axis:]))


# Building


@dataclass(frozen=True)
class ScanStep:
    """A step before it has a graph of its own.

    ``state`` and ``slices`` are inputs that stand for the carries and for one slice of each
    sequence. What else ``new_state`` and ``results`` are computed from is captured. Of that
    ``outside`` is known: whoever asks what a step computes need not look beyond it.
    """

    state: Nodes
    slices: Nodes
    new_state: Nodes
    results: Nodes
    outside: frozenset[Node] = frozenset()


StepFunction: TypeAlias = Callable[[Nodes, Nodes], tuple[Sequence[Node], Sequence[Node]]]


def trace_scan(
    step: StepFunction,
    carries: Sequence[Node],
    sequences: Sequence[Node],
    *,
    axis: int = 1,
    reverse: bool = False,
    unroll: Unroll = AUTO,
) -> tuple[Nodes, Nodes]:
    """The final carries and the stacked results of ``step`` over ``sequences``.

    ``step(state, slices)`` gives new carries and results, made of these nodes and of any others of
    the graph around it. With ``reverse`` it walks from the end; results stay beside the slices
    they were made from.

    Raises:
        IRError: the new carries differ from ``carries`` in number or type; a sequence has no
            ``axis``; the lengths differ.
    """
    state = tuple(input_(f"c{i}", node.tensor_type) for i, node in enumerate(carries))
    slices = tuple(
        input_(f"x{i}", at_one_step(node.tensor_type, axis)) for i, node in enumerate(sequences)
    )
    new_state, results = step(state, slices)
    if len(new_state) != len(state):
        raise IRError(f"scan: expected {len(state)} new carries of a step, got {len(new_state)}")
    traced = ScanStep(state, slices, tuple(new_state), tuple(results))
    scan = close_scan(traced, carries, sequences, axis=axis, reverse=reverse, unroll=unroll)
    items = items_of(scan)
    return items[: len(state)], items[len(state) :]


def close_scan(
    step: ScanStep,
    carries: Sequence[Node],
    sequences: Sequence[Node],
    *,
    axis: int = 1,
    reverse: bool = False,
    least: int = 0,
    unroll: Unroll = AUTO,
) -> Node:
    """The scan of ``step``; its body gets what the step captures as inputs, by order of use."""
    body, captured = _closed(step)
    return apply(
        ops.scan,
        (*carries, *sequences, *captured),
        {
            "body": body,
            "carries": len(step.state),
            "sequences": len(step.slices),
            "reverse": reverse,
            "axis": axis,
            "least": least,
            "unroll": unroll,
        },
    )


def close_while(step: ScanStep, goes_on: Node, carries: Sequence[Node]) -> Node:
    """The loop that takes ``step``, which has no slices, as long as its first carry holds.

    That is ``goes_on``, a scalar bool, at the beginning. The others begin as ``carries``.
    """
    body, captured = _closed(step)
    attrs = {"body": body, "carries": len(step.state)}
    return apply(ops.while_loop, (goes_on, *carries, *captured), attrs)


def _closed(step: ScanStep) -> tuple[Graph, Nodes]:
    """The body of a step, and the values from outside that it gets behind its own."""
    outputs = (*step.new_state, *step.results)
    own = (*step.state, *step.slices)
    inside, captured = _captures(outputs, own, step.outside)
    names = [
        *(f"c{i}" for i in range(len(step.state))),
        *(f"x{i}" for i in range(len(step.slices))),
        *(f"w{i}" for i in range(len(captured))),
    ]
    old = (*own, *captured)
    inputs = tuple(input_(n, o.tensor_type) for n, o in zip(names, old, strict=True))
    made = rebuild(inside, dict(zip(old, inputs, strict=True)))
    return Graph("body", inputs, tuple(made.get(node, node) for node in outputs)), captured


def _captures(outputs: Nodes, own: Nodes, outside: frozenset[Node]) -> tuple[Nodes, Nodes]:
    """The nodes that depend on ``own``, in order, and the values from outside that they read."""
    varying = set(own)
    inside: list[Node] = []
    captured: dict[Node, None] = {}
    for node in post_order(outputs, ends=outside):
        if not any(operand in varying for operand in node.inputs):
            continue
        varying.add(node)
        inside.append(node)
        captured.update(dict.fromkeys(i for i in node.inputs if i not in varying))
    captured.update(dict.fromkeys(node for node in outputs if node not in varying))
    return tuple(inside), tuple(node for node in captured if not is_one_number(node))


def is_one_number(node: Node) -> bool:
    """A constant number, repeated or not: kernels have it at hand without reading it."""
    spreads = node.op in (ops.broadcast_to, ops.reshape)
    return is_scalar_constant(node) or (spreads and is_one_number(node.inputs[0]))


def items_of(node: Node) -> Nodes:
    """The results of a node that has several."""
    assert isinstance(node.type, TupleType)
    with origin_scope(*node.origins):
        return tuple(apply(ITEM, (node,), {"index": i}) for i in range(len(node.type.items)))


def open_scan(node: Node) -> ScanStep:
    """The step of the scan ``node``, on what it captures instead of inputs of its body."""
    body: Graph = node.attrs["body"]
    own, outer = operands_of(node, body.inputs), operands_of(node, node.inputs)
    outputs = applied(body, (*own.carries, *own.sequences, *outer.captured))
    count = len(own.carries)
    new_state, results = outputs[:count], outputs[count:]
    return ScanStep(own.carries, own.sequences, new_state, results, frozenset(outer.captured))
