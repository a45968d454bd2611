"""Weights: named arrays with a version that tells compiled programs when to bind them anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dtypes import as_array, standard_dtype
from .operators import Operators


class Generation:
    """Counts the assignments to any variable, so that one comparison shows that none happened."""

    count = 0


class Variable(Operators):
    """A weight of a layer: float32 unless told otherwise, of a fixed shape.

    Attributes:
        name: ``kernel``.
        path: ``conv2d/kernel``.
        trainable: whether training changes it.
        is_state: whether it was made not to be trained, such as a running mean.
        version: how often it was assigned.
        regularizer, constraint: what training adds to the loss, and applies after an update.
    """

    def __init__(
        self,
        initializer: Any,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        name: str = "variable",
        *,
        path: str = "",
        regularizer: Any = None,
        constraint: Any = None,
    ) -> None:
        kind = standard_dtype(dtype)
        self._value = _initial(initializer, shape, kind.numpy)
        self.name = name
        self.path = path or name
        self.trainable = trainable
        self.is_state = not trainable
        self.regularizer = regularizer
        self.constraint = constraint
        self.version = 0

    @property
    def value(self) -> np.ndarray:
        """The array, read-only: ``assign`` changes it."""
        return self._value

    @property
    def shape(self) -> tuple[int, ...]:
        return self._value.shape

    @property
    def dtype(self) -> str:
        return self._value.dtype.name

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

        Raises:
            ValueError: the shape differs.
            TypeError: not an array of numbers.
        """
        array = value.value if isinstance(value, Variable) else as_array(value)
        if array.shape != self.shape:
            raise ValueError(
                f"variable {self.path!r}: expected a value of shape {self.shape}; received shape "
                f"{array.shape}. A variable keeps the shape that it was made with"
            )
        self._value = _frozen(array, self._value.dtype)
        self.version += 1
        Generation.count += 1
        return self

    def assign_add(self, value: Any) -> Variable:
        return self.assign(self._value + np.asarray(value))

    def assign_sub(self, value: Any) -> Variable:
        return self.assign(self._value - np.asarray(value))

    def numpy(self) -> np.ndarray:
        """A copy of the value that may be written to."""
        return self._value.copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._value, dtype=dtype, copy=copy)

    def __float__(self) -> float:
        return float(self._value)

    def __int__(self) -> int:
        return int(self._value)

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"


def _initial(initializer: Any, shape: tuple[int, ...] | None, dtype: np.dtype) -> np.ndarray:
    if not callable(initializer):
        return _frozen(as_array(initializer), dtype)
    if shape is None:
        raise ValueError(
            "Variable: expected a shape together with an initializer; received shape=None. "
            "Pass shape=(...), or an array as the initial value"
        )
    return _frozen(np.asarray(initializer(tuple(shape), dtype=dtype.name)), dtype)


def _frozen(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    copy = np.array(array, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy
