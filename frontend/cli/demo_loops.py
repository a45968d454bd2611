"""The second part of ``keraunos demo``: a recurrent network, its loop, and the loop unrolled."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...compiler.decisions import Decisions
from ...compiler.ir.graph import Graph, Node
from ...compiler.ir.printer import body_names, node_call, node_names
from ...compiler.pipeline import optimize
from ...compiler.report.compare import compare_graph
from ...compiler.targets import CPU, target_named
from .. import layers
from ..layers import Input
from ..models import Sequential
from ..tracing import trace
from . import builtin
from .headings import heading
from .references import load_target
from .tables import COLUMNS, Drawn, broken, code, ir_text

STEPS, UNITS = 3, 8  # of a loop that is short enough to read
BATCH = 1
GAP = 3  # columns between the two graphs
LONG = 3  # ops of a group: further ones are left out


def show_loops(console: Console) -> None:
    """Builds, unrolls and times the built-in recurrent network."""
    heading(console, "A recurrent model", "whose layers are loops over the rows of an image")
    console.print(code(inspect.getsource(builtin.lstm).rstrip()))
    heading(console, "The loop", f"of one layer over {STEPS} steps, rolled and unrolled")
    console.print(_side_by_side(console))
    heading(console, "Whether to unroll", "by an estimate for each loop")
    for line in _choices():
        console.print(Text(line))
    heading(console, "Loops rolled and unrolled", "on handwritten digits, one at a time")
    with console.status("timing an image", refresh_per_second=0.2):
        target = load_target("lstm")
        comparison = compare_graph(target.graph, target.inputs(BATCH), target.weights)
    console.print(Drawn(comparison.table()))


def _side_by_side(console: Console) -> Table:
    each = (console.width - GAP) // 2
    drawn = Table(box=COLUMNS, padding=(0, 1), pad_edge=False, show_edge=False, border_style="dim")
    graphs = {"rolled": _short(False), "unrolled": _short(True)}
    for title in graphs:
        drawn.add_column(title, width=each, no_wrap=True)
    drawn.add_row(*(ir_text("\n".join(_lines(graph, each))) for graph in graphs.values()))
    return drawn


def _short(unroll: bool) -> Graph:
    model = Sequential([Input((STEPS, UNITS), name="x"), layers.LSTM(UNITS)], name="lstm")
    return optimize(trace(model), target_named(CPU), unroll=unroll, stop_after="fuse").last


def _lines(graph: Graph, width: int) -> Iterator[str]:
    """Each op on lines of its own, the steps of a loop indented below it; no types."""
    names = node_names(graph)
    for node in graph.nodes:
        if not node.inputs:
            continue
        yield from broken(_shortened(node_call(node, names)), width)
        if node.op.name == "scan":
            yield from _step(node, node.attrs["body"], names, width)


def _step(scan: Node, body: Graph, names: dict[Node, str], width: int) -> Iterator[str]:
    inside = body_names(scan, body, names)
    for node in body.nodes:
        if node.inputs:
            lines = broken(_shortened(node_call(node, inside)), width - 4)
            yield from (f"    {line}" for line in lines)


def _shortened(call: str) -> str:
    """A call without what repeats itself: layers before weights, ops of a group, body, steps."""
    call = re.sub(r"\$(?:\w+\.)+", "$", call)
    call = re.sub(r"fused ([\w+]+)", _first_ops, call)
    call = re.sub(r", step=\([1, ]*\)", "", call)
    return re.sub(r", body=[^,)]*", "", call)


def _first_ops(match: re.Match[str]) -> str:
    ops = match[1].split("+")
    more = len(ops) - LONG
    return f"fused {'+'.join(ops[:LONG])}" + (f"+{more}" if more > 0 else "")


def _choices() -> Iterator[str]:
    """What the compiler chooses for each loop of the model, whole, and its numbers."""
    decisions = Decisions()
    graph, target = load_target("lstm").graph, target_named(CPU)
    optimize(graph, target, disable="wavefront", stop_after="unroll", decisions=decisions)
    for decision in decisions.of_stage("unroll"):
        where = ", ".join(decision.layers)
        kept = "a loop" if decision.declined else "unrolled"
        yield f"{where}: {kept}, as {decision.reason}: {decision.detail}"
