"""What layers keep besides variables, such as a vocabulary: files of theirs in that of the weights.

A layer that has ``save_assets(folder)`` and ``load_assets(folder)`` writes and reads any files;
their bytes lie at ``<path of the layer>/assets/<name>``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np

from ..errors import UsageError
from .checked import read_array, write_array


def has_assets(holder: Any) -> bool:
    return hasattr(holder, "save_assets") and hasattr(holder, "load_assets")


def write_assets(group: h5py.Group, holder: Any) -> None:
    """Adds the files of a layer to its group, each as an array of bytes."""
    with TemporaryDirectory() as folder:
        holder.save_assets(folder)
        for path in sorted(Path(folder).iterdir()):
            write_array(group, path.name, np.frombuffer(path.read_bytes(), np.uint8))


def read_assets(stored: Mapping[str, h5py.Dataset], holder: Any) -> Callable[[], None]:
    """What gives a layer its files back, which are read here; nothing where there are none."""
    files = {name: read_array(data).tobytes() for name, data in stored.items()}
    wrong = [name for name in files if Path(name).name != name]
    if wrong:
        raise UsageError(f"load_weights: expected names of files; received {wrong[0]!r}")

    def restore() -> None:
        with TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            if files:
                holder.load_assets(folder)

    return restore
