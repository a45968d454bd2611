"""The inputs and outputs that a model is made of, as its constructor takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from .. import tree
from ..errors import LayerError, UsageError, shown
from ..history import Operation
from ..layers.base import Layer
from ..tensor import KerasTensor


def has_ends(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a model is given by its inputs and outputs."""
    return (
        len(args) >= 2
        or (len(args) == 1 and "outputs" in kwargs)
        or {"inputs", "outputs"} <= (kwargs.keys())
    )


def unwrapped(outputs: Any) -> Any:
    """Outputs as they are given: of ``[x]`` it is x, as in Keras."""
    alone = isinstance(outputs, (list, tuple)) and len(outputs) == 1
    return outputs[0] if alone else outputs


def check_names(model: Any, operations: Sequence[Operation]) -> None:
    """Raises ``ValueError`` where two layers have one name: ``get_layer`` finds them by it."""
    names = [each.name for each in operations]
    if len(set(names)) == len(names):
        return
    counts = Counter(each.name for each in operations if isinstance(each, Layer))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise LayerError(
            model,
            f"expected layers of different names; received {counts[twice[0]]} layers "
            f'"{twice[0]}". Give each its own name=',
        )


def check_ends(inputs: Any, outputs: Any) -> None:
    for what, ends in (("inputs", inputs), ("outputs", outputs)):
        for end in tree.flatten(ends):
            if not isinstance(end, KerasTensor):
                raise UsageError(
                    f"Model: expected {what} as symbolic tensors, which Input() and calls of "
                    f"layers give; received {shown(end)}"
                )
