"""First values of weights, under all of Keras's names. Each call with one seed draws the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import random
from .accepted import NonNegative, Positive
from .arguments import Checked
from .dtypes import as_array, standard_dtype
from .errors import UsageError
from .naming import snake_case
from .serialize import (
    checked_config,
    config_of,
    described,
    find,
    made_of,
    made_without_arguments,
)


class Initializer(Checked):
    """Called with a shape and a dtype, gives the first value of a weight."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} needs a __call__(self, shape, dtype)")

    def get_config(self) -> dict[str, Any]:
        return config_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        return cls(**config)


class Zeros(Initializer):
    """All zero."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        return np.zeros(shape, standard_dtype(dtype).numpy)


class Ones(Initializer):
    """All one."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        return np.ones(shape, standard_dtype(dtype).numpy)


class Constant(Initializer):
    """A number, or an array that broadcasts to the shape."""

    def __init__(self, value: Any = 0.0) -> None:
        as_array(value)  # raises where it is none
        self.value = value

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        value = as_array(self.value).astype(standard_dtype(dtype).numpy)
        try:
            return np.broadcast_to(value, shape).copy()
        except ValueError:
            raise UsageError(
                f"Constant: expected a number, or an array that broadcasts to shape {shape}; "
                f"received shape {value.shape}"
            ) from None


class Identity(Initializer):
    """The identity matrix times ``gain``; two-dimensional weights only."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        if len(shape) != 2:
            raise UsageError(f"Identity: expected a shape of two sizes; received {shape}")
        return (np.eye(*shape) * self.gain).astype(standard_dtype(dtype).numpy)


class _Random(Initializer):
    """An initializer with a seed: an int, or None for one drawn from the global stream."""

    def __init__(self, seed: int | random.SeedGenerator | None = None) -> None:
        self.seed = seed
        self.drawn_seed = random.next_seed() if seed is None else seed


class RandomNormal(_Random):
    """Normally distributed."""

    def __init__(
        self,
        mean: float = 0.0,
        stddev: NonNegative = 0.05,
        seed: int | random.SeedGenerator | None = None,
    ) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        kind = standard_dtype(dtype).name
        return random.normal(shape, self.mean, self.stddev, kind, self.drawn_seed)


class TruncatedNormal(RandomNormal):
    """Normally distributed within two standard deviations."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        kind = standard_dtype(dtype).name
        return random.truncated_normal(shape, self.mean, self.stddev, kind, self.drawn_seed)


class RandomUniform(_Random):
    """Evenly distributed over ``[minval, maxval)``."""

    def __init__(
        self,
        minval: float = -0.05,
        maxval: float = 0.05,
        seed: int | random.SeedGenerator | None = None,
    ) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        kind = standard_dtype(dtype).name
        return random.uniform(shape, self.minval, self.maxval, kind, self.drawn_seed)


MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


