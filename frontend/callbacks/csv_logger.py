"""The results of epochs as a table in a file."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..saving.atomic import check_place
from .base import Callback, Logs


class CSVLogger(Callback):
    """Writes a line per epoch: its number, counted from 0, and its logs in sorted order.

    Args:
        filename: of the file.
        separator: between values.
        append: whether to go on with a file that is there; else it is written anew.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename = Path(filename)
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None
        self._file: TextIO | None = None
        self._writer: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._close()
        check_place("CSVLogger", self.filename)
        self._file = self.filename.open("a" if self.append else "w", newline="", encoding="utf-8")
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self.keys is None:
            self._begin_table(sorted(logs))
        assert self.keys is not None
        assert self._file is not None
        values = [_text(logs.get(key, "NA")) for key in self.keys]
        self._writer.writerow([epoch, *values])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._close()

    def _begin_table(self, names: list[str]) -> None:
        """Columns of validations are there from the beginning, as some epochs have none."""
        validated = any(name.startswith("val_") for name in names)
        self.keys = names if validated else [*names, *(f"val_{name}" for name in names)]
        assert self._file is not None
        self._writer = csv.writer(self._file, delimiter=self.sep)
        if self._file.tell() == 0:
            self._writer.writerow(["epoch", *self.keys])

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _text(value: Any) -> Any:
    if np.ndim(value):
        return f'"[{", ".join(map(str, value))}]"'
    return value
