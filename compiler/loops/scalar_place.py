"""Text of what a nest does at one place of its loops, element by element: loads, code, stores."""

from __future__ import annotations

from collections.abc import Callable

from ..ir.types import BOOL
from .indices import index_of, inside_of
from .kernel import (
    Access,
    Accumulate,
    AnyLoad,
    Block,
    Gathered,
    Generated,
    Nest,
    Number,
    Stage,
    Store,
)
from .writer import TextWriter


class ScalarPlace:
    """The names in scope, and what is written with them. Targets with vectors go on from it."""

    def __init__(self, writer: TextWriter) -> None:
        self.writer = writer
        self.names: dict[str, str] = {}

    def block(self, block: Block) -> None:
        self.writer.emit_block(block, self.names)

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

    def store(self, store: Store) -> None:
        access, value = store.access, self.names[store.value]
        value = f"uint8({value})" if access.dtype == BOOL else value
        index = index_of(access.terms)
        self.writer.line(self.writer.call("put", access.pointer, index, value))

    def visit(self, stage: Stage, combine: Callable[[Accumulate], None]) -> None:
        """What a sweep does here; ``combine`` writes how a value is accumulated."""
        for load in stage.loads:
            self.load(load)
        self.block(stage.block)
        for accumulate in stage.accumulate:
            combine(accumulate)
        for store in stage.stores:
            self.store(store)

    def _generated(self, load: Generated) -> str:
        index = index_of(load.terms)
        numbers = numbers_of(load)
        if load.fn == "count":
            return f"{load.dtype.name}({numbers[0]} + {load.dtype.name}({index}))"
        return self.writer.call(load.fn, *numbers, index)

    def _gathered(self, load: Gathered) -> str:
        place = self.picked(load)
        return self._read_inside(load.access, place, f"0 <= picked < {load.bound}", load.fill)

    def picked(self, load: Gathered) -> str:
        """Where the element that is picked lies; ``picked`` may be outside."""
        writer = self.writer
        index = writer.call("get", load.index.pointer, index_of(load.index.terms))
        writer.line(f"picked = int64({index})")
        if load.from_end:
            writer.line(f"picked = picked + {load.bound} if picked < 0 else picked")
        return f"picked * {load.stride} + {index_of(load.access.terms)}"

    def _read(self, access: Access) -> str:
        index = index_of(access.terms)
        if access.fill is None:
            return self._plain_read(access, index)
        fill = Number.of(access.fill, access.dtype)
        return self._read_inside(access, index, inside_of(access), fill)

    def _plain_read(self, access: Access, index: str) -> str:
        text = self.writer.call("get", access.pointer, index)
        return f"{text} != 0" if access.dtype == BOOL else text

    def _read_inside(self, access: Access, index: str, inside: str, fill: Number) -> str:
        """Reads outside the array give ``fill``; no address outside is ever used."""
        self.writer.line(f"inside = {inside}")
        other = self.writer.constant(fill, access.dtype)
        text = ScalarPlace._plain_read(self, access, index)
        return f"{text} if inside else {other}"


def read_numbers(writer: TextWriter, body: Nest) -> None:
    """What generated values are made of beside their index is read once, before all loops."""
    for stage in body.stages:
        for load in (*stage.loads, *stage.after_loads):
            if isinstance(load, Generated):
                for name, pointer in zip(numbers_of(load), load.numbers, strict=True):
                    writer.line(f"{name} = {writer.call('get', pointer, '0')}")


def numbers_of(load: Generated) -> list[str]:
    """What these are called once they are read."""
    return [f"{load.name}_{index}" for index in range(len(load.numbers))]
