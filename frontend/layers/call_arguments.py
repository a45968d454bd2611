"""What a call of a layer is given: shapes to build it for, masks, and how errors show it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from .. import tree
from ..dtypes import PAD_THEM
from ..tensor import KerasTensor
from .spec import InputSpec


@cache
def call_parameters(call: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the arguments of a layer class's ``call``."""
    return tuple(inspect.signature(call).parameters)[1:]


def build_shapes(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """What ``build`` wants: the shape of the first argument, or of each by ``<name>_shape``."""
    named = dict(zip(call_parameters(type(layer).call), args, strict=False)) | kwargs
    wanted = list(inspect.signature(layer.build).parameters.values())
    if wanted and wanted[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return []
    shapes = [_shapes(named.get(p.name.removesuffix("_shape"))) for p in wanted[1:]]
    return [_shapes(args[0] if args else next(iter(kwargs.values()))), *shapes]


def _shapes(value: Any) -> Any:
    return tree.map_structure(lambda leaf: getattr(leaf, "shape", None), value)


def mask_of(value: Any) -> Any:
    """The mask of a tensor; None of anything else."""
    return value.mask if isinstance(value, KerasTensor) else None


def has_mask(masks: Any) -> bool:
    """Whether there is a mask among nested ones."""
    return any(mask is not None for mask in tree.flatten(masks))


def has_tensor(values: Any) -> bool:
    """Whether there is a tensor among nested values."""
    return any(isinstance(value, KerasTensor) for value in tree.flatten(values))


def shown_shapes(args: tuple[Any, ...]) -> str:
    """The shapes of tensors, for an error."""
    shapes = [str(leaf.shape) for leaf in tree.flatten(args) if isinstance(leaf, KerasTensor)]
    return f"of shape {', '.join(shapes)}"


def batch_hint(spec: InputSpec, tensor: KerasTensor) -> str:
    """How to add an axis where one is missing, for an error."""
    if spec.ndim == tensor.ndim + 1:
        return ". Add the missing axis, for example with x[None] (batch) or x[..., None] (channels)"
    return ""


def padding_hint(tensors: list[Any]) -> str:
    """What becomes of sequences of different lengths, where tensors may be such, for an error."""
    found = {getattr(each, "shape", None) for each in tensors}
    return f". {PAD_THEM}" if len(found) > 1 else ""
