"""What a model is given, as arrays or tensors of the dtypes and shapes of its inputs."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import numpy as np

from .. import ops, tree
from ..dtypes import as_array, fitted_array
from ..errors import LayerError, UsageError, UsageTypeError, headed
from ..tensor import KerasTensor


def arranged(model: Any, inputs: Any, given: Any) -> list[Any]:
    """What was given for each input, flat: by position, by name, or alone.

    Raises:
        ValueError: there are too few or too many, or a name is missing; a list is given where the
            inputs have names alone.
    """
    tensors: list[KerasTensor] = tree.flatten(inputs)
    if isinstance(given, dict):
        return _by_name(model, inputs, tensors, given)
    if len(tensors) == 1:
        return [_alone(model, tensors[0], given)]
    named = tree.unnamed(inputs, given)
    if named is not None:
        raise LayerError(
            model,
            f"expected a dict of inputs called {', '.join(sorted(named))}; received "
            f"{_listed(tensors)} in a {type(given).__name__}",
        )
    if not isinstance(given, (list, tuple)) or len(tree.flatten(given)) != len(tensors):
        count = len(given) if isinstance(given, (list, tuple)) else 1
        how = ". Give them as one list [a, b], in batches as ([a, b],) or ([a, b], y)"
        hint = how if count == 1 else ""
        raise LayerError(model, f"expected {_listed(tensors)}; received {count} of them{hint}")
    leaves = tree.flatten(given)
    return leaves if all(map(_is_array, leaves)) else list(given)


def _alone(model: Any, tensor: KerasTensor, given: Any) -> Any:
    """``[x]`` stands for ``x``, unless x has the shape of one sample; so do lists of numbers."""
    if not isinstance(given, (list, tuple)) or not any(map(_is_whole, given, repeat(tensor))):
        return given
    if len(given) == 1:
        return given[0]
    raise LayerError(
        model,
        f"expected {_listed([tensor])}; received a {type(given).__name__} of {len(given)}. If "
        "these are x and y, make two arguments of them: fit(x, y)",
    )


def _is_whole(value: Any, tensor: KerasTensor) -> bool:
    """Whether a value may be all of an input by its rank, and no row of it."""
    if isinstance(value, (dict, KerasTensor)):
        return True
    return _is_array(value) and np.ndim(value) >= tensor.ndim


def _is_array(value: Any) -> bool:
    return (
        hasattr(value, "__array__")
        or hasattr(value, "__dlpack__")
        or isinstance(value, KerasTensor)
    )


def _by_name(model: Any, inputs: Any, tensors: list[KerasTensor], given: Any) -> list[Any]:
    names = sorted(inputs) if isinstance(inputs, dict) else [tensor.name for tensor in tensors]
    missing = [name for name in names if name not in given]
    if missing:
        raise LayerError(
            model,
            f"expected inputs called {', '.join(names)}; received {', '.join(map(str, given))}",
        )
    if not isinstance(inputs, dict):
        return [given[name] for name in names]
    return [leaf for name in names for leaf in _named(model, inputs[name], given[name])]


def _named(model: Any, inputs: Any, given: Any) -> list[Any]:
    """What was given under one name, which may be a nesting of inputs."""
    return [given] if isinstance(inputs, KerasTensor) else arranged(model, inputs, given)


def _listed(tensors: list[KerasTensor]) -> str:
    shapes = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in tensors)
    return f"{len(tensors)} input{'s' if len(tensors) > 1 else ''} ({shapes})"


def fitted(model: Any, tensor: KerasTensor, given: Any) -> np.ndarray:
    """One input as a contiguous array of its dtype.

    A last size of 1 may be missing or too much, as in Keras.

    Raises:
        ValueError: it has another rank or another size.
        TypeError: it is no array of numbers.
    """
    try:
        array = as_array(given)
    except TypeError as error:
        raise UsageTypeError(headed(model, f'input "{tensor.name}": {error}')) from None
    array = _with_channel(array, tensor.shape)
    wrong = array.ndim != tensor.ndim or any(
        size not in (None, extent) for size, extent in zip(tensor.shape, array.shape, strict=True)
    )
    if wrong:
        raise LayerError(
            model,
            f'input "{tensor.name}": expected shape {tensor.shape}; received shape '
            f"{np.shape(given)}{_hint(tensor, np.shape(given))}",
        )
    try:
        return fitted_array(array, np.dtype(tensor.dtype))
    except UsageError as error:
        raise LayerError(model, f'input "{tensor.name}": {error}') from None


def _with_channel(array: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    if array.ndim == len(shape) - 1 and shape[-1] == 1 and array.ndim:
        return array[..., None]
    if array.ndim == len(shape) + 1 and array.shape[-1] == 1:
        return array[..., 0]
    return array


def _hint(tensor: KerasTensor, shape: tuple[int, ...]) -> str:
    sample = tensor.shape[1:]
    if len(shape) == len(sample) and all(
        size in (None, extent) for size, extent in zip(sample, shape, strict=True)
    ):
        return ". This is one sample: add the batch axis with x[None]"
    return ""


def fitted_tensor(model: Any, wanted: KerasTensor, given: Any, mask: Any) -> KerasTensor:
    """One input as a tensor of the shape and dtype that the model knows, with its mask.

    A last size of 1 may be missing or too much, as in Keras; ``ValueError`` for other shapes.
    """
    if given.ndim == wanted.ndim - 1 and wanted.shape[-1] == 1:
        given = ops.expand_dims(given, -1)
    elif given.ndim == wanted.ndim + 1 and given.shape[-1] == 1:
        given = ops.squeeze(given, -1)
    wrong = given.ndim != wanted.ndim or any(
        None not in pair and pair[0] != pair[1]
        for pair in zip(wanted.shape, given.shape, strict=True)
    )
    if wrong:
        raise LayerError(
            model,
            f'input "{wanted.name}": expected shape {wanted.shape}; received {given.shape}',
        )
    tensor = given if given.dtype == wanted.dtype else ops.cast(given, wanted.dtype)
    tensor.mask = mask
    return tensor
