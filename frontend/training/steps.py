"""Training and evaluation steps: forward, loss, backward, update and metrics as one program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler.autodiff import gradients
from ...compiler.ir import Graph
from ...compiler.ops.building import count
from ...compiler.types import FLOAT32
from .. import ops, tree
from ..dtypes import canonical_array
from ..errors import UsageError
from ..programs import Program
from ..scope import Scope, active_scope, entered
from ..tensor import KerasTensor
from ..tracing import Spec, Traced, TraceScope, trace_call
from ..variable import Variable
from .batch import Batch


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
class Step:
    """A compiled step for one kind of batch, of any size.

    Attributes:
        kinds: dtype and shape, batch size aside, of each array it takes.
        names: of its results.
        check: raises ``ValueError`` for targets that no compiled step can tell are wrong; None
            where there are none.
    """

    program: Program
    kinds: tuple[tuple[np.dtype, tuple[int, ...]], ...]
    names: tuple[str, ...]
    check: Callable[[Any], None] | None = None

    def accepts(self, arrays: Sequence[np.ndarray]) -> bool:
        """Whether the arrays are of the kind that the step was compiled for."""
        return kinds_of(arrays) == self.kinds

    def __call__(self, arrays: Sequence[np.ndarray]) -> Logs:
        return Logs(self.names, self.program(*arrays))


@dataclass(frozen=True)
class TracedStep:
    """A step before it is compiled, to look into: what ``fit`` or ``evaluate`` would run.

    ``keraunos.compile``, ``explain``, ``compare`` and ``dump`` take it in place of a model.

    Attributes:
        traced: its graph, and the weights behind the graph's parameters.
        arrays: the batch that it was traced for.
        names: of its results.
        shapes: of the predictions, nested as these are.
    """

    traced: Traced
    arrays: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    shapes: Any

    @property
    def graph(self) -> Graph:
        """Forward, loss, backward, updates and metrics, before any pass."""
        return self.traced.graph

    def __str__(self) -> str:
        return str(self.graph)


def kinds_of(arrays: Sequence[np.ndarray]) -> tuple[tuple[np.dtype, tuple[int, ...]], ...]:
    """Dtype and shape, batch size aside, of each array."""
    return tuple((array.dtype, array.shape[1:]) for array in arrays)


def arrays_of(batch: Batch) -> list[np.ndarray]:
    """All arrays of a batch, flat."""
    return [leaf for leaf in _leaves(batch) if leaf is not None]


def _leaves(batch: Batch) -> list[Any]:
    parts = (batch.x, batch.y, batch.sample_weight)
    if all(part is None or type(part) is np.ndarray for part in parts):
        return list(parts)
    return tree.flatten(parts)


def make_step(model: Any, batch: Batch, arrays: Sequence[np.ndarray], training: bool) -> Step:
    """Traces and compiles a step of ``model`` for batches like this one.

    Raises:
        ValueError: the batch does not fit the model, its loss or its metrics.
    """
    step = trace_step(model, batch, arrays, training)
    check = model.label_check(batch.y, step.shapes)
    return Step(Program(step.traced), kinds_of(arrays), step.names, check)


def trace_step(
    model: Any, batch: Batch, arrays: Sequence[np.ndarray], training: bool
) -> TracedStep:
    """The graph of a step: outputs are the losses and metrics, all state is updated."""
    remaining = iter(arrays)
    parts = {"x": batch.x, "y": batch.y, "sample_weight": batch.sample_weight}
    specs = {name: _specs(part, name, remaining) for name, part in parts.items()}

    results: dict[str, Any] = {}
    shapes: Any = None

    def step(x: Any, y: Any, sample_weight: Any) -> list[Any]:
        nonlocal shapes
        take = train_step if training else test_step
        predicted, found = take(model, x, y, sample_weight)
        shapes = tree.map_structure(lambda tensor: tensor.shape, predicted)
        results.update(found)
        return list(results.values())

    step.__name__ = f"{model.name}_{'train' if training else 'test'}"
    traced = trace_call(step, tuple(specs.values()), training=training, root=model)
    return TracedStep(traced, tuple(arrays), tuple(results), shapes)


def _specs(part: Any, name: str, remaining: Iterator[np.ndarray]) -> Any:
    def spec(leaf: Any) -> Spec | None:
        if leaf is None:
            return None
        array = next(remaining)
        return Spec((None, *array.shape[1:]), array.dtype.name, name)

    return tree.map_structure(spec, part)


def train_step(model: Any, x: Any, y: Any, sample_weight: Any) -> tuple[Any, dict[str, Any]]:
    """One step of gradient descent, traced: predictions, and the loss and the metrics by name."""
    predicted, total = _forward(model, x, y, sample_weight, training=True)
    variables = model.trainable_variables
    if not variables:
        raise UsageError(
            f'model "{model.name}": expected weights to train; received none that are trainable'
        )
    scaled = model.optimizer.scale_loss(total)
    model.optimizer.apply(gradients_by(scaled, variables), variables)
    return predicted, results_of(model, x, y, predicted, sample_weight)


def test_step(model: Any, x: Any, y: Any, sample_weight: Any) -> tuple[Any, dict[str, Any]]:
    """Predictions, and the loss and the metrics of a batch, traced."""
    predicted, _ = _forward(model, x, y, sample_weight, training=False)
    return predicted, results_of(model, x, y, predicted, sample_weight)


def _forward(
    model: Any, x: Any, y: Any, sample_weight: Any, training: bool
) -> tuple[Any, KerasTensor]:
    """What the model makes of a batch, and the loss, which is counted."""
    predicted = model(x, training=training)
    total = model.compute_loss(x, y, predicted, sample_weight, training=training)
    model._loss_tracker.update_state(total, sample_weight=samples_in(x))
    return predicted, total


def results_of(model: Any, x: Any, y: Any, predicted: Any, sample_weight: Any) -> dict[str, Any]:
    """Losses, then metrics; some metrics give several results."""
    results: dict[str, Any] = {}
    for name, value in model.compute_metrics(x, y, predicted, sample_weight).items():
        results.update(value if isinstance(value, dict) else {name: value})
    return results


def predicted_shapes(model: Any, x: Any) -> Any:
    """The shapes of what the model makes of arrays, nested as its outputs; builds it if need be.

    Raises:
        ValueError: the arrays do not fit the model.
    """
    if getattr(model, "network", None) is not None:
        return model.output_shape
    with entered(Scope()):
        predicted = model.apply((tree.map_structure(_symbolic, x),), {})
    return tree.map_structure(lambda tensor: tensor.shape, predicted)


def _symbolic(array: np.ndarray) -> KerasTensor:
    """What stands for any batch of such samples."""
    return KerasTensor((None, *array.shape[1:]), canonical_array(array[:0]).dtype.name)


def gradients_by(total: KerasTensor, variables: Sequence[Variable]) -> list[KerasTensor]:
    """The gradient of a scalar by each variable, as tensors of the graph being traced."""
    scope = active_scope()
    assert isinstance(scope, TraceScope), "gradients are part of a traced graph"
    found = gradients(total.node, [scope.leaf(variable) for variable in variables])
    return list(map(KerasTensor.of, found))


def regularization(variables: Sequence[Variable]) -> list[Any]:
    """What the regularizers of weights add to the loss."""
    return [v.regularizer(ops.convert_to_tensor(v)) for v in variables if v.regularizer is not None]


def samples_in(x: Any) -> KerasTensor:
    """The number of samples, as a float."""
    first = tree.flatten(x)[0]
    return KerasTensor.of(count(first.sizes[:1], FLOAT32))
