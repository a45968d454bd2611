"""The file of a program: a description in JSON, and bytes of weights, under one checksum.

    keraunos program 2\\n      the format and its version
    sha256                    32 bytes, of all that follows
    length                    8 bytes, little-endian, of the description
    description               JSON in UTF-8
    weights                   one after another, each from a multiple of 64 bytes on

The checksum finds damage. It is no signature: anybody can make one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .cache_files import write_file
from .memory import align
from .trust import Untrusted, read_own

MAGIC, VERSION = b"keraunos program ", 2
DIGEST, LENGTH = 32, 8


class ProgramFileError(ValueError):
    """A file that is no program which this installation can load."""


def write_program(
    path: str | os.PathLike[str], description: Any, weights: Sequence[np.ndarray]
) -> None:
    """Writes the file, whole or not at all; ``description`` is of the types of JSON."""
    text = json.dumps(description, separators=(",", ":"), allow_nan=False).encode()
    rest = len(text).to_bytes(LENGTH, "little") + text
    content = bytearray(rest)
    for array in weights:
        content += bytes(align(len(content)) - len(content))
        content += np.ascontiguousarray(array).tobytes()
    head = MAGIC + str(VERSION).encode() + b"\n"
    write_file(Path(os.path.realpath(path)), head + hashlib.sha256(content).digest() + content)


def read_program(path: str | os.PathLike[str], trusted: bool) -> tuple[Any, memoryview]:
    """The description, and what follows it.

    Raises:
        ProgramFileError: it is no such file, of another version, or damaged; or others than you
            and root own it or may write to it, unless it is ``trusted``.
        OSError: there is none, or it may not be read.
    """
    name = os.fspath(path)
    try:
        content = read_own(Path(os.path.realpath(path)), trusted)
    except Untrusted as error:
        raise ProgramFileError(
            f"{name}: expected a program that nobody else can have written; {error}. A program is "
            "run as it is read: pass trusted=True if you know who made it"
        ) from None
    head, _, rest = content.partition(b"\n")
    version = head.removeprefix(MAGIC)
    if not head.startswith(MAGIC) or not version.isdigit():
        raise ProgramFileError(f"{name}: expected the file of a program, as save() writes it")
    if version != str(VERSION).encode():
        raise ProgramFileError(
            f"{name}: expected format {VERSION}, got {version[:20].decode()}. Save it anew"
        )
    body = memoryview(rest)[DIGEST:]
    if hashlib.sha256(body).digest() != rest[:DIGEST]:
        raise ProgramFileError(f"{name}: expected a program as it was saved; it is damaged")
    end = LENGTH + int.from_bytes(body[:LENGTH], "little")
    try:
        return json.loads(bytes(body[LENGTH:end])), body[min(align(end), len(body)) :]
    except (ValueError, RecursionError) as error:
        raise ProgramFileError(f"{name}: expected a description in JSON ({error})") from None
