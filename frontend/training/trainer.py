"""What training adds to a model: ``compile``, ``fit``, ``evaluate`` and steps by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from .. import lazy, optimizers
from ..accepted import Count, Natural, ShareBelowOne
from ..arguments import checked_method
from ..errors import LayerError, UsageError
from .batch import Batch
from .batch_steps import BatchSteps
from .compile_loss import CompileLoss
from .compile_metrics import CompileMetrics
from .nested import Intake, check_batch
from .sample_weights import weights_for
from .step_methods import mean
from .steps import (
    Logs,
    TracedStep,
    trace_step,
)


class Trainer(BatchSteps):
    """The half of a model that trains it.

    Attributes:
        optimizer, loss: as given to ``compile``; the optimizer as an instance.
        compiled: whether ``compile`` was called.
        history: what the last ``fit`` returned; None before.
        stop_training: set it in a callback to end ``fit`` after this epoch.
        steps_per_execution: batches from one word to the callbacks to the next.
    """

    loss: Any = None
    history: Any = None
    stop_training = False
    steps_per_execution = 1
    # Of the other half:
    settle: Any

    # Compiling

    @checked_method
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: Count = 1,
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
            run_eagerly: whether Python runs each step op by op, with values in all tensors, to be
                printed, stopped at and looked into; slowly, and to the same numbers. Else a step is
                traced once and is one compiled program.
            steps_per_execution: how many batches callbacks of batches hear of at once.
            jit_compile: True or "auto", which are one: steps that do not run eagerly are compiled.
            auto_scale_loss: as in Keras, it changes losses under the policy mixed_float16 alone,
                which is not among the dtypes here.

        Raises:
            ValueError: an unknown name; ``jit_compile=False``; a number of steps below 1.
        """
        _check_compiled(run_eagerly, jit_compile)
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
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
            "auto_scale_loss": auto_scale_loss,
        }
        self._loss_tracker = mean("loss")
        self._output_trackers = {}
        self.steps_per_execution = steps_per_execution
        self.run_eagerly = run_eagerly  # which forgets the steps made so far
        self.settle(has_stepped=False)
        self.compiled = True

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise LayerError(
                self, f"{method}: expected a call of compile(optimizer=..., loss=...) before"
            )

    # Steps

    @checked_method
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
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
        batch = _batch(self.intake, x, y, sample_weight, class_weight)
        self.reset_metrics()
        return _returned(self.train_step_on(batch), return_dict)

    @checked_method
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and the metrics on one batch. Returns and raises as ``train_on_batch``."""
        self._require_compiled("test_on_batch")
        batch = _batch(self.intake, x, y, sample_weight, None)
        self.reset_metrics()
        return _returned(self.test_step_on(batch), return_dict)

    @checked_method
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
        batch = _batch(self.intake, x, y, sample_weight, None)
        return trace_step(self, "train" if training else "test", batch)

    # Loops

    @checked_method
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: Count | None = None,
        epochs: Natural = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: ShareBelowOne = 0.0,
        validation_data: Any = None,
        shuffle: bool | Literal["batch"] = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: Natural = 0,
        steps_per_epoch: Count | None = None,
        validation_steps: Count | None = None,
        validation_batch_size: Count | None = None,
        validation_freq: Count | Collection[int] = 1,
    ) -> Any:
        """Trains the model epoch by epoch.

        Args:
            x: arrays; or a generator, an iterator, a ``PyDataset``, a data loader of another
                library: anything that yields batches ``(x, y)`` or ``(x, y, sample_weight)``.
                Of a model that is known to take one input, ``(x, y)`` or ``(x, y, sample_weight)``
                may be one tuple of arrays too.
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

    @checked_method
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: Count | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: Count | None = None,
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


def _check_compiled(run_eagerly: bool, jit_compile: Any) -> None:
    """Raises ``ValueError`` for what a step cannot be asked for."""
    if jit_compile not in (True, "auto") and not (run_eagerly and jit_compile in (False, None)):
        raise UsageError(
            'jit_compile: expected True or "auto", as a step is a compiled program; received '
            f"{jit_compile!r}. compile(run_eagerly=True) runs it op by op"
        )


def _batch(intake: Intake, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> Batch:
    if x is None:
        raise UsageError("expected x as an array, or arrays; received None")
    x, y = intake.x(x), intake.y(y)
    check_batch(x)
    return Batch(x, y, weights_for(y, sample_weight, class_weight, intake))


def _returned(logs: Logs, return_dict: bool) -> Any:
    if return_dict:
        return dict(logs)
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
