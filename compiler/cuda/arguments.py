"""The arguments of each body's kernels, as templates fill them in and emitters read their names.

What is ``ABSENT`` by default depends on the body's structure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..loops.arguments import (
    ABSENT,
    ArgumentRecord,
    EpilogueArguments,
    P,
    S,
    holds,
)


@dataclass(frozen=True, kw_only=True)
class GridContractArguments(ArgumentRecord[P, S]):
    """Of a ``GridContract``: operands, extents of results and sums, strides, windows.

    ``channels`` are those of one of the ``groups``. ``batches`` have a ``w`` of their own, or are
    partial sums: then ``total`` steps are split.
    """

    x: P
    w: P
    batches: S
    images: S
    rows: S
    cols: S
    groups: S
    channels: S
    kys: S
    kxs: S
    run: S
    x_batch: S
    x_image: S
    x_line: S
    x_pixel: S
    x_run: S
    x_group: S
    w_batch: S
    w_ky: S
    w_kx: S
    w_run: S
    y_batch: S
    stride_y: S
    stride_x: S
    step_y: S
    step_x: S
    top: S = ABSENT
    left: S = ABSENT
    height: S = ABSENT
    breadth: S = ABSENT
    total: S = ABSENT
    epilogue: EpilogueArguments[P, S] = field(metadata=holds(EpilogueArguments))


@dataclass(frozen=True, kw_only=True)
class GridWindowArguments(ArgumentRecord[P, S]):
    """Of a ``GridWindow`` over images of ``height`` x ``breadth``; ``w`` are filters."""

    x: P
    w: P = ABSENT
    images: S
    rows: S
    cols: S
    channels: S
    stride_y: S
    stride_x: S
    step_y: S
    step_x: S
    top: S
    left: S
    height: S
    breadth: S
    kys: S
    kxs: S
    x_image: S
    x_line: S
    x_pixel: S
    epilogue: EpilogueArguments[P, S] = field(metadata=holds(EpilogueArguments))


@dataclass(frozen=True, kw_only=True)
class GridDepthwiseKernelGradientArguments(ArgumentRecord[P, S]):
    """Of a ``GridDepthwiseKernelGradient``: images ``x``, and gradients ``w`` of the results."""

    x: P
    w: P
    y: P
    images: S
    lines: S
    cols: S
    channels: S
    kys: S
    kxs: S
    stride_y: S
    stride_x: S
    step_y: S
    step_x: S
    top: S
    left: S
    height: S
    breadth: S
    x_image: S
    x_line: S
    x_pixel: S
    w_image: S
    w_line: S
    w_pixel: S
