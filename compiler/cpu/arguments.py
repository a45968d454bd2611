"""The arguments of each body's kernels, as templates fill them in and emitters read their names.

What is ``ABSENT`` by default depends on the body's structure.
"""

from __future__ import annotations

from collections.abc import Mapping
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
class SplitArguments(ArgumentRecord[P, S]):
    """Of a loop that is split: all its steps, and the number of splits: ``kys_total``."""

    total: S
    splits: S

    @classmethod
    def named(cls, name: str, member: str) -> str:
        return f"{name}_{member}"


@dataclass(frozen=True, kw_only=True)
class ContractArguments(ArgumentRecord[P, S]):
    """Of a ``Contract``: operands ``x`` and ``w``, extents, strides along the loops of the sum.

    ``x_run`` is that of a ``transposed`` operand; ``w_ky``, ``w_kx`` and ``w_run`` of one
    ``in_place``. ``panel_rows`` is scratch, for those that are ``repacked``.
    """

    x: P
    w: P
    images: S
    rows: S
    cols: S
    panels: S
    group_panels: S
    channels: S
    kys: S
    kxs: S
    run: S
    chunk: S
    x_image: S
    x_row: S
    x_col: S
    x_ky: S
    x_kx: S
    x_group: S
    x_run: S = ABSENT
    sum_block: S = ABSENT
    w_image: S
    w_ky: S = ABSENT
    w_kx: S = ABSENT
    w_run: S = ABSENT
    panel_rows: P = ABSENT
    splits: Mapping[str, SplitArguments[P, S]] = field(default_factory=dict)
    epilogue: EpilogueArguments[P, S] = field(metadata=holds(EpilogueArguments))
    above: S = ABSENT
    height: S = ABSENT


@dataclass(frozen=True, kw_only=True)
class WinogradArguments(ArgumentRecord[P, S]):
    """Of a ``Winograd``: ``t_`` are strides of ``taps``, ``v`` and ``m`` are scratch."""

    x: P
    w: P
    taps: P
    v: P
    m: P
    images: S
    rows: S
    cols: S
    panels: S
    channels: S
    run: S
    v_tile: S
    w_place: S
    w_panel: S
    w_run: S
    t_ky: S
    t_kx: S
    t_run: S
    x_image: S
    x_row: S
    x_col: S
    epilogue: EpilogueArguments[P, S] = field(metadata=holds(EpilogueArguments))


@dataclass(frozen=True, kw_only=True)
class WinogradKernelGradientArguments(ArgumentRecord[P, S]):
    """Of a ``WinogradKernelGradient``: pixels ``x``, gradients ``w``.

    ``v`` and ``d`` are scratch.
    """

    x: P
    w: P
    v: P
    d: P
    y: P
    images: S
    split_images: S
    rows: S
    cols: S
    panels: S
    channels: S
    run: S
    v_tile: S
    x_image: S
    x_row: S
    x_col: S
    w_image: S
    w_row: S
    w_col: S
    y_split: S
    y_place: S
    y_run: S


@dataclass(frozen=True, kw_only=True)
class WinogradKernelTransformArguments(ArgumentRecord[P, S]):
    """Of a ``WinogradKernelTransform``: the transform's gradient ``p``, images ``x`` and gradients
    ``g``."""

    p: P
    x: P
    g: P
    y: P
    images: S
    rows: S
    cols: S
    vectors: S
    channels: S
    run: S
    p_place: S
    p_run: S
    x_image: S
    x_row: S
    x_col: S
    g_image: S
    g_row: S
    g_col: S
    y_ky: S
    y_kx: S
    y_run: S


@dataclass(frozen=True, kw_only=True)
class DepthwiseArguments(ArgumentRecord[P, S]):
    """Of a ``SlidingWindow`` with filters: ``x_pixel`` lies between columns of the image.

    ``x_row`` and ``x_col`` lie between windows, ``x_ky`` between the rows of one.
    """

    x: P
    w: P
    images: S
    rows: S
    cols: S
    channels: S
    x_row: S
    x_col: S
    x_ky: S
    x_pixel: S
    kys: S
    x_image: S
    epilogue: EpilogueArguments[P, S] = field(metadata=holds(EpilogueArguments))


@dataclass(frozen=True, kw_only=True)
class PoolArguments(ArgumentRecord[P, S]):
    """Of a ``SlidingWindow`` without filters, over images of ``height`` x ``breadth``."""

    x: P
    images: S
    rows: S
    cols: S
    channels: S
    stride_y: S
    stride_x: S
    pad_y: S
    pad_x: S
    height: S
    breadth: S
    kys: S
    kxs: S
    x_image: S
    x_line: S
    x_pixel: S
    epilogue: EpilogueArguments[P, S] = field(metadata=holds(EpilogueArguments))


@dataclass(frozen=True, kw_only=True)
class DepthwiseKernelGradientArguments(ArgumentRecord[P, S]):
    """Of a ``DepthwiseKernelGradient``: images ``x``, as in ``DepthwiseArguments``, and gradients
    ``w``."""

    x: P
    w: P
    y: P
    images: S
    lines: S
    cols: S
    channels: S
    kys: S
    split_images: S
    split_lines: S
    image_splits: S
    line_splits: S
    x_image: S
    x_row: S
    x_col: S
    x_ky: S
    x_pixel: S
    w_image: S
    w_row: S
    w_col: S


@dataclass(frozen=True, kw_only=True)
class TransposeArguments(ArgumentRecord[P, S]):
    """Of a ``Transpose``: of each of three loops around its rows and columns, steps and strides."""

    x: P
    y: P
    rows: S
    cols: S
    x_row: S
    y_col: S
    n0: S
    x0: S
    y0: S
    n1: S
    x1: S
    y1: S
    n2: S
    x2: S
    y2: S


@dataclass(frozen=True, kw_only=True)
class HaloFillArguments(ArgumentRecord[P, S]):
    """Of a ``HaloFill``: rows of ``row`` elements, and how many at each side are the halo's."""

    y: P
    images: S
    height: S
    image: S
    row: S
    top: S
    bottom: S
    left: S
    right: S


@dataclass(frozen=True, kw_only=True)
class PackArguments(ArgumentRecord[P, S]):
    """Of a ``Pack``: ``batch`` matrices of ``depth`` rows, ``groups`` of ``channels`` in each."""

    x: P
    y: P
    batch: S
    groups: S
    channels: S
    depth: S
    width: S
