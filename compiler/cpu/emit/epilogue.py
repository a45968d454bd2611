"""Emits what happens to accumulators before they are stored: residual, activation, pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from ...loops.arguments import EpilogueArguments, ImageArguments
from ...loops.kernel import Epilogue, EpilogueLoad, Pool
from ...loops.writer import MATH
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
    """Applies ``epilogue`` to every accumulator and stores the results.

    ``block`` is that of the results: where there are gates, it has as many accumulators for each,
    those of the second gate after all of the first.
    """
    _result_offsets(writer, epilogue, arg)
    _operand_offsets(writer, epilogue)
    results: dict[Cell, dict[str, str]] = {}
    every, abreast = list(cells(block)), _abreast(epilogue)
    for start in range(0, len(every), abreast):
        together = every[start : start + abreast]
        for cell in together:
            results[cell] = _accumulated(epilogue, block, cell)
            _element_loads(writer, epilogue, results[cell], cell, mask_of)
        several = [(results[cell], "".join(f"_{i}" for i in cell)) for cell in together]
        writer.emit_abreast(epilogue.block, several, vector=True)
    if epilogue.pool is None:
        for cell, names in results.items():
            _store(writer, epilogue, names, cell, mask_of(cell), arg)
        return
    for r in range(0, block.rows, epilogue.pool.rows):
        for p in range(0, block.columns, epilogue.pool.columns):
            for j in range(block.vectors):
                _pooled(writer, epilogue, epilogue.pool, results, (r, p, j), mask_of, arg)


def prefetch_operands(writer: Writer, epilogue: Epilogue, block: RegisterBlock) -> None:
    """Asks for what the epilogue reads of each element: products take longer than it is away."""
    _operand_offsets(writer, epilogue)
    for cell in cells(block):
        for load in epilogue.loads:
            if load.kind == "element":
                writer.line(writer.call("prefetch", load.pointer, _element(load, cell, writer)))


def _abreast(epilogue: Epilogue) -> int:
    """Cells that are computed line by line in turn.

    Functions are chains of a dozen operations that wait for one another.
    """
    return 2 if any(let.fn in MATH for let in epilogue.block) else 1


def _accumulated(epilogue: Epilogue, block: RegisterBlock, cell: Cell) -> dict[str, str]:
    """The accumulators of a cell by the names that the epilogue has for them."""
    r, p, j = cell
    gates = enumerate(epilogue.accumulators)
    return {name: f"a{r}_{p}_{gate * block.vectors + j}" for gate, name in gates}


def _result_offsets(writer: Writer, epilogue: Epilogue, arg: Names) -> None:
    rows = f" // {epilogue.pool.rows}" if epilogue.pool else ""
    cols = f" // {epilogue.pool.columns}" if epilogue.pool else ""
    for y in dict.fromkeys(_result_names(arg, store.pointer) for store in epilogue.stores):
        index = f"image * {y.image} + oy{rows} * {y.row} + ox{cols} * {y.col} + channel"
        writer.line(f"{y.at}i = {index}")


def _operand_offsets(writer: Writer, epilogue: Epilogue) -> None:
    for z in dict.fromkeys(operand_names(o) for o in epilogue.loads if o.kind == "element"):
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
            index = _element(load, cell, writer)
            mask = mask_of(cell)
            call = (
                writer.call("load", load.pointer, index)
                if mask is None
                else writer.call("load_masked", load.pointer, index, mask)
            )
            names[load.name] = f"{load.name}_{r}_{p}_{j}"
            writer.line(f"{names[load.name]} = {call}")


def _element(load: EpilogueLoad, cell: Cell, writer: Writer) -> str:
    """The index of a cell's vector of an operand with one value an element."""
    offset = _cell_offset(operand_names(load), cell, writer.lanes)
    return f"{load.pointer}i{gate_offset(load.gate)}{offset}"


def operand_names(load: EpilogueLoad) -> ImageArguments[str, str]:
    """The arguments of an operand of the epilogue."""
    return ImageArguments[str, str].names(load.pointer)


def _result_names(arg: Names, pointer: str) -> ImageArguments[str, str]:
    """The arguments of a result."""
    return arg.y if pointer == arg.y.at else ImageArguments[str, str].names(pointer)


def set_gates(writer: Writer, epilogue: Epilogue, channels: str) -> None:
    """Where stretches of so many channels start: those of gates, and of wider operands."""
    used = [load.gate for load in epilogue.loads] + [store.gate for store in epilogue.stores]
    for gate in range(1, max(epilogue.gates, *(gate + 1 for gate in used))):
        writer.line(f"gate{gate} = {_times(channels, gate)}")


def _times(text: str, factor: int) -> str:
    return text if factor == 1 else f"{factor} * {text}"


def gate_offset(gate: int) -> str:
    """What is added to an index for another stretch than the first; see ``set_gates``."""
    return f" + gate{gate}" if gate else ""


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
    writer.line(f"{name} = {writer.pooled(pool, values, vector=True)}")
    names = {**results[cell], "pooled": name}
    writer.emit_block(epilogue.after, names, vector=True, suffix=f"_{r}_{p}_{j}")
    pooled_cell = (r // pool.rows, p // pool.columns, j)
    _store(writer, epilogue, names, pooled_cell, mask_of(cell), arg)


def _store(
    writer: Writer,
    epilogue: Epilogue,
    names: dict[str, str],
    cell: Cell,
    mask: str | None,
    arg: Names,
) -> None:
    for store in epilogue.stores:
        y, value = _result_names(arg, store.pointer), names[store.value]
        index = f"{y.at}i{gate_offset(store.gate)}{_cell_offset(y, cell, writer.lanes)}"
        if mask is None:
            writer.line(writer.call("store", y.at, index, value))
        else:
            writer.line(writer.call("store_masked", y.at, index, value, mask))
