"""Arguments of public functions and constructors, held against their annotations on the way in.

A signature says what is accepted: ``units: Count, use_bias: bool = True, axis: Axes = -1``. What
is annotated ``Any`` is taken as it comes.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from .accepted import Rule, is_flag, is_int, is_list, is_number, is_sequence
from .errors import WrongArgument, refuse_misfit, shown, user_facing

Function = TypeVar("Function", bound=Callable[..., Any])
_PACKAGE = __name__.rpartition(".")[0]


Rules = tuple[tuple[tuple[str, Rule | None], ...], dict[str, Rule]]


# Rules of annotations

_PLAIN: dict[Any, Rule] = {
    bool: Rule("True or False", is_flag),
    int: Rule("an int", is_int),
    float: Rule("a number", is_number),
    str: Rule("a string", lambda value: isinstance(value, str)),
    types.NoneType: Rule("None", lambda value: value is None),
}
_SEQUENCES = (list, tuple, collections.abc.Sequence)
_COLLECTIONS = (collections.abc.Collection, collections.abc.Iterable)
_MAPPINGS = (dict, collections.abc.Mapping)


def rule_of(annotation: Any) -> Rule | None:
    """What an annotation asks for; None where it asks for nothing."""
    if annotation is Any:
        return None
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return next((each for each in inner[1:] if isinstance(each, Rule)), rule_of(inner[0]))
    if origin in (typing.Union, types.UnionType):
        return _either([rule_of(each) for each in inner])
    if origin is Literal:
        listed = ", ".join(map(repr, inner))
        return Rule(f"one of {listed}", lambda value: isinstance(value, str) and value in inner)
    if origin in _COLLECTIONS:
        return _collection_of(rule_of(inner[0]))
    if origin in _SEQUENCES:
        return _sequence_of(rule_of(inner[0]))
    if origin in _MAPPINGS:
        return _mapping_of(*map(rule_of, inner))
    return _instances(origin or annotation)


def _either(rules: list[Rule | None]) -> Rule | None:
    known = [rule for rule in rules if rule is not None]
    if len(known) < len(rules):
        return None
    words = [rule.words for rule in known if rule.words != "None"]
    return Rule(
        " or ".join(words) + (", or None" if len(words) < len(known) else ""),
        lambda value: any(rule.accepts(value) for rule in known),
    )


def _sequence_of(each: Rule | None) -> Rule:
    if each is None:
        return Rule("a list or tuple", is_list)
    return Rule(
        f"a list or tuple, each element {each.words}",
        lambda value: (
            (is_sequence(value) or isinstance(value, (set, frozenset))) and _each(each, value)
        ),
    )


def _collection_of(each: Rule | None) -> Rule:
    """Looks at the elements of sequences alone: a generator could be read only once."""
    return Rule(
        f"a list or set, each element {each.words}" if each else "a list or another iterable",
        lambda value: (
            _is_iterable(value)
            and (
                each is None
                or not isinstance(value, collections.abc.Collection)
                or all(map(each.accepts, value))
            )
        ),
    )


def _mapping_of(key: Rule | None, value: Rule | None) -> Rule:
    kinds = [f"each {what} {rule.words}" for what, rule in (("key", key), ("value", value)) if rule]
    return Rule(
        ", ".join(["a dict", *kinds]),
        lambda given: (
            isinstance(given, collections.abc.Mapping)
            and (key is None or all(map(key.accepts, given.keys())))
            and (value is None or all(map(value.accepts, given.values())))
        ),
    )


def _each(rule: Rule, values: Any) -> bool:
    """Whether every element fits; of a range, which may be long, the ends tell."""
    return all(
        map(
            rule.accepts,
            values[:: max(len(values) - 1, 1)] if isinstance(values, range) else values,
        )
    )


def _instances(kind: Any) -> Rule | None:
    if kind is collections.abc.Callable:
        return Rule("a function", callable)
    if isinstance(kind, type) and issubclass(kind, typing.IO):
        return Rule("an open file", lambda value: hasattr(value, "write"))
    if kind in _MAPPINGS:
        return Rule("a dict", lambda value: isinstance(value, collections.abc.Mapping))
    if not isinstance(kind, type) or kind is object or typing.is_typeddict(kind):
        return None
    return Rule(f"a {kind.__name__}", lambda value: isinstance(value, kind))


def _is_iterable(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, (str, bytes, dict))


# Holding arguments against them


@functools.cache
def rules_of(function: Callable[..., Any]) -> Rules:
    """The rules of a function's arguments: by position, and by name."""
    function = inspect.unwrap(function)
    code = function.__code__
    own = {name: text for name, text in function.__annotations__.items() if name != "return"}
    # Results may have types that are loaded late.
    place = types.SimpleNamespace(__annotations__=own)
    hints = typing.get_type_hints(place, function.__globals__, include_extras=True)
    rules = {name: rule_of(hint) for name, hint in hints.items()}
    names = code.co_varnames[: code.co_argcount]
    by_name = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    named = {name: rule for name in by_name if (rule := rules.get(name)) is not None}
    return tuple((name, rules.get(name)) for name in names), named


def check_arguments(
    function: Callable[..., Any], owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Raises ``WrongArgument`` for the first argument that breaks the rule of its annotation.

    Args:
        owner: the object that is made or called, or the name of the function.
    """
    positional, named = rules_of(function)
    for (name, rule), value in zip(positional, args, strict=False):
        if rule is not None and not rule.accepts(value):
            raise refusal(function, owner, name, rule, value)
    for name, value in kwargs.items():
        found = named.get(name)
        if found is not None and not found.accepts(value):
            raise refusal(function, owner, name, found, value)


def refusal(
    function: Callable[..., Any], owner: Any, name: str, rule: Rule, value: Any
) -> WrongArgument:
    """What is raised in place of an argument that breaks a rule."""
    expected = f"{_heading(owner, function.__name__)}: expected {name} as {rule.words}"
    return WrongArgument(f"{expected}; received {shown(value)}")


def _heading(owner: Any, method: str) -> str:
    if isinstance(owner, str):
        return owner
    place = str(getattr(owner, "source", ""))
    what = type(owner).__name__ if method == "__init__" else f"{type(owner).__name__}.{method}"
    return f"{what} ({place})" if place else what


def checked(function: Function) -> Function:
    """A function whose arguments are checked; its errors of usage show the user's line."""
    name = function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        check_arguments(function, name, args, kwargs)
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            refuse_misfit(error, function, name, args, kwargs)
            raise

    return user_facing(call)  # type: ignore[return-value]


def checked_method(method: Function) -> Function:
    """As ``checked``, of a method: messages begin with the class."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        check_arguments(method, self, (self, *args), kwargs)
        try:
            return method(self, *args, **kwargs)
        except TypeError as error:
            head = _heading(self, method.__name__)
            refuse_misfit(error, method, head, (self, *args), kwargs)
            raise

    return user_facing(call)  # type: ignore[return-value]


class Checked:
    """The base of what users make: constructors of the package check their arguments."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        constructor = vars(cls).get("__init__")
        if constructor is not None and constructor.__module__.startswith(f"{_PACKAGE}."):
            cls.__init__ = checked_method(constructor)  # type: ignore[method-assign]
