"""``predict``: batch after batch through one program."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..callbacks import CallbackList
from ..dtypes import as_array
from ..errors import UsageError
from ..programs import TracedProgram
from ..progress import check_verbose
from ..surroundings import Surroundings
from ..training.data import Epochs, source_of
from ..training.steps import Predicted
from ..training.streams import is_stream
from .arrays import arranged
from .batches import Batches, of_arrays, of_stream


@dataclass(frozen=True, slots=True)
class Hot:
    """The kind of array that a model of one input and one output was last given.

    Attributes:
        attributes: ``Generation.attributes`` at that time.
        around: what else the trace read; while both are still so the program holds.
    """

    program: TracedProgram
    attributes: int
    around: Surroundings | None
    dtype: np.dtype
    rank: int
    sample: tuple[int | None, ...]
    is_known: bool

    @staticmethod
    def of(program: TracedProgram, attributes: int) -> Hot:
        type_ = program.traced.graph.inputs[0].tensor_type
        sample = tuple(s if isinstance(s, int) else None for s in type_.shape[1:])
        around = None if program.reads is None else program.reads.surroundings or None
        dtype = type_.dtype.numpy
        return Hot(program, attributes, around, dtype, type_.rank, sample, None not in sample)

    def accepts(self, array: Any) -> bool:
        """Whether it is an array that can go to the program as it is."""
        if type(array) is not np.ndarray:
            return False
        flags = array.flags
        if array.dtype != self.dtype or not (flags.c_contiguous and flags.aligned and array.size):
            return False
        shape = array.shape
        if self.is_known:
            return shape[1:] == self.sample and len(shape) == self.rank
        return len(shape) == self.rank and all(
            wanted in (None, size) for wanted, size in zip(self.sample, shape[1:], strict=True)
        )


def predict(
    model: Any, x: Any, batch_size: int | None, verbose: Any, steps: int | None, callbacks: Any
) -> Any:
    """As ``Model.predict``."""
    check_verbose(verbose)
    if model.predicts_by_step:
        batches = _by_steps(model, x, batch_size, steps)
        return _predicted(model, batches, model.predict_step_on, verbose, callbacks)
    if is_stream(x):
        if batch_size is not None:
            raise UsageError("predict: expected no batch_size beside data that gives batches")
        batches = of_stream(x, steps)
        return _predicted(model, batches, lambda batch: _run(model, batch), verbose, callbacks)
    if model.batch_is_fixed:
        arrays = [as_array(each) for each in arranged(model, model.input_structure, x)]
        batches = of_arrays(arrays, batch_size, steps)
        return _predicted(model, batches, lambda batch: _run(model, batch), verbose, callbacks)
    program, arrays = model.prepare(x)
    batches = of_arrays(arrays, batch_size, steps)
    pack = program.traced.pack
    return _predicted(model, batches, lambda batch: (pack, program(*batch)), verbose, callbacks)


def _by_steps(model: Any, x: Any, batch_size: int | None, steps: int | None) -> Batches:
    """Batches as ``predict_step`` takes them: in the nesting of the data, with all their parts."""
    data = Epochs(source_of(x, batch_size=batch_size, steps=steps, intake=model.intake), steps)
    batches = data.begin()
    assert batches is not None, "data that give no batch at all raise"
    return Batches(batches, data.steps)


def _run(model: Any, batch: Any) -> Predicted:
    program, arrays = model.prepare(batch)
    return program.traced.pack, program(*arrays)


def _predicted(
    model: Any,
    batches: Batches,
    run: Callable[[Any], Predicted],
    verbose: Any,
    callbacks: Any,
) -> Any:
    listeners = CallbackList(
        callbacks, add_progbar=verbose != 0, model=model, verbose=verbose, epochs=1,
        steps=batches.count,
    )  # fmt: skip
    has_callbacks = listeners.wants_predict_batches
    results: list[Sequence[np.ndarray]] = []
    pack: Callable[[Any], Any] | None = None
    remaining = iter(batches.items)
    listeners.on_predict_begin()
    for batch in remaining:
        begins = len(results)
        if has_callbacks:
            listeners.on_predict_batch_begin(begins)
        pack, outputs = run(batch)
        results.append(outputs)
        if model.steps_per_execution > 1:
            further = itertools.islice(remaining, model.steps_per_execution - 1)
            results += [run(batch)[1] for batch in further]
        if has_callbacks:
            made = pack(_joined(results[begins:]))
            listeners.on_predict_batch_end(len(results) - 1, {"outputs": made})
    if pack is None:
        raise UsageError("predict: expected at least one batch; the data gave none")
    listeners.on_predict_end()
    return pack(_joined(results))


def _joined(results: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Each of the outputs, over several batches."""
    joined = list(zip(*results, strict=True))
    return [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in joined]
