"""Numbers as categories: by bins, by hashes, and as rows of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from .. import ops
from ..accepted import Count, Natural, Positive
from ..arguments import checked_method
from ..dtypes import as_array
from ..errors import LayerError, UsageTypeError
from ..fingerprints import bucket
from ..tensor import KerasTensor
from ..tokens import Tokens
from .base import Layer
from .data_layer import DataLayer, arrays_of
from .lookup import Salt, key_of

Encoding = Literal["one_hot", "multi_hot", "count"]


def _encoded(
    indices: KerasTensor, depth: int, mode: str, dtype: str, weights: Any = None
) -> KerasTensor:
    """Rows of ``depth``: of each index, or of all those along the last axis."""
    if mode == "one_hot":
        alone = indices.ndim > 1 and indices.shape[-1] == 1
        return ops.one_hot(ops.squeeze(indices, -1) if alone else indices, depth, dtype=dtype)
    if not indices.ndim:
        indices = ops.expand_dims(indices, -1)
    hot = ops.one_hot(indices, depth, dtype=dtype)
    if mode == "multi_hot":
        return ops.max(hot, -2)
    return ops.sum(hot if weights is None else hot * ops.expand_dims(weights, -1), -2)


class CategoryEncoding(Layer):
    """Integers from 0 to below ``num_tokens`` as rows of that many numbers; others as zeros.

    Args:
        output_mode: "one_hot" makes a row of each integer, ``(...)`` to ``(..., num_tokens)``,
            where a last axis of size 1 goes; "multi_hot" and "count" make one of those along the
            last axis: 1 at each that there is, or how often.
    """

    def __init__(
        self,
        num_tokens: Count | None = None,
        output_mode: Encoding = "multi_hot",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_tokens is None:
            raise LayerError(
                self,
                "expected num_tokens, how many categories there are; received None. Where that is "
                "not known, IntegerLookup finds the categories in data",
            )
        self.num_tokens = num_tokens
        self.output_mode = output_mode

    def call(self, inputs: KerasTensor, count_weights: Any = None) -> KerasTensor:
        """The rows.

        Args:
            count_weights: how much each integer counts, under "count".
        """
        if count_weights is not None and self.output_mode != "count":
            raise LayerError(
                self,
                f'expected count_weights with output_mode="count" alone; received them with '
                f"{self.output_mode!r}",
            )
        indices = inputs if "int" in inputs.dtype else ops.cast(inputs, "int32")
        weights = None if count_weights is None else ops.cast(count_weights, self.dtype)
        return _encoded(indices, self.num_tokens, self.output_mode, self.dtype, weights)


class Discretization(Layer):
    """Numbers as the bins that they lie in: bin i begins at ``bin_boundaries[i - 1]``.

    The boundaries are given, or ``adapt`` finds those that leave about as many numbers to each of
    ``num_bins``.

    Args:
        epsilon: how exact quantiles are, as a share of all numbers.
        output_mode: "int", int32, or rows as of ``CategoryEncoding``.
    """

    _numbers: np.ndarray

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: Natural | None = None,
        epsilon: Positive = 0.01,
        output_mode: Literal["int", "one_hot", "multi_hot", "count"] = "int",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (bin_boundaries is None) == (num_bins is None):
            raise LayerError(
                self,
                f"expected bin_boundaries or num_bins; received {bin_boundaries=} and {num_bins=}",
            )
        given = bin_boundaries is not None
        self.bin_boundaries = [float(each) for each in bin_boundaries or ()] if given else None
        self.num_bins = num_bins
        self.epsilon = epsilon
        self.output_mode = output_mode
        self.reset_state()

    @checked_method
    def adapt(self, data: Any, steps: Count | None = None) -> None:
        """Finds the boundaries of bins that get about as many of the numbers each.

        Args:
            data: an array; or what gives batches, such as a list of arrays or a generator.
            steps: how many batches to take of what gives batches.

        Raises:
            ValueError: the boundaries were given to the constructor.
        """
        if self.num_bins is None:
            raise LayerError(self, "adapt: expected a layer with num_bins=; it has bin_boundaries")
        self.reset_state()
        for batch in arrays_of(data, steps):
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Takes note of some numbers."""
        found = _summary(as_array(data).astype(np.float32).ravel(), self.epsilon)
        merged = np.concatenate([found, self._numbers], axis=1)
        self._numbers = _compressed(merged[:, np.argsort(merged[0])], self.epsilon)

    def finalize_state(self) -> None:
        """Makes what was noted the boundaries."""
        if self.num_bins is not None and self._numbers.size:
            self.bin_boundaries = _compressed(self._numbers, 1.0 / self.num_bins)[0, :-1].tolist()

    def reset_state(self) -> None:
        """Forgets what was noted."""
        self._numbers = np.zeros((2, 0), np.float32)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The layer of a configuration, with the boundaries that were found for ``num_bins``."""
        left = dict(config)
        found = left.pop("bin_boundaries", None) if left.get("num_bins") is not None else None
        layer = super().from_config(left)
        layer.bin_boundaries = layer.bin_boundaries if found is None else found
        return layer

    def call(self, inputs: KerasTensor) -> KerasTensor:
        if self.bin_boundaries is None:
            raise LayerError(self, "expected boundaries of bins: call adapt(data) first")
        bounds = np.array(self.bin_boundaries, self.dtype)
        above = ops.expand_dims(ops.cast(inputs, self.dtype), -1) >= bounds
        bins = ops.sum(ops.cast(above, "int32"), -1)
        if self.output_mode == "int":
            return bins
        return _encoded(bins, len(bounds) + 1, self.output_mode, self.dtype)


def _summary(values: np.ndarray, epsilon: float) -> np.ndarray:
    """Every so many of the sorted numbers, and how many each stands for: shape ``(2, n)``."""
    step = max(len(values) * epsilon, 1)
    kept = np.sort(values)[int(step - 1) :: int(step)]
    return np.stack([kept, np.full_like(kept, step)])


def _compressed(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """A summary in about ``1 / epsilon`` numbers, as Keras interpolates them."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    total = summary[1].cumsum()
    numbers = np.interp(shares, total / total[-1], summary[0])
    counts = np.interp(shares, total / total[-1], total)
    return np.stack([numbers, np.diff(counts, prepend=0.0)]).astype(np.float32)


