"""The layers between some symbolic inputs and outputs, in Keras's order, and running them anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import tree
from ..errors import UsageError
from ..history import CallNode, Operation
from ..tensor import KerasTensor


@dataclass(frozen=True, eq=False)
class Network:
    """Calls in an order in which each finds its inputs made.

    Attributes:
        inputs, outputs: symbolic tensors, nested as the user gave them.
        nodes: the calls, producers first.
        operations: layers and functions as Keras lists them: by distance from the outputs, the
            farthest first. The order of a model's weights depends on it.
    """

    inputs: Any
    outputs: Any
    nodes: tuple[CallNode, ...]
    operations: tuple[Operation, ...]

    def run(self, arguments: list[KerasTensor]) -> Any:
        """The outputs for other inputs, given flat."""
        values = {id(t): a for t, a in zip(tree.flatten(self.inputs), arguments, strict=True)}

        def replaced(leaf: Any) -> Any:
            return values[id(leaf)] if isinstance(leaf, KerasTensor) else leaf

        for node in self.nodes:
            if all(id(tensor) in values for tensor in node.output_tensors):
                continue  # an input, or what stands for one
            args, kwargs = tree.map_structure(replaced, (node.args, node.kwargs))
            made = tree.flatten(node.operation(*args, **kwargs))  # type: ignore[operator]
            values |= {
                id(tensor): value
                for tensor, value in zip(tree.flatten(node.outputs), made, strict=True)
                if id(tensor) not in values
            }
        return tree.map_structure(replaced, self.outputs)


def network_between(inputs: Any, outputs: Any) -> Network:
    """The calls that lead from ``inputs`` to ``outputs``.

    Raises:
        ValueError: an output depends on something that is no input.
    """
    inputs, outputs = tree.copied(inputs), tree.copied(outputs)  # lists that the caller may change
    nodes, first_seen = _producers_first(inputs, outputs)
    _check_reached(inputs, nodes)
    return Network(inputs, outputs, tuple(nodes), _in_keras_order(inputs, nodes, first_seen))


def _producers_first(inputs: Any, outputs: Any) -> tuple[list[CallNode], dict[Operation, int]]:
    """Depth first from the outputs, without recursion: models can be thousands of layers deep."""
    ends = {id(tensor) for tensor in tree.flatten(inputs)}
    order: list[CallNode] = []
    seen: set[int] = set()
    first_seen: dict[Operation, int] = {}
    for output in tree.flatten(outputs):
        stack: list[tuple[KerasTensor, bool]] = [(output, False)]
        while stack:
            tensor, finished = stack.pop()
            node = _producer(tensor)
            if finished:
                order.append(node)
                continue
            if id(node) in seen:
                continue
            seen.add(id(node))
            first_seen.setdefault(node.operation, len(first_seen))
            stack.append((tensor, True))
            if id(tensor) not in ends:
                stack.extend((source, False) for source in reversed(node.input_tensors))
    return order, first_seen


def _producer(tensor: KerasTensor) -> CallNode:
    if tensor.history is None:
        raise UsageError(
            "Model: expected tensors that come from keraunos.Input; received one of shape "
            f"{tensor.shape} without a history"
        )
    return tensor.history.operation.inbound_nodes[tensor.history.node_index]


def _check_reached(inputs: Any, nodes: list[CallNode]) -> None:
    known = {id(tensor) for tensor in tree.flatten(inputs)}
    for node in nodes:
        outputs = node.output_tensors
        if all(id(tensor) in known for tensor in outputs):
            continue
        missing = node.is_input or any(id(t) not in known for t in node.input_tensors)
        if missing:
            raise UsageError(
                f'Model: the outputs depend on "{node.operation.name}" ({node.operation.source}), '
                "which is not reached from the inputs. Add it to inputs=[...]"
            )
        known |= {id(tensor) for tensor in outputs}


def _in_keras_order(
    inputs: Any, nodes: list[CallNode], first_seen: dict[Operation, int]
) -> tuple[Operation, ...]:
    depths: dict[int, int] = {}
    operations: dict[Operation, int] = {}
    producers = {id(tensor): node for node in nodes for tensor in node.output_tensors}
    for node in reversed(nodes):
        depth = max(depths.get(id(node), 0), operations.get(node.operation, 0))
        operations[node.operation] = depths[id(node)] = depth
        for parent in _parents(node, producers):
            depths[id(parent)] = max(depth + 1, depths.get(id(parent), 0))
    for operation in _unused_inputs(inputs, operations):
        operations[operation] = 0
        first_seen[operation] = -1
    return tuple(sorted(operations, key=lambda each: (-operations[each], first_seen[each])))


def _parents(node: CallNode, producers: dict[int, CallNode]) -> Iterator[CallNode]:
    for tensor in node.input_tensors:
        if id(tensor) in producers:
            yield producers[id(tensor)]


def _unused_inputs(inputs: Any, operations: dict[Operation, int]) -> list[Operation]:
    makers = [_producer(tensor).operation for tensor in tree.flatten(inputs)]
    return [maker for maker in makers if maker not in operations]
