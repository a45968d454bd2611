"""What a user waits for: the import, the first compilation, and what the kernel cache saves.

python benchmarks/cold_start.py --workload cnn --kind train --json result.json

Every figure is from a process of its own, so none profits from another but through the cache:

    import numba      the floor, since Keraunos imports it
    import keraunos
    cold              first call with an empty kernel cache
    second model      then, in that process, first call of the network with twice the channels
    new process       first call in a new process, which finds the kernels in the cache
    same call again   in that process

A call is a prediction, or with `--kind train` a step of Adam on the crossentropy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from workloads import WORKLOADS, Builder, Case, cnn


def import_seconds(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True
    )
    return float(done.stdout)


def first_calls(kind: str, workload: str, batch: int, cache: Path) -> dict[str, float]:
    """Runs `child` in a process whose kernel cache is `cache`."""
    environment = os.environ | {
        "KERAUNOS_CACHE_DIR": str(cache / "keraunos"),
        "NUMBA_CACHE_DIR": str(cache / "numba"),
    }
    done = subprocess.run(
        [
            *(sys.executable, __file__, "--child", "--kind", kind),
            *("--workload", workload, "--batch", str(batch)),
        ],
        stdout=subprocess.PIPE,
        env=environment,
        check=True,
        text=True,
    )
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def child(kind: str, workload: str, batch: int) -> dict[str, float]:
    """The first calls of one process, in seconds; a call builds its model first."""
    import keraunos as keras

    case = Case(kind, workload, batch)
    first, again = call_twice(keras, WORKLOADS[workload].build, case)
    second_case = Case(kind, "cnn", batch)
    second, _ = call_twice(keras, partial(cnn, width=2), second_case)
    return {"first": first, "again": again, "second": second}


def call_twice(keras: Any, build: Builder, case: Case) -> tuple[float, float]:
    images, labels = case.data()
    start = time.perf_counter()
    model = build(keras)
    call: Callable[[], Any] = partial(model.predict_on_batch, images)
    if case.kind == "train":
        model.compile("adam", "sparse_categorical_crossentropy")
        call = partial(model.train_on_batch, images, labels)
    call()
    first = time.perf_counter()
    call()
    return first - start, time.perf_counter() - first


def measure(kind: str, workload: str, batch: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        cold = first_calls(kind, workload, batch, Path(folder))
        warm = first_calls(kind, workload, batch, Path(folder))
    return {
        "import numba": import_seconds("numba"),
        "import keraunos": import_seconds("keraunos"),
        f"cold: {workload}": cold["first"],
        "second model: cnn, twice the channels": cold["second"],
        f"new process: {workload}": warm["first"],
        "same call again": warm["again"],
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Import, cold compile and warm start, in seconds.")
    parser.add_argument("--workload", choices=WORKLOADS, default="cnn")
    parser.add_argument("--kind", choices=("infer", "train"), default="infer")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write every figure")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def table_of(runs: list[dict[str, float]]) -> Table:
    table = Table("what", "median", "fastest", "slowest", title="seconds")
    for name in runs[0]:
        seconds = [run[name] for run in runs]
        figures = (statistics.median(seconds), min(seconds), max(seconds))
        table.add_row(name, *(f"{value:.4f}" for value in figures))
    return table


def main() -> None:
    arguments = parse_arguments()
    if arguments.child:
        print(json.dumps(child(arguments.kind, arguments.workload, arguments.batch)))
        return
    import_seconds("keraunos")  # writes the bytecode, which an installed package has
    what = (arguments.kind, arguments.workload, arguments.batch)
    runs = [measure(*what) for _ in range(arguments.repeats)]
    Console().print(table_of(runs))
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
