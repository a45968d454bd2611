"""Convolution by fewer products: Winograd's minimal filtering, 3 x 3 windows, 2 x 2 pixels a tile.

Lavin and Gray 2015, https://arxiv.org/abs/1509.09308, F(2x2, 3x3). A tile of 4 x 4 pixels and a
kernel, both transformed, are multiplied place by place, 16 products where the windows of its 2 x 2
results would take 36:

    y = A' [(G k G') * (B' d B)] A

Here the 16 places come in front: a transformed kernel is a stack of 16 matrices (C, F). Where the
results are odd in number, the last tile lies one place further back, over the tile before, whose
results stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...runtime.dim import Size
from ..ir import Node, Op, Sample
from ..lowering import Contraction, KernelGradient, NoGrad
from ..types import TensorType
from .building import reshaped
from .core import constant
from .registry import ops, register
from .rules import same_size, want_float, want_rank, want_same_dtype
from .windowing import Padding, pad_image, resolve_padding, window_output

WINDOW = (3, 3)
TILE = 2  # rows and columns of results
SEEN = 4  # rows and columns of pixels that they see
PLACES = SEEN * SEEN

# The matrices of the paper: of pixels (B'), of kernels (G), and of results (A').
OF_PIXELS = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float32)
OF_KERNELS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
OF_RESULTS = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float32)


def transformed_kernel(kernel: Node) -> Node:
    """``G k G'`` of a kernel (3, 3, C, F), as a product of matrices: (16, C, F)."""
    _, _, channels, filters = kernel.shape
    both = constant(np.kron(OF_KERNELS, OF_KERNELS))
    places = ops.matmul(both, reshaped(kernel, (9, channels * filters)))
    return reshaped(places, (PLACES, channels, filters))


def kernel_of(places: Node) -> Node:
    """``G' p G``, what leads ``transformed_kernel`` back: (16, C, F) as (3, 3, C, F)."""
    _, channels, filters = places.shape
    both = constant(np.kron(OF_KERNELS, OF_KERNELS).T)
    kernel = ops.matmul(both, reshaped(places, (PLACES, channels * filters)))
    return reshaped(kernel, (*WINDOW, channels, filters))


def _places(shape: Sequence[Size], padding: Padding) -> tuple[int, ...]:
    """How many places the window has in an image, rows and columns; at least a tile of them."""
    places = window_output(shape[1:3], WINDOW, (1, 1), (1, 1), padding)
    known = tuple(size for size in (*places, shape[3]) if isinstance(size, int))
    if len(known) < 3 or min(known[:2]) < TILE:
        raise ValueError(
            f"expected images of known size and channels, with {TILE} x {TILE} windows in them or "
            f"more; got {tuple(shape)}: use conv2d"
        )
    return known[:2]


# Samples of sums of many products, whose terms are not much larger than the sum.
SMALL: dict[str, Any] = {"low": -0.3, "high": 0.3}
UNEVEN = ((2, 2), (0, 1))


# winograd_conv2d


def _type(x: TensorType, kernel: TensorType, *, padding: Padding) -> TensorType:
    dtype = want_same_dtype(x, kernel)
    want_float(x)
    want_rank("images (N, H, W, C)", x, 4)
    want_rank("a transformed kernel (16, channels, filters)", kernel, 3)
    if kernel.shape[0] != PLACES or not same_size(kernel.shape[1], x.shape[3]):
        raise ValueError(
            f"expected a transformed kernel ({PLACES}, {x.shape[3]}, filters), got {kernel}"
        )
    if not isinstance(kernel.shape[2], int):
        raise ValueError(f"expected a known number of filters, got {kernel}: use conv2d")
    return TensorType(dtype, (x.shape[0], *_places(x.shape, padding), kernel.shape[2]))


def _winograd(x: Any, kernel: Any, *, padding: Padding) -> Any:
    rows, columns = _places(x.shape, padding)
    pixels = _transformed_pixels(x, padding)
    square = kernel.reshape(SEEN, SEEN, *kernel.shape[1:])
    products = np.einsum("nyxabc,abcf->nyxabf", pixels, square)
    tiles = np.einsum("ia,jb,nyxabf->nyxijf", OF_RESULTS, OF_RESULTS, products)
    result = np.empty((x.shape[0], rows, columns, kernel.shape[2]), x.dtype)
    for at, row in reversed([*enumerate(_starts(rows))]):
        for across, column in reversed([*enumerate(_starts(columns))]):
            result[:, row : row + TILE, column : column + TILE] = tiles[:, at, across]
    return result


def _starts(places: int) -> Any:
    """Where the tiles of so many places in a row start."""
    return np.minimum(np.arange(0, places, TILE), places - TILE)


