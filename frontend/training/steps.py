"""Steps of training, evaluation and prediction: each kind of batch has a program of its own."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ...compiler.ir.graph import Graph
from .. import tree
from ..programs import TracedProgram
from ..tracing import Spec, Traced, trace_call
from .batch import Batch
from .step_methods import computed, named_results

# The nesting of a batch, and of each leaf dtype and shape, batch size aside; None for no array.
Kind: TypeAlias = tuple[Hashable, tuple[tuple[np.dtype, tuple[int, ...]] | None, ...]]
# Flat results, and what nests them.
Predicted: TypeAlias = tuple[Callable[[Any], Any], Sequence[np.ndarray]]

MOST_STEPS = 32  # kept by a model; the oldest makes room


class Logs(Mapping[str, Any]):
    """The results of a step by name: numbers made only when they are read."""

    __slots__ = ("_arrays", "_names")

    def __init__(self, names: Sequence[str], arrays: Sequence[np.ndarray]) -> None:
        self._names = names
        self._arrays = arrays

    def __getitem__(self, name: str) -> Any:
        try:
            array = self._arrays[self._names.index(name)]
        except ValueError:
            raise KeyError(name) from None
        return array if array.ndim else float(array)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True)
class CompiledStep:
    """A compiled step for one kind of batch, of any size.

    Attributes:
        kind: of the batches that it takes.
        names: of its results.
    """

    program: TracedProgram
    kind: Kind
    names: tuple[str, ...]

    def __call__(self, arrays: Sequence[np.ndarray]) -> Logs:
        return Logs(self.names, self.program(*arrays))

    def run_checked(self, arrays: Sequence[np.ndarray]) -> Logs:
        """As a call, of arrays that ``check`` has looked at."""
        return Logs(self.names, self.program.run_checked(arrays))

    def check(self, arrays: Sequence[np.ndarray]) -> None:
        """Raises ``ValueError`` for ids and targets that name no rows and no classes."""
        self.program.check(arrays)


@dataclass(frozen=True)
class PredictStep:
    """A compiled ``predict_step`` for one kind of batch, of any size."""

    program: TracedProgram
    kind: Kind

    def __call__(self, arrays: Sequence[np.ndarray]) -> Predicted:
        return self.program.traced.pack, self.program(*arrays)


@dataclass(frozen=True)
class TracedStep:
    """A step before it is compiled, to look into: what ``fit`` or ``evaluate`` would run.

    ``keraunos.compile``, ``explain``, ``compare`` and ``dump`` take it in place of a model.

    Attributes:
        traced: its graph, and the weights behind the graph's parameters.
        arrays: the batch that it was traced for.
        names: of its results.
    """

    traced: Traced
    arrays: tuple[np.ndarray, ...]
    names: tuple[str, ...]

    @property
    def graph(self) -> Graph:
        """Forward, loss, backward, updates and metrics, before any pass."""
        return self.traced.graph

    def __str__(self) -> str:
        return str(self.graph)


def leaves_of(batch: Batch) -> tuple[Sequence[np.ndarray | None], Hashable]:
    """All arrays of a batch, flat, with None where there is none; and how they were nested."""
    parts = (batch.x, batch.y, batch.sample_weight)
    # One array each, as nearly always: then nothing has to be walked.
    if all(part is None or type(part) is np.ndarray for part in parts):
        return parts, None
    return tree.flatten(parts), tree.nesting(parts)


def kind_of(leaves: Sequence[np.ndarray | None], nesting: Hashable) -> Kind:
    """What a step depends on, but for the batch size."""
    return nesting, tuple(
        [None if leaf is None else (leaf.dtype, leaf.shape[1:]) for leaf in leaves]
    )


def make_step(model: Any, mode: str, batch: Batch, kind: Kind) -> CompiledStep | PredictStep:
    """Traces and compiles a step of ``model`` for batches like this one.

    Raises:
        ValueError: the batch does not fit the model, its loss or its metrics.
    """
    if mode == "predict":
        return PredictStep(TracedProgram(_trace(model, mode, batch, lambda results: results)), kind)
    step = trace_step(model, mode, batch)
    return CompiledStep(TracedProgram(step.traced), kind, step.names)


def trace_step(model: Any, mode: str, batch: Batch) -> TracedStep:
    """The graph of a step: outputs are the losses and metrics, all state is updated."""
    names: tuple[str, ...] = ()

    def listed(results: Any) -> list[Any]:
        nonlocal names
        named = named_results(model, mode, results)
        names = tuple(named)
        return list(named.values())

    traced = _trace(model, mode, batch, listed)
    arrays = tuple(leaf for leaf in leaves_of(batch)[0] if leaf is not None)
    return TracedStep(traced, arrays, names)


def _trace(model: Any, mode: str, batch: Batch, outputs: Callable[[Any], Any]) -> Traced:
    def step(x: Any, y: Any, sample_weight: Any) -> Any:
        return outputs(computed(model, mode, x, y, sample_weight))

    step.__name__ = f"{model.name}_{mode}"
    parts = {"x": batch.x, "y": batch.y, "sample_weight": batch.sample_weight}
    specs = tuple(_specs(part, name, model.fixes_batch) for name, part in parts.items())
    traced = trace_call(step, specs, training=mode == "train", root=model)
    model.settle(has_stepped=True)
    return traced


def _specs(part: Any, name: str, fixed: bool) -> Any:
    """What stands for each array of a part: any number of samples, unless that is ``fixed``."""

    def spec(array: np.ndarray | None) -> Spec | None:
        if array is None:
            return None
        samples = array.shape[0] if fixed else None
        return Spec((samples, *array.shape[1:]), array.dtype.name, name)

    return tree.map_structure(spec, part)
