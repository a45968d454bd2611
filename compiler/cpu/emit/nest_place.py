"""What a nest does at one place of its loops: loads, scalar code and stores, in vectors or not."""

from __future__ import annotations

from collections.abc import Iterator

from ...ir.types import BOOL
from ...loops.indices import index_of
from ...loops.kernel import (
    Access,
    AnyLoad,
    Block,
    Generated,
    Nest,
    Number,
    Stage,
    Store,
    stride_along,
)
from ...loops.scalar_place import ScalarPlace, numbers_of
from .writer import Writer


class Place(ScalarPlace):
    """The names in scope, and whether they are vectors: code is, while ``vector`` names an axis."""

    writer: Writer

    def __init__(self, writer: Writer, body: Nest) -> None:
        super().__init__(writer)
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
        if self.vector is None:
            super().block(block)
            return
        names = dict(self.names)
        used = {arg for let in block for arg in let.args if isinstance(arg, str)}
        for name in used & set(self.names) - self.vectors:
            names[name] = self.value(name)
        self.writer.emit_block(block, names, vector=True)
        for let in block:
            self.names[let.name] = names[let.name]
            self.vectors.add(let.name)

    def load(self, load: AnyLoad) -> None:
        super().load(load)
        if self.vector is not None:
            self.vectors.add(load.name)

    def store(self, store: Store) -> None:
        if self.vector is None:
            super().store(store)
            return
        access, value = store.access, self.value(store.value)
        index = index_of(access.terms)
        self.writer.line(self.writer.call("store_masked", access.pointer, index, value, "mask"))

    def _generated(self, load: Generated) -> str:
        if self.vector is None:
            return super()._generated(load)
        index, step = index_of(load.terms), stride_along(load.terms, self.vector)
        return self.writer.call(f"{load.fn}_lanes", *numbers_of(load), index, step)

    def _plain_read(self, access: Access, index: str) -> str:
        if self.vector is None:
            return super()._plain_read(access, index)
        stride = access.stride_along(self.vector)
        if stride == "0":
            return self.writer.call("load_splat", access.pointer, index)
        if stride == "1":
            return self.writer.call("load_masked", access.pointer, index, "mask")
        raise AssertionError(f"{access.pointer} is not contiguous along {self.vector}")

    def _read_inside(self, access: Access, index: str, inside: str, fill: Number) -> str:
        if self.vector is None:
            return super()._read_inside(access, index, inside, fill)
        writer = self.writer
        if access.stride_along(self.vector) == "0":
            return writer.call("splat", super()._read_inside(access, index, inside, fill))
        writer.line(f"inside = {inside}")
        other = writer.constant(fill, access.dtype, True)
        mask = f"mask & {writer.call('first', f'{writer.lanes} if inside else 0')}"
        writer.line(f"on = {mask}")
        value = writer.call("load_masked", access.pointer, index, "on")
        return writer.call("select", "on", value, other)


def _truths(stage: Stage) -> Iterator[str]:
    """The names of truth values, which are masks in vectors: computed or read."""
    yield from (let.name for let in (*stage.block, *stage.after) if let.dtype == BOOL)
    for load in (*stage.loads, *stage.after_loads):
        if not isinstance(load, Generated) and load.access.dtype == BOOL:
            yield load.name
