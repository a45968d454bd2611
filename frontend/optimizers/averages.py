"""Moving averages of the weights, kept beside them and put in their place."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ops
from ..variable import Variable
from .state import OptimizerState


class Averages(OptimizerState):
    """The part of an optimizer that averages the weights over its updates."""

    use_ema: bool = False
    ema_momentum: float
    ema_overwrite_frequency: int | None = None
    _model_variables_moving_average: list[Variable]

    @property
    def averages(self) -> list[tuple[Variable, Variable]]:
        """Each weight and its moving average."""
        if not self.use_ema or not self.built:
            return []
        return list(
            zip(self._trainable_variables, self._model_variables_moving_average, strict=True)
        )

    def _average(self) -> None:
        is_first = ops.equal(self.iterations, 0)
        overwrites = None
        if self.ema_overwrite_frequency:
            update = self.iterations + 1
            overwrites = ops.equal(ops.mod(update, self.ema_overwrite_frequency), 0)
        for weight, average in self.averages:
            momentum = ops.where(is_first, 0.0, ops.cast(self.ema_momentum, weight.dtype))
            average.assign(momentum * average + (1 - momentum) * weight)
            if overwrites is not None:
                weight.assign(ops.where(overwrites, average, weight))

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Puts the moving averages in the place of the weights, where there are averages.

        An optimizer that has done nothing has none: a step may go by others.

        Raises:
            ValueError: the optimizer was built for other weights.
        """
        if not self.use_ema or not self.built:
            return
        self._check_known(var_list)
        for weight in var_list:
            weight.assign(self._model_variables_moving_average[self._get_variable_index(weight)])
