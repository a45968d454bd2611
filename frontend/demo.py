"""``keraunos demo``: one small network on its way from Keras code to timed kernels."""

from __future__ import annotations

import inspect

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from ..compiler.compare import compare_graph
from ..compiler.executable import Executable
from ..compiler.ir import Graph
from ..compiler.lowering import View
from ..compiler.units import count_of
from ..runtime.config import config
from ..runtime.dim import evaluate
from ..runtime.host import host
from ..runtime.program import LaunchRow
from . import builtin
from .inspection import compile
from .shorten import shortened
from .tables import BeforeAndAfter, Drawn, code
from .targets import Target, load_target

BATCHES = (1, 64)
KERNEL_LINES = 80
NEXT = """\
keraunos explain cnn            the decisions alone
keraunos run cnn --profile      what each kernel takes
keraunos dump cnn -o cnn-dump   every stage, the plan and all kernels as files
keraunos compare model.py:build the same table for a model of yours"""


def demo(console: Console) -> None:
    """Builds, compiles, explains and times the built-in convolutional network."""
    _head(console, "The model", "in Keras's words")
    console.print(code(inspect.getsource(builtin.cnn).rstrip()))
    with console.status("compiling"):
        target = load_target("cnn")
        executable = compile(target.model)
    _show_graphs(console, executable)
    _head(console, "Decisions", "and why")
    console.print(Drawn(executable.explain().table()))
    _show_kernel(console, executable)
    _show_times(console, target)
    _head(console, "Next")
    console.print(Text(NEXT))


def _head(console: Console, title: str, rest: str = "") -> None:
    console.print()
    text = Text.assemble((title, "bold"), f" {rest}" if rest else "")
    console.print(Rule(text, align="left", style="dim"))
    console.print()


def _show_graphs(console: Console, executable: Executable) -> None:
    names = list(executable.stages)
    before = executable.stages[names[names.index("fuse") - 1]]
    after = executable.stages["fuse"]
    counts = [count_of(_kernels(graph), "kernel") for graph in (before, after)]
    _head(console, "The graph", "before and after fusion")
    titles = (f"before: {counts[0]}", f"after: {counts[1]}")
    console.print(Text(str(before).partition(" {")[0] + "\n"))
    console.print(BeforeAndAfter(before, after, titles))


def _kernels(graph: Graph) -> int:
    """Ops that compute something: all but those that only see memory in another shape."""
    ops = [node for node in graph.nodes if node.inputs]
    return sum(not isinstance(node.op.lowering, View) for node in ops)


def _show_kernel(console: Console, executable: Executable) -> None:
    """The kernel that does most of the work."""
    launches = [row for row in executable.program.rows if isinstance(row, LaunchRow)]
    sizes = dict.fromkeys(executable.program.symbols, 1)
    heaviest = max(launches, key=lambda row: evaluate(row.flops, sizes))
    name = list(executable.source)[heaviest.kernel]
    _head(console, "A generated kernel", f"for {heaviest.label}")
    source = executable.source[name]
    console.print(code(shortened(source[source.index("@kernel_jit") :], KERNEL_LINES)))
    console.print()
    console.print(Text(f"Whole: {executable.source_path[name]}", style="dim", overflow="fold"))


def _show_times(console: Console, target: Target) -> None:
    threads = count_of(config.threads, "thread")
    _head(console, "Unfused and fused", f"on handwritten digits, {threads} of {host().cpu_name}")
    for batch in BATCHES:
        # A spinner that turned would take time from what is timed.
        with console.status(f"timing {count_of(batch, 'digit')}", refresh_per_second=0.2):
            comparison = compare_graph(target.graph, target.inputs(batch), target.weights)
        console.print(Drawn(comparison.table()))
        console.print()
    console.print(
        Text(
            "|error| is the largest difference from the same graph in float64. The weights are "
            "random: nothing is trained here.",
            style="dim",
        )
    )
