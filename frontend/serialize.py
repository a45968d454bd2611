"""Finding objects by their Keras names, and describing them as ``{class_name, config}``."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from .errors import UsageError, WrongArgument, shown


def find(kind: str, identifier: str, table: Mapping[str, Any]) -> Any:
    """The entry of ``table`` called ``identifier``; raises ``ValueError`` with the close names."""
    if identifier in table:
        return table[identifier]
    close = difflib.get_close_matches(identifier, list(table), n=3)
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else _listed(table)
    raise UsageError(f"unknown {kind}: received {identifier!r}. {hint}")


def _listed(table: Mapping[str, Any]) -> str:
    return f"Expected one of: {', '.join(sorted(name for name in table if name.islower()))}"


def parameters_of(cls: type) -> list[str]:
    """The names of the arguments of a class's constructor, ``self`` and ``**kwargs`` aside."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        name
        for name, parameter in inspect.signature(cls.__init__).parameters.items()  # type: ignore[misc]
        if parameter.kind in kinds and name != "self"
    ]


def described(obj: Any) -> dict[str, Any]:
    """An object as Keras writes it in a config."""
    return {
        "module": f"keras.{type(obj).__module__.rpartition('.')[2]}",
        "class_name": type(obj).__name__,
        "config": obj.get_config(),
        "registered_name": None,
    }


def described_in(package: str, obj: Any) -> Any:
    """A function, or an object of a package such as ``"losses"``, as Keras writes it in a config.

    Classes from elsewhere are described by their own module, to be found again by their names.
    """
    if isinstance(obj, (str, type(None))):
        return obj
    if not hasattr(obj, "get_config"):
        name = getattr(obj, "__name__", type(obj).__name__)
        return _description("builtins", "function", name, "function")
    cls = type(obj)
    own = cls.__module__.startswith(__name__.rpartition(".")[0])
    module, registered = (f"keras.{package}", None) if own else (cls.__module__, cls.__name__)
    return _description(module, cls.__name__, obj.get_config(), registered)


def _description(module: str, name: str, config: Any, registered: str | None) -> dict[str, Any]:
    parts = {"module": module, "class_name": name, "config": config}
    return {**parts, "registered_name": registered}


def rebuilt(
    kind: str,
    config: Any,
    classes: Mapping[str, Any],
    functions: Mapping[str, Any],
    custom: Mapping[str, Any] | None = None,
) -> Any:
    """The function or object that a config describes; what is in ``custom`` comes first.

    Raises:
        ValueError: nothing has that name.
    """
    checked_config(kind, config)
    if config["class_name"] == "function":
        return find(kind, config["config"], {**functions, **(custom or {})})
    options = {
        name: rebuilt(kind, value, classes, functions, custom)
        if isinstance(value, dict) and "class_name" in value
        else value
        for name, value in (config.get("config") or {}).items()
    }
    return made_of(find(kind, config["class_name"], {**classes, **(custom or {})}), options)


def checked_config(kind: str, config: Any) -> dict[str, Any]:
    """A config that ``serialize`` could have made. Raises ``UsageError`` for anything else."""
    good = isinstance(config, Mapping) and isinstance(config.get("class_name"), str)
    if good and isinstance(config.get("config"), (dict, str, type(None))):
        return dict(config)
    raise UsageError(
        f"expected the config of a {kind}, such as {{'class_name': ..., 'config': {{...}}}}; "
        f"received {shown(config)}"
    )


def made_of(cls: Any, options: Mapping[str, Any]) -> Any:
    """An object of a class with the arguments of a config, those of its constructor alone."""
    try:
        inspect.signature(cls).bind(**options)
    except TypeError as error:
        raise UsageError(
            f"expected a config of the arguments of {cls.__name__}; {error}. Received {options!r}"
        ) from None
    return cls.from_config(dict(options))


def resolved(
    kind: str,
    identifier: Any,
    table: Mapping[str, Any],
    deserialize: Callable[[dict[str, Any]], Any],
    others: str,
) -> Any:
    """What a name, a config, a class or a callable means; None stays None.

    Args:
        table: functions, and classes of which an instance is made, by name.
        deserialize: what makes something of a config.
        others: an example of a name, and what else may be given, for the message.

    Raises:
        ValueError: nothing has that name, or it is something else.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return deserialize(identifier)
    found = find(kind, identifier, table) if isinstance(identifier, str) else identifier
    made = made_without_arguments(kind, found) if isinstance(found, type) else found
    if not callable(made):
        raise UsageError(
            f"expected a {kind}: a name such as {others}; received {shown(identifier)}"
        )
    return made


def made_without_arguments(kind: str, cls: type) -> Any:
    """An object of a class that is named, or given, in place of one of its objects."""
    needed = _needed_arguments(cls)
    if needed:
        raise WrongArgument(
            f"expected a {kind} that needs no arguments; {cls.__name__} needs "
            f"{', '.join(needed)}. Pass {cls.__name__}(...)"
        )
    return cls()


@cache
def _needed_arguments(cls: type) -> tuple[str, ...]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(
        parameter.name
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.default is parameter.empty and parameter.kind in kinds
    )


def config_of(obj: Any) -> dict[str, Any]:
    """The constructor's arguments as the attributes of the same names hold them."""
    return {name: plain(getattr(obj, name)) for name in parameters_of(type(obj))}


def layer_config(layer: Any) -> dict[str, Any]:
    """A layer's name, trainability and dtype, then the arguments of its own constructor.

    An argument is read from the attribute of the same name, else as it was given.
    """
    config = {"name": layer.name, "trainable": layer.trainable, "dtype": layer.dtype}
    given = _given_arguments(layer)
    for name in parameters_of(type(layer)):
        is_property = isinstance(getattr(type(layer), name, None), property)
        if name in config or is_property or name == "autocast":
            continue
        if hasattr(layer, name):
            config[name] = plain(getattr(layer, name))
        elif name in given:
            config[name] = plain(given[name])
    return config


# Options that only Keras has, by what switches them off, and what goes with them.
_IDLE = {
    "quantization_config": (None, ()),
    "ragged": (False, ()),
    "renorm": (False, ("renorm_clipping", "renorm_momentum")),
    "sparse": (False, ()),
}


def without_idle_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """A layer's configuration less what Keras adds to it and is switched off."""
    left = dict(config)
    for name, (idle, further) in _IDLE.items():
        if name in left and left[name] == idle:
            for gone in (name, *further):
                left.pop(gone, None)
    return left


def _given_arguments(layer: Any) -> dict[str, Any]:
    args, kwargs = layer.given_arguments
    bound = inspect.signature(type(layer).__init__).bind_partial(layer, *args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def plain(value: Any) -> Any:
    """A value as a config holds it: functions by name, objects described, arrays as lists."""
    if hasattr(value, "get_config") and not isinstance(value, type):
        return described(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if inspect.isfunction(value):
        return value.__name__
    return value
