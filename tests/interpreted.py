"""Models, layers and functions of tensors through the reference interpreter.

So the frontend's tests hold what is traced to account, apart from how it is compiled.
"""

from typing import Any

import numpy as np

from keraunos.compiler.ir.evaluate import evaluate
from keraunos.frontend import tree
from keraunos.frontend.tracing import Spec, specs_of, trace_call


def interpreted(target: Any, inputs: Any, dtype: str | None = None) -> Any:
    """What ``target`` gives for arrays (one, a list or a dict), nested as it gives it."""
    known = getattr(target, "input_structure", None) is not None
    specs = specs_of(target, ()) if known else (tree.map_structure(_spec, inputs),)
    trace = trace_call(target, specs)
    weights = {name: variable.value for name, variable in trace.variables.items()}
    return trace.pack(evaluate(trace.graph, tree.flatten(inputs), weights, dtype))


def _spec(array: np.ndarray) -> Spec:
    return Spec((None, *array.shape[1:]), array.dtype.name)
