"""What one training step is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..dtypes import PAD_THEM
from ..errors import UsageError


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch: contiguous numpy arrays, or lists, tuples and dicts of them, of one batch size.

    The arrays may be memory that the next batch writes into: whoever keeps one copies it.

    Attributes:
        x: the inputs, nested as the data gave them.
        y: the targets; None where there are none.
        sample_weight: a weight a sample, shape ``(batch,)``, or as the loss takes them, in the
            nesting of ``y``; None where all count the same.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """``x``, ``y`` and ``sample_weight`` of a batch as it was given; None for those left out.

    Data come as ``x``, ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``; a list counts as a tuple.

    Raises:
        ValueError: a tuple of another length.
    """
    if not isinstance(data, (list, tuple)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise UsageError(
            "expected data as x, (x,), (x, y) or (x, y, sample_weight); received a "
            f"{type(data).__name__} of {len(data)} parts. Rows of one batch are one array: "
            f"{PAD_THEM}"
        )
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """The inverse of ``unpack_x_y_sample_weight``: x alone, or a tuple of what there is."""
    if y is None:
        return (x,) if isinstance(x, (list, tuple)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)
