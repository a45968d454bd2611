"""Keraunos: a deep-learning graph compiler. `import keraunos as keras` and Keras code runs."""

import sys as _sys

from .compiler.parser import parse_ir
from .frontend import (
    activations,
    backend,
    callbacks,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    random,
    utils,
)
from .frontend.dtypes import floatx, set_floatx
from .frontend.gradients import grad, value_and_grad
from .frontend.initializers import Initializer
from .frontend.inspection import compare, compile, dump, explain
from .frontend.layers import Input, InputSpec, Layer
from .frontend.losses import Loss
from .frontend.metrics import Metric
from .frontend.models import Model, Sequential
from .frontend.random import SeedGenerator
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
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    random,
    utils,
):
    _sys.modules[f"{__name__}.{_module.__name__.rpartition('.')[2]}"] = _module

__all__ = [
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "SeedGenerator",
    "Sequential",
    "Variable",
    "activations",
    "backend",
    "callbacks",
    "compare",
    "compile",
    "config",
    "datasets",
    "dump",
    "explain",
    "floatx",
    "grad",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "parse_ir",
    "random",
    "set_floatx",
    "trace",
    "utils",
    "value_and_grad",
]
