"""Sizes held against the memory of the machine, before anything of them is allocated."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from .errors import TooLarge

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@cache
def memory_of_machine() -> int:
    """Bytes of main memory, whoever uses them."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require_memory(what: str, shape: Sequence[Any], dtype: Any) -> None:
    """Raises ``TooLarge`` for an array that no memory of this machine could hold.

    Args:
        what: who asks for it, for the message.
        shape: symbolic sizes among them count as 1.
        dtype: has an ``itemsize``.
    """
    size = math.prod(max(each, 0) for each in shape if isinstance(each, int)) * dtype.itemsize
    if size > memory_of_machine():
        raise TooLarge(
            f"{what}: expected sizes that fit into the memory of this machine, "
            f"{_shown(memory_of_machine())}; received shape {tuple(shape)} of {dtype.name}, "
            f"which takes {_shown(size)}"
        )


def _shown(size: int) -> str:
    power = min((max(size, 1).bit_length() - 1) // 10, len(_UNITS) - 1)
    return f"{size / 2 ** (10 * power):.3g} {_UNITS[power]}"
