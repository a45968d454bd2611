"""``dump()``: everything the compiler made of a model, as files to read.

00_trace.ir               the graph before any pass
02_simplify.ir            ... and after each; every one can be edited and read by parse_ir
02_simplify.diff          what the pass changed, node by node
schedule.txt              groups in order, with the kernels that compute them
plan.txt                  memory slots with lifetimes, the table of launches, and the offsets
explain.txt               what was fused or declined, and why
kernels/<name>.py         the generated kernels
kernels/<name>.s          ... and the machine instructions that they are here, if it runs them
kernels/<name>.ptx        ... and what they are for NVIDIA GPUs, on any machine
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ...runtime.config import config
from ...runtime.device import Assembler
from ...runtime.devices import assembler_for
from ...runtime.placement import place
from ..executable import Executable
from ..file_names import file_name
from ..pipeline import TRACE
from ..sources import GENERATED
from ..units import BATCH
from .diff import stage_diffs
from .explain import explain

KERNEL_FILES = (".py", ".s", ".ptx")
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
    kernels, assembler = executable.program.kernels, assembler_for(executable.program.target)
    for kernel, (name, source) in zip(kernels, executable.source.items(), strict=True):
        yield f"kernels/{file_name(name)}.py", source
        if assembler is not None:
            text = _instructions(name, kernel.source, assembler)
            yield f"kernels/{file_name(name)}{assembler.suffix}", text


def _instructions(name: str, source: str, assembler: Assembler) -> str:
    """The kernel compiled once more, to text: what the cache keeps is bytes."""
    head = f"{assembler.comment} {name}: {GENERATED} and LLVM for {assembler.model}."
    return f"{head}\n{assembler.assembly(source)}"


def _earlier(root: Path) -> list[Path]:
    stages = [path for path in root.iterdir() if _STAGE_FILE.fullmatch(path.name)]
    texts = [path for path in (root / "kernels").iterdir() if path.suffix in KERNEL_FILES]
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
    """The program's slots and rows, and where its values lie for one sample."""
    program = executable.program
    sizes = {name: 1 if name == BATCH else OTHER_SIZE for name in program.symbols}
    return f"{program}\n\n\n{place(program, sizes, config.threads)}"
