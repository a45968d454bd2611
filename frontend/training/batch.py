"""What one training step is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
