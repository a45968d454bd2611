"""Weights: named arrays with a version that tells compiled programs when to bind them anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..runtime.device import Buffer
from . import lazy
from .accepted import Shape
from .allocation import require_memory
from .arguments import Checked
from .dtypes import as_array, standard_dtype
from .errors import UsageError, made_by_users
from .operators import Operators
from .scope import current_scope
from .watching import Attribute, Generation


class Variable(Checked, Operators):
    """A weight of a layer: float32 unless told otherwise, of a fixed shape.

    Args:
        initializer: an array, a number, or with ``shape`` a function of it, or an initializer by
            its name.
        autocast: as in Keras, for policies that compute in another float than that of the weights;
            there are none here.
        aggregation, synchronization: as in Keras, how the copies on several devices agree. There is
            one copy here, so all that Keras knows mean the same.

    Attributes:
        name: ``kernel``.
        path: ``conv2d/kernel``.
        trainable: whether training changes it.
        is_state: whether it was made not to be trained, such as a running mean.
        version: how often it was assigned.
        regularizer, constraint: what training adds to the loss, and applies after an update.
    """

    trainable = Attribute()
    regularizer = Attribute()
    constraint = Attribute()

    def __init__(
        self,
        initializer: Any,
        shape: Shape | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str | None = "auto",
        name: str | None = None,
        *,
        path: str = "",
        regularizer: Any = None,
        constraint: Any = None,
    ) -> None:
        _check_among("aggregation", aggregation, _AGGREGATIONS)
        _check_among("synchronization", synchronization, _SYNCHRONIZATIONS)
        kind = standard_dtype(dtype)
        if shape is not None:
            shape = (shape,) if isinstance(shape, int) else tuple(shape)
            require_memory(f"variable {(path or name)!r}", shape, kind)
        self._begin(_initial(initializer, shape, kind.numpy))
        self.name = name or "variable"
        self.path = path or self.name
        self.trainable = trainable
        self.is_state = not trainable
        self.regularizer = regularizer
        self.constraint = constraint
        self.version = 0

    def _begin(self, buffer: Buffer) -> None:
        Generation.structure += 1
        self._buffer = buffer

    def __getstate__(self) -> dict[str, Any]:
        """A copy has a value of its own."""
        return {**vars(self), "_buffer": self._value.copy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin(_placed(state["_buffer"], state["_buffer"].dtype))

    @property
    def _value(self) -> np.ndarray:
        return self._buffer.read()

    @property
    def value(self) -> np.ndarray:
        """A copy of the value as it is now; later assignments leave it alone.

        Read-only, as writing to it would not change the variable: ``assign`` does, ``numpy`` gives
        a copy to write to.
        """
        copy = self._value.copy()
        copy.setflags(write=False)
        return copy

    @property
    def view(self) -> np.ndarray:
        """The value without a copy, if the host sees it: assigning and training change it."""
        return self._value

    @property
    def shape(self) -> tuple[int, ...]:
        return self._buffer.shape

    @property
    def dtype(self) -> str:
        return self._buffer.dtype.name

    @property
    def ndim(self) -> int:
        return self._value.ndim

    @property
    def size(self) -> int:
        return self._value.size

    @property
    def nbytes(self) -> int:
        return self._value.nbytes

    def assign(self, value: Any) -> Variable:
        """Sets the value, cast to the variable's dtype.

        While a call is traced, ``value`` may be a tensor: each run of the program then sets it,
        and what is traced from here on reads the new value.

        Raises:
            ValueError: the shape differs.
            TypeError: not an array of numbers.
        """
        scope = current_scope()
        if scope is not None:
            scope.assign(self, value)
            return self
        array = value.view if isinstance(value, Variable) else as_array(value)
        self.check_shape(array.shape)
        self._buffer.write(array)
        self.changed()
        return self

    def clear(self) -> None:
        """Sets every element to 0, as ``assign`` does."""
        if current_scope() is not None:
            self.assign(np.zeros(self.shape, self.dtype))
            return
        self._buffer.clear()
        self.changed()

    def assign_add(self, value: Any) -> Variable:
        return self.assign(self + value if current_scope() else self._value + as_array(value))

    def assign_sub(self, value: Any) -> Variable:
        return self.assign(self - value if current_scope() else self._value - as_array(value))

    def check_shape(self, shape: tuple[Any, ...]) -> None:
        """Raises ``ValueError`` if values of ``shape`` do not fit."""
        if tuple(shape) != self.shape:
            raise UsageError(
                f"variable {self.path!r}: expected a value of shape {self.shape}; received shape "
                f"{tuple(shape)}. A variable keeps the shape that it was made with"
            )

    @property
    def buffer(self) -> Buffer:
        """What programs update; whoever writes to it calls ``changed`` then."""
        return self._buffer

    def changed(self) -> None:
        """Tells programs that hold a prepared copy of the value that there is another."""
        self.version += 1
        Generation.count += 1

    def numpy(self) -> np.ndarray:
        """A copy of the value that may be written to.

        Raises:
            ValueError: a call is traced, whose program would keep the value of now.
        """
        return self._read().copy()

    def _read(self) -> np.ndarray:
        """The value, for Python's own use."""
        scope = current_scope()
        if scope is not None and scope.fixes_values:
            raise UsageError(
                f"variable {self.path!r}: expected its use as a tensor, in keraunos.ops, while a "
                "call or a step is traced; received a demand for its value, which would stay in "
                "the program as it is now. In a step of fit, compile(run_eagerly=True) reads it at "
                "each batch"
            )
        return self._value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """A copy; under ``copy=False`` a view, read-only, which changes with the variable."""
        return np.array(self._read().view(), dtype=dtype, copy=copy is not False)

    def __float__(self) -> float:
        return float(self._read())

    def __int__(self) -> int:
        return int(self._read())

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"


_AGGREGATIONS = (None, "none", "mean", "sum", "only_first_replica")
_SYNCHRONIZATIONS = (None, "none", "on_read", "on_write", "auto")


def _check_among(argument: str, value: Any, known: tuple[Any, ...]) -> None:
    if value not in known:
        raise UsageError(
            f"Variable: expected {argument} among {', '.join(map(repr, known))}; received {value!r}"
        )


def _initial(initializer: Any, shape: tuple[int, ...] | None, dtype: np.dtype) -> Buffer:
    if isinstance(initializer, (str, dict)):
        # Initializers are made of functions of tensors, which know variables.
        initializer = lazy.load(".initializers").get(initializer)
    if not callable(initializer):
        return _placed(as_array(initializer), dtype)
    if shape is None:
        raise UsageError(
            "Variable: expected a shape together with an initializer; received shape=None. "
            "Pass shape=(...), or an array as the initial value"
        )
    named = getattr(initializer, "__name__", type(initializer).__name__)
    what = f"the initializer {named}"
    made = as_array(made_by_users(initializer, what, tuple(shape), dtype=dtype.name))
    if made.shape != tuple(shape):
        raise UsageError(f"{what}: expected values of shape {shape}; received shape {made.shape}")
    return _placed(made, dtype)


def _placed(array: np.ndarray, dtype: np.dtype) -> Buffer:
    buffer = Buffer(array.shape, dtype)
    buffer.write(array)
    return buffer
