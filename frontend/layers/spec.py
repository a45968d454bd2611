"""What a layer accepts: rank, dtype and sizes of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class InputSpec:
    """Bounds on one input; None means anything goes.

    Attributes:
        dtype: the element type.
        shape: the whole shape, None for sizes that vary.
        ndim, min_ndim, max_ndim: number of axes.
        axes: sizes by axis, such as ``{-1: 64}``.
        layout: what the axes are, for errors: ``"(batch, height, width, channels)"``.
    """

    dtype: str | None = None
    shape: tuple[int | None, ...] | None = None
    ndim: int | None = None
    max_ndim: int | None = None
    min_ndim: int | None = None
    axes: Mapping[int, int | None] = field(default_factory=dict)
    layout: str = ""

    def complaint(self, shape: tuple[int | None, ...]) -> str | None:
        """What was expected instead of ``shape``, or None where it fits."""
        rank = len(shape)
        wanted = dict(self.axes)
        if self.shape is not None:
            if rank != len(self.shape):
                return f"an input of shape {self.shape}"
            wanted |= dict(enumerate(self.shape))
        if self.ndim is not None and rank != self.ndim:
            return f"an input of {_axes(self.ndim)}{self._layout}"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"an input of {_axes(self.min_ndim)} or more{self._layout}"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"an input of {_axes(self.max_ndim)} or fewer{self._layout}"
        for axis, size in wanted.items():
            if size is not None and shape[axis] not in (None, size):
                return f"size {size} at axis {axis} of the input"
        return None

    def over_steps(self) -> InputSpec:
        """The same of each step of sequences: bounds on ``(batch, steps, ...)``."""
        one_more = {
            name: None if (count := getattr(self, name)) is None else count + 1
            for name in ("ndim", "min_ndim", "max_ndim")
        }
        shape = None if self.shape is None else (self.shape[0], None, *self.shape[1:])
        axes = {axis if axis < 1 else axis + 1: size for axis, size in self.axes.items()}
        layout = self.layout.replace("(batch, ", "(batch, steps, ", 1)
        return replace(self, shape=shape, axes=axes, layout=layout, **one_more)

    @property
    def _layout(self) -> str:
        return f", {self.layout}" if self.layout else ""


def _axes(count: int) -> str:
    return "1 axis" if count == 1 else f"{count} axes"
