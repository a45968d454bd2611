"""Executables that are called as the model they were made of. Imported late: it brings numba."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..compiler.executable import Executable, compile_graph
from ..compiler.ir.graph import Graph, Node
from ..compiler.report.compare import Variants, compare_graph
from ..compiler.report.comparison import Comparison
from ..compiler.report.diff import stage_diff
from ..compiler.report.difference import Difference
from ..compiler.report.explain import Explanation, explain
from ..compiler.report.profile import Profile, profile
from ..runtime.arrays import is_float
from ..runtime.dim import Size
from . import tree
from .dtypes import as_array, fitted_array
from .errors import UsageError, UsageTypeError, shown, user_facing
from .programs import TracedProgram
from .saving.atomic import check_place
from .tensor import KerasTensor
from .tracing import Traced, specs_of, trace_call
from .training.steps import TracedStep


@dataclass(repr=False)
class CompiledModel(Executable):
    """The executable of a model, a layer, a function of tensors, or a graph.

    It takes the inputs that the model takes. One output comes as an array, several in the nesting
    in which the model gives them (a graph's as a tuple). The weights follow the model's; those of
    a graph come through ``set_parameters``.
    """

    traced: Traced
    runs: TracedProgram

    @staticmethod
    def of(traced: Traced, executable: Executable) -> CompiledModel:
        own = {each.name: getattr(executable, each.name) for each in fields(Executable)}
        runs = TracedProgram(traced, executable)
        return CompiledModel(**own, traced=traced, runs=runs)

    @user_facing
    def __call__(self, *inputs: Any) -> Any:
        """The outputs for these inputs: arrays, or nestings of arrays such as the model takes.

        Raises:
            ValueError: inputs do not fit, or a graph's parameters were not set.
            TypeError: an input is no array of numbers.
        """
        arrays = self._fitted(inputs)
        return self.traced.pack(self.runs(*arrays))

    @user_facing
    def explain(self, only: str | None = None) -> Explanation:
        """What was fused, folded, tiled or declined, and why; prints as a table.

        ``only`` keeps one kind, such as ``"declined"``; raises ``ValueError`` for an unknown one.
        """
        return explain(self, only)

    @user_facing
    def diff(self, stage: str) -> Difference:
        """What the pass of a stage, such as ``"fuse"``, changed, node by node; prints as lines.

        Raises:
            ValueError: no pass of that name ran; ``stages`` has those that did.
        """
        return stage_diff(self.stages, stage)

    @user_facing
    def profile(self, *inputs: Any, repeats: int | None = None) -> Profile:
        """How long each launch of a call takes; prints as a table.

        Runs it for half a second, or ``repeats`` times. Raises what a call does.
        """
        arrays = self._fitted(inputs)
        self.runs.bind()
        return profile(self.runs.executable, *arrays, repeats=repeats)

    @user_facing
    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the program, with the weights that the model has now, for ``load_program``.

        Errors as those of an executable; ``ValueError`` too where no file can be at ``path``.
        """
        if not isinstance(path, (str, os.PathLike)) or "\0" in os.fsdecode(path):
            raise UsageError(f"save: expected the path of a file; received {path!r}")
        check_place("save", Path(path))
        self.runs.bind()
        super().save(path)

    def _fitted(self, inputs: tuple[Any, ...]) -> list[np.ndarray]:
        return fit_inputs(self.traced.graph, inputs, self.traced.arguments)


def compile_model(
    model: Any,
    inputs: tuple[Any, ...],
    training: bool,
    passes: str | Iterable[str],
    disable: str | Iterable[str],
    stop_after: str | None,
    target: str,
    unroll: bool | int | None,
) -> CompiledModel:
    """As ``inspection.compile``."""
    traced = traced_of(model, inputs, training)
    executable = compile_graph(
        traced.graph,
        passes=passes,
        disable=disable,
        stop_after=stop_after,
        unroll=unroll,
        target=target,
        state=traced.state(),
    )
    return CompiledModel.of(traced, executable)


def compare_model(model: Any, x: Any, variants: Variants, repeats: int | None) -> Comparison:
    """As ``inspection.compare``."""
    if isinstance(model, TracedStep):
        return compare_graph(model.graph, model.arrays, model.traced.values(), variants, repeats)
    knows_inputs = isinstance(model, Graph) or getattr(model, "input_structure", None) is not None
    traced = traced_of(model, () if knows_inputs else (x,), training=False)
    missing = len(traced.graph.parameters) - len(traced.variables)
    if missing:
        raise UsageError(
            f"compare: expected a model, or a graph without parameters; received graph "
            f"{traced.graph.name} with {missing} of them. compare_graph of compiler.report.compare "
            "takes their values too"
        )
    arrays = fit_inputs(traced.graph, (x,), traced.arguments)
    return compare_graph(traced.graph, arrays, traced.values(), variants, repeats)


def traced_of(model: Any, inputs: tuple[Any, ...], training: bool) -> Traced:
    """The traced call of a model, layer or function; a step or graph stands for itself."""
    if isinstance(model, TracedStep):
        return model.traced
    if not isinstance(model, Graph) and not callable(model):
        raise UsageError(
            f"expected a model, a layer, a function of tensors or a graph; received {shown(model)}"
        )
    if not isinstance(model, Graph):
        return trace_call(model, specs_of(model, inputs), training=training, open_sizes=True)
    if inputs:
        raise UsageError(f"graph {model.name} has inputs already; received {len(inputs)} more")
    results = tuple(map(KerasTensor.of, model.outputs))
    return Traced(model, {}, results[0] if len(results) == 1 else results)


def fit_inputs(
    graph: Graph, inputs: tuple[Any, ...], arguments: tuple[Any, ...] = ()
) -> list[np.ndarray]:
    """One contiguous array of the right dtype for each input of ``graph``.

    Args:
        arguments: what was traced, for its nesting.

    Raises:
        ValueError: there are too few or too many, or one has another rank or dtype; a list is given
            in the place of a dict.
        TypeError: one is no array of numbers.
    """
    named = tree.unnamed(arguments, inputs) if len(graph.inputs) > 1 else None
    if named is not None:
        raise UsageError(
            f"{graph.name}: expected a dict of inputs called {', '.join(sorted(named))}; received "
            "a list or a tuple, whose order says nothing of names"
        )
    leaves = _leaves(graph, inputs)
    if len(leaves) != len(graph.inputs):
        wanted = ", ".join(f"%{node.attrs['name']}: {node.type}" for node in graph.inputs)
        raise UsageError(f"{graph.name}: expected inputs {wanted}; received {len(leaves)} arrays")
    return [_fit(graph, *pair) for pair in zip(graph.inputs, leaves, strict=True)]


def _leaves(graph: Graph, inputs: tuple[Any, ...]) -> Sequence[Any]:
    names = [node.attrs["name"] for node in graph.inputs]
    alone = inputs[0] if len(inputs) == 1 else None
    if isinstance(alone, dict) and alone.keys() == set(names):
        return [alone[name] for name in names]
    if len(names) == 1 and isinstance(alone, (list, tuple)) and not _holds_one_array(alone):
        return inputs  # a list of numbers
    return tree.flatten(inputs)


def _holds_one_array(value: Sequence[Any]) -> bool:
    return len(value) == 1 and hasattr(value[0], "shape")


def _fit(graph: Graph, node: Node, given: Any) -> np.ndarray:
    name = f'{graph.name}: input "{node.attrs["name"]}"'
    try:
        array = as_array(given)
    except TypeError as error:
        raise UsageTypeError(f"{name}: {error}") from None
    wanted = node.tensor_type
    if array.ndim != wanted.rank or not all(map(_may_be, wanted.shape, array.shape)):
        one = array.ndim == wanted.rank - 1
        hint = ". One sample? Add the batch axis with x[None]" if one else ""
        raise UsageError(f"{name}: expected {wanted}; received shape {array.shape}{hint}")
    if is_float(array.dtype) and not wanted.dtype.is_float:
        raise UsageError(f"{name}: expected {wanted}; received {array.dtype}. Round it first")
    try:
        return fitted_array(array, wanted.dtype.numpy)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _may_be(size: Size, extent: int) -> bool:
    return size == extent or not isinstance(size, int)
