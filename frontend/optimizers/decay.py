"""Weights that shrink a little at each update, and those that do not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ...compiler.suggest import listed
from .. import ops
from ..errors import UsageError
from ..programs import Identity
from ..variable import Variable
from .state import OptimizerState


class WeightDecay(OptimizerState):
    """The part of an optimizer that makes weights smaller, apart from their gradients."""

    weight_decay: float | None = None
    _kept_whole: frozenset[Identity] = frozenset()
    _kept_whole_names: tuple[re.Pattern[str], ...] = ()

    def _decay(self, weights: Iterable[Variable], rate: Any) -> None:
        for weight in weights:
            decay = self.decay_of(weight)
            if decay:
                weight.assign(weight - weight * (ops.cast(rate, weight.dtype) * decay))

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Variable] | None = None,
        var_names: str | Iterable[str] | None = None,
    ) -> None:
        """Says which weights do not shrink; to be called before the optimizer is built.

        Args:
            var_list: the weights themselves.
            var_names: regular expressions; one found in a weight's name excludes it.

        Raises:
            ValueError: the optimizer is built.
        """
        if self.built:
            raise UsageError(
                f"{type(self).__name__}: expected exclude_from_weight_decay before the optimizer "
                "is built: call it before fit, apply and build"
            )
        self._kept_whole = frozenset(map(Identity, var_list or ()))
        self._kept_whole_names = tuple(re.compile(pattern) for pattern in listed(var_names or ()))

    def decay_of(self, variable: Variable) -> float | None:
        """The decay of a weight, None if it is excluded."""
        return self.weight_decay if self._is_decayed(variable) else None

    def _is_decayed(self, variable: Variable) -> bool:
        named = any(pattern.search(variable.name) for pattern in self._kept_whole_names)
        return not named and Identity(variable) not in self._kept_whole
