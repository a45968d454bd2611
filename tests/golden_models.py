"""What the compiler makes of a few networks, as files to compare with and to read.

    python tests/golden_models.py      # writes tests/goldens anew; look at the difference

For each network the IR after the neutral passes; for machines with vectors of 4, 8
and 16 lanes the counts of its program and a digest of each kernel's text; and the texts of a few
kernels. All of it is the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "benchmarks")]  # where pytest finds them by itself

from machines import Compiled, compiled_for, machine, target_of  # noqa: E402
from recurrent import stacked_lstms  # noqa: E402
from workloads import WORKLOADS  # noqa: E402

import keraunos as keras  # noqa: E402
from keraunos.compiler.ir.graph import Graph  # noqa: E402
from keraunos.compiler.ir.printer import format_graph  # noqa: E402
from keraunos.compiler.pipeline import NEUTRAL, optimize  # noqa: E402
from keraunos.runtime.config import config  # noqa: E402
from keraunos.runtime.native.features import LANE_CHOICES  # noqa: E402

FOLDER = HERE / "goldens"
LAST = NEUTRAL[-1].__name__  # the next pass is the target's
SAMPLES = (1, 32)
LSTM_STEP = "matmul_add_slice_sigmoid_multiply_and_11"  # all gates, c, h and h stacked
WRITTEN_OUT = {  # model and lanes: kernels whose texts are kept
    ("cnn", 16): ("conv2d_add_relu_max_pool2d", "max_subtract_exp_sum_divide"),
    ("cnn", 4): ("winograd_conv2d_add_relu_max_pool2d",),
    ("mobilenetv2", 8): ("depthwise_conv2d_add_clip",),
    **{("lstms", lanes): (LSTM_STEP,) for lanes in LANE_CHOICES},
}
PLACE = re.compile(r" +# (.*?) *\S+\.py:\d+$", re.MULTILINE)


def network(name: str) -> Graph:
    """A network of the benchmarks, with the names that its layers have in a new session."""
    keras.utils.clear_session(free_memory=False)
    return keras.trace(WORKLOADS[name].build(keras))


def training_step() -> Graph:
    """A step of Adam on the small network, with a metric."""
    keras.utils.clear_session(free_memory=False)
    model = WORKLOADS["cnn"].build(keras)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    images, labels = np.zeros((2, 28, 28, 1), "float32"), np.zeros(2, "int32")
    return model.training_step(images, labels).graph


GRAPHS: Mapping[str, Callable[[], Graph]] = {
    **{name: lambda name=name: network(name) for name in ("cnn", "resnet20", "mobilenetv2")},
    "cnn_step": training_step,
    "lstms": lambda: stacked_lstms(128, features=28),
}


@cache
def graph_of(name: str) -> Graph:
    return GRAPHS[name]()


def ir_of(name: str) -> str:
    """The IR after the neutral passes, with layers, but without lines of files."""
    with config.update(verify=False):
        graph = optimize(graph_of(name), target_of(machine()), stop_after=LAST)[LAST]
    return PLACE.sub(lambda found: f"  # {found[1]}" * bool(found[1]), format_graph(graph)) + "\n"


@cache
def compiled(name: str, lanes: int) -> Compiled:
    return compiled_for(machine(lanes), graph_of(name))


def program_of(name: str, lanes: int) -> Mapping[str, Any]:
    """Counts of the program for such a machine, and its kernels: digests of their texts."""
    made = compiled(name, lanes)
    return {
        "kernels": len(made.program.kernels),
        "launches": made.program.launches,
        "arena_bytes": {str(n): made.arena_bytes(n) for n in SAMPLES},
        "digests": [
            f"{kernel.name} {hashlib.sha256(kernel.source.encode()).hexdigest()[:16]}"
            for kernel in made.program.kernels
        ],
    }


def programs(name: str) -> dict[str, Any]:
    return {str(lanes): program_of(name, lanes) for lanes in LANE_CHOICES}


def kernel_texts(name: str, lanes: int) -> dict[str, str]:
    """The kernels that are written out, by file name."""
    made = compiled(name, lanes)
    texts = {kernel.name: kernel.source for kernel in made.program.kernels}
    return {f"{name}_{lanes}_{kernel}.txt": texts[kernel] for kernel in WRITTEN_OUT[name, lanes]}


def files() -> dict[str, str]:
    """All goldens by file name."""
    found = {f"{name}.ir": ir_of(name) for name in GRAPHS}
    for name in GRAPHS:
        found[f"{name}.json"] = json.dumps(programs(name), indent=1) + "\n"
    for name, lanes in WRITTEN_OUT:
        found |= kernel_texts(name, lanes)
    return found


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    for name, text in files().items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
