"""The methods of a model that say what a step computes. A subclass may define its own of each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .. import metrics, ops
from ..errors import LayerError, UsageError, UsageTypeError
from ..scope import active_scope
from ..variable import Variable
from ..weights import Weighted
from . import standard_step
from .batch import pack_x_y_sample_weight, unpack_x_y_sample_weight
from .compile_metrics import CompileMetrics
from .standard_step import regularization, samples_in
from .tracked_metrics import tracked_metrics


class StepMethods(Weighted):
    """Steps, losses and metrics of a model.

    All of these are traced: they run once for a kind of batch, on tensors, and become a compiled
    program; or, with ``compile(run_eagerly=True)``, at each batch, on tensors that have values.
    """

    compiled = False
    optimizer: Any = None
    _compile_loss: Any
    _compile_metrics: CompileMetrics
    _loss_tracker: Any
    _output_trackers: dict[str, Any]
    _tracked_metrics: list[Any]

    # Steps

    def train_step(self, data: Any) -> dict[str, Any]:
        """What ``fit`` does with a batch: forward, loss, gradients, update of weights, metrics.

        One's own takes gradients with ``keraunos.value_and_grad`` and hands them to
        ``optimizer.apply(gradients, weights)``, of one optimizer or of several::

            def train_step(self, data):
                x, y = data

                def loss_of(x, y):
                    predicted = self(x, training=True)
                    return self.compute_loss(y=y, y_pred=predicted), predicted

                weights = self.trainable_variables
                (loss, predicted), gradients = keraunos.value_and_grad(
                    loss_of, wrt=weights, has_aux=True
                )(x, y)
                self.optimizer.apply(gradients, weights)
                return {"loss": loss}

        Args:
            data: tensors as ``(x, y)``, ``(x, y, sample_weight)`` or x alone, each nested as it
                was given; ``keraunos.utils.unpack_x_y_sample_weight`` takes any of them.

        Returns:
            Numbers by name, for the history, the progress bar and callbacks.
        """
        return standard_step.train_step(self, *unpack_x_y_sample_weight(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        """What ``evaluate`` does with a batch: forward, loss, metrics. As ``train_step``."""
        return standard_step.test_step(self, *unpack_x_y_sample_weight(data))

    def predict_step(self, data: Any) -> Any:
        """What ``predict`` makes of a batch: tensors in any nesting, whose first axis is the batch.

        Args:
            data: as in ``train_step``.
        """
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    # Losses

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The scalar to minimize: the loss, and what layers and regularizers add to it.

        Without anything to minimize it is 0 in evaluation.

        Raises:
            ValueError: there is nothing to minimize in training.
        """
        parts: list[Any] = []
        if self._compile_loss is not None:
            total, named = self._compile_loss(y, y_pred, sample_weight)
            parts.append(total)
            self._track_outputs(named, y_pred)
        parts += regularization(self.trainable_variables)
        parts += active_scope().losses
        if not parts and training:
            raise LayerError(
                self, "expected a loss to minimize: pass compile(loss=...), or add_loss in a layer"
            )
        if not parts:
            return ops.zeros(())
        return sum(parts[1:], start=parts[0])

    def _track_outputs(self, named: dict[str, Any], y_pred: Any) -> None:
        if len(named) < 2:
            return
        for name, value in named.items():
            if name not in self._output_trackers:
                self._output_trackers[name] = mean(f"{name}_loss")
            self._output_trackers[name].update_state(value, sample_weight=samples_in(y_pred))

    # Metrics

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The losses and metrics so far by name, after this batch."""
        if y is not None:
            self._compile_metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """The losses and metrics by name, as they stand: tensors within a step, arrays else."""
        self._tracked_metrics = tracked_metrics(self, StepMethods)  # made when layers are built
        results: dict[str, Any] = {}
        for metric in self._all_metrics():
            result = metric.result()
            results |= result if isinstance(result, dict) else {metric.name: result}
        return results

    @property
    def metrics(self) -> list[Any]:
        """The loss and the metrics, in the order of their results; all of them begin anew with
        each epoch.

        First those of ``compile``, which are one entry, ``compile_metrics``, then what the model
        and its layers hold as attributes. A subclass may list others: these, and the losses and
        metrics of ``compile``, are then what results are made of.
        """
        if not self.compiled:
            return []
        given = {id(metric) for metric in self._compile_metrics.metrics}
        tracked = [metric for metric in self._tracked_metrics if id(metric) not in given]
        return [*self._compiled_metrics(), *tracked]

    def _compiled_metrics(self) -> list[Any]:
        """What ``compile`` asks for."""
        some = [self._compile_metrics] if self._compile_metrics.is_given else []
        return [self._loss_tracker, *self._output_trackers.values(), *some]

    def _all_metrics(self) -> list[Any]:
        """What ``compile`` asks for, and what ``metrics`` lists."""
        found = [*self._compiled_metrics(), *self.metrics]
        return list({id(metric): metric for metric in found}.values())

    def find_metrics(self) -> None:
        """Takes note of the metrics among the model's attributes and its layers', by now."""
        self._tracked_metrics = tracked_metrics(self, StepMethods)

    @property
    def metrics_variables(self) -> list[Variable]:
        """What the metrics keep, in their order."""
        every = self._all_metrics() if self.compiled else []
        return [variable for metric in every for variable in metric.variables]

    def reset_metrics(self) -> None:
        """Begins the means and counts of all metrics anew."""
        for metric in self._all_metrics():
            metric.reset_state()


def mean(name: str) -> Any:
    """What keeps the mean of a loss over batches."""
    return metrics.Mean(name=name)


def own_step(model: Any, mode: str) -> Callable[[Any], Any] | None:
    """The method ``train_step``, ``test_step`` or ``predict_step`` of a subclass; else None.

    Raises:
        ValueError: it takes something else than the data of a batch.
    """
    name = f"{mode}_step"
    method: Callable[[Any], Any] = getattr(model, name)
    if getattr(method, "__func__", None) is getattr(StepMethods, name):
        return None
    signature = inspect.signature(method)
    try:
        signature.bind(None)
    except TypeError:
        raise UsageError(
            f"expected a method {name}(self, data); received {name}{signature}. Weights are no "
            "arguments of a step, as with JAX: keraunos.value_and_grad takes gradients by them, "
            "and optimizer.apply changes them"
        ) from None
    return method


def computed(model: Any, mode: str, x: Any, y: Any, sample_weight: Any) -> Any:
    """The results of a step, as it gives them."""
    own = own_step(model, mode)
    if own is not None:
        with _noted(model, mode), _built_for(model, x):
            return own(pack_x_y_sample_weight(x, y, sample_weight))
    if mode == "predict":
        return model.predict_step(pack_x_y_sample_weight(x, y, sample_weight))
    step = standard_step.train_step if mode == "train" else standard_step.test_step
    return step(model, x, y, sample_weight)


@contextmanager
def _built_for(model: Any, x: Any) -> Iterator[None]:
    """The model built where it can be; where not, its own step may not need it, or says more."""
    problem: Exception | None = None
    try:
        model.build_like(x)
    except Exception as error:  # noqa: BLE001 - whatever the user's own code raises, for a note
        problem = error
    try:
        yield
    except Exception as error:
        if problem is not None:
            error.add_note(f"Before, the model could not be built of x alone: {problem}")
        raise


@contextmanager
def _noted(model: Any, mode: str) -> Iterator[None]:
    """Errors of the user's own code say what is different here."""
    try:
        yield
    except (UsageError, UsageTypeError):
        raise
    except Exception as error:
        error.add_note(
            f"In {type(model).__name__}.{mode}_step: gradients come from keraunos.value_and_grad"
            "(loss, wrt=variables), in place of tf.GradientTape, jax.grad or loss.backward(), and "
            "functions of tensors from keraunos.ops"
        )
        if not model.run_eagerly:
            error.add_note(
                "It was traced: it runs once, on tensors without values, to become a compiled "
                "program. compile(run_eagerly=True) runs it at each batch, on values"
            )
        raise


def named_results(model: Any, mode: str, results: Any) -> dict[str, Any]:
    """Results by name, flat; those of one's own step in the order of the metrics, as in Keras.

    Raises:
        ValueError: a step gave no dict of numbers.
    """
    if not isinstance(results, dict):
        raise UsageError(
            f"{mode}_step: expected a dict of numbers by name as its result; received "
            f"{type(results).__name__}"
        )
    flat = _flat(results)
    for name, value in flat.items():
        if value is None:
            raise UsageError(f"{mode}_step: expected numbers by name; received None as {name!r}")
    if own_step(model, mode) is None:
        return flat
    known = [name for name in _flat(model.get_metrics_result()) if name in flat]
    return {name: flat[name] for name in [*known, *sorted(flat.keys() - known)]}


def _flat(results: dict[str, Any]) -> dict[str, Any]:
    """Some metrics give several results."""
    flat: dict[str, Any] = {}
    for name, value in results.items():
        flat |= _flat(value) if isinstance(value, dict) else {name: value}
    return flat