class VarianceScaling(_Random):
    """Of variance ``scale / fan``, so that signals keep their size from layer to layer.

    ``input_axes`` and ``output_axes`` say which sizes multiply to the fans; without them they are
    told from the shape, as ``compute_fans`` does.
    """

    def __init__(
        self,
        scale: Positive = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        self.input_axes, self.output_axes = input_axes, output_axes
        _check_choice("mode", mode, MODES)
        distribution = "truncated_normal" if distribution == "normal" else distribution
        _check_choice("distribution", distribution, DISTRIBUTIONS)
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        kind = standard_dtype(dtype).name
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = self.scale / max(1.0, fans[self.mode])
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random.uniform(shape, -limit, limit, kind, self.drawn_seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(variance), kind, self.drawn_seed)
        # Cutting at two standard deviations leaves this much of the deviation.
        stddev = math.sqrt(variance) / 0.87962566103423978
        return random.truncated_normal(shape, 0.0, stddev, kind, self.drawn_seed)


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(
            f"VarianceScaling: expected {what} out of {', '.join(choices)}; received {value!r}"
        )


def compute_fans(
    shape: tuple[int, ...],
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[float, float]:
    """Inputs and outputs of one unit; a convolution kernel ends in ``(in, out)``."""
    if input_axes is not None and output_axes is not None:
        fans = (math.prod(shape[axis] for axis in axes) for axes in (input_axes, output_axes))
        return float(next(fans)), float(next(fans))
    if len(shape) < 2:
        fan = float(shape[0]) if shape else 1.0
        return fan, fan
    receptive = math.prod(shape[:-2])
    return float(shape[-2] * receptive), float(shape[-1] * receptive)


def _scaled(scale: float, mode: str, distribution: str, doc: str, name: str) -> type:
    """One of the named cases of ``VarianceScaling``: a seed and the axes are left to choose."""

    def __init__(
        self: VarianceScaling,
        seed: int | random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        VarianceScaling.__init__(self, scale, mode, distribution, seed, input_axes, output_axes)

    return type(name, (VarianceScaling,), {"__init__": __init__, "__doc__": doc})


GlorotUniform = _scaled(
    1.0, "fan_avg", "uniform", "Glorot and Bengio 2010: even, by both fans.", "GlorotUniform"
)
GlorotNormal = _scaled(
    1.0, "fan_avg", "truncated_normal", "Glorot and Bengio 2010: normal.", "GlorotNormal"
)
HeUniform = _scaled(2.0, "fan_in", "uniform", "He et al. 2015: even, for ReLU.", "HeUniform")
HeNormal = _scaled(
    2.0, "fan_in", "truncated_normal", "He et al. 2015: normal, for ReLU.", "HeNormal"
)
LecunUniform = _scaled(1.0, "fan_in", "uniform", "LeCun et al. 1998: even.", "LecunUniform")
LecunNormal = _scaled(
    1.0, "fan_in", "truncated_normal", "LeCun et al. 1998: normal.", "LecunNormal"
)


class Orthogonal(_Random):
    """Orthonormal rows or columns times ``gain`` (Saxe et al. 2013); two sizes or more."""

    def __init__(self, gain: float = 1.0, seed: int | random.SeedGenerator | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        if len(shape) < 2:
            raise UsageError(f"Orthogonal: expected a shape of two sizes or more; received {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        flat = (max(rows, columns), min(rows, columns))
        drawn = random.generator(self.drawn_seed).standard_normal(flat)
        q, r = np.linalg.qr(drawn)
        q = q * np.sign(np.diagonal(r))
        matrix = q.T if rows < columns else q
        return (self.gain * matrix.reshape(shape)).astype(standard_dtype(dtype).numpy)


_CLASSES = (
    Zeros, Ones, Constant, Identity, RandomNormal, RandomUniform, TruncatedNormal,
    VarianceScaling, GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal,
    Orthogonal,
)  # fmt: skip
IdentityInitializer = Identity
OrthogonalInitializer = Orthogonal
_TABLE: dict[str, Any] = {cls.__name__: cls for cls in _CLASSES}
_TABLE |= {snake_case(cls.__name__): cls for cls in _CLASSES}
_TABLE |= {"normal": RandomNormal, "uniform": RandomUniform, "one": Ones, "zero": Zeros}
_TABLE |= {"IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal}
globals().update({name: cls for name, cls in _TABLE.items() if name.islower()})


def get(identifier: Any) -> Callable[..., Any] | None:
    """The initializer meant by a name, a config, an array, a class or a callable; None stays None.

    Raises:
        ValueError: no initializer has that name, or it is something else.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        named = find("initializer", identifier, _TABLE)
        made: Callable[..., Any] = made_without_arguments("initializer", named)
        return made
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, type):
        created: Callable[..., Any] = made_without_arguments("initializer", identifier)
        return created
    if callable(identifier):
        return identifier
    if isinstance(identifier, (np.ndarray, list, tuple, int, float)):
        return Constant(identifier)
    raise UsageError(
        "expected an initializer: a name such as 'glorot_uniform', an Initializer or a function of "
        f"(shape, dtype); received {identifier!r}"
    )


def serialize(initializer: Any) -> Any:
    """The config of an initializer, as Keras writes it."""
    return described(initializer) if isinstance(initializer, Initializer) else initializer


def deserialize(config: Any) -> Any:
    """The initializer that a config from ``serialize`` describes."""
    if not isinstance(config, dict):
        return get(config)
    named = checked_config("initializer", config)
    cls = find("initializer", named["class_name"], _TABLE)
    return made_of(cls, named.get("config") or {})
