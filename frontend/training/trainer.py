"""What training adds to a model: ``compile``, ``fit``, ``evaluate`` and steps by hand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Literal

from .. import lazy, optimizers, tree
from ..accepted import Count, Natural, ShareBelowOne
from ..arguments import checked_method
from ..dtypes import floatx
from ..errors import LayerError, UsageError
from ..programs import Kept, Store, kept_with_reads
from .batch import Batch
from .compile_loss import CompileLoss, label_check
from .compile_metrics import CompileMetrics
from .eager_steps import make_eager_step, rehearse
from .nested import Intake
from .sample_weights import weights_for
from .standard_step import predicted_shapes
from .step_methods import StepMethods, mean, own_step
from .steps import (
    MOST_STEPS,
    Kind,
    Logs,
    Predicted,
    TracedStep,
    kind_of,
    leaves_of,
    make_step,
    trace_step,
)


class Trainer(StepMethods):
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
    output_shape: Any
    dtype: Any
    network: Any
    settle: Any

    _run_eagerly = False
    _steps: Store
    hot_steps: dict[str, Kept]

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
            ValueError: an unknown name; ``jit_compile=False``; steps that are no number above 0.
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

    @property
    def run_eagerly(self) -> bool:
        """Whether Python runs each step op by op; it may be set between two steps."""
        return self._run_eagerly

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._run_eagerly = bool(value)
        self.forget_steps()

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise LayerError(
                self, f"{method}: expected a call of compile(optimizer=..., loss=...) before"
            )

    # Data

    @property
    def intake(self) -> Intake:
        """How data become arrays of batches: whether float64 stays."""
        return Intake(self._input_doubles, self._target_doubles)

    def _input_doubles(self) -> str:
        """What float64 becomes: it stays where an input or the model itself is of float64."""
        model: Any = self
        network = model.network
        given = () if network is None else tree.flatten(network.inputs)
        dtypes = [model.dtype, *(tensor.dtype for tensor in given)]
        return "float64" if "float64" in dtypes else floatx()

    def _target_doubles(self) -> str:
        """The same of targets, which a loss or metric of float64 takes with all digits too."""
        config = self._compile_config if self.compiled else {}
        judges = tree.flatten(
            [config.get(name) for name in ("loss", "metrics", "weighted_metrics")]
        )
        wide = any(getattr(judge, "dtype", None) == "float64" for judge in judges)
        return "float64" if wide else self._input_doubles()

    # Steps

    @property
    def metrics_names(self) -> list[str]:
        """The names of the results, the loss first; all are known after the first step."""
        steps = self.hot_steps if self.compiled else {}
        known = next(
            (list(steps[mode].made.names) for mode in ("train", "test") if mode in steps), []
        )
        return known or [metric.name for metric in self.metrics]

    def train_step_on(self, batch: Batch, check: bool = True) -> Logs:
        """One step of training on a batch of contiguous arrays; its results, made when read.

        Args:
            check: whether the targets may name classes that there are not.

        Raises:
            ValueError: they do.
        """
        return self._run("train", batch, check)

    def test_step_on(self, batch: Batch, check: bool = True) -> Logs:
        """Loss and metrics of a batch, as ``train_step_on``."""
        return self._run("test", batch, check)

    def predict_step_on(self, batch: Batch) -> Predicted:
        """What ``predict_step`` makes of a batch of contiguous arrays: flat, and what nests it."""
        step, leaves = self._step("predict", batch)
        found: Predicted = step([leaf for leaf in leaves if leaf is not None])
        return found

    @property
    def predicts_by_step(self) -> bool:
        """Whether ``predict`` goes by ``predict_step``, and not by the model's own program."""
        return self._run_eagerly or own_step(self, "predict") is not None

    def _run(self, mode: str, batch: Batch, check: bool) -> Logs:
        step, leaves = self._step(mode, batch)
        if check and step.check is not None:
            step.check(batch.y)
        logs: Logs = step([leaf for leaf in leaves if leaf is not None])
        return logs

    def _step(self, mode: str, batch: Batch) -> tuple[Any, Any]:
        """The step for such a batch, and the batch's arrays."""
        leaves, nesting = leaves_of(batch)
        kind = kind_of(leaves, nesting)
        hot = self.hot_steps.get(mode)
        if hot is None or hot.made.kind != kind or not hot.is_current():
            hot = self.hot_steps[mode] = self._find_step(mode, batch, kind)
        return hot.made, leaves

    def forget_steps(self) -> None:
        """What is trained, or how, has changed: steps are made anew."""
        self._steps = {}
        self.hot_steps = {}

    def _find_step(self, mode: str, batch: Batch, kind: Kind) -> Kept:
        def make() -> Any:
            maker: Any = make_eager_step if self._run_eagerly else make_step
            return maker(self, mode, batch, kind)

        return kept_with_reads(self._steps, (mode, kind), make, MOST_STEPS)

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

    def rehearse(self, batch: Batch) -> None:
        """Makes what a step of training on such a batch makes, such as metrics, and changes none
        of it."""
        if self._run_eagerly:
            rehearse(self, batch)
        else:
            trace_step(self, "train", batch)

    def build_for(self, batch: Batch) -> None:
        """Makes the weights for batches like this one.

        As in Keras, a model whose ``call`` cannot be taken with symbols for values, where its steps
        are its own or run one op at a time, is built by its first step instead.

        Raises:
            ValueError: the batch does not fit the model.
        """
        if not self._run_eagerly and own_step(self, "train") is None:
            predicted_shapes(self, batch.x)
            return
        with suppress(Exception):
            predicted_shapes(self, batch.x)

    def check_data(self, data: Batch, training: bool = True) -> None:
        """Builds the model for all of the data, and checks what no compiled step can tell.

        What a step of one's own does with its data is not known, and what runs eagerly may need
        values, and checks its targets itself.

        Raises:
            ValueError: labels name classes that the model does not have.
        """
        if self._run_eagerly or own_step(self, "train" if training else "test") is not None:
            return
        check = self.label_check(data.y, predicted_shapes(self, data.x))
        if check is not None:
            check(data.y)

    def label_check(self, y: Any, shapes: Any) -> Callable[[Any], None] | None:
        """What raises for targets like ``y`` that name classes which there are not, if any can."""
        own = type(self).compute_loss is not StepMethods.compute_loss
        if own or self._compile_loss is None or y is None:
            return None
        return label_check(self._compile_loss, y, shapes)

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
    return Batch(x, y, weights_for(y, sample_weight, class_weight, intake))


def _returned(logs: Logs, return_dict: bool) -> Any:
    if return_dict:
        return dict(logs)
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
