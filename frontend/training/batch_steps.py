"""The steps of a model on batches: made once for each kind of batch, kept, and found again."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .. import tree
from ..dtypes import floatx
from ..programs import Kept, Store, kept_with_reads
from .batch import Batch
from .eager_steps import make_eager_step, rehearse
from .nested import Intake
from .standard_step import build
from .step_methods import StepMethods, own_step
from .steps import (
    MOST_STEPS,
    Kind,
    Logs,
    Predicted,
    kind_of,
    leaves_of,
    make_step,
    trace_step,
)


class BatchSteps(StepMethods):
    """Runs the steps of a model: compiled ones, or op by op where the model runs eagerly."""

    # Of the model itself:
    dtype: Any
    network: Any
    build_like: Any

    _compile_config: dict[str, Any]
    _run_eagerly = False
    _steps: Store
    hot_steps: dict[str, Kept]

    @property
    def run_eagerly(self) -> bool:
        """Whether Python runs each step op by op; it may be set between two steps."""
        return self._run_eagerly

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._run_eagerly = bool(value)
        self.forget_steps()

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
            check: whether ids and targets may name rows and classes that there are not.

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
        arrays = [leaf for leaf in leaves if leaf is not None]
        logs: Logs = step(arrays) if check else step.run_checked(arrays)
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

    def rehearse(self, batch: Batch) -> None:
        """Makes the variables of a training step on such a batch, as metrics have them; their
        values stay."""
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
            build(self, batch.x)
            return
        with suppress(Exception):
            self.build_like(batch.x)

    def check_data(self, data: Batch, like: Batch, training: bool = True) -> None:
        """Checks all of the data as each step would check its batch; batches are like ``like``.

        Raises:
            ValueError: ids name rows that a table does not have, or targets classes that there
                are not.
        """
        step, _ = self._step("train" if training else "test", like)
        step.check([leaf for leaf in leaves_of(data)[0] if leaf is not None])

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
