"""Symbolic tensors: what layers pass to one another while a model is put together or traced."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from ..compiler.ir import Node
from ..compiler.ops.core import input_
from ..compiler.types import Shape, TensorType
from ..runtime.dim import Size, symbol
from .dtypes import standard_dtype
from .naming import unique_name
from .operators import Operators


class KerasHistory(NamedTuple):
    """Which call of which layer gave a tensor: ``layer.inbound_nodes[node_index]``."""

    operation: Any
    node_index: int
    tensor_index: int


class KerasTensor(Operators):
    """A value without content: a shape, a dtype, and the compiler's node that computes it.

    Args:
        shape: sizes; None is a size that only the data tell.
        dtype: the element type.
        name: shown in errors and in ``repr``.
    """

    def __init__(self, shape: Any, dtype: Any = None, name: str | None = None) -> None:
        type_ = TensorType(standard_dtype(dtype), symbolic_shape(tuple(shape), unique_name))
        self._initialize(input_(name or "x", type_), name)

    @classmethod
    def of(cls, node: Node, name: str | None = None) -> KerasTensor:
        """The tensor that wraps ``node``."""
        tensor = cls.__new__(cls)
        tensor._initialize(node, name)
        return tensor

    def _initialize(self, node: Node, name: str | None) -> None:
        self.node = node
        self._name = name
        self.history: KerasHistory | None = None
        self.mask: KerasTensor | None = None

    @property
    def name(self) -> str:
        """A unique name, given when it is first asked for."""
        if self._name is None:
            self._name = unique_name("keras_tensor")
        return self._name

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The sizes as Keras shows them: None where only the data tell."""
        return tuple(size if isinstance(size, int) else None for size in self.node.shape)

    @property
    def sizes(self) -> Shape:
        """The sizes as the compiler knows them: ints, or expressions in ``N``, ``T``, ..."""
        return self.node.shape

    @property
    def dtype(self) -> str:
        return self.node.dtype.name

    @property
    def ndim(self) -> int:
        return len(self.node.shape)

    @property
    def _keras_history(self) -> KerasHistory | None:
        return self.history

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise ValueError(
            f"a KerasTensor has no values (shape {self.shape}), so numpy cannot be used on it. "
            "Use keraunos.ops in its place: keraunos.ops.exp(x) instead of np.exp(x)"
        )

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a KerasTensor has no values, so it cannot decide an `if` or `while`. "
            "Use keraunos.ops.where(condition, a, b) to choose element by element"
        )

    def __len__(self) -> int:
        return self._leading_size("len()")

    def __iter__(self) -> Any:
        return (self[index] for index in range(self._leading_size("iteration")))

    def _leading_size(self, what: str) -> int:
        size = self.shape[0] if self.shape else None
        if size is None:
            raise TypeError(
                f"{what} of a KerasTensor needs a known first size; its shape is {self.shape}. "
                "Work on the whole tensor with keraunos.ops instead"
            )
        return size

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


# Names of unknown sizes by rank; the first axis is always the batch.
_AXES = {2: "T", 3: "TC", 4: "HWC", 5: "DHWC"}


def symbolic_shape(shape: tuple[int | None, ...], fresh: Any) -> Shape:
    """``shape`` with a symbol for each None: ``N`` for the batch, then ``T`` or ``H``, ``W``, ...

    ``fresh`` turns a wished name into one that is free.
    """
    return tuple(_size(shape, axis, fresh) for axis in range(len(shape)))


def _size(shape: tuple[int | None, ...], axis: int, fresh: Any) -> Size:
    size = shape[axis]
    if size is not None:
        return int(size)
    if axis == 0:
        return symbol("N")
    letters = _AXES.get(len(shape), "")
    return symbol(fresh(letters[axis - 1] if letters else f"S{axis}"))
