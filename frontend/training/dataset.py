"""``keraunos.utils.PyDataset``: batches by number."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..accepted import Natural
from ..arguments import Checked
from ..errors import made_by_users


class PyDataset(Checked):
    """Base of data that give whole batches by number.

    A subclass defines ``__getitem__(index)``, which returns ``(x,)``, ``(x, y)`` or
    ``(x, y, sample_weight)``, and ``__len__``, the number of batches; or ``num_batches``, None for
    data without end.

    Args:
        workers: threads or processes that make batches ahead of time, if more than 1.
        use_multiprocessing: processes, for batches that take Python time to make; the data must
            be picklable.
        max_queue_size: how many batches are made ahead at most.
    """

    # Defaults of the class too, for subclasses that do not call super().__init__().
    workers = 1
    use_multiprocessing = False
    max_queue_size = 10

    def __init__(
        self, workers: Natural = 1, use_multiprocessing: bool = False, max_queue_size: Natural = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has to define __getitem__(index)")

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None where they do not end."""
        length = getattr(type(self), "__len__", None)
        if length is None:
            raise NotImplementedError(
                f"{type(self).__name__} has to define __len__(), or the property num_batches, "
                "which is None for data without end"
            )
        return int(length(self))

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        return (self[index] for index in (itertools.count() if count is None else range(count)))

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


class Batches(PyDataset):
    """Batches by number that come from what does not change, of which functions can be taken."""

    def __len__(self) -> int:
        raise NotImplementedError

    def map(self, function: Callable[..., Any]) -> Batches:
        """The batches that ``function(x, y)`` gives; ``function(x)`` where there are no targets.

        As of a dataset of TensorFlow: ``texts.map(lambda x, y: (vectorize(x), y))``.
        """
        return _Mapped(self, function)


class Chosen(Batches):
    """Batches of the samples at some places, in their order.

    Args:
        chosen: the places, ints.
        batch_size: samples in a batch; None gives one sample after another, without a batch axis.
    """

    def __init__(self, chosen: np.ndarray, batch_size: int | None) -> None:
        super().__init__()
        self.chosen = chosen
        self._batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.chosen) / (self._batch_size or 1))

    def places(self, index: int) -> Any:
        """The places of batch ``index``: an array, or a number without batches."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        size = self._batch_size
        return self.chosen[index if size is None else slice(index * size, (index + 1) * size)]


class _Mapped(Batches):
    def __init__(self, batches: Batches, function: Callable[..., Any]) -> None:
        super().__init__()
        self._batches = batches
        self._function = function

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        batch = self._batches[index]
        parts = batch if isinstance(batch, tuple) else (batch,)
        return made_by_users(self._function, "map", *parts)

    def on_epoch_begin(self) -> None:
        self._batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._batches.on_epoch_end()
