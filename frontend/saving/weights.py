"""Weights in HDF5 files, laid out as Keras 3 does, so that either reads what the other wrote."""

from __future__ import annotations

import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import LayerError, UsageError
from ..source import warn
from ..variable import Variable
from .assets import has_assets, read_assets, write_assets
from .atomic import write_atomically
from .checked import created, is_opaque, members, read_array, write_array
from .layout import Place, places

_ENDING = ".weights.h5"
_MEMBER = "model.weights.h5"  # of a .keras archive

Found = list[tuple[Variable, np.ndarray]]

# What h5py and zipfile raise where addresses in a file lead nowhere, names are none, or numbers
# are not what they count.
_DAMAGE = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)


def save_weights(model: Any, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """As ``Model.save_weights``."""
    path = os.fspath(filepath)
    _check_built(model, "save_weights")
    if not path.endswith(_ENDING):
        raise UsageError(f"save_weights: expected a path that ends in {_ENDING}; received {path!r}")
    if not overwrite and Path(path).exists() and not _may_overwrite(path):
        return
    write_atomically(path, lambda new: _write(model, new))


def load_weights(model: Any, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
    """As ``Model.load_weights``."""
    _check_built(model, "load_weights")
    with opened(os.fspath(filepath)) as file:
        found = read_variables(model, file, skip_mismatch)
        for restore in _assets(model, file):
            restore()
        assign(found)


def _write(model: Any, path: Path) -> None:
    with created(path) as file:
        write_variables(model, file)


def write_variables(model: Any, file: h5py.File) -> None:
    """Adds the variables of all layers, and of an optimizer where there is one, to a new file."""
    groups: dict[str, h5py.Group] = {"": file}
    for place in places(model):
        group = _group(groups, f"{place.path}/vars" if place.path else "vars")
        group.attrs["name"] = place.name
        for index, variable in enumerate(place.variables):
            write_array(group, str(index), variable.view)
        if has_assets(place.holder):
            write_assets(_group(groups, f"{place.path}/assets"), place.holder)


def _group(groups: dict[str, h5py.Group], path: str) -> h5py.Group:
    """The group at a path, made if need be, as are those on the way; each is opened once."""
    names: list[str] = []
    while path not in groups:
        path, _, name = path.rpartition("/")
        names.append(name)
    for name in reversed(names):
        group = groups[path].require_group(name)
        path = f"{path}/{name}" if path else name
        groups[path] = group
    return groups[path]


def assign(found: Found) -> None:
    for variable, array in found:
        variable.assign(array)


# Reading


@contextmanager
def opened(path: str) -> Iterator[h5py.File]:
    """The HDF5 file at a path, or that within a ``.keras`` archive.

    Raises:
        ValueError: there is none, it is something else, or it is damaged.
    """
    if not path.endswith((_ENDING, ".keras")):
        raise UsageError(
            f"load_weights: expected a path that ends in {_ENDING} or .keras; received {path!r}"
        )
    if not Path(path).is_file():
        raise UsageError(f"load_weights: expected a file; there is none at {path!r}")
    try:
        with h5py.File(_member(path) if path.endswith(".keras") else path, "r") as file:
            yield file
    except UsageError:
        raise
    except _DAMAGE as error:
        raise UsageError(
            f"load_weights: expected an HDF5 file of weights, as save_weights writes it; {path!r} "
            f"is damaged or something else: {error}. Nothing was loaded"
        ) from error


def _member(path: str) -> BytesIO:
    with zipfile.ZipFile(path) as archive:
        return BytesIO(archive.read(_MEMBER))


def read_variables(
    model: Any, file: h5py.File, skip_mismatch: bool = False, with_optimizer: bool = False
) -> Found:
    """Variables of a model and what a file has for them; nothing is assigned yet.

    Args:
        skip_mismatch: whether to leave out layers that do not fit.
        with_optimizer: whether the state of the optimizer has to fit; else it may be left out.

    Raises:
        ValueError: the file has other variables for a layer; ``skip_mismatch`` warns instead.
    """
    if "layer_names" in file.attrs or "model_weights" in file:
        raise UsageError(
            f"load_weights: expected a file of Keras 3; {file.filename!r} is of Keras 2. Load it "
            "with Keras 3 and save it from there"
        )
    found: Found = []
    problems: list[str] = []
    warned: list[str] = []
    here = places(model)
    stored_at = _Stored(file)
    for place in here:
        stored = stored_at(place.path)
        complaint = _complaint(place, stored)
        if complaint is None:
            found += _pairs(place, stored, file)
        elif place.is_optimizer and not with_optimizer:
            warned.append(f'the state of optimizer "{place.name}" was not loaded: {complaint}')
        else:
            kind = "optimizer" if place.is_optimizer else "layer"
            where = place.path or "the model"
            problems.append(f'{kind} "{place.name}" ({where}): {complaint}')
    warned += _shown(problems, len(here), skip_mismatch)
    warned += _others(file, {place.path for place in here})
    for message in warned:
        warn(f"load_weights: {message}")
    return found


def _assets(model: Any, file: h5py.File) -> list[Callable[[], None]]:
    """What gives layers the files back that they wrote beside their variables."""
    stored_at = _Stored(file)
    holders = [place for place in places(model) if has_assets(place.holder)]
    return [
        read_assets(stored_at.arrays(f"{place.path}/assets"), place.holder) for place in holders
    ]


def _complaint(place: Place, stored: dict[str, h5py.Dataset]) -> str | None:
    """What is wrong with what the file has for a layer; None where it fits."""
    variables = place.variables
    if set(stored) != {str(index) for index in range(len(variables))}:
        hint = "" if variables or not stored else ", which has none yet: build the model first"
        return (
            f"expected {len(variables)} variables {_named(variables)}; the file has "
            f"{len(stored)}{hint}"
        )
    for index, variable in enumerate(variables):
        data = stored[str(index)]
        if data.shape != variable.shape:
            return f"expected shape {variable.shape} of {variable.name}; the file has {data.shape}"
        if data.dtype.kind not in "biuf" and not is_opaque(data):
            return f"expected numbers for {variable.name}; the file has {data.dtype}"
    return None


def _pairs(place: Place, stored: Mapping[str, h5py.Dataset], file: h5py.File) -> Found:
    """The variables of a layer and the arrays of the file, whose checksums are compared here."""
    found: Found = []
    for index, variable in enumerate(place.variables):
        try:
            found.append((variable, read_array(stored[str(index)])))
        except _DAMAGE as error:
            raise UsageError(
                f"load_weights: expected {variable.name} of {place.name!r} as it was written; "
                f"{file.filename!r} is damaged there, at {place.path}/vars/{index}: {error}. "
                "Nothing was loaded"
            ) from None
    return found


def _named(variables: list[Variable]) -> str:
    return f"({', '.join(variable.name for variable in variables[:6])})" if variables else ""


class _Stored:
    """The arrays of a layer by number; empty where the file lacks the layer.

    Each group on the way is opened once: a deep nesting is a long way.
    """

    def __init__(self, file: h5py.File) -> None:
        self._members: dict[str, Any] = {"": file}

    def __call__(self, path: str) -> dict[str, h5py.Dataset]:
        return self.arrays(f"{path}/vars" if path else "vars")

    def arrays(self, path: str) -> dict[str, h5py.Dataset]:
        """What lies in a group by name; nothing where there is no such group."""
        group = self._member(path)
        names = list(group) if isinstance(group, h5py.Group) else []
        return {name: _dataset(group, name) for name in names}

    def _member(self, path: str) -> Any:
        """What lies at ``path``; None if nothing does."""
        names: list[str] = []
        while path not in self._members:
            path, _, name = path.rpartition("/")
            names.append(name)
        for name in reversed(names):
            group = self._members[path]
            there = isinstance(group, h5py.Group) and name in group
            path = f"{path}/{name}" if path else name
            self._members[path] = _within(group, name) if there else None
        return self._members[path]


def _within(group: h5py.Group, name: str) -> Any:
    """A member of the file itself: links are refused, as they could lead to any other file."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise UsageError(
            f"load_weights: expected a file without links; {group.file.filename!r} has one at "
            f"{group.name}/{name}. Nothing was loaded"
        )
    return group[name]


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    data = _within(group, name)
    if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
        raise UsageError(
            f"load_weights: expected an array at {group.name}/{name} of {group.file.filename!r}; "
            "it is a group, or in another file. Nothing was loaded"
        )
    return data


# Telling


def _shown(problems: list[str], number: int, skip_mismatch: bool) -> list[str]:
    if not problems:
        return []
    shown = "; ".join(problems[:5])
    more = f"; ... ({len(problems) - 5} more)" if len(problems) > 5 else ""
    message = f"{len(problems)} of {number} layers do not fit the file: {shown}{more}"
    if skip_mismatch:
        return [f"{message}. They keep their weights"]
    raise UsageError(
        f"load_weights: {message}. Nothing was loaded. Load into a model of the same layers, or "
        "pass skip_mismatch=True to load what fits"
    )


def _others(file: h5py.File, known: set[str]) -> list[str]:
    others: list[str] = []
    for name, member in members(file):
        path, _, last = name.rpartition("/")
        if last == "vars" and isinstance(member, h5py.Group) and len(member):
            others += [path] if path not in known and not _is_optimizer(path) else []
    if not others:
        return []
    listed = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
    return [f"the file has weights of {len(others)} layers that the model does not: {listed}"]


def _is_optimizer(path: str) -> bool:
    """A model that is not compiled has none."""
    return path.rpartition("/")[2] == "optimizer"


def _check_built(model: Any, method: str) -> None:
    if not model.built:
        raise LayerError(
            model,
            f"{method}: expected a built model; its weights are made on the first call, or by "
            "build(input_shape)",
        )


def _may_overwrite(path: str) -> bool:
    """Asks, where there is someone to ask."""
    if not sys.stdin.isatty():
        raise UsageError(
            f"save_weights: expected overwrite=True, or a path that is free; {path!r} is not"
        )
    answer = ""
    while answer not in ("y", "n"):
        answer = input(f"{path} is there already. Overwrite it? [y/n] ").strip().lower()
    return answer == "y"
