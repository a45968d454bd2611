"""Data that give batches by themselves: generators, iterators, sequences and loaders of batches."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from ..errors import UsageError
from .batch import Batch, unpack_x_y_sample_weight
from .nested import Intake, check_batch, is_array
from .sample_weights import weights_for
from .workers import fetched


def is_stream(value: Any) -> bool:
    """Whether a value gives batches by itself: a generator, an iterator, a ``PyDataset``, ..."""
    if isinstance(value, (list, tuple, dict, str)) or is_array(value):
        return False
    return is_indexed(value) or hasattr(value, "__iter__") or hasattr(value, "__next__")


def is_indexed(stream: Any) -> bool:
    """Whether batches are had by number, so that they can be had in any order."""
    counted = hasattr(stream, "num_batches") or hasattr(stream, "__len__")
    return hasattr(stream, "__getitem__") and counted


def length_of(stream: Any) -> int | None:
    """How many batches a stream says that it has; None where it is endless or does not know."""
    if hasattr(stream, "num_batches"):
        count = stream.num_batches
        return None if count is None else int(count() if callable(count) else count)
    try:
        return len(stream)
    except TypeError:  # generators have no length; others may refuse to tell it
        return None


def iterated(stream: Any, shuffle: bool = False) -> Iterator[Any]:
    """The batches, in the stream's own order; those had by number may be shuffled."""
    if hasattr(stream, "__next__") or not is_indexed(stream):
        return iter(stream)
    count = length_of(stream)
    if count is None:
        return fetched(stream, itertools.count())
    order = list(range(count))
    if shuffle:
        random.shuffle(order)
    return fetched(stream, order)


class StreamData:
    """A stream as a source of batches.

    Args:
        stream: what ``is_stream`` accepts. Its ``on_epoch_begin`` and ``on_epoch_end``, if it has
            them, are called around each epoch.
        shuffle: whether batches had by number come in another order each time, drawn from Python's
            global stream.
        class_weight: a weight a class, for batches without weights of their own.
        intake: of the model.
    """

    known = None  # all of them come with the batches

    def __init__(
        self,
        stream: Any,
        shuffle: bool = False,
        class_weight: Any = None,
        intake: Intake | None = None,
    ) -> None:
        self._stream = stream
        self._shuffle = shuffle
        self._class_weight = class_weight
        self._intake = intake or Intake()
        self.restarts = not hasattr(stream, "__next__")
        self.on_epoch_begin = _hook(stream, "on_epoch_begin")
        self.on_epoch_end = _hook(stream, "on_epoch_end")

    @property
    def count(self) -> int | None:
        """The number of batches in one pass, where it is known."""
        return length_of(self._stream) if self.restarts else None

    def batches(self) -> Iterator[Batch]:
        """One pass, or whatever is left of a stream that cannot begin again."""
        return (self._batch(item) for item in iterated(self._stream, self._shuffle))

    def _batch(self, item: Any) -> Batch:
        x, y, weights = unpack_x_y_sample_weight(item)
        if x is None:
            raise UsageError("expected batches with inputs; the data gave None")
        x, y = self._intake.x(x), self._intake.y(y)
        check_batch(x)
        if weights is not None and self._class_weight is None:
            return Batch(x, y, self._intake.weights(weights))
        return Batch(x, y, weights_for(y, weights, self._class_weight, self._intake))


def _hook(stream: Any, name: str) -> Any:
    found = getattr(stream, name, None)
    return found if callable(found) else _nothing


def _nothing() -> None:
    pass


def stream_data(
    stream: Any,
    *,
    beside: dict[str, Any],
    shuffle: bool | str = False,
    class_weight: Any = None,
    intake: Intake | None = None,
) -> StreamData:
    """A stream as a source of batches.

    Args:
        beside: arguments that have no place beside a stream, by name; none may be given.

    Raises:
        ValueError: one is.
    """
    for name, value in beside.items():
        if value is not None:
            raise UsageError(
                f"expected no {name} beside data that give batches; received {name}="
                f"{type(value).__name__ if is_array(value) else repr(value)}. The batches "
                "themselves hold x, y and sample_weight, and have the size that they have"
            )
    return StreamData(stream, bool(shuffle), class_weight, intake)
