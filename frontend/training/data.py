"""Data of ``fit`` and ``evaluate`` as sources of batches, and their passes cut into epochs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Protocol

from ..errors import UsageError
from ..seeds import RandomState
from ..source import warn
from .array_data import array_data
from .batch import Batch
from .nested import Intake
from .streams import is_stream, stream_data

RAN_OUT = (
    "Your input ran out of data; interrupting training. Make sure that your dataset or generator "
    "can generate at least `steps_per_epoch * epochs` batches"
)


class Source(Protocol):
    """What gives batches, pass after pass.

    Attributes:
        restarts: whether a second pass begins anew; an iterator goes on where it was.
    """

    restarts: bool

    @property
    def known(self) -> Batch | None:
        """All of the data, where they are known beforehand, else None."""

    @property
    def count(self) -> int | None:
        """The number of batches in one pass; None where it is not known."""

    def batches(self) -> Iterator[Batch]:
        """One pass."""

    def on_epoch_begin(self) -> None: ...

    def on_epoch_end(self) -> None: ...


def source_of(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Any = None,
    intake: Intake | None = None,
) -> Source:
    """Whatever ``fit`` and ``evaluate`` take, as a source of batches; ``intake`` is the model's.

    Raises:
        ValueError: arrays of different lengths, or empty; y, weights or a batch size beside a
            stream of batches; another ``shuffle`` than True, False or "batch".
        TypeError: something is no array of numbers.
    """
    if shuffle not in (True, False, "batch"):
        raise UsageError(f'shuffle: expected True, False or "batch"; received {shuffle!r}')
    if is_stream(x):
        beside = {"y": y, "sample_weight": sample_weight, "batch_size": batch_size}
        return stream_data(
            x, beside=beside, shuffle=shuffle, class_weight=class_weight, intake=intake
        )
    return array_data(
        x, y, sample_weight, batch_size=batch_size, steps=steps, shuffle=shuffle,
        class_weight=class_weight, intake=intake,
    )  # fmt: skip


class Epochs:
    """A source cut into epochs.

    Without ``steps`` an epoch is one pass. With it, an epoch goes on where the last one ended, and
    a pass begins anew whenever one has ended.

    Args:
        from_start: whether each epoch begins a new pass all the same, as each validation does.

    Attributes:
        is_checked: whether all of the data, where they are known, have been looked at.
    """

    is_checked = False

    def __init__(self, source: Source, steps: int | None = None, from_start: bool = False) -> None:
        if steps is not None and (isinstance(steps, bool) or steps < 1):
            raise UsageError(f"expected a number of steps of 1 or more; received {steps!r}")
        self.source = source
        self._per_epoch = steps
        self._from_start = from_start or steps is None
        self._pass: Iterator[Batch] | None = None
        self._prefetched: Iterator[Batch] = iter(())
        self._is_over = False
        self._has_begun = False

    @property
    def steps(self) -> int | None:
        """The number of batches in an epoch, where it is known."""
        return self._per_epoch or self.source.count

    def look_ahead(self) -> Batch | None:
        """The next batch, which will still come in its turn; None where the data are empty.

        Data that can begin again do so afterwards, and draw what they would have drawn.
        """
        drawn = RandomState.now() if self.source.restarts else None
        first = next(iter(self.source.batches()), None)
        if drawn is not None:
            drawn.restore()
        elif first is not None:
            self._prefetched = iter((first,))
        return first

    def begin(self) -> Iterator[Batch] | None:
        """The batches of the next epoch; None, after a warning, where no data are left.

        Raises:
            ValueError: there never were any.
        """
        if self._is_over:
            return None
        self.source.on_epoch_begin()
        running = self._running()
        first = next(running, None)
        if first is None and self._has_begun and self.source.restarts:
            # The last pass ended where the last epoch did.
            self._pass = None
            running = self._running()
            first = next(running, None)
        if first is None:
            self._say_that_none_are_left()
            return None
        self._has_begun = True
        return self._epoch(first, running)

    def end(self) -> None:
        """Tells the source that an epoch is over."""
        self.source.on_epoch_end()

    def _say_that_none_are_left(self) -> None:
        if not self._has_begun:
            raise UsageError("expected at least one batch; the data gave none")
        self._is_over = True
        warn(RAN_OUT)

    def _running(self) -> Iterator[Batch]:
        if self._pass is None or self._from_start:
            self._pass = itertools.chain(self._prefetched, self.source.batches())
        return self._pass

    def _epoch(self, first: Batch, running: Iterator[Batch]) -> Iterator[Batch]:
        if self._per_epoch is None:
            return itertools.chain((first,), running)
        return self._limited(first, running, self._per_epoch)

    def _limited(self, first: Batch, running: Iterator[Batch], steps: int) -> Iterator[Batch]:
        made = 1
        yield first
        for batch in itertools.islice(running, steps - 1):
            made += 1
            yield batch
        if made < steps:
            warn(RAN_OUT)
            self._pass = None
            self._is_over = not self.source.restarts
