"""Checks that the type rules of many ops share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...runtime.dim import Size
from ..ir.graph import Order
from ..ir.types import DType, Shape, TensorType


def want_known(what: str, type_: TensorType, sizes: Iterable[Size]) -> None:
    """Raises ``ValueError`` where one of the ``sizes`` of a type is symbolic."""
    if not all(isinstance(size, int) for size in sizes):
        raise ValueError(f"expected {what} of known sizes, got {type_}")


def want_rank(what: str, type_: TensorType, *ranks: int) -> None:
    """Raises ``ValueError`` unless ``type_`` has one of ``ranks``."""
    if type_.rank not in ranks:
        expected = " or ".join(map(str, ranks))
        raise ValueError(f"expected {what} of rank {expected}, got {type_}")


def want_same_dtype(*types: TensorType) -> DType:
    """The one dtype of ``types``; raises ``TypeError`` when they differ."""
    dtypes = tuple(dict.fromkeys(type_.dtype for type_ in types))
    if len(dtypes) != 1:
        listed = ", ".join(str(type_) for type_ in types)
        raise TypeError(f"expected operands of one dtype, got {listed}; insert a cast")
    return dtypes[0]


def want_float(type_: TensorType) -> None:
    """Raises ``TypeError`` unless ``type_`` holds floats."""
    if not type_.dtype.is_float:
        raise TypeError(f"expected floats, got {type_}; insert a cast")


def want_number(type_: TensorType) -> None:
    """Raises ``TypeError`` on booleans."""
    if type_.dtype.name == "bool":
        raise TypeError(f"expected numbers, got {type_}; insert a cast")


def want_integer(type_: TensorType) -> None:
    """Raises ``TypeError`` unless ``type_`` holds integers."""
    if not type_.dtype.is_integer:
        raise TypeError(f"expected integers, got {type_}; insert a cast")


def want_bool(type_: TensorType) -> None:
    """Raises ``TypeError`` unless ``type_`` holds booleans."""
    if type_.dtype.name != "bool":
        raise TypeError(f"expected booleans, got {type_}; compare or cast first")


def same_size(left: Size, right: Size) -> bool:
    """Whether two sizes agree as far as is known: a symbol agrees with anything."""
    return not (isinstance(left, int) and isinstance(right, int)) or left == right


def equal_sizes(left: Sequence[Size], right: Sequence[Size]) -> Iterator[Order]:
    """What says that sizes are equal, pair by pair, as far as both go."""
    for one, other in zip(left, right, strict=False):
        yield one, other
        yield other, one


def normal_axis(axis: int, rank: int) -> int:
    """``axis`` counted from the front; raises ``ValueError`` when it is out of range."""
    if not isinstance(axis, int) or not -rank <= axis < rank:
        raise ValueError(f"expected an axis in [{-rank}, {rank - 1}] for rank {rank}, got {axis!r}")
    return axis % rank


def normal_axes(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """``axes`` counted from the front, in the order given.

    Raises ``ValueError`` when one is out of range or occurs twice, or ``axes`` is no sequence.
    """
    if not isinstance(axes, (tuple, list)):
        raise ValueError(f"expected axes as a tuple such as (1, 2), got {axes!r}")
    found = tuple(normal_axis(axis, rank) for axis in axes)
    if len(set(found)) != len(found):
        raise ValueError(f"expected each axis once, got axes {tuple(axes)!r} for rank {rank}")
    return found


def per_axis(name: str, values: Sequence[object], rank: int) -> None:
    """Raises ``ValueError`` unless ``values`` has one entry an axis."""
    if not isinstance(values, (tuple, list)) or len(values) != rank:
        raise ValueError(f"expected {name} with {rank} entries, one an axis, got {values!r}")


def reduced_shape(shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    """``shape`` after combining along the (normal) ``axes``."""
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)