class Hashing(DataLayer):
    """Strings or integers as numbers from 0 to below ``num_bins``, by a hash of them.

    It is called on data before the model, and gives arrays: ``(...)`` int64, or rows as of
    ``CategoryEncoding``.

    Args:
        num_bins: how many numbers there are, that of ``mask_value`` included.
        mask_value: what becomes 0; nothing else does then.
        salt: one or two integers that make the hash, FarmHash64, a SipHash64 under this key.
    """

    def __init__(
        self,
        num_bins: Count,
        mask_value: Any = None,
        salt: Salt | None = None,
        output_mode: Literal["int", "one_hot", "multi_hot", "count"] = "int",
        **kwargs: Any,
    ) -> None:
        kind = "int64" if output_mode == "int" else None
        super().__init__(**{"dtype": kind, **kwargs})
        if output_mode == "int" and self.dtype not in ("int32", "int64"):
            raise LayerError(
                self, f'expected dtype as "int32" or "int64" for bins; received {self.dtype!r}'
            )
        self.num_bins = num_bins
        self.mask_value = mask_value
        self.salt = key_of(self, salt)
        self.output_mode = output_mode

    def call(self, inputs: Any) -> np.ndarray:
        """The bins, or rows of them."""
        values = self._read(inputs)
        bins = np.array([self._bin(each) for each in values.ravel().tolist()], np.int64)
        if self.output_mode == "int":
            return bins.reshape(values.shape).astype(self.dtype)
        counts = Tokens.to_encode(values, self.output_mode).counted(bins, self.num_bins)
        return (counts if self.output_mode == "count" else counts > 0).astype(self.dtype)

    def _read(self, inputs: Any) -> np.ndarray:
        try:
            array = as_array(inputs)
        except UsageTypeError:
            return self.strings(inputs)
        return array.astype(np.int64)

    def _bin(self, value: str | int) -> int:
        masked = self.mask_value is not None and self.num_bins > 1
        if masked and value == self.mask_value:
            return 0
        return masked + bucket(str(value).encode(), self.num_bins - masked, self.salt)
