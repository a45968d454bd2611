"""``keraunos demo``: one small network, from Keras code to timed kernels, and taught to read."""

from __future__ import annotations

import inspect
import time
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.text import Text

from ...compiler.ir.graph import Graph
from ...compiler.ir.kinds import View
from ...compiler.report.compare import compare_graph
from ...compiler.targets import processor_name
from ...compiler.units import count_of
from ...compiler.weight_preprocessing import fixed_nodes
from ...runtime.config import config
from ...runtime.dim import evaluate
from ...runtime.program import LaunchRow
from ..callbacks import Callback
from ..compiled import CompiledModel
from ..datasets import digits
from ..inspection import compare, compile
from ..models import Model
from ..optimizers import Adam
from ..optimizers.schedules import CosineDecay
from ..random import set_random_seed
from . import builtin
from .demo_loops import show_loops
from .headings import heading
from .references import Target, load_target
from .shorten import shortened
from .tables import BeforeAndAfter, Drawn, code

BATCHES = (1, 64)
EPOCHS = 20
TRAINING_BATCH = 16
SHOWN_EPOCHS = 5  # of which a line is printed
KERNEL_LINES = 80
NEXT = """\
keraunos explain cnn            the decisions alone
keraunos run cnn --profile      what each kernel takes
keraunos dump cnn -o cnn-dump   every stage, the plan and all kernels as files
keraunos compare model.py:build the same table for a model of yours"""


def demo(console: Console) -> None:
    """Builds, explains, times and trains a convolutional network; unrolls a recurrent one."""
    heading(console, "The model", "in Keras's words")
    console.print(code(inspect.getsource(builtin.cnn).rstrip()))
    with console.status("compiling"):
        target = load_target("cnn")
        executable = compile(target.model)
    _show_graphs(console, executable)
    heading(console, "Decisions", "and why")
    console.print(Drawn(executable.explain().table()))
    _show_kernel(console, executable)
    _show_times(console, target)
    _show_training(console)
    show_loops(console)
    heading(console, "Next")
    console.print(Text(NEXT))


def _show_graphs(console: Console, executable: CompiledModel) -> None:
    names = list(executable.stages)
    before = executable.stages[names[names.index("fuse") - 1]]
    after = executable.stages["fuse"]
    counts = [count_of(_kernels(graph), "kernel") for graph in (before, after)]
    heading(console, "The graph", "before and after fusion")
    titles = (f"before: {counts[0]}", f"after: {counts[1]}")
    console.print(Text(str(before).partition(" {")[0] + "\n"))
    console.print(BeforeAndAfter(before, after, titles))


def _kernels(graph: Graph) -> int:
    """Ops that compute something at each call: neither from weights alone, nor views of memory."""
    fixed = fixed_nodes(graph)
    ops = [node for node in graph.nodes if node.inputs and node not in fixed]
    return sum(not isinstance(node.op.kind, View) for node in ops)


def _show_kernel(console: Console, executable: CompiledModel) -> None:
    """The kernel that does most of the work."""
    launches = [row for row in executable.program.rows if isinstance(row, LaunchRow)]
    sizes = dict.fromkeys(executable.program.symbols, 1)
    heaviest = max(launches, key=lambda row: evaluate(row.flops, sizes))
    name = list(executable.source)[heaviest.kernel]
    heading(console, "A generated kernel", f"for {heaviest.label}")
    source = executable.source[name]
    console.print(code(shortened(source[source.index("@kernel_jit") :], KERNEL_LINES)))
    console.print()
    console.print(Text(f"Whole: {executable.source_path[name]}", style="dim", overflow="fold"))


def _show_times(console: Console, target: Target) -> None:
    threads = count_of(config.threads, "thread")
    heading(console, "Unfused and fused", f"on handwritten digits, {threads} of {processor_name()}")
    for batch in BATCHES:
        # A spinner that turned would take time from what is timed.
        with console.status(f"timing {count_of(batch, 'digit')}", refresh_per_second=0.2):
            comparison = compare_graph(target.graph, target.inputs(batch), target.weights)
        console.print(Drawn(comparison.table()))
        console.print()
    console.print(
        Text(
            "|error| is the largest difference from the same graph in float64. The weights are "
            "random so far.",
            style="dim",
        )
    )


class _Told(Callback):
    """Shows how far the training is: in the status line, and in a line for some epochs."""

    def __init__(self, console: Console, status: Status) -> None:
        super().__init__()
        self.console, self.status = console, status

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        line = f"epoch {epoch + 1:2}: loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.4f}"
        self.status.update(line)
        if (epoch + 1) % max(1, EPOCHS // SHOWN_EPOCHS) == 0 or epoch == 0:
            self.console.print(Text(line))


def _show_training(console: Console) -> None:
    """Teaches the network to read digits, and tests it on those that it has not seen."""
    (images, labels), held_out = digits.load_data()
    heading(console, "Training", "forward, loss, backward, update and metrics in one program")
    set_random_seed(0)
    model = builtin.cnn()
    steps = -(-len(images) // TRAINING_BATCH) * EPOCHS
    model.compile(
        optimizer=Adam(CosineDecay(0.002, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    with console.status("compiling the step") as status:
        start = time.perf_counter()
        model.fit(
            images, labels, TRAINING_BATCH, EPOCHS, verbose=0, callbacks=[_Told(console, status)]
        )
        seconds = time.perf_counter() - start
    accuracy = model.evaluate(*held_out, verbose=0, return_dict=True)["accuracy"]
    done = f"{steps} steps of {TRAINING_BATCH} in {seconds:.1f} s, compilation included."
    console.print(Text(f"\n{done} Accuracy on digits never seen: {accuracy:.4f}"))
    _show_step(console, model)


def _show_step(console: Console, model: Model) -> None:
    """What a training step is made of, and what fusion gives there."""
    (images, labels), _ = digits.load_data()
    step = model.training_step(images[:64], labels[:64])
    console.print()
    with console.status("timing training steps", refresh_per_second=0.2):
        comparison = compare(step, variants=("none", "default"))
    console.print(Drawn(comparison.table()))
