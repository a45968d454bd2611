"""A contraction's weights in the order its kernel streams them: panels of channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ir.types import Size, TensorType, product
from ..loops.arguments import Pointer
from ..loops.kernel import Kernel
from ..loops.layout import Address, Launch, Layout, Packing
from .arguments import PackArguments
from .bodies import Pack


@dataclass(frozen=True)
class Panels(Packing):
    """Panels of ``width`` channels, zero filled.

    A ``(batch..., depth..., groups * channels)`` array becomes ``[batch, group, panel, depth,
    width]``. With ``interleave``, so many neighbours along the depth lie side by side, for each
    channel: ``[batch, group, panel, depth // interleave, width, interleave]``.
    """

    width: int
    groups: int = 1
    batch_axes: int = 0
    interleave: int = 1

    def elements(self, type_: TensorType) -> Size:
        batch, depth, channels = self._sizes(type_)
        return batch * self.groups * self.matrix(depth, channels)

    def matrix(self, depth: Size, channels: Size) -> Size:
        """Elements of what is packed of one matrix, or of a group of one."""
        panels = (channels + self.width - 1) // self.width
        steps = (depth + self.interleave - 1) // self.interleave
        return steps * (panels * self.width * self.interleave)

    def pack(self, array: np.ndarray) -> np.ndarray:
        batch = int(np.prod(array.shape[: self.batch_axes], dtype=np.int64))
        channels = array.shape[-1] // self.groups
        matrix = array.reshape(batch, -1, self.groups, channels).transpose(0, 2, 1, 3)
        panels = -(-channels // self.width)
        depth = matrix.shape[2]
        if panels * self.width != channels:
            fill = panels * self.width - channels
            matrix = np.pad(matrix, ((0, 0), (0, 0), (0, 0), (0, fill)))
        shape = (batch, self.groups, depth, panels, self.width)
        return np.ascontiguousarray(matrix.reshape(shape).swapaxes(2, 3))

    def launch(self, source: Layout) -> Launch:
        batch, depth, channels = self._sizes(source.type)
        arguments: PackArguments[Pointer, Size] = PackArguments(
            x=Pointer(Address(0, source.origin), source.type.dtype),
            y=Pointer(Address(1), source.type.dtype),
            batch=batch,
            groups=self.groups,
            channels=channels,
            depth=depth,
            width=self.width,
        )
        kernel = Kernel("pack", arguments.params, Pack())
        return Launch(kernel, arguments.values, 0, source.type.bytes * 2)

    def _sizes(self, type_: TensorType) -> tuple[Size, Size, Size]:
        """Matrices, the rows of each, and the channels of a group."""
        batch, depth = type_.shape[: self.batch_axes], type_.shape[self.batch_axes : -1]
        return product(batch), product(depth), type_.shape[-1] // self.groups
