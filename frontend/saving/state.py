"""The state of a training in one file: what goes on from it gives the same numbers.

The file is one of weights, which `load_weights` reads too, with a group ``training`` beside the
layers: the variables beside the weights, the random streams, how far the training is, and a
checksum of it all, by which parts of two states are told from one.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import UsageError
from ..seeds import RandomState, SeedGenerator
from ..variable import Variable
from ..weights import Weighted
from .atomic import write_atomically
from .checked import created, members, read_array, write_array
from .layout import places
from .weights import Found, assign, opened, read_variables, write_variables

_GROUP = "training"
_VERSION = 1


@dataclass(frozen=True)
class Position:
    """How far a training is.

    Attributes:
        epoch: the epoch to go on with, counted from 0.
        step: how many of its steps are done.
        at_epoch: the random streams as this epoch began.
        now: the random streams as they were when the state was taken.
    """

    epoch: int
    step: int
    at_epoch: RandomState
    now: RandomState


@dataclass(frozen=True)
class State:
    """A state that was read: nothing is set until it is asked for.

    Attributes:
        weights: of the layers and the optimizer, and the seeds of layers.
        metrics: the arrays of the metrics' variables, which may not exist before the first step.
    """

    position: Position
    weights: Found
    metrics: list[np.ndarray]

    def restore_weights(self) -> None:
        assign(self.weights)

    def restore_metrics(self, model: Any) -> None:
        """Raises ``ValueError`` if the model has other metrics."""
        variables = metric_variables(model)
        shapes = [array.shape for array in self.metrics]
        if [variable.shape for variable in variables] != shapes:
            raise UsageError(
                f"expected a state of {len(variables)} variables of metrics; the file has "
                f"{len(shapes)}. Compile the model with the same metrics"
            )
        assign(list(zip(variables, self.metrics, strict=True)))


def save_state(model: Any, path: str | os.PathLike[str], position: Position) -> None:
    """Writes the state of a model under training to a file, at once or not at all."""
    write_atomically(path, lambda new: _write(model, new, position))


def load_state(model: Any, path: str | os.PathLike[str]) -> State:
    """Reads a state for a model whose optimizer is built. Nothing is set.

    Raises:
        ValueError: there is no such file, it is damaged, or it is of another model or optimizer.
    """
    with opened(os.fspath(path)) as file:
        position = _position(file, path)
        weights = read_variables(model, file, with_optimizer=True)
        seeds = seed_variables(model)
        arrays = _arrays(file[f"{_GROUP}/seeds"])
        if [array.shape for array in arrays] != [seed.shape for seed in seeds]:
            raise UsageError(
                f"expected a state of {len(seeds)} seeds; {os.fspath(path)!r} has {len(arrays)}. "
                "It is of another model"
            )
        weights += list(zip(seeds, arrays, strict=True))
        return State(position, weights, _arrays(file[f"{_GROUP}/metrics"]))


def metric_variables(model: Any) -> list[Variable]:
    """The variables of all metrics of a compiled model."""
    return list(model.metrics_variables)


def seed_variables(model: Any) -> list[Variable]:
    """The variables of the seed generators that layers hold."""
    holders = [place.holder for place in places(model) if isinstance(place.holder, Weighted)]
    generators = {
        id(each): each
        for holder in holders
        for value in vars(holder).values()
        for each in _generators(value)
    }
    found = [v for each in generators.values() for v in vars(each).values()]
    return [value for value in found if isinstance(value, Variable)]


def _generators(value: Any) -> Iterator[SeedGenerator]:
    if isinstance(value, SeedGenerator):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _generators(item)


def _write(model: Any, path: Path, position: Position) -> None:
    with created(path) as file:
        write_variables(model, file)
        for name, variables in (
            ("seeds", seed_variables(model)),
            ("metrics", metric_variables(model)),
        ):
            group = file.create_group(f"{_GROUP}/{name}")
            for index, variable in enumerate(variables):
                write_array(group, str(index), variable.view)
        training = file[_GROUP]
        # Bytes in a dataset: an attribute is too small for the streams.
        fields = json.dumps({"version": _VERSION, **asdict(position)}).encode()
        write_array(training, "position", np.frombuffer(fields, "uint8"))
        training.attrs["checksum"] = _checksum(file)


def _position(file: h5py.File, path: str | os.PathLike[str]) -> Position:
    training = file.get(_GROUP)
    if training is None or "checksum" not in training.attrs:
        raise UsageError(
            f"expected the state of a training; {os.fspath(path)!r} holds weights alone"
        )
    if training.attrs["checksum"] != _checksum(file):
        raise UsageError(f"expected a state as it was written; {os.fspath(path)!r} is damaged")
    fields = json.loads(training["position"][()].tobytes())
    version = fields.pop("version")
    if version != _VERSION:
        raise UsageError(
            f"expected a state of version {_VERSION}; {os.fspath(path)!r} has version {version}"
        )
    at_epoch, now = (RandomState(**fields.pop(name)) for name in ("at_epoch", "now"))
    return Position(**fields, at_epoch=at_epoch, now=now)


def _checksum(file: h5py.File) -> int:
    """Of all arrays and where they are."""
    arrays = {name: each for name, each in members(file) if isinstance(each, h5py.Dataset)}
    crc = 0
    for name in sorted(arrays):
        head = f"{name} {arrays[name].shape} {arrays[name].dtype}"
        crc = zlib.crc32(np.asarray(arrays[name][()]).tobytes(), zlib.crc32(head.encode(), crc))
    return crc


def _arrays(group: h5py.Group) -> list[np.ndarray]:
    return [read_array(group[str(index)]) for index in range(len(group))]
