"""The layers between some symbolic inputs and outputs, in Keras's order, and running them anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...compiler.ops.core import input_
from ...runtime.dim import Dim, Size, substitute
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

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The layers of a copy are told of the calls, which layers alone do not take along."""
        vars(self).update(state)
        for node in self.nodes:
            node.operation.enter(node)

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

    def typed(self, arguments: list[KerasTensor]) -> Any:
        """What has the types of the outputs for other inputs, or None if these are not known.

        They are for inputs like the network's own, whatever their unknown sizes are called. So a
        model within models is not run anew for each of these that is put together.
        """
        names: dict[str, Size] = {}
        pairs = zip(tree.flatten(self.inputs), arguments, strict=True)
        if not all(_is_alike(own, other, names) for own, other in pairs):
            return None
        if len(set(names.values())) < len(names):
            return None  # sizes that were two are one
        return tree.map_structure(lambda tensor: _of_its_type(tensor, names), self.outputs)

    def extended(self, output: KerasTensor) -> Network | None:
        """With one more layer at the end, or None if that is not all that ``output`` adds."""
        node = _producer(output)
        if not _leads_on(node, self.outputs) or node.operation in self.operations:
            return None
        nodes, operations = (*self.nodes, node), (*self.operations, node.operation)
        return Network(self.inputs, output, nodes, operations)

    def shortened(self, output: KerasTensor) -> Network | None:
        """Up to ``output``, or None if that is not all but the last layer."""
        node = self.nodes[-1]
        if not _leads_on(node, output) or self.operations[-1] is not node.operation:
            return None
        return Network(self.inputs, output, self.nodes[:-1], self.operations[:-1])


def _leads_on(node: CallNode, tensor: KerasTensor) -> bool:
    """Whether a call makes one tensor of ``tensor`` alone."""
    return (
        len(node.input_tensors) == len(node.output_tensors) == 1 and node.input_tensors[0] is tensor
    )


def _is_alike(own: KerasTensor, other: KerasTensor, names: dict[str, Size]) -> bool:
    """Whether two tensors have one type; ``names`` takes what the one's unknown sizes are."""
    masked = own.mask is not None or other.mask is not None
    if masked or own.shape != other.shape or own.dtype != other.dtype:
        return False
    for mine, given in zip(own.sizes, other.sizes, strict=True):
        name = str(mine)
        if isinstance(mine, Dim) and (
            not name.isidentifier() or names.setdefault(name, given) != given
        ):
            return False
    return True


def _of_its_type(tensor: KerasTensor, names: dict[str, Size]) -> KerasTensor:
    shape = tuple(substitute(size, names) for size in tensor.sizes)
    made = KerasTensor.of(input_("x", tensor.node.tensor_type.with_shape(shape)))
    made.mask = None if tensor.mask is None else _of_its_type(tensor.mask, names)
    return made


def network_between(inputs: Any, outputs: Any) -> Network:
    """The calls that lead from ``inputs`` to ``outputs``.

    Raises:
        ValueError: an output depends on a tensor that is not among the inputs.
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
