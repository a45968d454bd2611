"""Emits what happens to accumulators before they are stored: residual, activation, pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from ...ir.types import FLOAT32
from ...loops.arguments import EpilogueArguments, ImageArguments
from ...loops.kernel import Epilogue, EpilogueLoad, Pool
from ..bodies import RegisterBlock
from .writer import Writer

Cell: TypeAlias = tuple[int, int, int]  # row, column, vector
Names: TypeAlias = EpilogueArguments[str, str]


def cells(block: RegisterBlock) -> Iterator[Cell]:
    """(row, column, vector) of each accumulator ``a{row}_{column}_{vector}``."""
    for r in range(block.rows):
        for p in range(block.columns):
            for j in range(block.vectors):
                yield r, p, j


# The name of the mask that an accumulator is stored under; None: all of it is.
MaskOf: TypeAlias = Callable[[Cell], str | None]


def filter_mask(masked: bool) -> MaskOf:
    """The masks ``m0``, ``m1``, ... of a block whose last panel has fewer filters."""
    return lambda cell: f"m{cell[2]}" if masked else None


def finish_block(
    writer: Writer, epilogue: Epilogue, block: RegisterBlock, mask_of: MaskOf, arg: Names
) -> None:
    """Applies ``epilogue`` to every accumulator and stores the results."""
    _offsets(writer, epilogue, arg)
    results: dict[Cell, dict[str, str]] = {}
    for r, p, j in cells(block):
        names = {"acc": f"a{r}_{p}_{j}"}
        _element_loads(writer, epilogue, names, (r, p, j), mask_of)
        writer.emit_block(epilogue.block, names, vector=True, suffix=f"_{r}_{p}_{j}")
        results[r, p, j] = names
    if epilogue.pool is None:
        for (r, p, j), names in results.items():
            _store(writer, names[epilogue.result], (r, p, j), mask_of((r, p, j)), arg)
        return
    for r in range(0, block.rows, epilogue.pool.rows):
        for p in range(0, block.columns, epilogue.pool.columns):
            for j in range(block.vectors):
                _pooled(writer, epilogue, epilogue.pool, results, (r, p, j), mask_of, arg)


def _offsets(writer: Writer, epilogue: Epilogue, arg: Names) -> None:
    rows = f" // {epilogue.pool.rows}" if epilogue.pool else ""
    cols = f" // {epilogue.pool.columns}" if epilogue.pool else ""
    y = arg.y
    writer.line(f"yi = image * {y.image} + oy{rows} * {y.row} + ox{cols} * {y.col} + channel")
    for load in epilogue.loads:
        if load.kind == "element":
            z = operand_names(load)
            index = f"image * {z.image} + oy * {z.row} + ox * {z.col} + channel"
            writer.line(f"{z.at}i = {index}")


def _element_loads(
    writer: Writer,
    epilogue: Epilogue,
    names: dict[str, str],
    cell: Cell,
    mask_of: MaskOf,
) -> None:
    r, p, j = cell
    for load in epilogue.loads:
        if load.kind == "scalar":
            names[load.name] = load.name
        elif load.kind == "channel":
            names[load.name] = f"{load.name}_{j}"
        else:
            index = f"{load.pointer}i" + _cell_offset(operand_names(load), cell, writer.lanes)
            mask = mask_of(cell)
            call = (
                writer.call("load", load.pointer, index)
                if mask is None
                else writer.call("load_masked", load.pointer, index, mask)
            )
            names[load.name] = f"{load.name}_{r}_{p}_{j}"
            writer.line(f"{names[load.name]} = {call}")


def operand_names(load: EpilogueLoad) -> ImageArguments[str, str]:
    """The arguments of an operand of the epilogue."""
    return ImageArguments[str, str].names(load.pointer)


def _cell_offset(array: ImageArguments[str, str], cell: Cell, lanes: int) -> str:
    r, p, j = cell
    row = f" + {r} * {array.row}" if r else ""
    col = f" + {p} * {array.col}" if p else ""
    return f"{row}{col}{f' + {j * lanes}' if j else ''}"


def _pooled(
    writer: Writer,
    epilogue: Epilogue,
    pool: Pool,
    results: dict[Cell, dict[str, str]],
    cell: Cell,
    mask_of: MaskOf,
    arg: Names,
) -> None:
    r, p, j = cell
    window = [(r + i, p + k, j) for i in range(pool.rows) for k in range(pool.columns)]
    values = [results[c][epilogue.pooled] for c in window]
    name = f"pooled_{r}_{p}_{j}"
    combined = values[0]
    for value in values[1:]:
        if pool.combine == "maximum":
            combined = writer.call("maximum", combined, value)
        else:
            combined = f"{combined} + {value}"
    if pool.combine == "mean":
        combined = f"({combined}) * {writer.constant(1.0 / len(values), FLOAT32, True)}"
    writer.line(f"{name} = {combined}")
    names = {**results[cell], "pooled": name}
    writer.emit_block(epilogue.after, names, vector=True, suffix=f"_{r}_{p}_{j}")
    pooled_cell = (r // pool.rows, p // pool.columns, j)
    _store(writer, names[epilogue.result], pooled_cell, mask_of(cell), arg)


def _store(writer: Writer, value: str, cell: Cell, mask: str | None, arg: Names) -> None:
    index = "yi" + _cell_offset(arg.y, cell, writer.lanes)
    if mask is None:
        writer.line(writer.call("store", arg.y.at, index, value))
    else:
        writer.line(writer.call("store_masked", arg.y.at, index, value, mask))
