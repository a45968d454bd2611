"""Calling a layer or model on arrays: trace once per kind of input, compile, run."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..runtime.arrays import fitting
from . import tree
from .dtypes import as_array, canonical_array
from .errors import NO_RESULT, LayerError, SizesUnknown, shown
from .programs import Identity, TracedProgram, kept
from .scope import Scope, entered
from .tensor import KerasTensor
from .tracing import Spec, trace_call
from .variable import Variable
from .watching import note_values


def call_on_arrays(
    layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], exact: bool = False
) -> Any:
    """The layer's outputs for arrays, as arrays. Arguments and errors as ``program_for_arrays``."""
    program, arrays = program_for_arrays(layer, args, kwargs, exact)
    return program.traced.pack(program(*arrays))


def program_for_arrays(
    layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], exact: bool = False
) -> tuple[TracedProgram, list[np.ndarray]]:
    """The program for a kind of arguments, and its inputs.

    A program serves all batch sizes: programs are kept by dtypes and by all other sizes. With
    ``exact`` the first size counts too: functions may take arrays that are not batches, and
    stateful layers have a state for each sample.

    Raises:
        ValueError: the inputs do not fit.
        TypeError: an input is no array of numbers.
    """
    if args:
        args = (array_of_numbers(args[0]), *args[1:])
    doubles = doubles_of(layer)
    leaves = [_as_input(layer, leaf, doubles) for leaf in tree.flatten((args, kwargs))]
    arrays = [leaf for leaf in leaves if isinstance(leaf, np.ndarray)]
    if not arrays and not exact:
        raise LayerError(layer, f"expected tensors or arrays as inputs; received {shown(args)}")
    batch = () if exact else arrays[0].shape[:1]
    program = _program_for(layer, (args, kwargs), leaves, batch)
    return program, [fitting(array, array.dtype) for array in arrays]


def _program_for(layer: Any, structure: Any, leaves: list[Any], batch: tuple[int, ...]) -> Any:
    """The program for all batch sizes; for those at hand where arrays of several need to be known.

    Those of inputs that do not go together are known then, and told.
    """

    def specs(batch: tuple[int, ...]) -> list[Any]:
        return [_spec(leaf, batch) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]

    try:
        return _program(layer, structure, specs(batch))
    except SizesUnknown:
        batches = {leaf.shape[:1] for leaf in leaves if isinstance(leaf, np.ndarray)}
        if not batch or len(batches) < 2:
            raise
    return _program(layer, structure, specs(()))


def _program(layer: Any, structure: Any, specs: list[Any]) -> TracedProgram:
    key = (_nesting(structure), *map(_key_of, specs))

    def make() -> TracedProgram:
        note_values(layer, *specs)
        args, kwargs = tree.pack_as(structure, specs)
        traced = trace_call(layer, args, kwargs, bool(kwargs.get("training")))
        if traced.structure is None:
            raise LayerError(layer, NO_RESULT)
        return TracedProgram(traced)

    return kept(layer.programs, key, make, MOST_PROGRAMS)


MOST_PROGRAMS = 32


def _nesting(value: Any) -> Any:
    """Equal for arguments that are nested alike, as ``tree`` walks them."""
    if isinstance(value, dict):
        return (dict, *((key, _nesting(value[key])) for key in sorted(value)))
    return (type(value), *map(_nesting, value)) if isinstance(value, (list, tuple)) else None


def _key_of(leaf: Any) -> Any:
    """Equal for inputs of one kind, and for values that are the same to the digit: not 1 and True.

    What is neither is known by its identity.
    """
    if leaf is None or isinstance(leaf, (Spec, str)):
        return leaf
    return repr(leaf) if type(leaf) in (bool, int, float, complex) else Identity(leaf)


def array_of_numbers(value: Any) -> Any:
    """A (nested) list of numbers as an array; other structures as they are."""
    numbers = (bool, int, float, np.number)
    if isinstance(value, (list, tuple)) and value:
        leaves = tree.flatten(value)
        if leaves and all(isinstance(leaf, numbers) for leaf in leaves):
            return as_array(value) if isinstance(value, list) else as_array(list(value))
    return value


def _as_input(layer: Any, leaf: Any, doubles: str | None) -> Any:
    if leaf is None or isinstance(leaf, (bool, int, float, str)):
        return leaf
    if isinstance(leaf, Variable):
        return leaf.value  # a copy: the program may assign the variable meanwhile
    if isinstance(leaf, np.ndarray) or hasattr(leaf, "__array__") or hasattr(leaf, "__dlpack__"):
        try:
            return canonical_array(leaf, doubles)
        except TypeError as error:
            raise LayerError(layer, str(error)) from None
    return leaf


def doubles_of(layer: Any) -> str | None:
    """What float64 becomes on its way into a layer that casts floats to a type of its own."""
    own = getattr(layer, "autocast", False) and layer.dtype.startswith("float")
    return layer.dtype if own else None


def _spec(array: np.ndarray, batch: tuple[int, ...]) -> Spec:
    """The kind of an array: its first size is left open where it is the batch size."""
    shape = (None, *array.shape[1:]) if array.shape[:1] == batch and batch else array.shape
    return Spec(shape, array.dtype.name)


def symbolic_results(layer: Any, shapes: Any, dtype: str | None = None) -> Any:
    """What the layer gives for symbolic inputs of some shapes; builds it if need be."""
    inputs = _per_shape(shapes, lambda shape: KerasTensor(shape, dtype or layer.dtype))
    with entered(Scope()):
        return layer.apply((inputs,), {})


def results_like(layer: Any, data: Any) -> Any:
    """What the layer gives, as symbolic tensors, for any batch of samples like those in ``data``.

    Builds the layer if need be. ``data`` is arrays or tensors, nested; None where there is none.
    """
    batch = partial(_symbolic_batch, fixed=layer.fixes_batch)
    with entered(Scope()):
        return layer.apply((tree.map_structure(batch, data),), {})


def _symbolic_batch(leaf: Any, fixed: bool) -> KerasTensor | None:
    if leaf is None:
        return None
    known = isinstance(leaf, KerasTensor)
    dtype = leaf.dtype if known else canonical_array(np.empty(0, leaf.dtype)).dtype.name
    return KerasTensor((leaf.shape[0] if fixed else None, *leaf.shape[1:]), dtype)


def _per_shape(shapes: Any, make: Any) -> Any:
    if isinstance(shapes, dict):
        return {name: _per_shape(shape, make) for name, shape in shapes.items()}
    sizes = isinstance(shapes, (list, tuple))
    if sizes and all(size is None or isinstance(size, (int, np.integer)) for size in shapes):
        return make(tuple(shapes))
    return [_per_shape(shape, make) for shape in shapes]
