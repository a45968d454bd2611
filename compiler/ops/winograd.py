"""Convolution by fewer products: Winograd's minimal filtering, 3 x 3 windows, 2 x 2 pixels a tile.

Lavin and Gray 2015, https://arxiv.org/abs/1509.09308, F(2x2, 3x3). A tile of 4 x 4 pixels and a
kernel, both transformed, are multiplied place by place, 16 products where the windows of its 2 x 2
results would take 36:

    y = A' [(G k G') * (B' d B)] A

Here the 16 places come in front: a transformed kernel is a stack of 16 matrices (C, F). Where the
results are odd in number, the last tile overlaps the tile before, whose results are kept.

**Accuracy.** A result depends on the pixels of its own window alone, but not each pixel on its own
weight: the sums before the products mix them. So errors are relative to the largest pixel and the
largest weight that meet in a window, not to each product,

    |error| <= (C + 12) * u * 64 * sum over channels of (largest |pixel| * largest |weight|)

with C channels and u = 2 ** -24, where a direct sum has (9 C) * u * 9: of random data, 2 to 3 times
the error of a direct sum. An element of a kernel's gradient takes all tiles: its error is relative
to the largest pixel and the largest gradient of those two channels anywhere in the batch,

    |error| <= (n + 12) * u * 64 * n * largest |pixel| * largest |gradient|

with n positions in all images. Finite pixels may overflow on the way, and infinity minus infinity
is no number; but then some result of the tile is not finite either, as each product is a term of
one. The results of such a tile are summed directly, from the kernel as it was, and so are the
elements of a kernel's gradient of which one is not finite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...runtime.dim import Size
from ..ir.graph import Node, Op, Order, Sample
from ..ir.kinds import Contraction, KernelGradient, KernelTransform, NoGrad
from ..ir.types import TensorType
from .building import reshaped
from .contractions import conv2d
from .core import constant
from .kernel_gradients import conv2d_kernel_gradient
from .registry import ops, register
from .rules import equal_sizes, same_size, want_float, want_known, want_rank, want_same_dtype
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


def _type(x: TensorType, places: TensorType, kernel: TensorType, *, padding: Padding) -> TensorType:
    dtype = want_same_dtype(x, places, kernel)
    want_float(x)
    want_rank("images (N, H, W, C)", x, 4)
    want_rank("a transformed kernel (16, channels, filters)", places, 3)
    if places.shape[0] != PLACES or not same_size(places.shape[1], x.shape[3]):
        raise ValueError(
            f"expected a transformed kernel ({PLACES}, {x.shape[3]}, filters), got {places}"
        )
    if kernel.shape != (*WINDOW, *places.shape[1:]):
        raise ValueError(f"expected the kernel that {places} was made of, got {kernel}")
    if not isinstance(places.shape[2], int):
        raise ValueError(f"expected a known number of filters, got {places}: use conv2d")
    return TensorType(dtype, (x.shape[0], *_places(x.shape, padding), places.shape[2]))


def _winograd(x: Any, places: Any, kernel: Any, *, padding: Padding) -> Any:
    rows, columns = _places(x.shape, padding)
    pixels = _transformed_pixels(x, padding)
    square = places.reshape(SEEN, SEEN, *places.shape[1:])
    products = np.einsum("nyxabc,abcf->nyxabf", pixels, square)
    tiles = np.einsum("ia,jb,nyxabf->nyxijf", OF_RESULTS, OF_RESULTS, products)
    finite = np.isfinite(tiles).all((3, 4), keepdims=True)
    direct = None if finite.all() else conv2d.reference(x, kernel, padding=padding)
    result = np.empty((x.shape[0], rows, columns, places.shape[2]), x.dtype)
    for at, row in reversed([*enumerate(_starts(rows))]):
        for across, column in reversed([*enumerate(_starts(columns))]):
            tile = (slice(None), slice(row, row + TILE), slice(column, column + TILE))
            kept, known = tiles[:, at, across], finite[:, at, across]
            result[tile] = kept if direct is None else np.where(known, kept, direct[tile])
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
            Sample(("f32[2, 6, 8, 16]", "f32[16, 16, 16]", "f32[3, 3, 16, 16]"), **SMALL),
            Sample(
                ("f32[3, 7, 6, 32]", "f32[16, 32, 20]", "f32[3, 3, 32, 20]"),
                {"padding": "same"},
                **SMALL,
            ),
            Sample(
                ("f32[1, 5, 9, 16]", "f32[16, 16, 48]", "f32[3, 3, 16, 48]"),
                {"padding": UNEVEN},
                **SMALL,
            ),
        ),
        "Convolution of images (N, H, W, C) with a kernel (3, 3, C, F) given transformed, "
        "(16, C, F), and as it is: Winograd's F(2x2, 3x3). Tiles with results that are not finite "
        "are summed directly.",
    )
)


# winograd_kernel_gradient


def _gradient_type(
    x: TensorType, grad: TensorType, *, padding: Padding, split: int | None
) -> TensorType:
    dtype = want_same_dtype(x, grad)
    want_float(x)
    want_rank("images (N, H, W, C)", x, 4)
    want_rank("a gradient (N, H, W, F)", grad, 4)
    spatial = _places(x.shape, padding)
    if not all(map(same_size, grad.shape[:3], (x.shape[0], *spatial))):
        raise ValueError(f"expected a gradient of {x.shape[0]} images of {spatial}, got {grad}")
    want_known("a gradient of images", grad, grad.shape[1:])
    kernel = TensorType(dtype, (PLACES, x.shape[3], grad.shape[3]))
    if split is None:
        return kernel
    if not isinstance(split, int) or split < 1:
        raise ValueError(f"expected a split of 1 or more images, got {split!r}")
    return kernel.with_shape(((x.shape[0] + split - 1) // split, *kernel.shape))


def _kernel_gradient(x: Any, grad: Any, *, padding: Padding, split: int | None) -> Any:
    pixels, cotangents = _transformed_pixels(x, padding), _transformed_gradients(grad)
    images = x.shape[0]
    splits = -(-images // split) if split else 1
    ranges = [slice(images * i // splits, images * (i + 1) // splits) for i in range(splits)]
    sums = [np.einsum("nyxabc,nyxabf->abcf", pixels[each], cotangents[each]) for each in ranges]
    places = np.array(sums, x.dtype).reshape(-1, PLACES, x.shape[3], grad.shape[3])
    return places.sum(0) if split is None else places


def _transformed_gradients(grad: Any) -> Any:
    """``A g A'`` of each tile, without what the tile before has: (N, rows, columns, 4, 4, F)."""
    starts = [_starts(n) for n in grad.shape[1:3]]
    down, across = (start[:, None] + np.arange(TILE) for start in starts)
    tiles = grad[:, down][:, :, :, across]  # (N, tile rows, 2, tile columns, 2, F)
    tiles[:, starts[0] % TILE == 1, 0] = 0
    tiles[:, :, :, starts[1] % TILE == 1, 0] = 0
    return np.einsum("ia,jb,nyixjf->nyxabf", OF_RESULTS, OF_RESULTS, tiles)