def _transformed_pixels(x: Any, padding: Padding) -> Any:
    """``B' d B`` of each tile: (N, tile rows, tile columns, 4, 4, C)."""
    padded = pad_image(x, resolve_padding(x.shape[1:3], WINDOW, (1, 1), (1, 1), padding), 0)
    down, across = (_starts(n)[:, None] + np.arange(SEEN) for n in _places(x.shape, padding))
    tiles = padded[:, down][:, :, :, across]  # (N, tile rows, 4, tile columns, 4, C)
    return np.einsum("ai,bj,nyixjc->nyxabc", OF_PIXELS, OF_PIXELS, tiles)


winograd_conv2d = register(
    Op(
        "winograd_conv2d",
        _type,
        _winograd,
        Contraction("winograd_conv2d"),
        {"padding": "valid"},
        NoGrad("differentiate before the pass winograd"),
        (
            Sample(("f32[2, 6, 8, 16]", "f32[16, 16, 16]"), **SMALL),
            Sample(("f32[3, 7, 6, 32]", "f32[16, 32, 20]"), {"padding": "same"}, **SMALL),
            Sample(("f32[1, 5, 9, 16]", "f32[16, 16, 48]"), {"padding": UNEVEN}, **SMALL),
        ),
        "Convolution of images (N, H, W, C) with a kernel (3, 3, C, F) given transformed, "
        "(16, C, F): Winograd's F(2x2, 3x3).",
    )
)


# winograd_kernel_gradient


def _gradient_type(
    x: TensorType, grad: TensorType, *, padding: Padding, part: int | None
) -> TensorType:
    dtype = want_same_dtype(x, grad)
    want_float(x)
    want_rank("images (N, H, W, C)", x, 4)
    want_rank("a gradient (N, H, W, F)", grad, 4)
    spatial = _places(x.shape, padding)
    if not all(map(same_size, grad.shape[:3], (x.shape[0], *spatial))):
        raise ValueError(f"expected a gradient of {x.shape[0]} images of {spatial}, got {grad}")
    if not isinstance(grad.shape[3], int):
        raise ValueError(f"expected a known number of filters, got {grad}")
    kernel = TensorType(dtype, (PLACES, x.shape[3], grad.shape[3]))
    if part is None:
        return kernel
    if not isinstance(part, int) or part < 1:
        raise ValueError(f"expected a part of 1 or more images, got {part!r}")
    return kernel.with_shape(((x.shape[0] + part - 1) // part, *kernel.shape))


def _kernel_gradient(x: Any, grad: Any, *, padding: Padding, part: int | None) -> Any:
    pixels, slopes = _transformed_pixels(x, padding), _transformed_gradients(grad)
    images = x.shape[0]
    parts = -(-images // part) if part else 1
    cuts = [slice(images * i // parts, images * (i + 1) // parts) for i in range(parts)]
    sums = [np.einsum("nyxabc,nyxabf->abcf", pixels[cut], slopes[cut]) for cut in cuts]
    places = np.array(sums, x.dtype).reshape(-1, PLACES, x.shape[3], grad.shape[3])
    return places.sum(0) if part is None else places


def _transformed_gradients(grad: Any) -> Any:
    """``A g A'`` of each tile, without what the tile before has: (N, rows, columns, 4, 4, F)."""
    starts = [_starts(n) for n in grad.shape[1:3]]
    down, across = (start[:, None] + np.arange(TILE) for start in starts)
    tiles = grad[:, down][:, :, :, across]  # (N, tile rows, 2, tile columns, 2, F)
    tiles[:, starts[0] % TILE == 1, 0] = 0
    tiles[:, :, :, starts[1] % TILE == 1, 0] = 0
    return np.einsum("ia,jb,nyixjf->nyxabf", OF_RESULTS, OF_RESULTS, tiles)


winograd_kernel_gradient = register(
    Op(
        "winograd_kernel_gradient",
        _gradient_type,
        _kernel_gradient,
        KernelGradient("winograd_conv2d"),
        {"padding": "valid", "part": None},
        NoGrad("differentiate before the pass winograd"),
        (
            Sample(("f32[2, 6, 8, 16]", "f32[2, 4, 6, 16]"), **SMALL),
            Sample(("f32[3, 7, 6, 32]", "f32[3, 7, 6, 20]"), {"padding": "same"}, **SMALL),
            Sample(
                ("f32[3, 5, 9, 16]", "f32[3, 7, 8, 48]"), {"padding": UNEVEN, "part": 2}, **SMALL
            ),
        ),
        "From x and the gradient of winograd_conv2d's result: the gradient of the transformed "
        "kernel. With a part of so many images at most, that of each of even parts, along an axis "
        "in front.",
    )
)
