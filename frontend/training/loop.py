"""The loops of ``fit`` and ``evaluate``: epochs, batches, validation, and whom they tell."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .. import tree
from ..callbacks import CallbackList, History
from ..errors import UsageError
from ..progress import check_verbose
from ..seeds import RandomState
from .array_data import split
from .batch import Batch, unpack_x_y_sample_weight
from .data import Epochs, source_of
from .streams import is_stream


@dataclass(frozen=True)
class Validation:
    """Data to validate on, and after which epochs."""

    epochs: Epochs
    frequency: Any

    def is_due(self, epoch: int) -> bool:
        """Whether to validate after ``epoch``, counted from 0."""
        if isinstance(self.frequency, int):
            return (epoch + 1) % self.frequency == 0
        return epoch + 1 in self.frequency


def fit(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool | str = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: Any = 1,
) -> History:
    """As ``Model.fit``.

    Ctrl-C ends it between two steps: callbacks hear of the end, the history is kept as
    ``model.history``, and the interrupt goes on to the caller.
    """
    check_verbose(verbose)
    x, y, sample_weight = _apart(model, x, y, sample_weight)
    if validation_split and validation_data is None:
        if is_stream(x):
            raise UsageError(
                "validation_split: expected x as arrays; received data that give batches. Pass "
                "validation_data instead"
            )
        (x, y, sample_weight), validation_data = split(
            x, y, sample_weight, validation_split, model.intake
        )
    source = source_of(
        x, y, sample_weight, steps=steps_per_epoch, batch_size=batch_size, shuffle=shuffle,
        class_weight=class_weight, intake=model.intake,
    )  # fmt: skip
    data = Epochs(source, steps_per_epoch)
    _build(model, data)
    validation = _validation(
        model, validation_data, validation_steps, validation_freq,
        validation_batch_size, batch_size,
    )  # fmt: skip
    listeners = _listeners(
        model, callbacks, add_history=True, verbose=verbose, epochs=epochs, steps=data.steps
    )
    model.stop_training = False
    return _Training(model, data, validation, listeners).run(initial_epoch, epochs)


def evaluate(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int | None = None,
    verbose: Any = "auto",
    sample_weight: Any = None,
    steps: int | None = None,
    callbacks: Any = None,
    return_dict: bool = False,
) -> Any:
    """As ``Model.evaluate``: the loss, or a list of it and the metrics, or a dict of them.

    Ctrl-C goes on to the caller, after callbacks have heard of the end.
    """
    check_verbose(verbose)
    x, y, sample_weight = _apart(model, x, y, sample_weight)
    source = source_of(x, y, sample_weight, steps=steps, batch_size=batch_size, intake=model.intake)
    data = Epochs(source, steps)
    listeners = _listeners(model, callbacks, verbose=verbose, epochs=1, steps=data.steps)
    batches = data.begin()
    assert batches is not None, "data that give no batch at all raise"
    try:
        logs = _test(model, data, batches, listeners)
    except KeyboardInterrupt:
        listeners.on_test_end()
        raise
    data.end()
    if return_dict:
        return dict(sorted(logs.items()))
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


class _Training:
    """One call of ``fit``."""

    def __init__(
        self, model: Any, data: Epochs, validation: Validation | None, listeners: CallbackList
    ) -> None:
        self._model = model
        self._data = data
        self._validation = validation
        self._listeners = listeners
        self._logs: dict[str, Any] = {}
        self._skipped = 0
        self._has_stepped = False

    def run(self, initial_epoch: int, epochs: int) -> History:
        try:
            self._run(initial_epoch, epochs)
        except KeyboardInterrupt:
            self._listeners.on_train_end(self._logs)
            raise
        self._listeners.on_train_end(self._logs)
        assert self._listeners.history is not None
        return self._listeners.history

    def _run(self, initial_epoch: int, epochs: int) -> None:
        model = self._model
        model._initial_epoch = model._initial_step = model._initial_draws = None
        try:
            # A callback that goes on with an earlier training says where.
            self._listeners.on_train_begin()
            self._skipped = model._initial_step or 0
            self._epochs(range(model._initial_epoch or initial_epoch, epochs))
        finally:
            self._finish_weights()

    def _epochs(self, numbers: range) -> None:
        for epoch in numbers:
            batches = self._data.begin()
            if batches is None:
                return
            self._epoch(epoch, batches)
            if self._model.stop_training:
                return

    def _epoch(self, epoch: int, batches: Iterator[Batch]) -> None:
        self._model.reset_metrics()
        self._listeners.on_epoch_begin(epoch)
        logs = _read(self._train(batches))
        self._data.end()
        if self._validation is not None and self._validation.is_due(epoch):
            logs |= self._validated(self._validation.epochs)
        self._logs = logs
        self._listeners.on_epoch_end(epoch, logs)

    def _train(self, batches: Iterator[Batch]) -> Mapping[str, Any]:
        model, listeners = self._model, self._listeners
        has_callbacks = listeners.wants_train_batches
        logs: Mapping[str, Any] = {}
        number, self._skipped = self._skipped, 0
        if number:
            batches = self._after(number, batches)
        check, batches = _checked(model, self._data, batches, training=True)
        together = model.steps_per_execution
        for batch in batches:
            if has_callbacks:
                listeners.on_train_batch_begin(number)
            logs = model.train_step_on(batch, check)
            self._has_stepped = True
            if together > 1:
                for further in itertools.islice(batches, together - 1):
                    logs = model.train_step_on(further, check)
                    number += 1
            if has_callbacks:
                listeners.on_train_batch_end(number, logs)
            if model.stop_training:
                break
            number += 1
        return logs

    def _after(self, steps: int, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches after some steps; the model has its metrics, so that they can be set.

        What is drawn from here on, by the data too, is what came after these steps.
        """
        for _ in itertools.islice(batches, steps):
            pass
        if self._model._initial_draws is not None:
            self._model._initial_draws.restore()
        first = next(batches, None)
        if first is None:
            return batches
        drawn = RandomState.now()
        self._model.rehearse(first)
        drawn.restore()
        return itertools.chain((first,), batches)

    def _validated(self, data: Epochs) -> dict[str, Any]:
        batches = data.begin()
        if batches is None:
            return {}
        logs = _test(self._model, data, batches, self._listeners)
        data.end()
        return {f"val_{name}": value for name, value in logs.items()}

    def _finish_weights(self) -> None:
        """Averages of weights that the optimizer kept take their places, once there are any."""
        finalize = getattr(self._model.optimizer, "finalize_variable_values", None)
        if finalize is not None and self._has_stepped:
            finalize(self._model.trainable_variables)


