"""Small things the kernel builders share."""

from __future__ import annotations

from collections.abc import Iterable

from ..ir import Node
from ..kernels import ScalarArg
from ..layout import Layout
from ..types import Size


def scalar_argument(node: Node) -> ScalarArg:
    """The Python number of a one-element constant."""
    value: ScalarArg = node.attrs["value"].array.item()
    return value


def sum_bytes(*layouts: Iterable[Layout]) -> Size:
    """Bytes of all these values: what a launch reads and writes at least."""
    total: Size = 0
    for group in layouts:
        for layout in group:
            total = total + layout.type.bytes
    return total
