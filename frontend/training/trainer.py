"""What training adds to a model: ``compile``, ``fit``, ``evaluate`` and steps by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import lazy, metrics, ops, optimizers
from ..errors import LayerError, user_facing
from ..scope import active_scope
from ..variable import Generation, Variable
from ..weights import Weighted
from .batch import Batch
from .compile_loss import CompileLoss, check_labels, label_check
from .compile_metrics import CompileMetrics
from .held_metrics import held_metrics
from .nested import as_contiguous, mapped
from .sample_weights import weights_for
from .steps import (
    Logs,
    Step,
    TracedStep,
    arrays_of,
    kinds_of,
    make_step,
    predicted_shapes,
    regularization,
    samples_in,
    trace_step,
)


class Trainer(Weighted):
    """The half of a model that trains it.

    Attributes:
        optimizer, loss: as given to ``compile``; the optimizer as an instance.
        compiled: whether ``compile`` was called.
        history: what the last ``fit`` returned; None before.
        stop_training: set it in a callback to end ``fit`` after this epoch.
    """

    compiled = False
    optimizer: Any = None
    loss: Any = None
    history: Any = None
    stop_training = False
    output_shape: Any

    # Compiling

    @user_facing
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Says how to train; the steps are compiled when they meet their first batch.

        Args:
            optimizer: a name or an instance of ``keraunos.optimizers``.
            loss: a name, a function ``(y_true, y_pred)``, an instance of ``keraunos.losses``, or
                one per output in a list or dict. None where layers add all losses themselves.
            loss_weights: a number per output.
            metrics, weighted_metrics: names, functions or instances, in a list or one per output;
                the latter count samples by their weights.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: taken for Keras's sake.
                A step is always one compiled program.

        Raises:
            ValueError: an unknown name.
        """
        self.optimizer = optimizers.get(optimizer)
        self.loss = loss
        names = output_names(self)
        self._compile_loss = None if loss is None else CompileLoss(loss, loss_weights, names)
        self._compile_metrics = CompileMetrics(metrics, weighted_metrics, names)
        self._compile_config = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self._loss_tracker = _mean("loss")
        self._output_trackers: dict[str, Any] = {}
        self._held_metrics = held_metrics(self, Trainer)
        self._steps: dict[Any, Step] = {}
        self.hot_steps: dict[bool, Step] = {}
        self._trained = -1
        self.compiled = True

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise LayerError(
                self, f"{method}: expected a call of compile(optimizer=..., loss=...) before"
            )

    # What is computed in a step

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The scalar to minimize, traced: the loss, and what layers and regularizers add to it.

        A subclass may define its own. Without anything to minimize it is 0 in evaluation.

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
                self._output_trackers[name] = _mean(f"{name}_loss")
            self._output_trackers[name].update_state(value, sample_weight=samples_in(y_pred))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The losses and metrics so far by name, after this batch, traced."""
        if y is not None:
            self._compile_metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """The losses and metrics by name, as they stand: tensors while traced, arrays else."""
        self._held_metrics = held_metrics(self, Trainer)  # layers make theirs when they are built
        results = _results([self._loss_tracker, *self._output_trackers.values()])
        return {**results, **self._compile_metrics.result(), **_results(self._further_metrics())}

    @property
    def metrics(self) -> list[Any]:
        """The loss and the metrics, in the order of their results.

        First those of ``compile``, then what the model and its layers hold as attributes.
        """
        if not self.compiled:
            return []
        trackers = [self._loss_tracker, *self._output_trackers.values()]
        return [*trackers, *self._compile_metrics.metrics, *self._further_metrics()]

    def _further_metrics(self) -> list[Any]:
        """Metrics that are attributes, but for those that ``compile`` was given."""
        given = {id(metric) for metric in self._compile_metrics.metrics}
        return [metric for metric in self._held_metrics if id(metric) not in given]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the results, the loss first; all are known after the first step."""
        for step in self.hot_steps.values() if self.compiled else ():
            return list(step.names)
        return [metric.name for metric in self.metrics]

    @property
    def metrics_variables(self) -> list[Variable]:
        """What the metrics keep, in their order."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def reset_metrics(self) -> None:
        """Begins the means and counts of all metrics anew."""
        for metric in self.metrics:
            metric.reset_state()

    # Steps

    def train_step_on(self, batch: Batch, check: bool = True) -> Logs:
        """One step of training on a batch of contiguous arrays; its results, made when read.

        Args:
            check: whether the targets may name classes that there are not.

        Raises:
            ValueError: they do.
        """
        return self._step(batch, True, check)

    def test_step_on(self, batch: Batch, check: bool = True) -> Logs:
        """Loss and metrics of a batch, as ``train_step_on``."""
        return self._step(batch, False, check)

    def _step(self, batch: Batch, training: bool, check: bool) -> Logs:
        arrays = arrays_of(batch)
        if self._trained != Generation.trainability:
            self._forget_steps()
        step = self.hot_steps.get(training)
        if step is None or not step.accepts(arrays):
            step = self.hot_steps[training] = self._find_step(batch, arrays, training)
        if check and step.check is not None:
            step.check(batch.y)
        return step(arrays)

    def _forget_steps(self) -> None:
        """What is trained has changed: steps are traced anew."""
        self._steps.clear()
        self.hot_steps.clear()
        self._trained = Generation.trainability

    def _find_step(self, batch: Batch, arrays: Sequence[Any], training: bool) -> Step:
        key = (training, kinds_of(arrays))
        if key not in self._steps:
            self._steps[key] = make_step(self, batch, arrays, training)
        return self._steps[key]

    @user_facing
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One step of training on one batch.

        Returns:
            The loss, or a list of it and the metrics as ``metrics_names`` lists them, each of
            this batch alone; by name if ``return_dict``.

        Raises:
            ValueError: the batch does not fit the model or the loss; ``compile`` was not called.
            TypeError: something is no array of numbers.
        """
        self._require_compiled("train_on_batch")
        batch = _batch(x, y, sample_weight, class_weight)
        self.reset_metrics()
        return _returned(self.train_step_on(batch), return_dict)

    @user_facing
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and the metrics on one batch. Returns and raises as ``train_on_batch``."""
        self._require_compiled("test_on_batch")
        batch = _batch(x, y, sample_weight, None)
        self.reset_metrics()
        return _returned(self.test_step_on(batch), return_dict)

    @user_facing
    def training_step(
        self, x: Any, y: Any = None, sample_weight: Any = None, training: bool = True
    ) -> TracedStep:
        """The step for a batch, traced but not compiled: print it, or hand it to
        ``keraunos.explain``, ``compare``, ``dump`` and ``compile``.

        Args:
            training: False for the step of ``evaluate``.

        Raises:
            ValueError, TypeError: as ``train_on_batch``.
        """
        self._require_compiled("training_step")
        batch = _batch(x, y, sample_weight, None)
        return trace_step(self, batch, arrays_of(batch), training)

    def check_data(self, data: Batch) -> None:
        """Builds the model for all of the data, and checks what no compiled step can tell.

        Raises:
            ValueError: labels name classes that the model does not have.
        """
        shapes = predicted_shapes(self, data.x)
        if self._compile_loss is not None and data.y is not None:
            check_labels(self._compile_loss, data.y, shapes)

    def label_check(self, y: Any, shapes: Any) -> Callable[[Any], None] | None:
        """What raises for targets like ``y`` that name classes which there are not, if any can."""
        own = type(self).compute_loss is not Trainer.compute_loss
        if own or self._compile_loss is None or y is None:
            return None
        return label_check(self._compile_loss, y, shapes)

    # Loops

    @user_facing
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> Any:
        """Trains the model epoch by epoch.

        Args:
            x: arrays; or a generator, an iterator, a ``PyDataset``, a data loader of another
                library: anything that yields batches ``(x, y)`` or ``(x, y, sample_weight)``.
            y: the targets, where ``x`` is arrays.
            batch_size: of arrays, 32 unless given. The last batch of an epoch may be smaller.
            epochs: the epoch to stop at, counted from 0.
            verbose: 0 silent, 1 ("auto") a progress bar, 2 a line per epoch.
            callbacks: of ``keraunos.callbacks``.
            validation_split: the share at the end of the arrays to validate on.
            validation_data: what to validate on after an epoch.
            shuffle: whether each epoch takes arrays in another order.
            class_weight: class to weight.
            sample_weight: a weight a sample.
            initial_epoch: the epoch to begin with.
            steps_per_epoch: batches an epoch; needed where data never end.
            validation_steps, validation_batch_size: the same of the validation.
            validation_freq: epochs from one validation to the next, or a list of epochs.

        Returns:
            A ``History``: ``history.history["loss"]`` has a number per epoch.

        Raises:
            ValueError: the data do not fit the model or one another; ``compile`` was not called.
            TypeError: something is no array of numbers.
        """
        self._require_compiled("fit")
        self.history = lazy.load(".training.loop").fit(
            self,
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
        )
        return self.history

    @user_facing
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics on data, as ``fit`` takes them.

        Returns:
            The loss, or a list of it and the metrics; by name if ``return_dict``.

        Raises:
            ValueError, TypeError: as ``fit``.
        """
        self._require_compiled("evaluate")
        return lazy.load(".training.loop").evaluate(
            self,
            x,
            y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            steps=steps,
            callbacks=callbacks,
            return_dict=return_dict,
        )

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of ``compile``, as configurations."""
        return dict(self._compile_config)


def output_names(model: Any) -> list[str] | None:
    """The names of a model's outputs: those of the layers that make them; None if not known."""
    structure = getattr(model, "outputs", None)
    if structure is None:
        return None
    return [
        tensor.history.operation.name if tensor.history else tensor.name for tensor in structure
    ]


def _mean(name: str) -> Any:
    return metrics.Mean(name=name)


def _results(trackers: list[Any]) -> dict[str, Any]:
    return {tracker.name: tracker.result() for tracker in trackers}


def _batch(x: Any, y: Any, sample_weight: Any, class_weight: Any) -> Batch:
    x, y = mapped(as_contiguous, x), mapped(as_contiguous, y)
    return Batch(x, y, weights_for(y, sample_weight, class_weight))


def _returned(logs: Logs, return_dict: bool) -> Any:
    if return_dict:
        return dict(logs)
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
