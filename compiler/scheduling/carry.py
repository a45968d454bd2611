"""Where a loop keeps the values it carries from step to step."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.types import Size, TensorType
from ..loops.layout import Layout, StridedView, at_index
from ..ops.stepping import over_all_steps


@dataclass(frozen=True)
class Carry:
    """Double buffering of a value: each step reads one buffer and writes the other, then they swap.

    The buffers are interleaved along the first axis, so that those of one sample are neighbours.
    """

    type: TensorType

    @property
    def axis(self) -> int:
        """The axis of ``both`` that selects the buffer."""
        is_row = self.type.rank < 2 and isinstance(self.type.elements, int)
        return 0 if is_row else 1

    @property
    def both(self) -> Layout:
        return Layout(over_all_steps(self.type, self.axis, 2))

    @property
    def place(self) -> StridedView:
        """The first of the two."""
        return at_index(self.both, self.axis)

    @property
    def apart(self) -> Size:
        """Bytes from the first place to the second."""
        return self.both.strides[self.axis] * self.type.dtype.itemsize
