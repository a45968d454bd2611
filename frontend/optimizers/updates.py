"""Updates on arrays, outside of ``fit``: traced once for some weights, compiled, then run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...runtime.arrays import fitting
from ..programs import Identity, TracedProgram, kept
from ..tracing import Spec, trace_call
from ..variable import Variable

_MOST = 8  # sets of weights


def update_on_arrays(
    optimizer: Any,
    update: Callable[[Sequence[Any], Sequence[Variable]], None],
    gradients: Sequence[np.ndarray],
    weights: Sequence[Variable],
) -> None:
    """``update(gradients, weights)`` as one program, kept with the optimizer.

    Options of the optimizer are constants of the program: it is made anew where one was changed.
    """
    make = partial(_program, optimizer, update, weights)
    program = kept(optimizer.programs, tuple(map(Identity, weights)), make, _MOST)
    dtypes = (np.dtype(weight.dtype) for weight in weights)
    program(*map(fitting, gradients, dtypes))


def _program(
    optimizer: Any, update: Callable[..., None], weights: Sequence[Variable]
) -> TracedProgram:
    def step(*gradients: Any) -> None:
        update(gradients, weights)

    step.__name__ = f"{optimizer.name}_update"
    specs = tuple(Spec(weight.shape, weight.dtype, "gradient") for weight in weights)
    return TracedProgram(trace_call(step, specs, training=True))