def _image_orders(node: Node) -> Iterator[Order]:
    """A gradient for each image; their other sizes are known."""
    x, grad = (operand.shape for operand in node.inputs)
    return equal_sizes(x[:1], grad[:1])


winograd_kernel_gradient = register(
    Op(
        "winograd_kernel_gradient",
        _gradient_type,
        _kernel_gradient,
        KernelGradient("winograd_conv2d"),
        {"padding": "valid", "split": None},
        NoGrad("differentiate before the pass winograd"),
        (
            Sample(("f32[2, 6, 8, 16]", "f32[2, 4, 6, 16]"), **SMALL),
            Sample(("f32[3, 7, 6, 32]", "f32[3, 7, 6, 20]"), {"padding": "same"}, **SMALL),
            Sample(
                ("f32[3, 5, 9, 16]", "f32[3, 7, 8, 48]"), {"padding": UNEVEN, "split": 2}, **SMALL
            ),
        ),
        "From x and the gradient of winograd_conv2d's result: the gradient of the transformed "
        "kernel. With ``split``, one partial sum for each so many images at most, along an axis "
        "in front.",
        _image_orders,
    )
)


# winograd_kernel


def _transform_type(
    places: TensorType, x: TensorType, grad: TensorType, *, padding: Padding
) -> TensorType:
    made = _gradient_type(x, grad, padding=padding, split=None)
    want_same_dtype(places, made)
    if places.shape != made.shape:
        raise ValueError(f"expected the gradient of a transformed kernel, {made}, got {places}")
    return made.with_shape((*WINDOW, *made.shape[1:]))


def _kernel_of(places: Any, x: Any, grad: Any, *, padding: Padding) -> Any:
    square = places.reshape(SEEN, SEEN, *places.shape[1:])
    kernel = np.einsum("ai,bj,abcf->ijcf", OF_KERNELS, OF_KERNELS, square)
    finite = np.isfinite(kernel).all((0, 1))
    if finite.all():
        return kernel
    direct = conv2d_kernel_gradient.reference(x, grad, window=WINDOW, padding=padding)
    return np.where(finite, kernel, direct)


winograd_kernel = register(
    Op(
        "winograd_kernel",
        _transform_type,
        _kernel_of,
        KernelTransform(),
        {"padding": "valid"},
        NoGrad("differentiate before the pass winograd"),
        (
            Sample(("f32[16, 16, 16]", "f32[2, 6, 8, 16]", "f32[2, 4, 6, 16]"), **SMALL),
            Sample(
                ("f32[16, 32, 20]", "f32[3, 7, 6, 32]", "f32[3, 7, 6, 20]"),
                {"padding": "same"},
                **SMALL,
            ),
        ),
        "From the gradient of a transformed kernel that of the kernel, (3, 3, C, F). What is not "
        "finite is summed directly, from the images and the gradient of the convolution's result.",
    )
)
