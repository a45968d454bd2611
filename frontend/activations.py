"""Activation functions under Keras's names, and finding them by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import ops
from .arguments import checked
from .errors import UsageError
from .serialize import find


def linear(x: Any) -> Any:
    """x itself."""
    return x


@checked
def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    """x above ``threshold`` and at most ``max_value``; below, a line of ``negative_slope``."""
    if negative_slope and max_value is None and not threshold:
        return ops.leaky_relu(x, negative_slope)
    if threshold:
        above = ops.where(ops.less_equal(x, threshold), 0.0, x)
    else:
        above = ops.relu6(x) if max_value == 6 else ops.relu(x)
    if max_value is not None and (threshold or max_value != 6):
        above = ops.clip(above, 0.0, max_value)
    if not negative_slope:
        return above
    return above - negative_slope * ops.relu(threshold - x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution function of x; exact unless ``approximate``."""
    return ops.gelu(x, approximate)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """x, below 0 times ``negative_slope``."""
    return ops.leaky_relu(x, negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x, below 0 ``alpha * (exp(x) - 1)``."""
    return ops.elu(x, alpha)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """x, below 0 ``alpha * (exp(x / alpha) - 1)``."""
    return ops.celu(x, alpha)


def softmax(x: Any, axis: Any = -1) -> Any:
    """exp(x) as shares of its sum along ``axis``."""
    return ops.softmax(x, axis)


def log_softmax(x: Any, axis: Any = -1) -> Any:
    """log(softmax(x))."""
    return ops.log_softmax(x, axis)


def glu(x: Any, axis: int = -1) -> Any:
    """The first half of ``axis`` times the sigmoid of the second."""
    return ops.glu(x, axis)


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """x, 0 within the thresholds."""
    return ops.hard_shrink(x, threshold)


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """x moved towards 0 by the threshold."""
    return ops.soft_shrink(x, threshold)


def squareplus(x: Any, b: float = 4.0) -> Any:
    """(x + sqrt(x * x + b)) / 2."""
    return ops.squareplus(x, b)


def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """x above the threshold, else ``default_value``."""
    return ops.threshold(x, threshold, default_value)


sigmoid, tanh, silu, selu, relu6 = ops.sigmoid, ops.tanh, ops.silu, ops.selu, ops.relu6
softplus, softsign, log_sigmoid = ops.softplus, ops.softsign, ops.log_sigmoid
hard_sigmoid, hard_silu, hard_tanh = ops.hard_sigmoid, ops.hard_silu, ops.hard_tanh
sparse_plus, sparse_sigmoid, tanh_shrink = ops.sparse_plus, ops.sparse_sigmoid, ops.tanh_shrink


def exponential(x: Any) -> Any:
    """e to the power x."""
    return ops.exp(x)


def mish(x: Any) -> Any:
    """x * tanh(softplus(x))."""
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


swish, hard_swish = silu, hard_silu

_TABLE: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        linear, relu, leaky_relu, relu6, softmax, celu, elu, selu, softplus, softsign,
        squareplus, soft_shrink, sparse_plus, silu, gelu, glu, tanh, tanh_shrink, threshold,
        sigmoid, sparse_sigmoid, hard_sigmoid, hard_silu, hard_tanh, hard_shrink, log_sigmoid,
        mish, log_softmax, exponential,
    )
}  # fmt: skip
_TABLE |= {"swish": silu, "hard_swish": hard_silu}


def get(identifier: Any) -> Callable[..., Any]:
    """The activation meant by a name, a config or a callable; None is ``linear``.

    Raises:
        ValueError: no activation has that name, or it is something else.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        found: Callable[..., Any] = find("activation", identifier, _TABLE)
        return found
    if callable(identifier):
        return identifier
    raise UsageError(
        "expected an activation: a name such as 'relu', a function or a layer; received "
        f"{identifier!r}"
    )


def serialize(activation: Callable[..., Any]) -> Any:
    """The name of an activation, or the config of one that is a layer."""
    for name, function in _TABLE.items():
        if function is activation:
            return name
    if hasattr(activation, "get_config"):
        return {"class_name": type(activation).__name__, "config": activation.get_config()}
    own = getattr(activation, "__name__", None)
    if not callable(activation) or own is None:
        raise UsageError(f"expected an activation, as get gives it; received {activation!r}")
    return str(own)


def deserialize(config: Any) -> Callable[..., Any]:
    """The activation that a name or config describes."""
    if not isinstance(config, dict):
        return get(config)
    if not isinstance(config.get("config"), str):
        raise UsageError(
            "expected the config of an activation, such as {'class_name': 'function', 'config': "
            f"'relu'}}; received {config!r}"
        )
    return get(config["config"])