def _test(
    model: Any, data: Epochs, batches: Iterator[Batch], listeners: CallbackList
) -> dict[str, Any]:
    """Loss and metrics over some batches of ``data``."""
    model.stop_evaluating = False
    has_callbacks = listeners.wants_test_batches
    logs: Mapping[str, Any] = {}
    listeners.on_test_begin()
    model.reset_metrics()
    check, batches = _checked(model, data, batches, training=False)
    number, together = 0, model.steps_per_execution
    for batch in batches:
        if has_callbacks:
            listeners.on_test_batch_begin(number)
        logs = model.test_step_on(batch, check)
        if together > 1:
            for further in itertools.islice(batches, together - 1):
                logs = model.test_step_on(further, check)
                number += 1
        if has_callbacks:
            listeners.on_test_batch_end(number, logs)
        if model.stop_evaluating:
            break
        number += 1
    results = _read(logs)
    listeners.on_test_end(results)
    return results


def _checked(
    model: Any, data: Epochs, batches: Iterator[Batch], training: bool
) -> tuple[bool, Iterator[Batch]]:
    """Whether each batch has to be checked; and the batches.

    Data that are all known are looked at here, once, so that none of them trains before all are
    found to be right.
    """
    known = data.source.known
    first = None if known is None or data.is_checked else next(batches, None)
    if known is None or first is None:
        return known is None, batches
    model.check_data(known, first, training)
    data.is_checked = True
    return False, itertools.chain((first,), batches)


def _read(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Logs as they are now: the next step computes them anew."""
    return dict(logs)


def _apart(model: Any, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """``(x, y)`` and ``(x, y, sample_weight)`` in one tuple, as data that give batches give them.

    Only where the model is known to take one input: else they may be inputs.
    """
    network = getattr(model, "network", None)
    alone = y is None and sample_weight is None and type(x) is tuple and len(x) in (2, 3)
    if not alone or network is None or len(tree.flatten(network.inputs)) != 1:
        return x, y, sample_weight
    return unpack_x_y_sample_weight(x)


def _build(model: Any, data: Epochs) -> None:
    """Builds a model of which no data were known: callbacks find it built as training begins."""
    first = None if model.built else data.look_ahead()
    if first is not None:
        model.build_for(first)


def _validation(
    model: Any, data: Any, steps: int | None, frequency: Any, own_size: Any, batch_size: Any
) -> Validation | None:
    if data is None:
        return None
    _check_frequency(frequency)
    x, y, sample_weight = unpack_x_y_sample_weight(data)
    size = own_size if is_stream(x) else own_size or batch_size
    source = source_of(x, y, sample_weight, steps=steps, batch_size=size, intake=model.intake)
    return Validation(Epochs(source, steps, from_start=True), frequency)


def _check_frequency(frequency: Any) -> None:
    is_count = isinstance(frequency, int) and frequency >= 1
    if not is_count and not hasattr(frequency, "__contains__"):
        raise UsageError(
            "validation_freq: expected an int of 1 or more, or a list of epochs counted from 1; "
            f"received {frequency!r}"
        )


def _listeners(
    model: Any, callbacks: Any, add_history: bool = False, **params: Any
) -> CallbackList:
    if isinstance(callbacks, CallbackList):
        return _adopted(callbacks, model, add_history)
    shown = params["verbose"] != 0
    return CallbackList(
        callbacks, add_history=add_history, add_progbar=shown, model=model, **params
    )


def _adopted(listeners: CallbackList, model: Any, add_history: bool) -> CallbackList:
    """A list that the caller made, with what it lacks."""
    if listeners.model is None:
        listeners.set_model(model)
    if add_history and listeners.history is None:
        listeners.append(History())
    return listeners
