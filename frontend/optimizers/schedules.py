"""Learning rates that depend on the step, under Keras's names.

A schedule is called with the number of steps so far: an int, an array, or the count of an optimizer
within a compiled step. It gives a scalar of the default float type.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from .. import ops
from ..accepted import Numbers
from ..arguments import Checked, checked
from ..dtypes import floatx
from ..errors import UsageError
from ..serialize import checked_config, config_of, described_in, find
from ..watching import Watched


class LearningRateSchedule(Checked, Watched):
    """The base of schedules: subclasses define ``__call__(step)``, written with ``ops``."""

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(self, step)")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as ``from_config`` takes them."""
        return config_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """The schedule that a configuration describes."""
        return cls(**config)


class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Args:
        staircase: whether the quotient is rounded down.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Any:
        progress = _progress(step, self.decay_steps, self.staircase)
        return self.initial_learning_rate * ops.power(self.decay_rate, progress)


class InverseTimeDecay(LearningRateSchedule):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Args:
        staircase: whether the quotient is rounded down.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Any:
        progress = _progress(step, self.decay_steps, self.staircase)
        return ops.divide(self.initial_learning_rate, 1.0 + self.decay_rate * progress)


class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[0]`` up to and with step ``boundaries[0]``, and so on; the last value after them.

    Raises:
        ValueError: the boundaries do not rise, or there is not one value more than boundaries.
    """

    def __init__(
        self, boundaries: Numbers, values: Numbers, name: str = "PiecewiseConstant"
    ) -> None:
        if not 0 < len(boundaries) == len(values) - 1:
            raise UsageError(
                f"PiecewiseConstantDecay: expected boundaries, and one value more than these; "
                f"received {len(boundaries)} boundaries and {len(values)} values"
            )
        if any(low >= high for low, high in pairwise(boundaries)):
            raise UsageError(
                f"PiecewiseConstantDecay: expected boundaries that rise; received {boundaries}"
            )
        self.boundaries, self.values, self.name = boundaries, values, name

    def __call__(self, step: Any) -> Any:
        now = ops.convert_to_tensor(step)
        rate = ops.cast(self.values[-1], floatx())
        for boundary, value in reversed(list(zip(self.boundaries, self.values, strict=False))):
            rate = ops.where(ops.less_equal(now, boundary), value, rate)
        return rate


class PolynomialDecay(LearningRateSchedule):
    """From ``initial_learning_rate`` to ``end_learning_rate`` in ``decay_steps``, by a power.

    Args:
        power: 1 is a straight line.
        cycle: whether, after ``decay_steps``, it jumps up and falls over twice the time, then over
            three times the time, and so on, in place of staying at the end.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> Any:
        left = 1.0 - self._progress(ops.cast(step, floatx()))
        drop = self.initial_learning_rate - self.end_learning_rate
        return drop * ops.power(left, self.power) + self.end_learning_rate

    def _progress(self, now: Any) -> Any:
        if not self.cycle:
            return ops.divide(ops.minimum(now, self.decay_steps), self.decay_steps)
        cycles = ops.maximum(ops.ceil(ops.divide(now, self.decay_steps)), 1.0)
        return ops.divide(now, self.decay_steps * cycles)


class CosineDecay(LearningRateSchedule):
    """Half a cosine (Loshchilov and Hutter 2016), after a straight rise if there is a target.

    Args:
        initial_learning_rate: where it begins.
        decay_steps: how long it falls.
        alpha: where it ends, as a share of where the fall begins.
        warmup_target: where the rise ends and the fall begins; None for no rise.
        warmup_steps: how long it rises.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        now = ops.cast(step, floatx())
        if self.warmup_target is None:
            return self.initial_learning_rate * self._fallen(now)
        rise = self.warmup_target - self.initial_learning_rate
        rising = rise * (now / max(self.warmup_steps, 1)) + self.initial_learning_rate
        falling = self.warmup_target * self._fallen(now - self.warmup_steps)
        return ops.where(ops.less(now, self.warmup_steps), rising, falling)

    def _fallen(self, now: Any) -> Any:
        progress = ops.divide(ops.minimum(now, self.decay_steps), self.decay_steps)
        cosine = 0.5 * (1.0 + ops.cos(math.pi * progress))
        return (1.0 - self.alpha) * cosine + self.alpha


class CosineDecayRestarts(LearningRateSchedule):
    """Half a cosine, begun again and again (Loshchilov and Hutter 2016).

    Args:
        first_decay_steps: how long the first one takes.
        t_mul: how many times longer each one takes than the one before.
        m_mul: where each one begins, as a share of where the one before began.
        alpha: where each one ends, as a share of ``initial_learning_rate``.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = _positive(self, "first_decay_steps", first_decay_steps)
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Any) -> Any:
        restarts, progress = self._place(_progress(step, self.first_decay_steps, False))
        height = ops.power(self.m_mul, restarts)
        cosine = 0.5 * height * (1.0 + ops.cos(math.pi * progress))
        return self.initial_learning_rate * ((1.0 - self.alpha) * cosine + self.alpha)

    def _place(self, time: Any) -> tuple[Any, Any]:
        """How many restarts there were, and how far the present fall is, from 0 to 1."""
        if self.t_mul == 1.0:
            restarts = ops.floor(time)
            return restarts, time - restarts
        # The falls so far took 1 + t + ... + t**(restarts - 1) = (1 - t**restarts) / (1 - t).
        grown = ops.log(1.0 - time * (1.0 - self.t_mul))
        restarts = ops.floor(grown / ops.log(ops.cast(self.t_mul, floatx())))
        length = ops.power(self.t_mul, restarts)
        before = (1.0 - length) / (1.0 - self.t_mul)
        return restarts, (time - before) / length


def _positive(schedule: Any, name: str, value: Any) -> Any:
    if not value > 0:
        raise UsageError(f"{type(schedule).__name__}: expected {name} above 0; received {value!r}")
    return value


def _progress(step: Any, steps: Any, staircase: bool) -> Any:
    quotient = ops.divide(ops.cast(step, floatx()), steps)
    return ops.floor(quotient) if staircase else quotient


_TABLE: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay, CosineDecay,
        CosineDecayRestarts,
    )
}  # fmt: skip


def serialize(learning_rate_schedule: Any) -> Any:
    """The config of a schedule, as Keras writes it."""
    return described_in("optimizers.schedules", learning_rate_schedule)


@checked
def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The schedule, or the function, that a config from ``serialize`` describes.

    Raises:
        ValueError: there is no such schedule, and it is not in ``custom_objects`` either.
    """
    known = {**_TABLE, **(custom_objects or {})}
    checked_config("schedule", config)
    if config["class_name"] == "function":
        return find("learning rate", config["config"], known)
    return find("schedule", config["class_name"], known).from_config(config.get("config") or {})


__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]
