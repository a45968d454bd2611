"""Event files as TensorBoard reads them: records that hold protocol buffers.

A record is the length of its data (8 bytes), a masked CRC of it, the data, and a masked CRC of
those (tensorflow/core/lib/io/record_writer.h). The data is an ``Event`` (core/util/event.proto)
with a ``Summary`` (core/framework/summary.proto); of both, only what is written here is known here.
"""

from __future__ import annotations

import os
import platform
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...compiler.file_names import file_name
from ..saving.atomic import make_folder

_CASTAGNOLI = 0x82F63B78  # the polynomial of CRC-32C, reversed
_BUCKETS = 30


class EventWriter:
    """Writes a new event file in a folder, which is made where it is not there.

    Numbers are on disk after ``flush``.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        make_folder("TensorBoard", Path(folder))
        self.path = _unused(Path(folder))
        self._file = self.path.open("xb")
        self._write(_string(3, b"brain.Event:2"))  # file_version

    def scalar(self, name: str, value: float, step: int) -> None:
        """One number, such as a loss, at a step."""
        self._summary(name, step, _fixed(2, "<f", value))

    def histogram(self, name: str, values: np.ndarray, step: int) -> None:
        """How the elements of an array are distributed; those that are not finite are left out."""
        flat = np.asarray(values, "float64").ravel()
        self._summary(name, step, _string(5, _histogram(flat[np.isfinite(flat)])))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _summary(self, name: str, step: int, value: bytes) -> None:
        tagged = _string(1, _string(1, name.encode()) + value)
        self._write(_varint(2 << 3) + _varint(step) + _string(5, tagged))

    def _write(self, content: bytes) -> None:
        event = _fixed(1, "<d", time.time()) + content
        length = struct.pack("<Q", len(event))
        checks = (struct.pack("<I", masked_crc(part)) for part in (length, event))
        self._file.write(length + next(checks) + event + next(checks))


def _unused(folder: Path) -> Path:
    """TensorBoard reads the files of a folder in the order of their names."""
    base = f"events.out.tfevents.{time.time():.0f}.{file_name(platform.node())}.{os.getpid()}"
    number = 0
    while (path := folder / f"{base}.{number}.v2").exists():
        number += 1
    return path


def _histogram(values: np.ndarray) -> bytes:
    """A ``HistogramProto``."""
    if not values.size:
        return b""
    counts, edges = np.histogram(values, _BUCKETS)
    facts = (values.min(), values.max(), values.size, values.sum(), np.square(values).sum())
    numbers = b"".join(_fixed(i, "<d", fact) for i, fact in enumerate(facts, 1))
    limits = edges[1:].astype("<f8").tobytes()
    return numbers + _string(6, limits) + _string(7, counts.astype("<f8").tobytes())


# Fields of protocol buffers: a number, a kind (1: 8 bytes, 2: a length first, 5: 4 bytes), data.


def _fixed(field: int, form: str, value: float) -> bytes:
    kind = {"<d": 1, "<f": 5}[form]
    return _varint(field << 3 | kind) + struct.pack(form, value)


def _string(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have the highest bit set."""
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def masked_crc(data: bytes) -> int:
    """The CRC-32C of data, turned and shifted so that data may hold CRCs themselves."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> Iterator[int]:
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_CASTAGNOLI if value & 1 else 0)
        yield value


_TABLE = tuple(_table())
