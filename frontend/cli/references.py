"""What the command line works on: a built-in, ``module:object``, ``file.py:object``, IR text."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ...compiler.ir.graph import Graph, Node
from ...compiler.ir.parser import parse_ir
from ...compiler.suggest import did_you_mean
from ...runtime.dim import evaluate as size_of
from .. import random, tree
from ..errors import UsageError
from ..layers import Layer
from ..tracing import Traced, specs_of, trace_call
from ..training.steps import TracedStep
from .builtin import BUILTIN

FORMS = f"a built-in ({', '.join(BUILTIN)}), module:object, file.py:object, or a graph saved as .ir"
SAVED_MODELS = (".keras", ".h5", ".hdf5", ".onnx", ".pb")
WHOLE = (Layer, Graph, TracedStep)  # what commands work on
OTHER_SIZE = 32  # what sizes other than the batch are taken to be
SEED = 0


@dataclass(frozen=True)
class Target:
    """A model, layer, step or graph; its graph and weights; how to get inputs of a batch size."""

    model: Any
    graph: Graph
    weights: dict[str, np.ndarray]
    inputs: Callable[[int], list[np.ndarray]]


def load_target(text: str) -> Target:
    """What ``text`` names. Weights that are made now are the same each time.

    Raises:
        ValueError: it names nothing, or something else than a model, a layer or a graph.
    """
    random.set_random_seed(SEED)
    if text in BUILTIN:
        builtin = BUILTIN[text]
        return _of_model(builtin.build(), lambda batch: tree.flatten(builtin.inputs(batch)))
    path = Path(text)
    if path.suffix == ".ir":
        return _of_graph(_parsed(path))
    if path.suffix in SAVED_MODELS:
        raise UsageError(
            f"{text}: saved models cannot be loaded yet. Expected {FORMS}; a function that makes "
            "the model and loads its weights can be named as file.py:function"
        )
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(f"expected {FORMS}; received {text!r}{did_you_mean(text, BUILTIN)}")
    found = _model_of(_named(_loaded(place), name, text), text)
    if isinstance(found, TracedStep):
        return _of_traced(found, found.traced, None)
    return _of_graph(found) if isinstance(found, Graph) else _of_model(found, None)


def _parsed(path: Path) -> Graph:
    if not path.is_file():
        raise UsageError(f"{path}: expected a file with the text of a graph; there is none")
    return parse_ir(path.read_text(encoding="utf-8"))


def _of_model(model: Any, inputs: Callable[[int], list[np.ndarray]] | None) -> Target:
    return _of_traced(model, trace_call(model, specs_of(model, ())), inputs)


def _of_traced(
    model: Any, traced: Traced, inputs: Callable[[int], list[np.ndarray]] | None
) -> Target:
    weights = {name: variable.value for name, variable in traced.variables.items()}
    drawn = inputs or (lambda batch: random_inputs(traced.graph, batch))
    return Target(model, traced.graph, weights, drawn)


def _of_graph(graph: Graph) -> Target:
    draw = np.random.default_rng(SEED)
    weights = {node.attrs["name"]: _random_weight(draw, node) for node in graph.parameters}
    return Target(graph, graph, weights, lambda batch: random_inputs(graph, batch))


def _random_weight(draw: np.random.Generator, node: Node) -> np.ndarray:
    values = _random(draw, node, {}) * node.dtype.numpy.type(0.1)
    return np.abs(values) if "variance" in node.attrs["name"] else values


def random_inputs(graph: Graph, batch: int) -> list[np.ndarray]:
    """Normal floats, integers 0 and 1; the same each time."""
    draw = np.random.default_rng(SEED)
    sizes = {name: batch if name == "N" else OTHER_SIZE for name in graph.symbols}
    return [_random(draw, node, sizes) for node in graph.inputs]


def _random(draw: np.random.Generator, node: Node, sizes: dict[str, int]) -> np.ndarray:
    shape = tuple(size_of(size, sizes) for size in node.shape)
    values = draw.standard_normal(shape) if node.dtype.is_float else draw.integers(0, 2, shape)
    return values.astype(node.dtype.numpy)


# Modules and files


def _loaded(place: str) -> ModuleType:
    is_file = place.endswith(".py")
    if is_file and not Path(place).is_file():
        raise UsageError(f"{place}: expected a Python file; there is none")
    try:
        return _from_file(Path(place)) if is_file else _from_name(place)
    except UsageError:
        raise
    except Exception as error:  # whatever the user's module raises
        raise UsageError(f"importing {place} failed: {_shown(error)}") from error


def _from_file(path: Path) -> ModuleType:
    # As Python does for a script: what lies beside it can be imported.
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None, f"{path} has no loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _from_name(name: str) -> ModuleType:
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise UsageError(
            f"there is no module {error.name!r} here or among the installed ones. "
            f"Of a file say path/to/{name.replace('.', '/')}.py:object"
        ) from None


def _named(module: ModuleType, name: str, text: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [each for each in vars(module) if not each.startswith("_")]
            raise UsageError(f"{text}: there is no {part!r} in it{did_you_mean(part, known)}")
        found = getattr(found, part)
    return found


def _model_of(found: Any, text: str) -> Any:
    """The model, or what a function without arguments gives."""
    if isinstance(found, WHOLE):
        return found
    if not callable(found):
        raise UsageError(
            f"{text}: expected a model, or a function that gives one; it is {_kind(found)}"
        )
    needed = _needed_arguments(found)
    if needed:
        raise UsageError(
            f"{text}: expected a function without arguments; it needs {', '.join(needed)}"
        )
    try:
        made = found()
    except (UsageError, ValueError) as error:
        raise UsageError(f"{text}: {error}") from error
    except Exception as error:  # whatever the user's function raises
        raise UsageError(f"{text} failed: {_shown(error)}") from error
    if not isinstance(made, WHOLE):
        raise UsageError(f"{text}: expected a function that gives a model; it gave {_kind(made)}")
    return made


def _needed_arguments(function: Any) -> list[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty and parameter.kind not in kinds
    ]


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.60}"


def _shown(error: Exception) -> str:
    """The error with the line of the user's where it came up."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        place = f" ({error.filename}:{error.lineno})"
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}{place}"
