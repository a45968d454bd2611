"""``keraunos.utils.timeseries_dataset_from_array``: windows that slide over a series."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..accepted import Count, Natural
from ..arguments import checked
from ..errors import UsageError
from .dataset import Chosen
from .nested import as_contiguous, as_given


class Windows(Chosen):
    """Batches of windows of a series, and the targets at their first steps.

    Args:
        data: shape ``(steps, ...)``.
        targets: an array with a row for each start of a window; or None.
        starts: where windows begin.
        offsets: the steps of a window, from its start.
        batch_size: windows in a batch; None makes a batch of each window itself.
    """

    def __init__(
        self, data: np.ndarray, targets: np.ndarray | None, starts: np.ndarray,
        offsets: np.ndarray, batch_size: int | None,
    ) -> None:  # fmt: skip
        super().__init__(starts, batch_size)
        self._data = data
        self._targets = targets
        self._offsets = offsets

    def __getitem__(self, index: int) -> Any:
        starts = self.places(index)
        windows = self._data[starts[..., None] + self._offsets]
        return windows if self._targets is None else (windows, self._targets[starts])


@checked
def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: Count,
    sequence_stride: Count = 1,
    sampling_rate: Count = 1,
    batch_size: Count | None = 128,
    shuffle: bool = False,
    seed: Natural | None = None,
    start_index: Natural | None = None,
    end_index: Count | None = None,
) -> Windows:
    """Windows of ``sequence_length`` steps of a series, as batches for ``fit``.

    The window from step s has the steps ``s, s + sampling_rate, ...`` and the target
    ``targets[s]``; windows start ``sequence_stride`` steps apart.

    Args:
        data: shape ``(steps, ...)``.
        targets: what belongs to the window that starts at each step; None for windows alone.
        batch_size: windows in a batch; the last batch may have fewer. None gives one window after
            another, without a batch axis.
        shuffle: whether windows come in random order, drawn here, with ``seed``.
        start_index, end_index: which steps to use; the end is not among them.

    Raises:
        ValueError: a number is out of its range; the series is shorter than one window.
        TypeError: something is no array of numbers.
    """
    used = slice(start_index, end_index)
    series = as_contiguous(data, as_given)[used]
    rows = None if targets is None else as_contiguous(targets, as_given)[used]
    count = len(series) - (sequence_length - 1) * sampling_rate
    starts = np.arange(0, count if rows is None else min(count, len(rows)), sequence_stride)
    if not len(starts):
        raise UsageError(
            f"timeseries: expected {(sequence_length - 1) * sampling_rate + 1} steps or more for "
            f"one window; received {len(series)}"
        )
    if shuffle:
        (np.random if seed is None else np.random.RandomState(seed)).shuffle(starts)
    offsets = np.arange(sequence_length) * sampling_rate
    return Windows(series, rows, starts, offsets, batch_size)
