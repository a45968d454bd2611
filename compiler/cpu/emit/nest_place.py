"""What a nest does at one place of its loops: loads, scalar code and stores, in vectors or not."""

from __future__ import annotations

from collections.abc import Iterator

from ...ir.types import BOOL
from ...loops.indices import index_of, inside_of
from ...loops.kernel import (
    Access,
    AnyLoad,
    Block,
    Gathered,
    Generated,
    Nest,
    Number,
    Stage,
    Store,
    stride_along,
)
from .writer import Writer


class Place:
    """The names in scope, and whether they are vectors: code is, while ``vector`` names an axis."""

    def __init__(self, writer: Writer, body: Nest) -> None:
        self.writer = writer
        self.names: dict[str, str] = {}
        self.vectors: set[str] = set()
        self.masks = {name for stage in body.stages for name in _truths(stage)}
        self.vector: str | None = None

    def value(self, name: str) -> str:
        """The text of a value here: scalars are spread over the lanes of a vector sweep."""
        if self.vector is None or name in self.vectors:
            return self.names[name]
        if name in self.masks:
            return self.writer.call("first", f"{self.writer.lanes} if {self.names[name]} else 0")
        return self.writer.call("splat", self.names[name])

    def block(self, block: Block) -> None:
        vector = self.vector is not None
        names = dict(self.names)
        if vector:
            used = {arg for let in block for arg in let.args if isinstance(arg, str)}
            for name in used & set(self.names) - self.vectors:
                names[name] = self.value(name)
        self.writer.emit_block(block, names, vector)
        for let in block:
            self.names[let.name] = names[let.name]
            if vector:
                self.vectors.add(let.name)

    def load(self, load: AnyLoad) -> None:
        match load:
            case Gathered():
                text = self._gathered(load)
            case Generated():
                text = self._generated(load)
            case _:
                text = self._read(load.access)
        self.names[load.name] = load.name
        self.writer.line(f"{load.name} = {text}")
        if self.vector is not None:
            self.vectors.add(load.name)

    def _generated(self, load: Generated) -> str:
        numbers = [f"{load.name}_{index}" for index in range(len(load.numbers))]
        index = index_of(load.terms)
        if self.vector is not None:
            step = stride_along(load.terms, self.vector)
            return self.writer.call(f"{load.fn}_lanes", *numbers, index, step)
        if load.fn == "count":
            return f"{load.dtype.name}({numbers[0]} + {load.dtype.name}({index}))"
        return self.writer.call(load.fn, *numbers, index)

    def _gathered(self, load: Gathered) -> str:
        writer = self.writer
        index = writer.call("get", load.index.pointer, index_of(load.index.terms))
        writer.line(f"picked = int64({index})")
        if load.from_end:
            writer.line(f"picked = picked + {load.bound} if picked < 0 else picked")
        place = f"picked * {load.stride} + {index_of(load.access.terms)}"
        return self._read_inside(load.access, place, f"0 <= picked < {load.bound}", load.fill)

    def _read(self, access: Access) -> str:
        index = index_of(access.terms)
        if access.fill is None:
            return self._plain_read(access, index)
        fill = Number.of(access.fill, access.dtype)
        return self._read_inside(access, index, inside_of(access), fill)

    def _plain_read(self, access: Access, index: str) -> str:
        writer = self.writer
        if self.vector is None:
            text = writer.call("get", access.pointer, index)
            return f"{text} != 0" if access.dtype == BOOL else text
        stride = access.stride_along(self.vector)
        if stride == "0":
            return writer.call("load_splat", access.pointer, index)
        if stride == "1":
            return writer.call("load_masked", access.pointer, index, "mask")
        raise AssertionError(f"{access.pointer} is not contiguous along {self.vector}")

    def _read_inside(self, access: Access, index: str, inside: str, fill: Number) -> str:
        """Reads outside the array give ``fill``; no address outside is ever used."""
        writer = self.writer
        writer.line(f"inside = {inside}")
        if self.vector is None or access.stride_along(self.vector) == "0":
            other = writer.constant(fill, access.dtype, False)
            text = writer.call("get", access.pointer, index)
            text = f"{text} != 0" if access.dtype == BOOL else text
            text = f"{text} if inside else {other}"
            return text if self.vector is None else writer.call("splat", text)
        other = writer.constant(fill, access.dtype, True)
        mask = f"mask & {writer.call('first', f'{writer.lanes} if inside else 0')}"
        writer.line(f"on = {mask}")
        value = writer.call("load_masked", access.pointer, index, "on")
        return writer.call("select", "on", value, other)

    def store(self, store: Store) -> None:
        writer, access = self.writer, store.access
        if self.vector is None:
            value = self.names[store.value]
            value = f"uint8({value})" if access.dtype == BOOL else value
            writer.line(writer.call("put", access.pointer, index_of(access.terms), value))
            return
        value = self.value(store.value)
        writer.line(
            writer.call("store_masked", access.pointer, index_of(access.terms), value, "mask")
        )


def _truths(stage: Stage) -> Iterator[str]:
    """The names of truth values, which are masks in vectors: computed or read."""
    yield from (let.name for let in (*stage.block, *stage.after) if let.dtype == BOOL)
    for load in (*stage.loads, *stage.after_loads):
        if not isinstance(load, Generated) and load.access.dtype == BOOL:
            yield load.name
