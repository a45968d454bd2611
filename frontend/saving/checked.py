"""Arrays in HDF5 files so that damage shows: every byte that counts has a checksum beside it.

HDF5 has checksums for arrays in chunks, and since version 1.10 for what describes them. Small
arrays, and those that cannot be cut, lie within their description.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5o, h5p, h5s, h5t

# Whatever reads 1.10 reads these files. Formats before it have no checksums.
_FORMAT = ("v110", "v110")

_MOST_WITHIN = 4096  # bytes in a description, which is read as a whole
_OPAQUE = "bfloat16"
_CHUNK = 2**20  # bytes; the cache of chunks holds so many


def created(path: Path) -> h5py.File:
    """A new file, to be closed by the caller, for ``write_array`` to write to."""
    return h5py.File(path, "w", libver=_FORMAT)


def write_array(group: h5py.Group, name: str, array: np.ndarray) -> None:
    """Adds an array of any shape to a group of a file that ``created`` made.

    HDF5 has no bfloat16: as in Keras it is two opaque bytes, and an attribute says which type.
    """
    if array.dtype.name == _OPAQUE:
        write_array(group, name, array.view("V2"))
        group[name].attrs["dtype"] = _OPAQUE
        return
    if array.nbytes > _MOST_WITHIN:
        group.create_dataset(name, data=array, chunks=_chunk(array), fletcher32=True)
        return
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_layout(h5d.COMPACT)
    space = h5s.create_simple(array.shape) if array.ndim else h5s.create(h5s.SCALAR)
    kind = h5t.py_create(array.dtype, logical=True)
    dataset = h5d.create(group.id, name.encode(), kind, space, properties)
    if array.size:
        contiguous = np.ascontiguousarray(array).reshape(array.shape)
        dataset.write(h5s.ALL, h5s.ALL, contiguous)


def is_opaque(dataset: h5py.Dataset) -> bool:
    """Whether its bytes are a bfloat16 each."""
    return dataset.attrs.get("dtype") == _OPAQUE and dataset.dtype.itemsize == 2


def read_array(dataset: h5py.Dataset) -> np.ndarray:
    """The array of a dataset of this project's or of Keras."""
    array = np.asarray(dataset[()])
    return array.view(_OPAQUE) if is_opaque(dataset) else array


def members(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """All groups and arrays of a file with their paths, each at one of them; links lead nowhere.

    From group to group: the way from the file's root is long in deep nestings.
    """
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", file)]
    while waiting:
        path, member = waiting.pop()
        address = h5o.get_info(member.id).addr
        if address in seen:
            continue
        seen.add(address)
        if path:
            yield path, member
        if isinstance(member, h5py.Group):
            names = [n for n in member if isinstance(member.get(n, getlink=True), h5py.HardLink)]
            waiting += [(f"{path}/{n}" if path else n, member[n]) for n in reversed(names)]


def _chunk(array: np.ndarray) -> tuple[int, ...]:
    """Whole rows of the last axes, as many as fit, and about as many in each chunk."""
    shape = list(array.shape)
    for axis, size in enumerate(shape):
        rest = array.itemsize * int(np.prod(shape[axis + 1 :]))
        parts = -(-size // max(_CHUNK // rest, 1))
        shape[axis] = -(-size // parts)
        if rest <= _CHUNK:
            break
    return tuple(shape)
