"""``dump()``: everything the compiler made of a model, as files to read.

00_trace.ir               the graph before any pass
02_simplify.ir            ... and after each; every one can be edited and read by parse_ir
02_simplify.diff          what the pass changed, node by node
schedule.txt              groups in order, with the kernels that compute them
plan.txt                  memory slots with lifetimes and offsets, and the table of launches
explain.txt               what was fused or declined, and why
kernels/<name>.py         the generated kernels
kernels/<name>.s          ... and the machine instructions that they are here, if it runs them
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ...runtime.config import config
from ...runtime.device import Device
from ...runtime.dim import evaluate
from ...runtime.placement import Placement
from ...runtime.program import BranchRow, HostRow, LoopRow, Program, Row, Slot, TileRow
from ..executable import Executable
from ..ir.types import TensorType, dtype_of
from ..pipeline import TRACE
from ..sources import GENERATED, kernel_names
from ..units import BATCH, format_bytes
from .diff import stage_diffs
from .explain import explain
from .file_names import file_name
from .table import Column, Table, TableRow

WIDE = 1000  # files are not wrapped
OTHER_SIZE = 32  # what sizes other than the batch are taken to be
_STAGE_FILE = re.compile(r"\d\d_\w+\.(ir|diff)")


def dump(executable: Executable, folder: str | Path) -> tuple[Path, ...]:
    """Writes the files listed above into ``folder``, made if need be; gives their paths.

    Files of an earlier dump that this one does not have are removed; others are left alone.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    root = Path(folder)
    texts = dict(_texts(executable))
    (root / "kernels").mkdir(parents=True, exist_ok=True)
    for stale in _earlier(root):
        if str(stale.relative_to(root)) not in texts:
            stale.unlink()
    for name, text in texts.items():
        (root / name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    return tuple(root / name for name in texts)


def _texts(executable: Executable) -> Iterator[tuple[str, str]]:
    """The files by name, in the order in which one reads them."""
    yield from _stage_texts(executable)
    yield "schedule.txt", str(executable.schedule)
    yield "plan.txt", plan_text(executable)
    yield "explain.txt", explain(executable).table().text(WIDE)
    kernels = executable.program.kernels
    for kernel, (name, source) in zip(kernels, executable.source.items(), strict=True):
        yield f"kernels/{file_name(name)}.py", source
        if executable.loaded is not None:
            text = _instructions(name, kernel.source, executable.loaded.device)
            yield f"kernels/{file_name(name)}.s", text


def _instructions(name: str, source: str, device: Device) -> str:
    """The kernel compiled once more, to text: what the cache keeps is bytes."""
    head = f"# {name}: {GENERATED} and LLVM for {device.model}."
    return f"{head}\n{device.assembly(source)}"


def _earlier(root: Path) -> list[Path]:
    stages = [path for path in root.iterdir() if _STAGE_FILE.fullmatch(path.name)]
    texts = [path for path in (root / "kernels").iterdir() if path.suffix in (".py", ".s")]
    return stages + [path for path in texts if _is_generated(path)]


def _is_generated(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return GENERATED in file.readline()


def _stage_texts(executable: Executable) -> Iterator[tuple[str, str]]:
    stages = executable.stages
    names = [f"{index:02}_{stage}" for index, stage in enumerate(stages)]
    yield f"{names[0]}.ir", str(stages[TRACE])
    for (before, name), (stage, found) in zip(pairwise(names), stage_diffs(stages), strict=True):
        yield f"{name}.ir", str(stages[stage])
        of = f"Names after - are those of {before}.ir, others those of {name}.ir."
        text = "\n".join((found.heading, of, "", *found.rows()))
        yield f"{name}.diff", text if found else found.heading


def plan_text(executable: Executable) -> str:
    """The slots and rows of the program, with sizes and offsets of one sample."""
    program = executable.program
    sizes = {name: 1 if name == BATCH else OTHER_SIZE for name in program.symbols}
    placement = Placement(program, sizes, config.threads)
    bound = ", ".join(f"{name}={value}" for name, value in sizes.items())
    head = (
        f"program {program.name}{f' at {bound}' if bound else ''}: {len(program.kernels)} kernels, "
        f"{program.launches} launches, {format_bytes(placement.arena_bytes)} of arena"
    )
    tables = (_slot_table(program, placement), _row_table(executable, placement))
    return "\n\n\n".join([head, *(table.text(WIDE) for table in tables)])


def _slot_table(program: Program, placement: Placement) -> Table:
    columns = (
        Column("slot", right=True),
        Column("name"),
        Column("kind"),
        Column("type"),
        Column("bytes", right=True),
        Column("rows"),
        Column("offset", right=True),
    )
    rows = tuple(
        TableRow(_slot_cells(index, slot, placement)) for index, slot in enumerate(program.slots)
    )
    notes = ("rows: the first and the last row of the table below between which it is in use.",)
    return Table("memory", columns, rows, notes)


def _slot_cells(index: int, slot: Slot, placement: Placement) -> tuple[str, ...]:
    offset = placement.offsets.get(index)
    return (
        str(index),
        slot.name,
        slot.kind,
        str(TensorType(dtype_of(slot.dtype), slot.shape)),
        f"{evaluate(slot.bytes, placement.sizes):,}",
        "" if offset is None else f"{slot.first}-{slot.last}",
        "" if offset is None else f"{offset:,}",
    )


def _row_table(executable: Executable, placement: Placement) -> Table:
    columns = (
        Column("row", right=True),
        Column("kernel"),
        Column("reads"),
        Column("writes"),
        Column("flops", right=True),
        Column("bytes", right=True),
        Column("what"),
    )
    names = kernel_names(executable.program)
    rows = tuple(
        TableRow(_row_cells(index, row, names, placement))
        for index, row in enumerate(executable.program.rows)
    )
    notes = ("reads, writes: slots.",)
    return Table("launches", columns, rows, notes)


def _row_cells(
    index: int, row: Row, names: tuple[str, ...], placement: Placement
) -> tuple[str, ...]:
    if isinstance(row, TileRow):
        what = f"from {row.symbol}={row.least}: {row.tile} at a time through {row.rows} rows"
        return str(index), "tile", "", "", "", "", what
    if isinstance(row, BranchRow):
        what = f"up to {row.symbol}={row.most}: {row.rows} rows by one thread, of fork {row.fork}"
        return str(index), "branch", "", "", "", "", what
    if isinstance(row, LoopRow):
        what = f"{evaluate(row.trips, placement.sizes)} times through {row.rows} rows: {row.label}"
        return str(index), "loop", "", "", "", "", what
    reads, writes = " ".join(map(str, row.reads)), " ".join(map(str, row.writes))
    if isinstance(row, HostRow):
        return str(index), f"host: {row.function}", reads, writes, "", "", row.label
    return (
        str(index),
        names[row.kernel],
        reads,
        writes,
        f"{evaluate(row.flops, placement.sizes):,}",
        f"{evaluate(row.bytes, placement.sizes):,}",
        row.label,
    )
