"""Integers that name rows of tables or classes, held against these before a program runs.

A compiled lookup reads nothing outside its table: it gives NaN. Where the integers are inputs of
the program, it can be said which one is wrong, before anything is computed or trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..compiler import ops as ir
from ..compiler.ir.graph import Graph, Node, Origin
from ..runtime.arrays import is_float
from .errors import UsageError

Block = tuple[slice, ...]

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
# What rearranges all the integers of its operand, or some of them often: none are new.
_ARRANGES = frozenset({"broadcast_to", "cast", "flip", "repeat", "reshape", "transpose"})


@dataclass(frozen=True)
class IdCheck:
    """Raises ``UsageError`` unless the integers of one input name rows of a table.

    Attributes:
        position: of the input.
        block: the part of the input that is meant; all of it where it is empty.
        rows: of the table.
        layer, name: of the lookup, and of the input.
    """

    position: int
    block: Block
    rows: int
    layer: str
    name: str

    def __call__(self, arrays: Sequence[np.ndarray]) -> None:
        ids = arrays[self.position]
        if self.block:
            ids = ids[self.block]
        if is_float(ids.dtype):
            within = bool(((ids > -1) & (ids < self.rows)).all())
        else:
            within = all_below(ids, self.rows)
        if not within:
            raise self._error(ids)

    def _error(self, ids: np.ndarray) -> UsageError:
        wrong = ~((ids > -1) & (ids < self.rows))
        place = tuple(int(index[0]) for index in np.nonzero(wrong))
        return UsageError(
            f"{self.layer}: expected ids from 0 to {self.rows - 1}, for the {self.rows} rows of "
            f'the table; received {ids[place]} at index {place} of input "{self.name}", and '
            f"{int(wrong.sum())} such ids in all. Make input_dim larger than the largest id, or "
            "map the ids that the table lacks to one that it has"
        )


def all_below(integers: np.ndarray, count: int) -> bool:
    """Whether integers are all from 0 to below ``count``, in one pass over them.

    As unsigned numbers, those below 0 are large.
    """
    unsigned = integers.view(_UNSIGNED[integers.dtype.itemsize])
    return bool(np.maximum.reduce(unsigned, axis=None, initial=0) < count)


def id_checks(graph: Graph) -> tuple[IdCheck, ...]:
    """The checks of the lookups whose integers come from an input of ``graph`` as they are."""
    found: list[IdCheck] = []
    for node in graph.nodes:
        if node.op is ir.gather and not node.attrs["from_end"]:
            check = _check(graph, node)
            if check is not None and check not in found:
                found.append(check)
    return tuple(found)


def _check(graph: Graph, lookup: Node) -> IdCheck | None:
    table, node = lookup.inputs
    rows = table.shape[lookup.attrs["axis"]]
    source = source_of(graph, node)
    if source is None or not isinstance(rows, int):
        return None
    node, block = source
    layer = _shown(lookup.origins[0]) if lookup.origins else lookup.op.name
    return IdCheck(graph.inputs.index(node), block, rows, layer, node.attrs["name"])


def _shown(origin: Origin) -> str:
    """The layer of a lookup, or the line, in a message."""
    place = f"{origin.file}:{origin.line}" if origin.file else ""
    if not origin.layer:
        return place
    return f'layer "{origin.layer}" ({place})' if place else f'layer "{origin.layer}"'


def source_of(graph: Graph, node: Node) -> tuple[Node, Block] | None:
    """The input whose numbers, or whose block of them, ``node`` has; None where it has others."""
    block: Block = ()
    while node.op.name in _ARRANGES:
        (node,) = node.inputs
    if node.op is ir.slice and node.inputs[0].op.name == "input":
        found = _block(node)
        if found is None:
            return None
        block, (node,) = found, node.inputs
    return (node, block) if node in graph.inputs else None


def _block(node: Node) -> Block | None:
    """The part of an input that ``node`` is; None where its bounds are not known."""
    names = ("start", "stop", "step")
    bounds = zip(*(node.attrs[name] for name in names), node.inputs[0].shape, strict=True)
    block = []
    for start, stop, step, size in bounds:
        end = None if stop == size else stop
        if not isinstance(start, int) or not isinstance(end, int | None):
            return None
        block.append(slice(start, end, step))
    return tuple(block)


def check_classes(labels: np.ndarray, classes: int, ignored: int | None, head: str) -> None:
    """Raises ``UsageError`` unless labels name classes: 0 to below ``classes``, or ``ignored``."""
    dtype = labels.dtype
    if dtype.kind in "iub" and dtype.isnative and all_below(labels, classes):
        return
    wrong = ~((labels >= 0) & (labels < classes) & (labels == np.floor(labels)))
    if ignored is not None:
        wrong &= labels != ignored
    if wrong.any():
        raise _wrong_label(labels, wrong, classes, head)


def _wrong_label(labels: np.ndarray, wrong: np.ndarray, classes: int, head: str) -> UsageError:
    place = tuple(int(index[0]) for index in np.nonzero(wrong))
    return UsageError(
        f"{head}expected targets from 0 to {classes - 1}, for the {classes} classes that the model "
        f"predicts; received {labels[place]} at index {place}, and {int(wrong.sum())} such targets "
        "in all. Count classes from 0, give the last layer more units, or leave one class out with "
        "SparseCategoricalCrossentropy(ignore_class=...)"
    )
