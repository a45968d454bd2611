"""Which layer made which tensor: the record from which a functional model is put together."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..compiler.ir.graph import origin_scope
from ..runtime.forks import cached_property
from . import tree
from .arguments import Checked
from .naming import unique_name
from .scope import Scope, active_scope, entered
from .source import SourceLine, user_line
from .tensor import KerasHistory, KerasTensor


@dataclass(frozen=True, eq=False)
class CallNode:
    """One call of an operation on symbolic tensors, with what went in and came out."""

    operation: Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any

    @cached_property
    def input_tensors(self) -> tuple[KerasTensor, ...]:
        """The tensors among the arguments, in order."""
        return _tensors((self.args, self.kwargs))

    @cached_property
    def output_tensors(self) -> tuple[KerasTensor, ...]:
        return _tensors(self.outputs)

    @property
    def is_input(self) -> bool:
        """Whether this is where a model begins."""
        return not self.input_tensors


def _tensors(structure: Any) -> tuple[KerasTensor, ...]:
    return tuple(leaf for leaf in tree.flatten(structure) if isinstance(leaf, KerasTensor))


class Operation(Checked):
    """A layer or a function of ``keraunos.ops``, as a part of a functional model."""

    name: str
    source: SourceLine
    inbound_nodes: list[CallNode]
    kind = "layer"

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        operation = super().__new__(cls)
        operation.inbound_nodes = []
        return operation

    @property
    def class_name(self) -> str:
        """What ``summary`` prints in brackets."""
        return type(self).__name__

    def record(self, args: Any, kwargs: Any, outputs: Any) -> Any:
        """Enters a call in the history; gives the outputs that remember it.

        The lists and dicts of the history are its own: the caller may go on changing his.
        """
        marked = tree.map_structure(_without_history, outputs)
        node = CallNode(self, *map(tree.copied, (tuple(args), dict(kwargs), marked)))
        self.enter(node)
        return marked

    def enter(self, node: CallNode) -> None:
        """Makes a call one of the history, if it is none yet; its results remember it."""
        if node not in self.inbound_nodes:
            self.inbound_nodes.append(node)
        place = self.inbound_nodes.index(node)
        for index, tensor in enumerate(node.output_tensors):
            tensor.history = KerasHistory(self, place, index)

    @property
    def begins(self) -> bool:
        """Whether a model begins with its first call."""
        return bool(self.inbound_nodes) and self.inbound_nodes[0].is_input

    def __getstate__(self) -> dict[str, Any]:
        """A copy takes over where a model begins, and no other calls: models have theirs copied.

        So a copy is of the operation alone, however long the chain is that it stands in.
        """
        state = dict(vars(self))
        nodes = state.pop("inbound_nodes")
        return state | ({"inbound_nodes": nodes[:1]} if self.begins else {})


def _without_history(output: Any) -> Any:
    if not isinstance(output, KerasTensor):
        return output
    fresh = KerasTensor.of(output.node)
    fresh.mask = output.mask
    return fresh


class FunctionOperation(Operation):
    """A function of ``keraunos.ops`` applied to symbolic tensors outside of any layer."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = unique_name(function.__name__)
        self.source = user_line()

    def __getstate__(self) -> dict[str, Any]:
        """A pickle has the function by its public name, which is that of one around it."""
        state = super().__getstate__()
        module = sys.modules.get(getattr(self.function, "__module__", ""))
        public = getattr(module, self.function.__name__, None)
        if getattr(public, "__wrapped__", None) is not self.function:
            return state
        return {**state, "function": None, "public": public}

    def __setstate__(self, state: dict[str, Any]) -> None:
        public = state.pop("public", None)
        vars(self).update(state)
        if public is not None:
            self.function = public.__wrapped__

    @property
    def class_name(self) -> str:
        return "".join(part.title() for part in self.function.__name__.split("_"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Inside a trace the function's result; at top level the same, recorded."""
        with origin_scope(active_scope().origin(self)):
            return self.function(*args, **kwargs)

    def build_call(self, args: Any, kwargs: Any) -> Any:
        """The symbolic result at top level, with its history."""
        with entered(Scope()):
            outputs = self(*args, **kwargs)
        return self.record(args, kwargs, outputs)
