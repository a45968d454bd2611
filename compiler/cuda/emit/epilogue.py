"""Emits what happens to accumulators before they are stored: residual, activation, pooling."""

from __future__ import annotations

from typing import TypeAlias

from ...loops.arguments import EpilogueArguments, ImageArguments
from ...loops.kernel import Epilogue
from .writer import Writer

Names: TypeAlias = EpilogueArguments[str, str]


def read_channel(writer: Writer, epilogue: Epilogue) -> None:
    """Reads the operands of which there is one a channel, or one."""
    for load in epilogue.loads:
        if load.kind != "element":
            index = "channel" if load.kind == "channel" else "0"
            writer.line(f"{load.name} = {writer.call('get', load.pointer, index)}")


def finish_element(
    writer: Writer, epilogue: Epilogue, accumulators: list[str], arg: Names, start: str = ""
) -> None:
    """Applies ``epilogue`` to the accumulators of one result, and stores it.

    There is one, or one for each place of the pooling window. The result lies at (``image``,
    ``oy``, ``ox``, ``channel``), ``start`` elements on.
    """
    found: list[dict[str, str]] = []
    for index, accumulator in enumerate(accumulators):
        names = {"acc": accumulator} | {each.name: each.name for each in epilogue.loads}
        _element_loads(writer, epilogue)
        suffix = f"_{index}" if epilogue.pool is not None else ""
        writer.emit_block(epilogue.block, names, suffix=suffix)
        found.append(names)
    names = found[0]
    if epilogue.pool is not None:
        values = [each[epilogue.pooled] for each in found]
        writer.line(f"pooled = {writer.pooled(epilogue.pool, values)}")
        names["pooled"] = "pooled"
        writer.emit_block(epilogue.after, names)
    for store in epilogue.stores:
        y = arg.y if store.pointer == arg.y.at else ImageArguments[str, str].names(store.pointer)
        writer.line(writer.call("put", y.at, f"{start}{_index(y)}", names[store.value]))


def _element_loads(writer: Writer, epilogue: Epilogue) -> None:
    for load in epilogue.loads:
        if load.kind == "element":
            z = ImageArguments[str, str].names(load.pointer)
            writer.line(f"{load.name} = {writer.call('get', z.at, _index(z))}")


def _index(array: ImageArguments[str, str]) -> str:
    return f"image * {array.image} + oy * {array.row} + ox * {array.col} + channel"
