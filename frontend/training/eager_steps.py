"""Steps that Python runs op by op: what ``compile(run_eagerly=True)`` asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...runtime.config import config
from .. import tree
from ..eager import EagerTrace
from ..ops import convert_to_tensor
from ..scope import active_scope, entered
from .batch import Batch
from .step_methods import computed, named_results
from .steps import Kind, Logs, Predicted, leaves_of


@dataclass
class EagerStep:
    """A step of training or evaluation, run as the user wrote it at each batch.

    Attributes:
        model, mode: whose step, and which: "train" or "test".
        parts: x, y and weights of a batch of the kind, for their nesting.
        kind: of the batches that it takes.
        names: of the results of the last batch.
    """

    model: Any
    mode: str
    parts: tuple[Any, ...]
    kind: Kind
    names: tuple[str, ...] = ()

    def __call__(self, arrays: Sequence[np.ndarray]) -> Logs:
        with _data(self.model, self.mode, self.parts, arrays) as data:
            results = computed(self.model, self.mode, *data)
            named = named_results(self.model, self.mode, results)
            found = [_array(value) for value in named.values()]
        self.names = tuple(named)
        self.model.settle(has_stepped=True)
        return Logs(self.names, found)

    def run_checked(self, arrays: Sequence[np.ndarray]) -> Logs:
        """As a call."""
        return self(arrays)

    def check(self, arrays: Sequence[np.ndarray]) -> None:
        """Nothing: what is wrong with ids and targets is told when they are used."""


@dataclass(frozen=True)
class EagerPredictStep:
    """A ``predict_step``, run as the user wrote it at each batch. Attributes as ``EagerStep``."""

    model: Any
    parts: tuple[Any, ...]
    kind: Kind

    def __call__(self, arrays: Sequence[np.ndarray]) -> Predicted:
        with _data(self.model, "predict", self.parts, arrays) as data:
            results = computed(self.model, "predict", *data)
            found = [_array(leaf) for leaf in tree.flatten(results)]
        return partial(tree.pack_as, results), found


def make_eager_step(
    model: Any, mode: str, batch: Batch, kind: Kind
) -> EagerStep | EagerPredictStep:
    """A step of ``model`` for batches like this one."""
    parts = tree.map_structure(
        lambda leaf: None if leaf is None else 0, (batch.x, batch.y, batch.sample_weight)
    )
    if mode == "predict":
        return EagerPredictStep(model, parts, kind)
    return EagerStep(model, mode, parts, kind)


def rehearse(model: Any, batch: Batch) -> None:
    """Runs a step of training for what it makes, such as metrics; all weights are as before."""
    leaves, _ = leaves_of(batch)
    arrays = [leaf for leaf in leaves if leaf is not None]
    with _data(model, "train", (batch.x, batch.y, batch.sample_weight), arrays) as data:
        computed(model, "train", *data)
        scope = active_scope()
        assert isinstance(scope, EagerTrace)
        scope.undo()
    model.settle(has_stepped=True)


def _array(value: Any) -> np.ndarray:
    """The content of a result."""
    tensor = convert_to_tensor(value)
    if config.check_finite:
        tensor.values.check_finite(tensor.node)
    return np.asarray(tensor)


@contextmanager
def _data(
    model: Any, mode: str, parts: tuple[Any, ...], arrays: Sequence[np.ndarray]
) -> Iterator[tuple[Any, ...]]:
    """A step under way: x, y and weights as tensors that have values."""
    scope = EagerTrace(model, training=mode == "train")
    remaining = iter(arrays)
    with entered(scope):
        yield tree.map_structure(
            lambda leaf: None if leaf is None else scope.tensor(next(remaining)), parts
        )
