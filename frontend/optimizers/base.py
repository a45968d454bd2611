"""The base of every optimizer: options, and one update of all weights from their gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...compiler.ir.graph import Origin, origin_scope
from .. import ops
from ..errors import UsageError, UsageTypeError, made_by_users, shown, unmade, user_facing
from ..naming import auto_name
from ..scope import current_scope, entered
from ..serialize import parameters_of, plain
from ..source import user_line
from ..variable import Variable
from . import schedules
from .averages import Averages
from .decay import WeightDecay
from .gradients import clipped_by_norm, clipped_by_value, clipped_together, present
from .options import above_zero, at_least, clip_option, count, refuse_unknown, share
from .updates import update_on_arrays


class Optimizer(WeightDecay, Averages):
    """Changes weights by their gradients. Subclasses define ``build`` and ``update_step``.

    An update is written once with ``keraunos.ops`` and ``variable.assign``: it is part of the
    compiled step of ``fit``, and a program of its own where ``apply`` is called on arrays.

    Args:
        learning_rate: a number, a schedule of ``keraunos.optimizers.schedules``, or a function
            without arguments.
        weight_decay: each weight shrinks by this share of the learning rate before its update.
        clipnorm: the length that the gradient of one weight may have.
        clipvalue: the size that each element of a gradient may have.
        global_clipnorm: the length that all gradients together may have.
        use_ema: whether to keep moving averages of the weights, which replace them after ``fit``.
        ema_momentum: the share of the former average in the next one.
        ema_overwrite_frequency: after how many updates the averages replace the weights as well.
        loss_scale_factor: what the loss is multiplied by, and gradients are divided by.
        gradient_accumulation_steps: of how many calls the gradients are averaged for one update.
        name: unique unless given; the names of the variables begin with it.

    Raises:
        ValueError: an option is unknown, no number, or out of range; several ways of clipping.
    """

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        own = parameters_of(type(self))
        refuse_unknown(self, kwargs, [*own, *(each for each in _OPTIONS if each not in own)])
        self.name = auto_name(type(self).__name__) if name is None else name
        self.source = user_line(2)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        clip_option(self, clips)
        self.clipnorm, self.clipvalue, self.global_clipnorm = clips.values()
        self.weight_decay = _checked(at_least, self, "weight_decay", weight_decay)
        self.use_ema = use_ema
        self.ema_momentum = share(self, "ema_momentum", ema_momentum)
        self.ema_overwrite_frequency = _checked(
            count, self, "ema_overwrite_frequency", ema_overwrite_frequency, 1
        )
        self.loss_scale_factor = _checked(above_zero, self, "loss_scale_factor", loss_scale_factor)
        self.gradient_accumulation_steps = _checked(
            count, self, "gradient_accumulation_steps", gradient_accumulation_steps, 2
        )
        self.start(learning_rate)

    # What subclasses define

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes what is kept for each weight; called once, before the first update."""
        if self.built:
            return
        weights = list(variables)
        if self.use_ema:
            self._model_variables_moving_average = self.add_optimizer_variables(weights, "average")
        if self.gradient_accumulation_steps:
            self._accumulated_gradients = self.add_optimizer_variables(
                weights, "gradient_accumulator"
            )
        self.remember(weights)
        self.built = True

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Assigns a weight, and what is kept for it, their next values.

        Args:
            gradient: a tensor of the shape and dtype of the weight.
            learning_rate: a scalar tensor of that dtype.
        """
        raise NotImplementedError(
            f"{type(self).__name__} needs update_step(self, gradient, variable, learning_rate)"
        )

    def update_all(
        self, gradients: Sequence[Any], variables: Sequence[Variable], learning_rate: Any
    ) -> None:
        """``update_step`` for each weight."""
        for gradient, variable in zip(gradients, variables, strict=True):
            self.update_step(gradient, variable, ops.cast(learning_rate, variable.dtype))

    # Updating

    @user_facing
    def apply(
        self, grads: Iterable[Any], trainable_variables: Iterable[Variable] | None = None
    ) -> None:
        """One update.

        Args:
            grads: a gradient for each weight, tensors or arrays; None leaves a weight as it is.
            trainable_variables: the weights; those that the optimizer was built for unless given.

        Raises:
            ValueError: gradients and weights do not fit one another; all gradients are None; the
                optimizer was built for other weights.
        """
        gradients = list(grads)
        if not gradients:
            return
        weights = self._weights_for(gradients, trainable_variables)
        gradients, weights = present(gradients, weights)
        if current_scope() is not None:
            self._apply(gradients, weights)
        elif self.has_function_as_rate:
            # What it gives may change from call to call, and is no part of a program.
            with np.errstate(all="ignore"):
                self._apply(gradients, weights)
        else:
            update_on_arrays(self, self._apply, gradients, weights)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """``apply`` for pairs of a gradient and its weight. Returns the count of calls."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [weight for _, weight in pairs])
        return self._iterations

    def _weights_for(self, gradients: list[Any], given: Iterable[Variable] | None) -> list[Any]:
        if not self.name:
            raise unmade(self, "learning_rate, ...")
        if given is None and not self.built:
            raise UsageError(
                f"{type(self).__name__}: expected the weights as apply(gradients, variables), or a "
                "call of build(variables) before"
            )
        weights = self._trainable_variables if given is None else list(given)
        strange = next((each for each in weights if not isinstance(each, Variable)), None)
        if strange is not None:
            raise UsageTypeError(
                f"{type(self).__name__}: expected apply(gradients, variables), the weights of a "
                f"model as variables; received {shown(strange)} among these"
            )
        if len(gradients) != len(weights):
            raise UsageError(
                f"{type(self).__name__}: expected a gradient for each of {len(weights)} weights; "
                f"received {len(gradients)} gradients"
            )
        if not self.built:
            # At top level: what `build` makes are arrays, not parts of the graph under way.
            with entered(None):
                self.build(weights)
            self.built = True
        self._check_known(weights)
        return weights

    def _apply(self, gradients: Sequence[Any], weights: Sequence[Variable]) -> None:
        with origin_scope(Origin(self.name, self.source.file, self.source.line)):
            self._apply_here(list(gradients), list(weights))

    def _apply_here(self, gradients: list[Any], weights: list[Variable]) -> None:
        if self.loss_scale_factor is not None:
            gradients = [gradient / self.loss_scale_factor for gradient in gradients]
        if self.gradient_accumulation_steps:
            self._accumulate(gradients, weights, self.gradient_accumulation_steps)
        else:
            self._update(gradients, weights)
        if self.use_ema:
            self._average()
        for weight in weights:
            if weight.constraint is not None:
                what = f'the constraint of "{weight.path}"'
                weight.assign(made_by_users(weight.constraint, what, weight))
        self._iterations.assign_add(1)

    def _update(self, gradients: list[Any], weights: list[Variable]) -> None:
        rate = self.learning_rate
        gradients = self._clipped(gradients)
        self._decay(weights, rate)
        self.update_all(gradients, weights, rate)

    def _clipped(self, gradients: list[Any]) -> list[Any]:
        if self.clipnorm is not None:
            return [clipped_by_norm(each, self.clipnorm) for each in gradients]
        if self.clipvalue is not None:
            return [clipped_by_value(each, self.clipvalue) for each in gradients]
        if self.global_clipnorm is not None:
            return clipped_together(gradients, self.global_clipnorm)
        return gradients

    def _accumulate(self, gradients: list[Any], weights: list[Variable], steps: int) -> None:
        """An update from the mean of the gradients, which holds every ``steps``-th time only.

        Nothing may depend on the data but values, so the update is always computed, and its
        results are taken or not.
        """
        is_last = ops.equal(ops.mod(self._iterations + 1, steps), 0)
        sums = [self._accumulated_gradients[self._get_variable_index(weight)] for weight in weights]
        totals = [gradient + sum_ for gradient, sum_ in zip(gradients, sums, strict=True)]
        changing = [*weights, *self._slots()]
        before = [_now(variable) for variable in changing]
        self._update([total / steps for total in totals], weights)
        for variable, old in zip(changing, before, strict=True):
            variable.assign(ops.where(is_last, variable, old))
        for sum_, total in zip(sums, totals, strict=True):
            sum_.assign(ops.where(is_last, 0.0, total))

    def _slots(self) -> list[Variable]:
        """What subclasses keep."""
        aside = {id(each) for each in (self._iterations, self._learning_rate)}
        aside |= {id(each) for each in self._accumulated_gradients}
        aside |= {id(average) for _, average in self.averages}
        return [variable for variable in self.variables if id(variable) not in aside]

    # Losses and configuration

    def scale_loss(self, loss: Any) -> Any:
        """The loss whose gradients ``apply`` takes: multiplied by ``loss_scale_factor``."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def get_config(self) -> dict[str, Any]:
        """All options, then the arguments of the subclass that it keeps under their names."""
        config = {"name": self.name, "learning_rate": self._described_rate()}
        config |= {name: getattr(self, name) for name in _OPTIONS if name not in config}
        own = [name for name in parameters_of(type(self)) if hasattr(self, name)]
        return config | {name: plain(getattr(self, name)) for name in own if name not in config}

    def _described_rate(self) -> Any:
        if isinstance(self._learning_rate, Variable):
            return float(self._learning_rate)
        return schedules.serialize(self._learning_rate)

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Any:
        """The optimizer that a configuration describes; ``custom_objects`` has other schedules."""
        rate = config.get("learning_rate")
        if isinstance(rate, dict):
            config = {**config, "learning_rate": schedules.deserialize(rate, custom_objects)}
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


_OPTIONS = parameters_of(Optimizer)


def _checked(check: Any, owner: Any, name: str, value: Any, *least: Any) -> Any:
    return None if value is None else check(owner, name, value, *least)


def _now(variable: Variable) -> Any:
    """The value as it is, whatever the variable is assigned later."""
    return variable.numpy() if current_scope() is None else ops.convert_to_tensor(variable)
