"""Muon: momentum made orthogonal, for matrices; AdamW for all other weights."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from ...compiler.suggest import listed
from .. import ops
from ..variable import Variable
from .adam import corrected_rate
from .base import Optimizer
from .options import at_least, count, share


class Muon(Optimizer):
    """Jordan 2024: the momentum of a matrix with all its singular values brought near 1.

    Embeddings, and weights of other ranks than two, take the steps of AdamW.

    Args:
        adam_beta_1, adam_beta_2, adam_weight_decay, epsilon: of AdamW.
        exclude_layers: regular expressions; one found in a weight's path gives it AdamW too.
        exclude_embeddings: whether weights with "embedding" in their paths get AdamW.
        muon_a, muon_b, muon_c: ``a x + b x**3 + c x**5`` is what one iteration makes of the
            singular values.
        adam_lr_ratio: the learning rate of AdamW, as a multiple of Muon's.
        momentum: of matrices.
        ns_steps: iterations of Newton and Schulz.
        nesterov: whether a step looks ahead.
        rms_rate: the size that the elements of a step have about; None leaves it.
        options: as ``Optimizer`` takes them.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        exclude_layers: str | Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1.0,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **options)
        self.adam_beta_1 = share(self, "adam_beta_1", adam_beta_1)
        self.adam_beta_2 = share(self, "adam_beta_2", adam_beta_2)
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = at_least(self, "epsilon", epsilon)
        self.exclude_layers = list(listed(exclude_layers or ()))
        self.exclude_embeddings = exclude_embeddings
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.adam_lr_ratio = at_least(self, "adam_lr_ratio", adam_lr_ratio)
        self.momentum = share(self, "momentum", momentum)
        self.ns_steps = count(self, "ns_steps", ns_steps, 0)
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums: list[Variable] = []
        self._velocities: list[Variable | None] = []
        for weight in variables:
            self._momentums.append(self.add_variable_from_reference(weight, "momentum"))
            self._velocities.append(
                self.add_variable_from_reference(weight, "velocity")
                if self._takes_adam(weight)
                else None
            )

    def _takes_adam(self, weight: Variable) -> bool:
        if weight.ndim != 2 or (self.exclude_embeddings and "embedding" in weight.path.lower()):
            return True
        return any(re.search(pattern, weight.path) for pattern in self.exclude_layers)

    def decay_of(self, variable: Variable) -> float | None:
        if self._is_decayed(variable) and self._takes_adam(variable):
            return self.adam_weight_decay
        return super().decay_of(variable)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        mean, square = self._momentums[index], self._velocities[index]
        if square is None:
            self._muon_step(gradient, variable, learning_rate, mean)
        else:
            rate = learning_rate * self.adam_lr_ratio
            self._adam_step(gradient, variable, rate, mean, square)

    def _muon_step(self, gradient: Any, weight: Variable, rate: Any, mean: Variable) -> None:
        mean.assign(self.momentum * mean + gradient)
        ahead = gradient + self.momentum * mean if self.nesterov else mean
        size = 1.0 if self.rms_rate is None else math.sqrt(max(weight.shape)) * self.rms_rate
        weight.assign(weight - rate * size * self._orthogonal(ops.convert_to_tensor(ahead)))

    def _orthogonal(self, matrix: Any) -> Any:
        """The nearest matrix of orthogonal rows or columns, roughly, by Newton and Schulz."""
        is_tall = matrix.shape[0] > matrix.shape[1]
        x = ops.transpose(matrix) if is_tall else matrix
        x = ops.divide(x, ops.norm(x) + 1e-7)
        for _ in range(self.ns_steps):
            square = ops.matmul(x, ops.transpose(x))
            mixed = self.muon_b * square + self.muon_c * ops.matmul(square, square)
            x = self.muon_a * x + ops.matmul(mixed, x)
        return ops.transpose(x) if is_tall else x

    def _adam_step(
        self, gradient: Any, weight: Variable, rate: Any, mean: Variable, square: Variable
    ) -> None:
        time = ops.cast(self.iterations + 1, weight.dtype)
        rate = corrected_rate(rate, time, self.adam_beta_1, self.adam_beta_2)
        mean.assign(mean + (gradient - mean) * (1 - self.adam_beta_1))
        square.assign(square + (ops.square(gradient) - square) * (1 - self.adam_beta_2))
        weight.assign(weight - ops.divide(mean * rate, ops.sqrt(square) + self.epsilon))
