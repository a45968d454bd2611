"""Errors for users: expected, received, how to fix it; told at the user's line, not at ours."""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from types import ModuleType, TracebackType
from typing import Any, NoReturn, TypeVar

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
    """Another kind of value where a tensor or an array of numbers is needed."""


class IRUsageError(UsageError, IRError):
    """No text of a graph."""


class WrongArgument(UsageError, UsageTypeError):
    """An argument that is not what its function asks for, in type or in value."""


def shown(value: Any) -> str:
    """A value in a message, cut short; a large array by its shape and dtype."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and shape and dtype is not None and getattr(value, "size", 0) > 16:
        return f"{type(value).__name__} of shape {shape} and dtype {dtype}"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:80]}... ({type(value).__name__})"


def headed(layer: Any, message: str) -> str:
    """A message that begins with the layer and the line that made it."""
    place = f", {layer.source}" if str(layer.source) else ""
    return f'{layer.kind} "{layer.name}" ({layer.class_name}{place}): {message}'


NO_RESULT = "call: expected tensors as results; received None. Return what it computes"


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
        except TypeError as error:
            refuse_misfit(error, function, function.__name__, args, kwargs)
            raise

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


def unmade(owner: Any, arguments: str) -> UsageError:
    """What is wrong with an object whose base class was never made."""
    return UsageError(
        f"{type(owner).__name__}: expected a call of super().__init__({arguments}) at the "
        "beginning of __init__; there was none"
    )


# Arguments that a signature does not take

# What users of older Keras, or of other libraries, write.
_OTHERWISE = {"lr": "learning_rate", "eps": "epsilon", "clip_norm": "clipnorm"}


def refuse_misfit(
    error: TypeError,
    function: Callable[..., Any],
    head: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """Raises our own error in place of ``error`` if the signature takes no such call.

    Args:
        head: what the message begins with, such as the function's name.
    """
    complaint = _complaint(function, args, kwargs)
    if isinstance(error, UsageTypeError) or complaint is None:
        return
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if p.name != "self"]
    is_open = any(p.kind is p.VAR_KEYWORD for p in parameters)
    unknown = [] if is_open else [name for name in kwargs if name not in known]
    if unknown:
        raise UsageTypeError(f"{head}: {unexpected(unknown, known)}") from None
    raise UsageTypeError(f"{head}: {complaint}. It takes ({', '.join(known)})") from None


def _complaint(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> str | None:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        return str(error)
    except ValueError:  # some built-in functions have no signature
        return None
    return None


def of_users(function: Callable[..., Any], what: str, *args: Any, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)``, which the user wrote and ``what`` asks for.

    Raises:
        TypeError: it takes other arguments.
    """
    try:
        return function(*args, **kwargs)
    except TypeError as error:
        name = getattr(function, "__name__", type(function).__name__)
        head = f"{what} calls {name} with {len(args) + len(kwargs)} arguments"
        refuse_misfit(error, function, head, args, kwargs)
        raise


def made_by_users(function: Callable[..., Any], what: str, *args: Any, **kwargs: Any) -> Any:
    """As ``of_users``, of a function that is asked for its result.

    Raises:
        TypeError: it takes other arguments, or returns nothing.
    """
    made = of_users(function, what, *args, **kwargs)
    if made is None:
        raise UsageTypeError(f"{what}: expected a result; received None. Return what it computes")
    return made


def unexpected(names: Iterable[str], known: Iterable[str]) -> str:
    """What messages say of arguments that there are not, with those that may be meant."""
    listed = list(known)
    hints = [_meant(name, listed) for name in names]
    hint = " ".join(f"Did you mean {each!r}?" for each in hints if each)
    return (
        f"unexpected arguments: {', '.join(sorted(names))}. "
        f"{hint or 'Expected out of ' + ', '.join(listed)}"
    )


def _meant(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    otherwise = _OTHERWISE.get(name, "")
    return otherwise if otherwise in known else (close[0] if close else "")


def tell_of_missing(module: ModuleType, name: str) -> None:
    """Makes ``module`` say under its public ``name`` what it lacks, and which name may be meant."""

    def missing(wanted: str) -> NoReturn:
        own = vars(module)
        public = own.get("__all__") or [each for each in own if not each.startswith("_")]
        meant = "" if wanted.startswith("_") else _meant(wanted, list(public))
        hint = f"Did you mean {meant!r}?" if meant else f"dir({name}) lists what there is"
        raise AttributeError(f"{name} has no {wanted!r}. {hint}")

    vars(module)["__getattr__"] = missing
