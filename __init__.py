"""Keraunos: a deep-learning graph compiler. `import keraunos as keras` and Keras code runs."""

import sys as _sys

from .frontend import (
    activations,
    backend,
    callbacks,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    random,
    regularizers,
    utils,
)
from .frontend.dtypes import floatx, set_floatx
from .frontend.gradients import grad, value_and_grad
from .frontend.initializers import Initializer
from .frontend.inspection import compare, compile, dump, explain, load_program, parse_ir
from .frontend.layers import Input, InputSpec, Layer
from .frontend.losses import Loss
from .frontend.metrics import Metric
from .frontend.models import Model, Sequential
from .frontend.optimizers import Optimizer
from .frontend.random import SeedGenerator
from .frontend.regularizers import Regularizer
from .frontend.tensor import KerasTensor
from .frontend.tracing import trace
from .frontend.variable import Variable
from .runtime.config import config

__version__ = "0.1.0"

# `from keraunos.layers import Dense` imports a module of that name: these are the same modules.
for _module in (
    activations,
    backend,
    callbacks,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    random,
    regularizers,
    utils,
):
    _sys.modules[f"{__name__}.{_module.__name__.rpartition('.')[2]}"] = _module
_sys.modules[f"{__name__}.optimizers.schedules"] = optimizers.schedules

__all__ = [
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Regularizer",
    "SeedGenerator",
    "Sequential",
    "Variable",
    "activations",
    "backend",
    "callbacks",
    "compare",
    "compile",
    "config",
    "constraints",
    "datasets",
    "dump",
    "explain",
    "floatx",
    "grad",
    "initializers",
    "layers",
    "load_program",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "parse_ir",
    "random",
    "regularizers",
    "set_floatx",
    "trace",
    "utils",
    "value_and_grad",
]
