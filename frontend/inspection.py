"""What the compiler makes of a model: run it, read why, compare, write it all out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..compiler.ir import parser
from ..compiler.suggest import did_you_mean
from ..runtime.config import config
from . import lazy
from .accepted import Count
from .arguments import checked
from .errors import IRUsageError, UsageError
from .saving.atomic import make_folder

if TYPE_CHECKING:
    from ..compiler.ir.graph import Graph
    from ..compiler.program_file import LoadedProgram
    from ..compiler.report.comparison import Comparison
    from ..compiler.report.explain import Explanation
    from .compiled import CompiledModel


def parse_ir(text: str) -> Graph:
    """The graph that a text describes, as printing one, or ``dump``, writes it.

    Raises:
        IRError: the text is none of a graph; with the line and column.
    """
    if not isinstance(text, str):
        raise IRUsageError(f"parse_ir: expected the text of a graph as a string; received {text!r}")
    return parser.parse_ir(text)


@checked
def compile(
    model: Any,
    *inputs: Any,
    target: str | None = None,
    passes: str | Iterable[str] = "default",
    disable: str | Iterable[str] = (),
    stop_after: str | None = None,
    unroll: bool | int | None = None,
    training: bool = False,
) -> CompiledModel:
    """The executable of a model, a layer, a function of tensors, a training step, or a graph.

    It is called with what the model takes and gives what the model gives, as arrays; its weights
    follow the model's. A graph gives an array or a tuple of arrays, and its weights come through
    ``set_parameters``. It keeps the trace that it was made of: other attributes of layers that are
    changed later, an activation for instance, are seen by another ``compile``. ``stages``,
    ``source``, ``report``, ``explain()``, ``diff("fuse")`` and ``profile(x)`` tell what was made.

    Args:
        inputs: shapes or arrays as for ``trace``, for a model that does not know its inputs.
        target: ``"cpu"``, this machine; or ``"cpu:avx512"``, ``"cpu:avx2"``, ``"cpu:sse"``, whose
            graphs and kernels can be read on any machine, and run where it has such vectors;
            ``"cuda"``, ``"cuda:sm_80"``, ``"cuda:sm_90a"``, NVIDIA GPUs, or ``"cuda-emulated"``.
            By default ``config.target``.
        passes: ``"default"``, ``"none"``, or a name or names of passes to run.
        disable: a name or names of passes to leave out; ``"tile"`` and ``"fork"`` among them.
        stop_after: the last stage to run; what kernels cannot do without runs all the same.
        unroll: whether the steps of loops whose number is known are laid out one after another; or
            how many of them make one step. By default each layer says so, or the compiler chooses.
        training: as the argument ``training`` of ``call``.

    Raises:
        ValueError: the inputs do not fit, or there is no such target or pass.
    """
    targets = lazy.load("..compiler.targets").NAMES
    target = config.target if target is None else target
    if target not in targets:
        known, hint = ", ".join(map(repr, targets)), did_you_mean(target, targets)
        raise UsageError(f"compile: expected a target among {known}; received {target!r}{hint}")
    executable: CompiledModel = lazy.load(".compiled").compile_model(
        model, inputs, training, passes, disable, stop_after, target, unroll
    )
    return executable


@checked
def load_program(path: str | Path, trusted: bool = False) -> LoadedProgram:
    """A compiled model from a file, as ``compile(model).save(path)`` writes it.

    It is called with the arrays that the model's graph takes, contiguous and of its dtypes, and
    gives a tuple of arrays. It needs no model, and follows none.

    Args:
        trusted: run it though others own the file or may write to it. No code is read from it, but
            a program made up to do harm may write to memory that is not its own.

    Raises:
        ValueError: there is no such file, or it is no program, damaged, for another machine, of
            another version, or not yours.
    """
    if not Path(path).is_file():
        raise UsageError(f"load_program: expected a file; there is none at {str(path)!r}")
    loading = lazy.load("..compiler.program_file")
    try:
        program: LoadedProgram = loading.load_program(path, trusted)
    except (loading.ProgramFileError, OSError) as error:
        raise UsageError(f"load_program: {error}") from error
    return program


@checked
def explain(
    model: Any, *inputs: Any, only: Literal["fused", "folded", "tiled", "declined"] | None = None
) -> Explanation:
    """What was fused, folded, tiled or declined in a model, and why; prints as a table.

    Args:
        inputs: as for ``compile``.
        only: keeps one kind of decision, such as ``"declined"``.

    Raises:
        ValueError: the inputs do not fit, or there is no such kind.
    """
    return compile(model, *inputs).explain(only)


@checked
def compare(
    model: Any,
    x: Any = None,
    variants: str | Iterable[str] | Mapping[str, Any] | None = None,
    repeats: Count | None = None,
) -> Comparison:
    """A model compiled in several ways, timed side by side; prints as a table.

    The columns: milliseconds (median, spread, best), kernels, launches, memory moved, seconds to
    compile, and the largest difference from numpy in float64.

    Args:
        model: as for ``compile``; or a training step, as ``model.training_step(x, y)`` gives it.
        x: the input, or a list or dict of several, of the batch size to time; a step has its own.
        variants: names among ``"none"``, ``"+fuse"``, ..., ``"default"``, or options of
            ``compile`` by names of your own, such as ``{"no fusion": {"disable": ("fuse",)}}``;
            by default each pass added to those before, and of a model with loops what becomes of
            these: ``"rolled"``, ``"hoisted"``, ``"cell fused"``, ``"unrolled"``, ``"wavefront"``.
        repeats: rounds in which each variant has a turn; by default what three seconds allow.

    Raises:
        ValueError: an unknown variant, or inputs that do not fit.
    """
    comparison: Comparison = lazy.load(".compiled").compare_model(model, x, variants, repeats)
    return comparison


@checked
def dump(model: Any, folder: str | Path, *inputs: Any) -> tuple[Path, ...]:
    """Writes what the compiler made of a model into ``folder``; gives the paths of the files.

    The graph before and after each pass with the difference, the schedule, the memory plan, the
    decisions, and the generated kernels with their machine instructions.

    Args:
        model: as for ``compile``, or what ``compile`` gave.
        inputs: as for ``compile``.

    Raises:
        ValueError: the inputs do not fit.
        OSError: the folder cannot be written to.
    """
    dumping = lazy.load("..compiler.report.dump")
    executable = model if isinstance(model, dumping.Executable) else compile(model, *inputs)
    make_folder("dump", Path(folder))
    paths: tuple[Path, ...] = dumping.dump(executable, folder)
    return paths
