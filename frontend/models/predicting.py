"""``predict``: batch after batch through one program."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dtypes import as_array
from ..errors import UsageError
from ..programs import Program
from .arrays import arranged
from .batches import Batches, is_stream, of_arrays, of_stream
from .progress import Progbar


@dataclass(frozen=True, slots=True)
class Hot:
    """The kind of array that a model of one input and one output was last given."""

    program: Program
    dtype: np.dtype
    rank: int
    sample: tuple[int | None, ...]
    is_known: bool

    @staticmethod
    def of(program: Program) -> Hot:
        type_ = program.traced.graph.inputs[0].tensor_type
        sample = tuple(s if isinstance(s, int) else None for s in type_.shape[1:])
        return Hot(program, type_.dtype.numpy, type_.rank, sample, None not in sample)

    def accepts(self, array: np.ndarray) -> bool:
        """Whether the array can go to the program as it is."""
        if array.dtype != self.dtype or not array.flags.c_contiguous or not array.size:
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
    if steps is not None and steps < 1:
        raise UsageError(f"predict: expected steps of 1 or more; received {steps}")
    if is_stream(x):
        if batch_size is not None:
            raise UsageError("predict: expected no batch_size beside data that gives batches")
        batches = of_stream(x, steps)
        return _predicted(batches, lambda batch: _run(model, batch), verbose, callbacks)
    if model.batch_is_fixed:
        arrays = [as_array(each) for each in arranged(model, model.input_structure, x)]
        batches = of_arrays(arrays, batch_size, steps)
        return _predicted(batches, lambda batch: _run(model, batch), verbose, callbacks)
    program, arrays = model.prepare(x)
    batches = of_arrays(arrays, batch_size, steps)
    return _predicted(batches, lambda batch: (program, program(*batch)), verbose, callbacks)


def _run(model: Any, batch: Any) -> tuple[Program, tuple[np.ndarray, ...]]:
    program, arrays = model.prepare(batch)
    return program, program(*arrays)


def _predicted(
    batches: Batches,
    run: Callable[[Any], tuple[Program, tuple[np.ndarray, ...]]],
    verbose: Any,
    callbacks: Iterable[Any] | None,
) -> Any:
    bar = Progbar(batches.count, verbose=1 if verbose == "auto" else int(verbose))
    listeners = list(callbacks or ())
    results: list[tuple[np.ndarray, ...]] = []
    program: Program | None = None
    _tell(listeners, "on_predict_begin", None)
    for step, batch in enumerate(batches.items):
        _tell(listeners, "on_predict_batch_begin", step, None)
        program, outputs = run(batch)
        results.append(outputs)
        _tell(listeners, "on_predict_batch_end", step, {"outputs": program.traced.pack(outputs)})
        bar.update(step + 1, finalize=None)
    if program is None:
        raise UsageError("predict: expected at least one batch; the data gave none")
    if batches.count is None:
        bar.update(len(results), finalize=True)
    _tell(listeners, "on_predict_end", None)
    return program.traced.pack([_joined(parts) for parts in zip(*results, strict=True)])


def _joined(parts: tuple[np.ndarray, ...]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _tell(listeners: list[Any], event: str, *arguments: Any) -> None:
    for listener in listeners:
        getattr(listener, event)(*arguments)
