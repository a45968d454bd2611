"""Adafactor: the mean square of a matrix of gradients kept as a row and a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from .. import ops
from ..variable import Variable
from .base import Optimizer
from .options import Options, above_zero, at_least


class Adafactor(Optimizer):
    """Shazeer and Stern 2018.

    Args:
        beta_2_decay: the share of the former mean square in that of update t is ``1 - t**decay``.
        epsilon_1: what is added to squares of gradients.
        epsilon_2: the least size of a weight that steps are measured by.
        clip_threshold: how large the root of the mean square of a step may be.
        relative_step: taken for Keras's sake. The learning rate is ``1 / sqrt(t)`` where that is
            less, either way, as in Keras.
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_2_decay = float(beta_2_decay)
        self.epsilon_1 = at_least(self, "epsilon_1", epsilon_1)
        self.epsilon_2 = at_least(self, "epsilon_2", epsilon_2)
        self.clip_threshold = above_zero(self, "clip_threshold", clip_threshold)
        self.relative_step = relative_step

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._rows: list[Variable] = []
        self._columns: list[Variable] = []
        self._squares: list[Variable] = []
        for weight in variables:
            row, column = _factor_shapes(weight)
            # Only matrices need them: of other weights Keras saves two zeros of int32.
            dtype = weight.dtype if weight.ndim >= 2 else "int32"
            self._rows.append(self.add_variable(row, dtype=dtype, name=weight.name))
            self._columns.append(self.add_variable(column, dtype=dtype, name=weight.name))
            self._squares.append(self.add_variable_from_reference(weight, "velocity"))

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        squares = self._squares[self._get_variable_index(variable)]
        time = ops.cast(self.iterations + 1, variable.dtype)
        kept = 1 - ops.power(time, self.beta_2_decay)
        squares.assign(self._mean_square(variable, ops.square(gradient) + self.epsilon_1, kept))
        step = ops.divide(gradient, ops.sqrt(squares))
        excess = ops.maximum(_size(step) / self.clip_threshold, 1.0)
        rate = ops.minimum(learning_rate, ops.rsqrt(time))
        length = rate * ops.maximum(_size(variable), self.epsilon_2)
        variable.assign(variable - length * ops.divide(step, excess))

    def _mean_square(self, variable: Variable, square: Any, kept: Any) -> Any:
        """The mean square, or the product of its means over the last two axes."""
        index = self._get_variable_index(variable)
        if variable.ndim < 2:
            return kept * self._squares[index] + (1 - kept) * square
        row, column = self._rows[index], self._columns[index]
        row.assign(kept * row + (1 - kept) * ops.mean(square, axis=-1))
        column.assign(kept * column + (1 - kept) * ops.mean(square, axis=-2))
        share = ops.divide(row, ops.mean(row, axis=-1, keepdims=True))
        return ops.expand_dims(share, -1) * ops.expand_dims(column, -2)


def _factor_shapes(weight: Variable) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if weight.ndim < 2:
        return (), ()
    return weight.shape[:-1], (*weight.shape[:-2], weight.shape[-1])


def _size(values: Any) -> Any:
    """The root of the mean square."""
    return ops.sqrt(ops.mean(ops.square(values)))
