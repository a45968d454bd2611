"""Integers that name rows of tables or classes, held against these before a program runs.

A compiled lookup reads nothing outside its table: it gives NaN. Where the integers are inputs of
the program, it can be said which one is wrong, before anything is computed or trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from ..compiler import ops as ir
from ..compiler.ir.graph import Graph, Node, Origin
from ..compiler.ir.kinds import Region
from ..compiler.ops.stepping import operands_of
from ..runtime.arrays import is_float
from ..runtime.dim import Dim, Size, evaluate
from .errors import UsageError

Check: TypeAlias = Callable[[Sequence[np.ndarray]], None]
Block: TypeAlias = "tuple[tuple[Size, Size | None, int], ...]"
# What the inputs of a loop stand for: slices of a node along an axis, or where that is None the
# node itself; None for what changes from step to step.
Meant: TypeAlias = "Mapping[Node, tuple[Node, int | None] | None]"

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
# What rearranges all the integers of its operand, or some of them often: none are new.
_ARRANGES = frozenset({"broadcast_to", "cast", "flip", "repeat", "reshape", "transpose"})


@dataclass(frozen=True)
class Source:
    """An input of a program, or a block of it.

    Attributes:
        position: of the input.
        node: the input.
        block: start, stop (None is the end) and step of each axis; all of it where it is empty.
        symbols: where to find the sizes that only the data tell: an input, and its axis.
    """

    position: int
    node: Node
    block: Block
    symbols: tuple[tuple[str, int, int], ...]

    @property
    def name(self) -> str:
        return str(self.node.attrs["name"])

    def part(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """What is meant of the inputs of a call."""
        array = arrays[self.position]
        if not self.block:
            return array
        return array[tuple([self._slice(each, arrays) for each in self.block])]

    def _slice(self, bounds: tuple[Size, Size | None, int], arrays: Sequence[np.ndarray]) -> slice:
        start, stop, step = bounds
        end = None if stop is None else self.known(stop, arrays)
        return slice(self.known(start, arrays), end, step)

    def known(self, size: Size, arrays: Sequence[np.ndarray]) -> int:
        """A size at these inputs."""
        if isinstance(size, int):
            return size
        return evaluate(size, {name: arrays[i].shape[axis] for name, i, axis in self.symbols})


@dataclass(frozen=True)
class IdCheck:
    """Raises ``UsageError`` unless the integers of one input name rows of a table.

    Attributes:
        rows: of the table.
        from_end: whether integers below 0 count from the end.
        layer: of the lookup.
    """

    source: Source
    rows: Size
    from_end: bool
    layer: str

    def __call__(self, arrays: Sequence[np.ndarray]) -> None:
        rows = self.source.known(self.rows, arrays)
        check_rows(self.source.part(arrays), rows, self.from_end, self.layer, self.source.name)


def check_rows(ids: np.ndarray, rows: int, from_end: bool, layer: str, name: str) -> None:
    """Raises ``UsageError`` unless ids from an input called ``name`` are rows of a table."""
    least = -rows if from_end else 0
    if from_end or is_float(ids.dtype):
        within = bool(((ids > least - 1) & (ids < rows)).all())
    else:
        within = all_below(ids, rows)
    if not within:
        raise _wrong_id(ids, rows, least, layer, name)


def _wrong_id(ids: np.ndarray, rows: int, least: int, layer: str, name: str) -> UsageError:
    wrong = ~((ids > least - 1) & (ids < rows))
    place = tuple(int(index[0]) for index in np.nonzero(wrong))
    way_out = "Make the table larger" if least else "Make input_dim larger than the largest id"
    return UsageError(
        f"{layer}: expected ids from {least} to {rows - 1}, for the {rows} rows of the table; "
        f'received {ids[place]} at index {place} of input "{name}", and {int(wrong.sum())} such '
        f"ids in all. {way_out}, or map the ids that the table lacks to one that it has"
    )


def all_below(integers: np.ndarray, count: int) -> bool:
    """Whether integers are all from 0 to below ``count``, in one pass over them.

    As unsigned numbers, those below 0 are large.
    """
    unsigned = integers.view(_UNSIGNED[integers.dtype.itemsize])
    return bool(np.maximum.reduce(unsigned, axis=None, initial=0) < count)


@dataclass(frozen=True)
class LabelCheck:
    """Raises ``UsageError`` unless the numbers of one input name classes.

    Attributes:
        are_cut: whether the program takes fractions off before it uses them.
        classes, ignored: how many there are, and the one more number that may come.
    """

    source: Source
    are_cut: bool
    classes: int
    ignored: int | None

    def __call__(self, arrays: Sequence[np.ndarray]) -> None:
        labels = self.source.part(arrays)
        if self.are_cut:
            labels = np.trunc(labels)
        check_classes(labels, self.classes, self.ignored, f'input "{self.source.name}": ')


def check_classes(labels: np.ndarray, classes: int, ignored: int | None, head: str = "") -> None:
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


# Finding what to check


def checks_of(traced: Any) -> tuple[Check, ...]:
    """The checks of what names rows and classes in a trace, and comes from its inputs as it is."""
    graph: Graph = traced.graph
    found: list[Check] = []
    for lookup, meant in lookups(graph):
        rows = lookup.inputs[0].shape[lookup.attrs["axis"]]
        for source in _sources(graph, lookup.inputs[1], rows, meant):
            found.append(IdCheck(source, rows, lookup.attrs["from_end"], shown_layer(lookup)))
    for named in traced.classes:
        for source in _sources(graph, named.node, named.count, {}):
            are_cut = source.node.dtype.is_float and not named.node.dtype.is_float
            found.append(LabelCheck(source, are_cut, named.count, named.ignored))
    return tuple(dict.fromkeys(found))


def lookups(graph: Graph, meant: Meant = MappingProxyType({})) -> Iterator[tuple[Node, Meant]]:
    """The lookups of a graph, those in loops among them, and what the inputs of loops stand for."""
    for node in graph.nodes:
        if node.op is ir.gather:
            yield node, meant
        elif isinstance(node.op.kind, Region) and "sequences" in node.attrs:
            body = node.attrs["body"]
            inside = operands_of(node, body.inputs)
            outside = operands_of(node, node.inputs)
            steps = [(each, node.attrs["axis"]) for each in outside.sequences]
            same = [(each, None) for each in outside.captured]
            kept = zip((*inside.sequences, *inside.captured), (*steps, *same), strict=True)
            yield from lookups(body, {**dict.fromkeys(body.inputs), **dict(kept)})


def _sources(graph: Graph, node: Node, limit: Size, meant: Meant) -> Iterator[Source]:
    """The inputs, or blocks of them, that the integers of ``node`` come from as they are."""
    known = {
        str(size): (str(size), position, axis)
        for position, each in enumerate(graph.inputs)
        for axis, size in enumerate(each.shape)
        if isinstance(size, Dim)
    }
    for leaf, block in leaves_of(node, meant):
        sizes = [limit, *(size for each in block for size in each[:2])]
        names = {name for size in sizes if isinstance(size, Dim) for name in size.symbols}
        if leaf in graph.inputs and names <= known.keys():
            symbols = tuple(known[name] for name in sorted(names))
            yield Source(graph.inputs.index(leaf), leaf, block, symbols)


def leaves_of(node: Node, meant: Meant) -> Iterator[tuple[Node, Block]]:
    """The inputs whose numbers, or blocks of whose numbers, are among those of ``node``."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if current in meant:
            outside = meant[current]
            waiting += [] if outside is None else outside[:1]
            continue
        name = current.op.name
        if name in _ARRANGES or name == "concatenate":
            waiting += current.inputs
        elif name == "slice":
            whole, block = _uncast(current.inputs[0]), _block(current)
            if whole in meant:
                whole, block = _over_steps(meant[whole], whole, block)
            if whole.op.name == "input" and whole not in meant:
                yield whole, block
        elif name == "input":
            yield current, ()


def _over_steps(outside: tuple[Node, int | None] | None, own: Node, block: Block) -> Any:
    """What a block of a loop's input is a block of, and which: of all steps, where it has some."""
    if outside is None:
        return own, block
    node, axis = outside
    if axis is not None:
        block = (*block[:axis], (0, None, 1), *block[axis:])
    return _uncast(node), block


def _uncast(node: Node) -> Node:
    while node.op.name == "cast":
        (node,) = node.inputs
    return node


def _block(cut: Node) -> Block:
    """The part of an input that a slice of it is."""
    attrs, sizes = cut.attrs, cut.inputs[0].shape
    rows = zip(attrs["start"], attrs["stop"], attrs["step"], sizes, strict=True)
    return tuple((start, None if stop == size else stop, step) for start, stop, step, size in rows)


def shown_layer(lookup: Node) -> str:
    """The layer of a lookup, or the line, in a message."""
    origin: Origin | None = lookup.origins[0] if lookup.origins else None
    if origin is None:
        return lookup.op.name
    place = f"{origin.file}:{origin.line}" if origin.file else ""
    if not origin.layer:
        return place
    return f'layer "{origin.layer}" ({place})' if place else f'layer "{origin.layer}"'
