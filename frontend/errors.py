"""Errors for users: expected, received, how to fix it; told at the user's line, not at ours."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar

from ..compiler.ir.graph import IRError
from ..runtime.config import config
from ..runtime.dim_solver import ArgumentError
from .source import is_inside

Function = TypeVar("Function", bound=Callable[..., Any])


class UsageError(ValueError):
    """A layer, model or function was given what it cannot take."""


class SizesUnknown(UsageError):
    """What shapes come out is known only once the data are there."""


class UsageIndexError(UsageError, IndexError):
    """An index beyond the end; iterating over a tensor ends by it."""


class TooLarge(UsageError, MemoryError):
    """What was asked for is larger than the memory of the machine."""


class UsageTypeError(TypeError):
    """Something that is no array of numbers, or no tensor, where one is needed."""


class IRUsageError(UsageError, IRError):
    """No text of a graph."""


class WrongArgument(UsageError, UsageTypeError):
    """An argument that is not what its function asks for, in type or in value."""


def headed(layer: Any, message: str) -> str:
    """A message that begins with the layer and the line that made it."""
    place = f", {layer.source}" if str(layer.source) else ""
    return f'{layer.kind} "{layer.name}" ({layer.class_name}{place}): {message}'


class LayerError(UsageError):
    """An error that names its layer already."""

    def __init__(self, layer: Any, message: str) -> None:
        super().__init__(headed(layer, message))


def user_facing(function: Function) -> Function:
    """Errors of usage leave ``function`` without the package's own frames.

    With ``KERAUNOS_DEBUG`` set they keep them.
    """

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (UsageError, UsageTypeError, IRError, ArgumentError) as error:
            raise at_user_line(error) from None

    return call  # type: ignore[return-value]


def at_user_line(error: Exception) -> Exception:
    """The error as users see it, on its way from their line; as it is under ``config.debug``."""
    if config.debug:
        return error
    foreign = isinstance(error, (IRError, ArgumentError)) and not isinstance(error, UsageError)
    shown = UsageError(str(error)) if foreign else error
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not is_inside(frame.f_code.co_filename)
    ]
    kept: TracebackType | None = None
    for frame, line in reversed(frames):
        kept = TracebackType(kept, frame, frame.f_lasti, line)
    return shown.with_traceback(kept)
