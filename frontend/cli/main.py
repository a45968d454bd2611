"""The command ``keraunos``: demo, run, dump, explain, diff, compare, calibrate, cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import numpy as np
import typer
from rich.text import Text

from ...compiler.executable import compile_graph
from ...compiler.file_names import file_name
from ...compiler.pipeline import optimize
from ...compiler.report.compare import compare_graph
from ...compiler.report.diff import stage_diff
from ...compiler.targets import CPU, measured, target_named
from ...compiler.units import count_of, format_bytes
from ...runtime.cache import cache_info, clear_cache
from ...runtime.config import config
from ..compiled import CompiledModel, fit_inputs
from ..errors import UsageError, UsageTypeError
from ..inspection import compile
from ..inspection import dump as dump_
from . import demo as demo_
from .references import FORMS, Target, load_target
from .tables import Drawn, DrawnDifferences, console

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

MISTAKE = 2  # the exit code of a command that was used wrongly
SHOWN = 10  # numbers of an output

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keraunos compiles deep-learning graphs: look at what it makes of a model, and time it.",
    epilog="Settings: KERAUNOS_THREADS, KERAUNOS_CACHE_DIR, KERAUNOS_DEBUG=1 (whole tracebacks).",
)

Model = Annotated[str, typer.Argument(help=f"What to work on: {FORMS}.")]
Batch = Annotated[int, typer.Option("--batch", "-b", min=1, help="Samples at a time.")]
Input = Annotated[
    Path | None, typer.Option("--input", "-i", help="A .npy or .npz file in place of samples.")
]
Disable = Annotated[
    list[str] | None, typer.Option("--disable", help="A pass to leave out; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")]


def main() -> None:
    """Runs the command line."""
    app()


def clean_errors(command: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Tells mistakes of the user in a line and ends with exit code 2."""

    @wraps(command)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except (ValueError, UsageTypeError, OSError) as error:
            if config.debug:
                raise
            message = Text.assemble(("error: ", "bold red"), str(error))
            console(error=True).print(message, soft_wrap=True)
            raise typer.Exit(MISTAKE) from None

    return run


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"keraunos {metadata.version('keraunos')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options that belong to no command."""


@app.command()
@clean_errors
def demo() -> None:
    """Take a small network from Keras code to fused kernels, and time them on real digits."""
    demo_.demo(console())


@app.command()
@clean_errors
def run(
    model: Model,
    batch: Batch = 1,
    input: Input = None,
    disable: Disable = None,
    profile: Annotated[bool, typer.Option("--profile", help="Time each kernel.")] = False,
    json_: Json = False,
) -> None:
    """Run a model once, and show its outputs; with --profile where the time goes."""
    target = load_target(model)
    executable = _compiled(target, disable)
    arrays = _inputs(target, batch, input)
    if profile:
        _show(executable.profile(*arrays), json_)
        return
    results: Any = executable(*arrays)
    outputs = results if isinstance(results, (list, tuple, dict)) else [results]
    named = outputs.items() if isinstance(outputs, dict) else enumerate(outputs)
    for name, output in named:
        _show_output(str(name), output, json_)


@app.command()
@clean_errors
def dump(
    model: Model,
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder; <model>-dump by default.")
    ] = None,
    disable: Disable = None,
) -> None:
    """Write the graph at every stage, the plan, the decisions and the kernels into a folder."""
    target = load_target(model)
    chosen = folder or Path(f"{file_name(target.graph.name)}-dump")
    if chosen.exists() and not chosen.is_dir():
        raise UsageError(f"{chosen}: expected a folder, or nothing; it is a file")
    paths = dump_(_compiled(target, disable), chosen)
    for path in paths:
        typer.echo(path)


@app.command()
@clean_errors
def explain(
    model: Model,
    declined: Annotated[
        bool, typer.Option("--declined", help="Only what was not done, and why not.")
    ] = False,
    disable: Disable = None,
    json_: Json = False,
) -> None:
    """Show what was fused, folded, tiled or declined, and why."""
    explanation = _compiled(load_target(model), disable).explain(
        only="declined" if declined else None
    )
    _show(explanation, json_)


@app.command()
@clean_errors
def diff(
    model: Model,
    passes: Annotated[
        list[str] | None, typer.Argument(metavar="[PASS]...", help="Passes to show; all if none.")
    ] = None,
    disable: Disable = None,
    json_: Json = False,
) -> None:
    """Show what each pass did to the graph, node by node."""
    stages = optimize(load_target(model).graph, target_named(CPU), disable=disable or ())
    found = [stage_diff(stages, stage) for stage in passes or list(stages)[1:]]
    if json_:
        typer.echo(json.dumps([each.to_dict() for each in found], indent=2))
        return
    console().print(DrawnDifferences(found), soft_wrap=not console().is_terminal)


@app.command()
@clean_errors
def compare(
    model: Model,
    batch: Batch = 32,
    input: Input = None,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", help="none, +fuse, ..., default; may be repeated."),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option("--repeats", min=1, help="Rounds of timing.")
    ] = None,
    json_: Json = False,
) -> None:
    """Time a model unfused, with each pass added, and fused; and hold it against float64."""
    target = load_target(model)
    arrays = _inputs(target, batch, input)
    _show(compare_graph(target.graph, arrays, target.weights, variant or None, repeats), json_)


@app.command()
@clean_errors
def calibrate(json_: Json = False) -> None:
    """Measure what kernels are best here, once for this machine, and keep it with the kernels."""
    figures, path = measured(compile_graph)
    if json_:
        typer.echo(json.dumps(figures.to_dict(), indent=2))
        return
    for name, value in figures.rows():
        typer.echo(f"{name:<13} {value}")
    typer.echo(f"{'kept in':<13} {path}")


@app.command()
@clean_errors
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all kernels.")] = False,
) -> None:
    """Show the cache of compiled kernels, or empty it."""
    if clear:
        typer.echo(f"removed {count_of(clear_cache(), 'kernel')} from {cache_info().dir}")
        return
    info = cache_info()
    rows = (
        ("folder", str(info.dir)),
        ("kernels", f"{info.entries:,}"),
        ("size", f"{format_bytes(info.bytes)} of at most {format_bytes(config.cache_max_bytes)}"),
    )
    for name, value in rows:
        typer.echo(f"{name:<8} {value}")


def _compiled(target: Target, disable: list[str] | None) -> CompiledModel:
    executable = compile(target.model, disable=disable or ())
    executable.set_parameters(target.weights)
    return executable


def _inputs(target: Target, batch: int, file: Path | None) -> list[np.ndarray]:
    if file is None:
        return target.inputs(batch)
    return fit_inputs(target.graph, (_read(file),))


def _read(file: Path) -> Any:
    """An array, or arrays by name."""
    if not file.is_file():
        raise UsageError(f"{file}: expected a .npy or .npz file; there is none")
    try:
        loaded = np.load(file, allow_pickle=False)
    except (ValueError, EOFError):
        raise UsageError(f"{file}: expected a .npy or .npz file of numbers; it is none") from None
    return loaded if isinstance(loaded, np.ndarray) else dict(loaded)


def _show(result: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
    else:
        console().print(Drawn(result.table()))


def _show_output(name: str, output: np.ndarray, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"output": name, "values": output.tolist()}))
        return
    shape = ", ".join(map(str, output.shape))
    typer.echo(f"output {name}: {output.dtype} ({shape})")
    with np.printoptions(threshold=SHOWN * SHOWN, precision=4, linewidth=100):
        typer.echo(str(output))
