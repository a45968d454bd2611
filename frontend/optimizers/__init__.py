"""Optimizers and learning-rate schedules under Keras's names, and finding them by name."""

from __future__ import annotations

from typing import Any

from ..arguments import checked
from ..errors import UsageError
from ..serialize import checked_config, described_in, find
from . import schedules
from .adafactor import Adafactor
from .adagrad import Adadelta, Adagrad, Ftrl, RMSprop
from .adam import Adam, Adamax, AdamW, Lamb, Nadam
from .base import Optimizer
from .momentum import SGD, Lion
from .muon import Muon

_TABLE: dict[str, Any] = {
    cls.__name__.lower(): cls
    for cls in (
        Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, Lion, Muon, Nadam, RMSprop,
        SGD,
    )
}  # fmt: skip


def get(identifier: Any) -> Optimizer | None:
    """The optimizer meant by a name, a config, a class or an instance; None stays None.

    Names are taken in upper and lower case.

    Raises:
        ValueError: no optimizer has that name, or it is something else.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        made = deserialize(identifier)
    elif isinstance(identifier, str):
        made = find("optimizer", identifier.lower(), _TABLE)()
    else:
        made = identifier() if isinstance(identifier, type) else identifier
    if isinstance(made, Optimizer):
        return made
    raise UsageError(
        "expected an optimizer: a name such as 'adam', or an instance of "
        f"keraunos.optimizers.Optimizer; received {identifier!r}"
    )


def serialize(optimizer: Optimizer) -> Any:
    """The config of an optimizer, as Keras writes it."""
    return described_in("optimizers", optimizer)


@checked
def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The optimizer that a config from ``serialize`` describes.

    Raises:
        ValueError: there is no such optimizer, and it is not in ``custom_objects`` either.
    """
    custom = custom_objects or {}
    name = checked_config("optimizer", config)["class_name"]
    cls = custom.get(name) or find("optimizer", name.lower(), {**_TABLE, **custom})
    further = {"custom_objects": custom} if custom else {}
    return cls.from_config(config.get("config") or {}, **further)


__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
