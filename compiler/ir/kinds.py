"""Op kinds: which kind of computation an op is, as the kernel builders need to know it.

Each op has one kind. A kind describes dataflow only, never a target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from .types import Size


@dataclass(frozen=True)
class Leaf:
    """A value that no kernel computes: an input, a parameter, a constant."""


@dataclass(frozen=True)
class Elementwise:
    """Each output element is ``fn`` of the operands' elements at the same (broadcast) index.

    ``fn`` names a scalar function of the kernel dialect (``compiler/loops/kernel.py``); attributes,
    if any, follow the operands as constants.
    """

    fn: str


@dataclass(frozen=True)
class Reduction:
    """Combines elements along the attribute ``axes`` (kept as size 1 if ``keepdims``)."""

    combine: str  # "add", "multiply", "maximum", "minimum"
    initial: float


@dataclass(frozen=True)
class View:
    """The same elements in the same row-major order under another shape: no work."""


@dataclass(frozen=True)
class AxisMap:
    """Where one input axis is read: ``(out[axis] * stride + offset) // divisor``.

    ``axis`` None reads index ``offset`` always. With ``exact`` an index that does not divide
    evenly is outside the input; outside reads give the map's ``fill``.
    """

    axis: int | None
    stride: int = 1
    offset: Size = 0
    divisor: int = 1
    exact: bool = False


@dataclass(frozen=True)
class IndexMap:
    """One ``AxisMap`` per input axis; ``fill`` None promises that no read falls outside."""

    axes: tuple[AxisMap, ...]
    fill: float | None = None


IndexRule: TypeAlias = Callable[[Any], IndexMap]


@dataclass(frozen=True)
class Movement:
    """Each output element is one input element, or a fill value: ``index(node)`` says which."""

    index: IndexRule


@dataclass(frozen=True)
class Concatenation:
    """Operands side by side along the attribute ``axis``."""


@dataclass(frozen=True)
class Interleaving:
    """Pixels of the operands by turns, along both spatial axes of images."""


@dataclass(frozen=True)
class Gather:
    """Rows of the first operand picked by the integers of the second, along attribute ``axis``.

    The attributes ``from_end`` and ``fill`` say what integers below 0 and those outside pick.
    """


@dataclass(frozen=True)
class Iota:
    """Each element is its own index along the attribute ``axis``; there is no operand."""


@dataclass(frozen=True)
class FromIndex:
    """Each element is ``fn`` of its own index and of a few numbers, the operand's elements.

    ``"count"``: the index along the attribute ``axis``, added to the one number. ``"uniform"``: the
    random number of the row-major index under a key of two numbers (``runtime/threefry.py``).
    """

    fn: str


@dataclass(frozen=True)
class Window:
    """Slides a window over the spatial axes of a channels-last tensor.

    ``combine`` is ``"maximum"``, ``"mean"`` (over the elements inside the image) or ``"dot"``
    (weights of a second operand, one filter per channel: depthwise convolution).
    """

    combine: str


@dataclass(frozen=True)
class Contraction:
    """Sums of products.

    ``"matmul"``, ``"transposed_matmul"`` (the left operand's rows are summed over), ``"conv2d"``
    (channels last, HWIO kernel), or ``"winograd_conv2d"`` (the kernel transformed, and as it was).
    """

    form: str


@dataclass(frozen=True)
class KernelGradient:
    """The gradient of a kernel: a sum over images of window elements times the result's gradient.

    ``"conv2d"``, ``"depthwise_conv2d"``, or ``"winograd_conv2d"`` (of the transformed kernel).
    """

    form: str


@dataclass(frozen=True)
class KernelTransform:
    """The gradient of a kernel from that of its Winograd transform.

    Further operands are the images and the gradient, for results that are not finite.
    """


@dataclass(frozen=True)
class WindowGradient:
    """The gradient of a ``Window`` by its image.

    The operands end with that gradient. ``"maximum"``, whose operands begin with the image and what
    the window made of it, or ``"mean"``. ``expand(node)`` gives the equivalent in other ops.
    """

    combine: str
    expand: Callable[[Any], Any]


@dataclass(frozen=True)
class ScatterAdd:
    """Adds rows of the first operand to rows of zeros that the integers of the second name."""


@dataclass(frozen=True)
class Composite:
    """Stands for other ops: ``expand(node)`` gives the equivalent node made of them."""

    expand: Callable[[Any], Any]


@dataclass(frozen=True)
class Region:
    """Holds graphs as attributes: ``fused``, ``scan``, ``while_loop`` and ``cond``."""


@dataclass(frozen=True)
class Projection:
    """Picks one result of an op that has several."""


OpKind: TypeAlias = (
    Leaf
    | Elementwise
    | Reduction
    | View
    | Movement
    | Concatenation
    | Interleaving
    | Gather
    | Iota
    | FromIndex
    | Window
    | Contraction
    | KernelGradient
    | KernelTransform
    | WindowGradient
    | ScatterAdd
    | Composite
    | Region
    | Projection
)


@dataclass(frozen=True)
class NoGrad:
    """Stands where an op has no gradient; ``reason`` is told to the user who asks for one."""

    reason: str
