"""Values of constants, as passes ask for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.graph import Node
from ..ops.core import CONSTANT


def constant_array(node: Node) -> np.ndarray | None:
    """The array of a constant node, else None."""
    return node.attrs["value"].array if node.op is CONSTANT else None


def uniform_value(node: Node) -> Any:
    """The number every element of a constant node equals, else None."""
    array = constant_array(node)
    if array is None or array.size == 0:
        return None
    first = array.reshape(-1)[0]
    return first.item() if (array == first).all() else None
