"""Symbolic tensors: what layers pass to one another while a model is put together or traced."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..compiler.ir.graph import Node
from ..compiler.ir.types import Shape, TensorType
from ..compiler.ops.core import input_
from ..runtime.dim import Size, symbol
from .dtypes import standard_dtype
from .errors import UsageError, UsageTypeError
from .naming import unique_name
from .operators import Operators
from .scope import current_scope


class KerasHistory(NamedTuple):
    """Which call of which layer gave a tensor: ``layer.inbound_nodes[node_index]``."""

    operation: Any
    node_index: int
    tensor_index: int


class KerasTensor(Operators):
    """A value without content: a shape, a dtype, and the compiler's node that computes it.

    In a step that runs eagerly (``compile(run_eagerly=True)``) it has its content too: it can be
    printed, given to numpy, made a number, and decide an ``if``.

    Args:
        shape: sizes; None is a size that only the data tell.
        dtype: the element type.
        name: shown in errors and in ``repr``.

    Attributes:
        values: what knows the content; None for a symbolic tensor, which has none.
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
        scope = current_scope()
        self.values: Any = scope if scope is not None and scope.has_values else None

    def __getstate__(self) -> dict[str, Any]:
        """A copy is of the type alone; what made it is copied with a model, or is where one begins.

        So it does not matter how long a chain of layers and nodes led to it.
        """
        node, history = self.node, self.history
        begins = history is not None and not history.node_index and history.operation.begins
        return {
            **vars(self),
            "node": input_(self._name or "x", node.tensor_type) if node.inputs else node,
            "history": history if begins else None,
        }

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

    def numpy(self) -> np.ndarray:
        """A copy of the content. Raises ``ValueError`` for a symbolic tensor."""
        return self.__array__(copy=True)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.values is None:
            raise UsageError(
                f"a KerasTensor has no values (shape {self.shape}), so numpy cannot be used on it. "
                "Use keraunos.ops in its place: keraunos.ops.exp(x) instead of np.exp(x)"
                f"{_OR_EAGERLY}"
            )
        content = self.values.value(self.node).view()
        content.setflags(write=False)  # other tensors are made of it
        return np.array(content, dtype=dtype, copy=copy)

    def __bool__(self) -> bool:
        if self.values is None:
            raise UsageTypeError(
                "a KerasTensor has no values, so it cannot decide an `if` or `while`. "
                "Use keraunos.ops.where(condition, a, b) to choose element by element"
                f"{_OR_EAGERLY}"
            )
        return bool(self.__array__())

    def __float__(self) -> float:
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def _number(self, kind: str) -> Any:
        if self.values is None:
            raise UsageTypeError(
                f"a KerasTensor has no values (shape {self.shape}), so it is no {kind} of Python. "
                f"Compute with the tensor itself, by keraunos.ops{_OR_EAGERLY}"
            )
        return self.__array__().item()

    def __format__(self, spec: str) -> str:
        return format(self._number("number"), spec) if spec else str(self)

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise UsageTypeError(
            "a KerasTensor cannot be changed. Make another of it: keraunos.ops.where(condition, a, "
            "b) chooses element by element, keraunos.ops.concatenate joins parts"
        )

    def __len__(self) -> int:
        return self._leading_size("len()")

    def __iter__(self) -> Any:
        return (self[index] for index in range(self._leading_size("iteration")))

    def _leading_size(self, what: str) -> int:
        size = self.shape[0] if self.shape else None
        if size is None:
            raise UsageTypeError(
                f"{what} of a KerasTensor needs a known first size; its shape is {self.shape}. "
                "Work on the whole tensor with keraunos.ops instead"
            )
        return size

    def __repr__(self) -> str:
        shown = f"name={self.name}" if self.values is None else f"value={self.__array__()}"
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, {shown}>"


_OR_EAGERLY = ". In a step of fit, compile(run_eagerly=True) gives tensors their values"


def is_symbolic(value: Any) -> bool:
    """Whether a value is a tensor without content."""
    return isinstance(value, KerasTensor) and value.values is None


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
